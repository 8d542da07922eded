"""No search at all: every step is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import Scalar
from nmdl_bench.optimizers.line_search.base import Search, begin, proceed

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class Fixed:
    """Take the first trial, whatever its value: steps that are too long show as values that are not finite."""

    needs_descent: ClassVar[bool] = False

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        return begin(xp, 0.0, 0.0, t, f0, df0, old)

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any:
        return xp.s.int(0) == 0

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        return proceed(xp, search, 1, xp.s.int(0) == 0, search.t)

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search:
        return proceed(xp, search, 1, xp.s.int(0) > 0, search.t)
