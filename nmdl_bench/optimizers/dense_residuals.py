"""What methods for small dense residuals share: the Jacobian, and its triangle with the residual rotated along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

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
    return xp.eye(n) > 0.5


def diagonal(xp: Backend, R: Array) -> Array:
    """The moduli of the diagonal (n,) of a matrix (n, n)."""
    n = R.shape[0]
    return xp.abs(xp.sum(xp.where(on_diagonal(xp, n), R, xp.zeros((n, n))), axis=1))


def is_regular(xp: Backend, d: Array, tolerance: float) -> Any:
    """Whether all moduli ``d`` (n,) on a triangle's diagonal exceed ``tolerance`` of the largest, as in full rank."""
    top = xp.norm_inf(d)
    smallest = top - xp.norm_inf(top - d)
    return smallest > tolerance * top
