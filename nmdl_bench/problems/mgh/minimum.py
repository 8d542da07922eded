"""What is known of a function's minima, and which of them a point has reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.problems.mgh.catalogue import TestFunction
from nmdl_bench.problems.mgh.numbers import Doubles

Kind = Literal["global", "local", "infinity", "saddle"]
SOLVED = 1e-8
"""A point is at a minimum F* where ``F - F* <= SOLVED max(SOLVED, F*)``, ``F = sum r_i^2`` in double precision."""
NEAR_INFINITY = 1e-2
"""Share of a value at infinity above which a point is not said to be on its way there."""
NEAR_SADDLE = 1e-4
"""The same on both sides of a saddle."""

_ZERO = frozenset({1, 2, 3, 4, 5, 7, 11, 12, 13, 14, 18, 21, 22, *range(25, 32)})
"""Numbers of the functions whose residual has a zero for every size."""


@dataclass(frozen=True)
class Minimum:
    """A minimum of ``F = sum r_i^2``, which is twice the objective of the problem.

    Parameters
    ----------
    kind : str
        ``"global"``; ``"local"``; ``"infinity"``, a value that is approached, with vanishing gradient, where variables
        grow without bound, and that no finite point attains; ``"saddle"``, a stationary point that is no minimum, and
        where solvers have been seen to end.
    value : str
        F to 20 significant digits.
    x : str
        One minimiser, its variables to 20 digits with spaces between; empty where it is at infinity, or not unique.
    note : str
        Where it is, in words, for those that ``x`` does not tell.
    """

    kind: Kind
    value: str
    x: str = ""
    note: str = ""

    @property
    def F(self) -> float:
        """The value as a double."""
        return float(self.value)

    @property
    def point(self) -> np.ndarray:
        """The minimiser as doubles (n,)."""
        return np.array([float(x) for x in self.x.split()])


class End(NamedTuple):
    """Where a point is: the minimum it has reached, or None, and its value."""

    F: float
    minimum: Minimum | None

    @property
    def solved(self) -> bool:
        """Whether it is at the global minimum."""
        return self.minimum is not None and self.minimum.kind == "global"

    @property
    def words(self) -> str:
        """Such as ``global minimum``, ``local minimum 48.9843``, ``neither, F = 3.2e-05``."""
        if self.minimum is None:
            return f"neither, F = {self.F:.6g}"
        if self.minimum.kind == "global":
            return "global minimum"
        name: dict[str, str] = {
            "local": "local minimum",
            "infinity": "towards infinity, where F is",
            "saddle": "saddle",
        }
        return f"{name[self.minimum.kind]} {self.minimum.F:.6g}"


def known_minima(function: TestFunction, n: int | None = None, m: int | None = None) -> tuple[Minimum, ...]:
    """Known minima for these sizes (the function's own by default), the global one first; empty where none is known.

    Local ones are those of the paper and of a search from many starts: there may be more.
    """
    from nmdl_bench.problems.mgh.minima import MINIMA

    n, m = function.sizes(n, m)
    if (function.number, n, m) in MINIMA:
        return MINIMA[function.number, n, m]
    value = by_formula(function.number, n, m)
    return () if value is None else (Minimum("global", value),)


def by_formula(number: int, n: int, m: int) -> str | None:
    """The global minimum of functions for which it is known at all sizes, else None."""
    if number in _ZERO or (number == 35 and m == n and (n <= 7 or n == 9)):
        return "0"
    formulas = {
        32: Fraction(m - n),
        33: Fraction(m * (m - 1), 2 * (2 * m + 1)),
        34: Fraction(m * m + 3 * m - 6, 2 * (2 * m - 3)),
    }
    return rational(formulas[number]) if number in formulas else None


def rational(value: Fraction, digits: int = 20) -> str:
    """A ratio as a decimal fraction."""
    from decimal import Context, Decimal

    return str(Context(prec=digits).divide(Decimal(value.numerator), Decimal(value.denominator)))


def sum_of_squares(function: TestFunction, x: Sequence[float] | np.ndarray, m: int | None = None) -> float:
    """``F = sum r_i^2`` at ``x`` on the host, in double precision."""
    point = np.asarray(x, np.float64)
    n, m = function.sizes(len(point), m)
    with np.errstate(all="ignore"):
        r: Any = function.residual(get_backend("numpy"), point, *function.data(Doubles(), n, m))
        return float(r @ r)


def is_at(F: float, value: float) -> bool:
    """``F - F* <= SOLVED max(SOLVED, F*)``."""
    return F - value <= SOLVED * max(SOLVED, value)


def classify(function: TestFunction, x: Sequence[float] | np.ndarray, m: int | None = None) -> End:
    """Which known minimum a point has reached by its value.

    Parameters
    ----------
    function : TestFunction
        From :func:`~nmdl_bench.problems.mgh.catalogue.get_function`.
    x : array_like
        (n,)
    m : int, optional
        Number of residuals, where it is not the function's own.

    Raises
    ------
    ConfigurationError
        The function has no such size, or no minimum of it is known for that size.
    """
    F = sum_of_squares(function, x, m)
    known = known_minima(function, len(x), m)
    if not known:
        raise ConfigurationError(f"no minimum of {function.name!r} is known for n = {len(x)}; see SIZES of the table")
    if is_at(F, known[0].F):
        return End(F, known[0])
    for minimum in known[1:]:
        distance, scale = F - minimum.F, max(SOLVED, minimum.F)
        below = NEAR_SADDLE if minimum.kind == "saddle" else SOLVED
        above = {"local": SOLVED, "infinity": NEAR_INFINITY, "saddle": NEAR_SADDLE}[minimum.kind]
        if -below * scale <= distance <= above * scale:
            return End(F, minimum)
    return End(F, None)
