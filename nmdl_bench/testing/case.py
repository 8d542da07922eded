"""A backend under check, its rounding, and host data in its precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.testing.errors import CheckError, host_reals, require, require_close

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Case:
    """Compares what a backend gives with NumPy's float64."""

    def __init__(self, xp: Backend) -> None:
        self.xp, self.tolerance = xp, 64 * xp.eps
        self.rng = np.random.Generator(np.random.Philox(7))

    def draw(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.xp.dtype_name).astype(np.float64)

    def equal(self, what: str, got: Any, expected: Any, exact: bool = False) -> None:
        host = self.xp.to_numpy(got)
        name = f"{what} on {self.xp!r}"
        if np.asarray(expected).dtype.kind == "f":
            require(
                host.dtype == np.dtype(self.xp.dtype_name),
                f"{name} gives {host.dtype} instead of {self.xp.dtype_name}: the precision was lost on the way",
            )
        require_close(name, host, expected, 0.0 if exact else self.tolerance)

    def scalar(self, what: str, got: Any, expected: float) -> None:
        require_close(f"{what} on {self.xp!r}", host_reals(self.xp, [got])[0], expected, self.tolerance)

    def attempt(self, what: str, call: Callable[..., Any], *args: Any) -> Any:
        """The value of ``call(*args)``; what it raises becomes a sentence."""
        try:
            return call(*args)
        except CheckError:
            raise
        except Exception as error:
            raise CheckError(f"{what} on {self.xp!r} raises {type(error).__name__}: {error}") from error
