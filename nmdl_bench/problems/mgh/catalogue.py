"""The 35 functions by name: sizes, starts, and what each consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nmdl_bench.contracts import Array, ConfigurationError, unknown
from nmdl_bench.problems.mgh import fits, fixed, forms, systems
from nmdl_bench.problems.mgh.numbers import Numbers

Start = Callable[[int], list[float]]


@dataclass(frozen=True)
class TestFunction:
    """A residual ``r(xp, x, *data)`` (m,), its Jacobian, and the Jacobian's derivative along a direction.

    Parameters
    ----------
    number, name : int, str
        As in More, Garbow and Hillstrom (1981), section 3; the name in lower case with hyphens.
    n, m : int
        Sizes in this package where others are possible, and else the only ones.
    start : callable
        Standard start for n variables.
    residual, jacobian, second : callable
        See :mod:`nmdl_bench.problems.mgh.forms`.
    data : callable, optional
        ``data(numbers, n, m)``, further arguments of the three.
    rows : callable, optional
        m for n, where n may be chosen and m may not.
    free : str
        Which sizes may be chosen: ``""``, ``"m"``, ``"n"`` or ``"nm"``; m is at least n.
    step, least, most : int
        n is a multiple of the first and not below the second; neither n nor m is above the third.
    """

    __test__ = False  # no test of pytest's

    number: int
    name: str
    n: int
    m: int
    start: Start
    residual: Callable[..., Array]
    jacobian: Callable[..., Array]
    second: Callable[..., Array]
    data: Callable[[Numbers, int, int], tuple[Any, ...]] = lambda N, n, m: ()
    rows: Callable[[int], int] | None = None
    free: str = ""
    step: int = 1
    least: int = 1
    most: int = 10**6

    def sizes(self, n: int | None = None, m: int | None = None) -> tuple[int, int]:
        """(n, m), the given ones or this function's own.

        Raises
        ------
        ConfigurationError
            The function has no such size.
        """
        own_n = self.n if n is None else n
        own_m = self.rows(own_n) if self.rows else max(self.m, own_n) if "n" in self.free else self.m
        own_m = own_m if m is None else m
        fits_n = own_n == self.n or ("n" in self.free and own_n >= self.least and own_n % self.step == 0)
        fits_m = own_m >= own_n if "m" in self.free else own_m == (self.rows(own_n) if self.rows else self.m)
        if not (fits_n and fits_m and max(own_n, own_m if "m" in self.free else 0) <= self.most):
            raise ConfigurationError(
                f"function {self.name!r} has no n = {own_n}, m = {own_m}; take n = {self.n}, m = {self.m}"
            )
        return own_n, own_m

    def x0(self, n: int, factor: float = 1.0) -> list[float]:
        """The standard start times ``factor``; where it is zero, each variable is ``factor``, as in MINPACK's tests."""
        start = self.start(n)
        if factor != 1 and not any(start):
            return [factor] * n
        return [factor * x for x in start]


def _at(*x: float) -> Start:
    return lambda n: list(x)


def _all(value: float) -> Start:
    return lambda n: [value] * n


def _cycle(*x: float) -> Start:
    return lambda n: [x[i % len(x)] for i in range(n)]


def _boundary(n: int) -> list[float]:
    return [i / (n + 1) * (i / (n + 1) - 1) for i in range(1, n + 1)]


def _parts(module: Any, name: str, data: str = "") -> dict[str, Any]:
    """The three functions of that name, and the data's where ``data`` names it."""
    names = {"residual": name, "jacobian": f"{name}_jacobian", "second": f"{name}_second"}
    return {key: getattr(module, value) for key, value in (names | ({"data": f"{data}_data"} if data else {})).items()}


_SQUARES, _CUBES = _parts(forms, "squares"), _parts(forms, "cubes")


def _n(n: int) -> int:
    return n


_OSBORNE_2 = _at(1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5)

