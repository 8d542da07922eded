"""Recompute the minima of the functions of More, Garbow and Hillstrom: ``python -m benchmarks.mgh_minima``.

Each function is minimised by SciPy's ``least_squares`` from many starts in double precision. What converges is polished
by Newton's method on ``grad F = 0``, ``F = sum r_i^2``, in 60 digits, with data that are exact decimal fractions. The
Hessian tells minima from saddles, where solvers end too. With ``--write``, the table goes to the package.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from scipy.optimize import least_squares

from nmdl_bench.backends import get_backend
from nmdl_bench.problems.mgh import minima, tables
from nmdl_bench.problems.mgh.catalogue import FUNCTIONS, TestFunction
from nmdl_bench.problems.mgh.minimum import Kind, Minimum, by_formula
from nmdl_bench.problems.mgh.numbers import Doubles

SIZES: dict[str, tuple[int, ...]] = {
    "watson": (6, 9, 12),
    "penalty-1": (4, 10),
    "penalty-2": (4, 10),
    "chebyquad": (8, 10),
}
"""Values of n for which minima are kept, beside each function's own: those that the paper prints and are not zero."""
LOST = 4
"""Ends of one function without a minimum, after which the search gives up: the least values come first."""
BY_FORMULA = ("linear-full-rank", "linear-rank-1", "linear-rank-1-zeros")
"""Functions whose minimum is a ratio known for all sizes."""


class Extended:
    """Numbers of mpmath's precision at hand, in NumPy arrays of objects, and the verbs that residuals use on them."""

    def __init__(self) -> None:
        for name in ("exp", "log", "sin", "cos", "sqrt", "atan"):
            setattr(self, name, np.frompyfunc(getattr(mpmath.mp, name), 1, 1))
        self.abs = np.abs
        self.stack, self.concat, self.reshape, self.sum = np.stack, np.concatenate, np.reshape, np.sum
        self.pi = +mpmath.mp.pi

    def array(self, values: Any) -> np.ndarray:
        return np.frompyfunc(exact, 1, 1)(np.array(values, dtype=object))

    def ratio(self, p: int, q: int) -> Any:
        return mpmath.mpf(p) / q

    def zeros(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, mpmath.mpf(0), dtype=object)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, a, b)[()]


def exact(value: Any) -> Any:
    """A double as the shortest decimal fraction that rounds to it, which is what its author wrote."""
    return mpmath.mpf(repr(float(value))) if isinstance(value, float | np.floating) else mpmath.mpf(value)


@dataclass
class Point:
    """A stationary point of ``F``: value, variables, and least and largest eigenvalue of the Hessian."""

    F: Any
    x: list[Any]
    steps: int
    least: float
    largest: float

    @property
    def kind(self) -> Kind:
        """``"local"`` where the Hessian is positive semidefinite up to rounding."""
        return "local" if self.least >= -1e-25 * self.largest else "saddle"


def polish(
    function: TestFunction, n: int, m: int, x: Sequence[float], digits: int = 60, steps: int = 40, damped: bool = False
) -> Point | None:
    """Newton's method on ``grad F = 2 J^T r`` from ``x``; None where it does not converge.

    Where stationary points form a curve, the Hessian is singular along it: ``damped`` adds ``|g| I``, and keeps the
    quadratic convergence towards the curve (Yamashita and Fukushima 2001). Where the Hessian is singular at an isolated
    point, convergence is linear, and ends once F is zero to most digits.
    """
    with mpmath.workdps(digits):
        N = Extended()
        data = function.data(N, n, m)
        z, tiny, zero = N.array(list(map(float, x))), mpmath.mpf(10) ** (12 - digits), mpmath.mpf(10) ** (15 - digits)
        try:
            for k in range(1, steps + 1):
                r, J = function.residual(N, z, *data), function.jacobian(N, z, *data)
                H = _hessian(function, N, z, r, J, data)
                g = J.T @ r
                weight = max(map(abs, g)) if damped else tiny**0.5 * np.trace(H)
                H = H + np.diag(N.array([weight] * n)) * np.eye(n, dtype=int)
                step = mpmath.lu_solve(mpmath.matrix(H.tolist()), mpmath.matrix(g.tolist()))
                z = z - np.array(list(step), dtype=object)
                step_norm, size = max(map(abs, step)), max(map(abs, z))
                if not mpmath.isfinite(step_norm) or size > 10**20:
                    return None
                if step_norm <= tiny * max(size, 1) or r @ r < zero:
                    r, J = function.residual(N, z, *data), function.jacobian(N, z, *data)
                    H = _hessian(function, N, z, r, J, data)
                    eigenvalues = mpmath.eigsy(mpmath.matrix(H.tolist()), eigvals_only=True)
                    return Point(r @ r, list(z), k, float(min(eigenvalues)), float(max(eigenvalues)))
        except (ZeroDivisionError, ValueError, OverflowError):  # a singular matrix, a logarithm of a negative number
            return None
    return None


