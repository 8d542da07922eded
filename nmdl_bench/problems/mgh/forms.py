"""Residuals of one form each, for several of the functions: squares and cubes of linear forms.

Every function of this package comes as three: the residual ``r(xp, x, *data)`` (m,), its Jacobian (m, n), and the
derivative of that along a direction ``p``, ``D(xp, x, p, *data)`` (m, n), with which ``sum r_i grad^2 r_i p = D^T r``.
"""

from __future__ import annotations

from typing import Any

from nmdl_bench.contracts import Array
from nmdl_bench.problems.mgh.numbers import column


def squares(xp: Any, x: Array, c: Array, A: Array, b: Array, L: Array, l: Array) -> Array:
    """``r = c + A x + b u^2`` with ``u = L x + l``, elementwise."""
    u = L @ x + l
    return c + A @ x + b * u * u


def squares_jacobian(xp: Any, x: Array, c: Array, A: Array, b: Array, L: Array, l: Array) -> Array:
    return A + column(xp, 2 * b * (L @ x + l)) * L


def squares_second(xp: Any, x: Array, p: Array, c: Array, A: Array, b: Array, L: Array, l: Array) -> Array:
    return column(xp, 2 * b * (L @ p)) * L


def cubes(xp: Any, x: Array, A: Array, K: Array, t: Array) -> Array:
    """``r = A x + K w^3`` with ``w = x + t``, elementwise."""
    w = x + t
    return A @ x + K @ (w * w * w)


def cubes_jacobian(xp: Any, x: Array, A: Array, K: Array, t: Array) -> Array:
    w = x + t
    return A + K * (3 * w * w)


def cubes_second(xp: Any, x: Array, p: Array, A: Array, K: Array, t: Array) -> Array:
    return K * (6 * (x + t) * p)
