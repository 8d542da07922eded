"""Conjugate gradients for symmetric positive definite systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, Scalar

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class CGState(NamedTuple):
    """Iterate ``x``, residual ``r``, direction ``p``, ``rho = |r|^2``, and the number of iterations."""

    x: Array
    r: Array
    p: Array
    rho: Scalar
    k: Any


def cg(
    xp: Backend, apply: Callable[[Array], Array], b: Array, rtol: float = 1e-10, max_iterations: int = 100
) -> tuple[Array, Any]:
    """Solve ``A x = b`` from ``x = 0`` until ``|r| <= rtol |b|`` (Hestenes and Stiefel 1952, section 3).

    Parameters
    ----------
    xp : Backend
        Where.
    apply : callable
        ``apply(p) -> A p`` as a fresh array, A symmetric positive definite.
    b : Array
        Right-hand side of any shape; the inner product is that of all its elements.
    rtol : float
        Tolerance for the residual relative to ``b``; never below ten times the unit round-off.
    max_iterations : int
        Products with A at most.

    Returns
    -------
    Array, int
        ``x`` and the number of iterations, an integer of the backend.
    """
    s = xp.s

    def square(r: Array) -> Scalar:
        flat = xp.reshape(r, (-1,))
        return xp.dot(flat, flat)

    # in units of the largest element, so that squares do not underflow in single precision
    size = xp.norm_inf(xp.reshape(b, (-1,)))
    unit = s.where(size > 0, size, s.const(1.0))
    b = b * s.div(s.const(1.0), unit)
    rho_0 = square(b)
    limit = s.const(max(rtol, 10 * xp.eps) ** 2) * rho_0

    def going(state: CGState) -> Any:
        return s.and_(state.rho > limit, state.k < max_iterations)

    def step(state: CGState) -> CGState:
        x, r, p, rho, k = state
        Ap = apply(p)
        alpha = s.div(rho, xp.dot(xp.reshape(p, (-1,)), xp.reshape(Ap, (-1,))))
        x, r = xp.axpy(alpha, p, x), xp.axpy(-alpha, Ap, r)
        rho_new = square(r)
        return CGState(x, r, xp.aypx(s.div(rho_new, rho), r, p), rho_new, k + 1)

    start = CGState(xp.zeros(tuple(b.shape)), xp.copy(b), b, rho_0, s.int(0))
    last = xp.while_loop(going, step, start)
    return xp.scale(unit, last.x), last.k