def _hessian(function: TestFunction, N: Extended, z: Any, r: Any, J: Any, data: tuple[Any, ...]) -> Any:
    eye = np.eye(len(z), dtype=int)
    columns = [function.second(N, z, N.array(e.tolist()), *data).T @ r for e in eye]
    H = J.T @ J + np.stack(columns, axis=1)
    return (H + H.T) / 2


def ends(function: TestFunction, n: int, m: int, starts: int, seed: int = 0) -> list[tuple[float, np.ndarray]]:
    """Values and points where ``least_squares`` ends from standard starts and random ones near and far, by value."""
    xp, data = get_backend("numpy"), function.data(Doubles(), n, m)
    found: list[tuple[float, np.ndarray]] = []
    for i, x0 in enumerate(_starts(function, n, starts, seed)):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                # trust regions shaped by the Jacobian go elsewhere than round ones: each finds minima of its own
                method, scale = (("lm", "jac"), ("trf", "jac"), ("trf", 1.0))[i % 3]
                end = least_squares(
                    lambda x: function.residual(xp, x, *data), x0, lambda x: function.jacobian(xp, x, *data),
                    method=method, x_scale=scale, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=1000,
                )  # fmt: skip
            except (ValueError, np.linalg.LinAlgError):  # it does not start where a residual is not finite
                continue
        if _is_stationary(end.fun, end.jac):
            found.append((2 * float(end.cost), end.x))
    return sorted(found, key=lambda pair: pair[0])


def _is_stationary(r: np.ndarray, J: np.ndarray) -> bool:
    """Whether the residual is zero, or orthogonal to all columns of the Jacobian, as far as doubles tell."""
    with np.errstate(all="ignore"):
        cosines = np.abs(J.T @ r) / (np.linalg.norm(J, axis=0) * np.linalg.norm(r))
        return bool(r @ r < 1e-15 or np.nanmax(np.append(cosines, 0.0)) < 1e-4)