_ALL = (
    TestFunction(1, "rosenbrock", 2, 2, _at(-1.2, 1.0), **_SQUARES, data=systems.rosenbrock_data),
    TestFunction(2, "freudenstein-roth", 2, 2, _at(0.5, -2.0), **_parts(fixed, "freudenstein_roth")),
    TestFunction(3, "powell-badly-scaled", 2, 2, _at(0.0, 1.0), **_parts(fixed, "powell_bad", "powell_bad")),
    TestFunction(4, "brown-badly-scaled", 2, 3, _at(1.0, 1.0), **_parts(fixed, "brown_bad", "brown_bad")),
    TestFunction(5, "beale", 2, 3, _at(1.0, 1.0), **_parts(fixed, "beale", "beale")),
    TestFunction(6, "jennrich-sampson", 2, 10, _at(0.3, 0.4), **_parts(fits, "jennrich", "jennrich"), free="m"),
    TestFunction(7, "helical-valley", 3, 3, _at(-1.0, 0.0, 0.0), **_parts(fixed, "helical", "helical")),
    TestFunction(8, "bard", 3, 15, _at(1.0, 1.0, 1.0), **_parts(fits, "bard", "bard")),
    TestFunction(9, "gaussian", 3, 15, _at(0.4, 1.0, 0.0), **_parts(fits, "gaussian", "gaussian")),
    TestFunction(10, "meyer", 3, 16, _at(0.02, 4000.0, 250.0), **_parts(fits, "meyer", "meyer")),
    TestFunction(11, "gulf", 3, 99, _at(5.0, 2.5, 0.15), **_parts(fits, "gulf", "gulf"), free="m", most=99),
    TestFunction(12, "box", 3, 10, _at(0.0, 10.0, 20.0), **_parts(fits, "box", "box"), free="m"),
    TestFunction(13, "powell-singular", 4, 4, _at(3.0, -1.0, 0.0, 1.0), **_SQUARES, data=systems.powell_data),
    TestFunction(14, "wood", 4, 6, _at(-3.0, -1.0, -3.0, -1.0), **_SQUARES, data=systems.wood_data),
    TestFunction(15, "kowalik-osborne", 4, 11, _at(0.25, 0.39, 0.415, 0.39), **_parts(fits, "kowalik", "kowalik")),
    TestFunction(
        16, "brown-dennis", 4, 20, _at(25.0, 5.0, -5.0, -1.0), **_parts(fits, "brown_dennis", "brown_dennis"), free="m"
    ),
    TestFunction(17, "osborne-1", 5, 33, _at(0.5, 1.5, -1.0, 0.01, 0.02), **_parts(fits, "osborne1", "osborne1")),
    TestFunction(18, "biggs-exp6", 6, 13, _at(1, 2, 1, 1, 1, 1), **_parts(fits, "biggs", "biggs"), free="m"),
    TestFunction(19, "osborne-2", 11, 65, _OSBORNE_2, **_parts(fits, "osborne2", "osborne2")),
    TestFunction(
        20, "watson", 6, 31, _all(0.0), **_SQUARES, data=systems.watson_data,
        rows=lambda n: 31, free="n", least=2, most=31
    ),
    TestFunction(
        21, "extended-rosenbrock", 10, 10, _cycle(-1.2, 1.0), **_SQUARES, data=systems.rosenbrock_data,
        rows=_n, free="n", step=2, least=2,
    ),
    TestFunction(
        22, "extended-powell", 12, 12, _cycle(3.0, -1.0, 0.0, 1.0), **_SQUARES, data=systems.powell_data,
        rows=_n, free="n", step=4, least=4,
    ),
    TestFunction(
        23, "penalty-1", 10, 11, lambda n: [float(j + 1) for j in range(n)], **_parts(systems, "penalty1", "penalty1"),
        rows=lambda n: n + 1, free="n",
    ),
    TestFunction(
        24, "penalty-2", 10, 20, _all(0.5), **_parts(systems, "penalty2", "penalty2"),
        rows=lambda n: 2 * n, free="n", least=2
    ),
    TestFunction(
        25, "variably-dimensioned", 10, 12, lambda n: [1 - (j + 1) / n for j in range(n)], **_SQUARES,
        data=systems.variably_data, rows=lambda n: n + 2, free="n",
    ),
    TestFunction(
        26, "trigonometric", 10, 10, lambda n: [1 / n] * n, **_parts(systems, "trigonometric", "trigonometric"),
        rows=_n, free="n",
    ),
    TestFunction(
        27, "brown-almost-linear", 10, 10, _all(0.5), **_parts(systems, "almost_linear", "almost_linear"),
        rows=_n, free="n", least=2
    ),
    TestFunction(
        28, "discrete-boundary-value", 10, 10, _boundary, **_CUBES, data=systems.boundary_value_data,
        rows=_n, free="n",
    ),
    TestFunction(
        29, "discrete-integral-equation", 10, 10, _boundary, **_CUBES, data=systems.integral_equation_data,
        rows=_n, free="n",
    ),
    TestFunction(
        30, "broyden-tridiagonal", 10, 10, _all(-1.0), **_SQUARES, data=systems.broyden_data, rows=_n, free="n"
    ),
    TestFunction(31, "broyden-banded", 10, 10, _all(-1.0), **_parts(systems, "banded", "banded"), rows=_n, free="n"),
    TestFunction(32, "linear-full-rank", 5, 10, _all(1.0), **_SQUARES, data=systems.full_rank_data, free="nm"),
    TestFunction(33, "linear-rank-1", 5, 10, _all(1.0), **_SQUARES, data=systems.rank_1_data, free="nm"),
    TestFunction(
        34, "linear-rank-1-zeros", 5, 10, _all(1.0), **_SQUARES, data=systems.rank_1_zeros_data, free="nm", least=3
    ),
    TestFunction(
        35, "chebyquad", 8, 8, lambda n: [(j + 1) / (n + 1) for j in range(n)],
        **_parts(systems, "chebyquad", "chebyquad"), free="nm",
    ),
)  # fmt: skip

FUNCTIONS: dict[str, TestFunction] = {function.name: function for function in _ALL}
"""The functions by name, in the paper's order."""


def get_function(name: str) -> TestFunction:
    """The function of that name.

    Raises
    ------
    UnknownNameError
        There is none.
    """
    if name not in FUNCTIONS:
        raise unknown("function of More, Garbow and Hillstrom", name, FUNCTIONS)
    return FUNCTIONS[name]
