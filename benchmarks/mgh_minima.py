"""Recompute the minima of the functions of More, Garbow and Hillstrom: ``python -m benchmarks.mgh_minima``.

Each function is minimised by SciPy's ``least_squares`` from many starts in double precision. What converges is polished
by Newton's method on ``grad F = 0``, ``F = sum r_i^2``, in 60 digits, with data that are exact decimal fractions, and
kept where the Hessian is positive semidefinite. With ``--write``, the table goes to the package.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from scipy.optimize import least_squares

from nmdl_bench.backends import get_backend
from nmdl_bench.problems.mgh import minima
from nmdl_bench.problems.mgh.catalogue import FUNCTIONS, TestFunction
from nmdl_bench.problems.mgh.numbers import Doubles

SIZES: dict[str, tuple[int, ...]] = {"watson": (6, 9, 12), "penalty-1": (4, 10), "penalty-2": (4, 10)}
"""Values of n for which minima are kept, beside each function's own; those that the paper prints."""
LOST = 10
"""Ends of one function without a minimum, after which the search gives up: the least values come first."""
CHEBYQUAD = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
SINGULAR = ("linear-rank-1", "linear-rank-1-zeros")
"""Functions whose minimisers are a subspace: Newton's method has no point to go to."""


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


def polish(function: TestFunction, n: int, m: int, x: Sequence[float], digits: int = 60, steps: int = 100) -> Point | None:
    """Newton's method on ``grad F = 2 J^T r`` from ``x``; None where it does not converge.

    Where the Hessian is singular, it converges linearly, and ends once F is zero to most digits.
    """
    with mpmath.workdps(digits):
        N = Extended()
        data = function.data(N, n, m)
        z, tiny, zero = N.array(list(map(float, x))), mpmath.mpf(10) ** (12 - digits), mpmath.mpf(10) ** (15 - digits)
        try:
            for k in range(1, steps + 1):
                r, J = function.residual(N, z, *data), function.jacobian(N, z, *data)
                H = _hessian(function, N, z, r, J, data)
                step = mpmath.lu_solve(mpmath.matrix(H.tolist()), mpmath.matrix((J.T @ r).tolist()))
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
        found.append((2 * float(end.cost), end.x))
    return sorted(found, key=lambda pair: pair[0])


def _starts(function: TestFunction, n: int, starts: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    standard = np.array(function.x0(n))
    known = minima.MINIMA.get((function.number, n, function.sizes(n)[1]), ())
    for factor in (1.0, 10.0, 100.0):
        for _ in range(3):
            yield np.array(function.x0(n, factor))
    for minimum in known:  # what an earlier run found is looked for again
        if minimum.x:
            yield np.array([float(v) for v in minimum.x])
    for i in range(starts):
        spread = 10.0 ** rng.uniform(-1, 1)
        yield standard * (1 + spread * rng.standard_normal(n)) + (i % 2) * spread * rng.standard_normal(n)


def search(function: TestFunction, n: int, m: int, starts: int) -> tuple[list[Point], list[tuple[float, np.ndarray]]]:
    """Distinct minima by value, and ends that Newton's method makes no minimum of."""
    kept: list[Point] = []
    lost: list[tuple[float, np.ndarray]] = []
    seen: list[float] = []
    for F, x in ends(function, n, m, starts):
        if any(abs(F - other) <= 1e-9 * max(F, 1e-12) for other in seen):
            continue
        seen.append(F)
        if len(lost) >= LOST:
            break
        point = polish(function, n, m, x)
        near = point is not None and abs(float(point.F) - F) <= 1e-3 * max(F, 1e-15)
        if point is None or not near or point.least < -1e-25 * point.largest:
            lost.append((F, x))
        elif not any(abs(point.F - other.F) <= 1e-30 + 1e-25 * abs(other.F) for other in kept):
            kept.append(point)
    return kept, lost


def text(value: Any, digits: int = 20) -> str:
    """A number in ``digits`` digits; what is below 1e-25 is zero up to the rounding of the polish."""
    return "0" if abs(value) < mpmath.mpf(10) ** -25 else mpmath.nstr(value, digits, strip_zeros=True)


def sizes() -> Iterator[tuple[TestFunction, int, int]]:
    """All functions and sizes of the table."""
    for function in FUNCTIONS.values():
        chosen = CHEBYQUAD if function.name == "chebyquad" else SIZES.get(function.name, (function.n,))
        for n in chosen:
            yield function, n, n if function.name == "chebyquad" else function.sizes(n)[1]