def _starts(function: TestFunction, n: int, starts: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    standard = np.array(function.x0(n))
    known = minima.MINIMA.get((function.number, n, function.sizes(n)[1]), ())
    for factor in (1.0, 10.0, 100.0):
        for _ in range(3):
            yield np.array(function.x0(n, factor))
    for minimum in known:  # what an earlier run found is looked for again
        if minimum.x:
            yield minimum.point
    for i in range(starts):
        spread = 10.0 ** rng.uniform(-1, 1)
        yield standard * (1 + spread * rng.standard_normal(n)) + (i % 2) * spread * rng.standard_normal(n)


def search(function: TestFunction, n: int, m: int, starts: int) -> tuple[list[Point], list[tuple[float, np.ndarray]]]:
    """Distinct stationary points by value, and ends that Newton's method makes no minimum of."""
    kept: list[Point] = []
    lost: list[tuple[float, np.ndarray]] = []
    seen: list[float] = []
    for F, x in ends(function, n, m, starts):
        if any(abs(F - other) <= 1e-9 * max(F, 1e-12) for other in seen):
            continue
        seen.append(F)
        if len(lost) >= LOST:
            break
        found = (polish(function, n, m, x, damped=damped) for damped in (False, True))
        point = next((p for p in found if p is not None and abs(float(p.F) - F) <= 1e-3 * max(F, 1e-15)), None)
        if point is None:
            lost.append((F, x))
        elif not any(abs(point.F - other.F) <= 1e-30 + 1e-25 * abs(other.F) for other in kept):
            kept.append(point)
    return kept, lost


def text(value: Any, zero: float = 1e-25, digits: int = 20) -> str:
    """A number in ``digits`` digits; what is below ``zero`` is zero up to the rounding of the polish."""
    return "0" if abs(value) < zero else mpmath.nstr(value, digits, strip_zeros=True)


def words(point: Point) -> tuple[str, str]:
    """Value and variables; where F is zero, so are variables that are far below the others'."""
    F = text(point.F)
    return F, " ".join(text(x, 1e-15 if F == "0" else 1e-45) for x in point.x)


def sizes() -> Iterator[tuple[TestFunction, int, int]]:
    """All functions and sizes of the table."""
    for function in FUNCTIONS.values():
        for n in SIZES.get(function.name, (function.n,)):
            yield function, *function.sizes(n)


# ------------------------------------------------------------------------------------------------------- at infinity
def _variance(N: Extended) -> Any:
    """Bard's: without the term that vanishes, ``x1`` is the mean of y."""
    y = N.array(tables.BARD)
    mean = sum(y) / len(y)
    return sum((y - mean) ** 2)


def _kowalik(N: Extended) -> Any:
    """``x1 (u^2 + u x2) / (u^2 + u x3 + x4)`` with ``x1, x3, x4`` of one order: ``a u (u + b) / (c u + 1)``."""
    y, u = N.array(tables.KOWALIK_Y), N.array(tables.KOWALIK_U)
    return _least(lambda a, b, c: sum((y - a * u * (u + b) / (c * u + 1)) ** 2), (-0.0354, -14.0759, 1.603))


def _box(N: Extended) -> Any:
    """One exponential alone: ``exp(-t x1) - x3 (exp(-t) - exp(-10 t))``."""
    t = N.array(list(range(1, 11))) / 10
    c = N.exp(-t) - N.exp(-10 * t)
    return _least(lambda a, b: sum((N.exp(-a * t) - b * c) ** 2), (0.6136, 1.31995))


def _jennrich(N: Extended) -> Any:
    """One exponential alone."""
    i = N.array(list(range(1, 11)))
    return _least(lambda a: sum((2 + 2 * i - N.exp(i * a)) ** 2), (0.331485,))


def _osborne(N: Extended) -> Any:
    """``x3 exp(-t x5)`` fits the datum at ``t = 0`` alone: ``x1 + x2 exp(-t x4)`` fits the others."""
    t, y = 10 * N.array(list(range(1, 33))), N.array(tables.OSBORNE_1)[1:]
    return _least(lambda a, b, c: sum((a + b * N.exp(-c * t) - y) ** 2), (0.129353, 0.904561, 0.00408048))


def _biggs(N: Extended) -> Any:
    """One exponential alone."""
    t = N.array(list(range(1, 14))) / 10
    y = N.exp(-t) - 5 * N.exp(-10 * t) + 3 * N.exp(-4 * t)
    return _least(lambda a, b: sum((a * N.exp(-b * t) - y) ** 2), (1.5, 1.0))


def _least(F: Callable[..., Any], start: tuple[float, ...]) -> Any:
    """Value of ``F`` at the stationary point near ``start``."""

    def slope(*z: Any) -> list[Any]:
        return [mpmath.diff(F, z, tuple(int(i == j) for i in range(len(z)))) for j in range(len(z))]

    root = mpmath.findroot(slope if len(start) > 1 else lambda a: slope(a)[0], start if len(start) > 1 else start[0])
    return F(*(root if len(start) > 1 else (root,)))


INFINITY: tuple[tuple[str, str, Callable[[Extended], Any]], ...] = (
    ("powell-badly-scaled", "x1 to 0, x2 to infinity", lambda N: N.ratio(1, 10**8)),
    ("beale", "x1 to -infinity, x2 to 1", lambda N: N.ratio(405, 896)),
    ("jennrich-sampson", "one variable to -infinity", _jennrich),
    ("jennrich-sampson", "both variables to -infinity", lambda N: N.ratio(2020, 1)),
    ("bard", "x2 and x3 to -infinity", _variance),
    ("gaussian", "x2 to infinity", lambda N: sum(N.array(tables.GAUSSIAN) ** 2)),
    ("gulf", "a^x3 / x1 to infinity", lambda N: N.ratio(32835, 1000)),
    ("box", "x1 or x2 to infinity", _box),
    ("kowalik-osborne", "x1 to infinity, x3 and x4 to -infinity", _kowalik),
    ("osborne-1", "x5 to infinity", _osborne),
    ("biggs-exp6", "two of x1, x2 and x5 to infinity", _biggs),
)
"""Values that a function approaches, with vanishing gradient, where variables grow without bound."""
FLAT = Minimum("saddle", "1", "0 0 0 0 0 0 0 0 0 11", "flat to order n - 1")
"""Brown's almost-linear function at ``(0, ..., 0, n + 1)``, which the paper calls a local minimum: it decreases along
``x = (t, ..., t, n + 1 - n t)``, as ``1 - 2 (n + 1) t^(n-1)``."""


def entries(function: TestFunction, n: int, m: int, starts: int) -> list[Minimum]:
    """The table's row: minima by value, then flat saddles and values at infinity."""
    with mpmath.workdps(60):
        infinite = [
            Minimum("infinity", text(value(Extended())), "", note)
            for name, note, value in INFINITY
            if name == function.name
        ]
    points, lost = search(function, n, m, starts)
    # far out, gradients vanish to 60 digits: a point there is on its way
    values = [mpmath.mpf(minimum.value) for minimum in infinite]
    points = [point for point in points if not any(mpmath.almosteq(point.F, value, 1e-12) for value in values)]
    points.sort(key=lambda point: point.F)
    known = [Minimum(point.kind, *words(point)) for point in points]
    least = by_formula(function.number, n, m)
    if least is None or (known and known[0].value == least):
        known[0] = dataclasses.replace(known[0], kind="global")
    else:  # no start leads there
        known.insert(0, Minimum("global", least))
    if function.name == "brown-almost-linear":
        known.append(FLAT)
    known += infinite
    for F, x in lost:
        if not any(abs(F - minimum.F) <= 1e-2 * minimum.F for minimum in known):
            print(f"    no minimum: F = {F:.6g}, largest |x| = {np.abs(x).max():.2g}", file=sys.stderr)
    return known


HEADER = '''"""Minima of ``F = sum r_i^2`` by (number, n, m), to 20 digits.

Written by ``python -m benchmarks.mgh_minima --write``.
"""

from nmdl_bench.problems.mgh.minimum import Minimum

MINIMA: dict[tuple[int, int, int], tuple[Minimum, ...]] = {
'''


def source(table: dict[tuple[int, int, int], list[Minimum]]) -> str:
    """The table as the text of a module."""
    lines = []
    for key, known in table.items():
        lines.append(f"    {key!r}: (")
        for minimum in known:
            where = textwrap.wrap(minimum.x, 100, break_on_hyphens=False)
            parts = [f'"{minimum.kind}"', f'"{minimum.value}"']
            if where or minimum.note:
                parts.append(" ".join(f'"{line}"' for line in _spaced(where)) or '""')
            if minimum.note:
                parts.append(f'"{minimum.note}"')
            lines.append(f"        Minimum({', '.join(parts)}),")
        lines.append("    ),")
    return HEADER + "\n".join(lines) + "\n}\n"


def _spaced(lines: list[str]) -> list[str]:
    """Lines that follow one another with a space between."""
    return [f"{line} " for line in lines[:-1]] + lines[-1:]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mgh_minima", description=__doc__)
    parser.add_argument("functions", nargs="*", help="names; all by default")
    parser.add_argument("--starts", type=int, default=24, help="random starts of each")
    parser.add_argument("--write", action="store_true", help="write the table that the package reads (then run ruff)")
    given = parser.parse_args(arguments)
    table = {key: list(known) for key, known in minima.MINIMA.items()} if given.functions else {}
    for function, n, m in sizes():
        if function.name in BY_FORMULA or (given.functions and function.name not in given.functions):
            continue
        table[function.number, n, m] = known = entries(function, n, m, given.starts)
        for minimum in known:
            print(f"{function.number:2} {function.name}, n = {n}, m = {m}: {minimum.kind} {minimum.value}", flush=True)
        if given.write:
            Path(minima.__file__).write_text(source(dict(sorted(table.items()))), encoding="utf-8")


if __name__ == "__main__":
    main()
