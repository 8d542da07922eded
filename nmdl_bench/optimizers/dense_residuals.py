"""What methods for small dense residuals share: the Jacobian, and its triangle with the residual rotated along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nmdl_bench.contracts import Array, Objective, Tape

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def residual_and_jacobian(objective: Objective, tape: Tape) -> tuple[Array, Array]:
    """``r`` (m,) and ``J`` (m, n) of an objective that provides ``residual``."""
    at = cast(Any, objective)
    return at.residual(tape), at.jacobian(tape)


def triangularise(xp: Backend, J: Array, r: Array) -> tuple[Array, Array]:
    """``R`` (k, n) and ``b = Q^T r`` (k,) of ``J = Q R``, ``k = min(m, n)``.

    Both are the triangle of ``[J r]``, so that no Q is made (Lawson and Hanson 1974, chapter 27).
    """
    m, n = J.shape
    k = min(m, n)
    T = xp.triangle(xp.concat([J, xp.reshape(r, (m, 1))], axis=1))
    return T[:k, :n], T[:k, n]


def on_diagonal(xp: Backend, n: int) -> Array:
    """Where an (n, n) matrix has its diagonal, as truth values."""
    row = xp.constant(np.arange(n, dtype=float))
    return xp.abs(xp.reshape(row, (n, 1)) - row) < 0.5


def diagonal(xp: Backend, R: Array) -> Array:
    """The moduli of the diagonal (n,) of a matrix (n, n)."""
    n = R.shape[0]
    return xp.abs(xp.sum(xp.where(on_diagonal(xp, n), R, xp.zeros((n, n))), axis=1))


def is_regular(xp: Backend, diagonal: Array, tolerance: float) -> Any:
    """Whether every diagonal entry of a triangle exceeds ``tolerance`` of the largest: necessary for full rank."""
    top = xp.norm_inf(diagonal)
    smallest = top - xp.norm_inf(top - diagonal)
    return smallest > tolerance * top
