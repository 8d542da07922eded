"""Conjugate gradients for symmetric positive definite systems."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, Scalar
from nmdl_bench.linalg.iteration import (
    BREAKDOWN,
    NOT_FINITE,
    SOLVED,
    Product,
    Solution,
    first_of,
    in_units,
    iterate,
    norm,
    real,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class CGState(NamedTuple):
    """Iterate ``x``, residual ``r``, direction ``p``, ``rho = r.z`` with ``z = M r``, and ``limit`` of ``|r|``."""

    x: Array
    r: Array
    p: Array
    rho: Scalar
    r_norm: Scalar
    s_norm: Scalar
    limit: Scalar
    k: Any
    why: Any


def cg_init(
    xp: Backend,
    A: Product,
    b: Array,
    M: Product | None = None,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    atol: float | Scalar = 0.0,
) -> CGState:
    """State at ``x0``, or at 0; arguments as for :func:`pcg`."""
    s = xp.s
    r = xp.copy(b) if x0 is None else xp.axpy(-1.0, A(x0), xp.copy(b))
    x = xp.zeros(tuple(b.shape)) if x0 is None else xp.copy(x0)
    p = xp.copy(r if M is None else M(r))
    limit = s.maximum(real(xp, rtol) * norm(xp, b), real(xp, atol))
    rho, r_norm = xp.dot(r, p), norm(xp, r)
    why = first_of(xp, (s.not_(s.isfinite(rho)), NOT_FINITE), (r_norm <= limit, SOLVED))
    return CGState(x, r, p, rho, r_norm, s.const(float("nan")), limit, s.int(0), why)


def cg_step(xp: Backend, A: Product, M: Product | None, state: CGState) -> CGState:
    """``alpha = rho / p.A p``, ``x + alpha p``, ``r - alpha A p``, ``beta = rho_new / rho``, ``p = z + beta p``.

    Where ``p.A p`` is not positive, A is not definite: ``x`` stays, and the state says so.
    """
    s, (x, r, p, rho) = xp.s, state[:4]
    Ap = A(p)
    curvature = xp.dot(p, Ap)
    definite = curvature > 0
    alpha = s.where(definite, s.div(rho, curvature), curvature - curvature)  # 0, or NaN where the curvature is
    x, r = xp.axpy(alpha, p, x), xp.axpy(-alpha, Ap, r)
    z = r if M is None else M(r)
    rho_new = xp.dot(r, z)
    r_norm = s.sqrt(rho_new) if M is None else norm(xp, r)
    p = xp.aypx(s.div(rho_new, rho), z, p)
    bad = s.not_(s.and_(s.isfinite(rho_new), s.isfinite(curvature)))
    why = first_of(xp, (bad, NOT_FINITE), (r_norm <= state.limit, SOLVED), (s.not_(definite), BREAKDOWN))
    return CGState(x, r, p, rho_new, r_norm, state.s_norm, state.limit, state.k + 1, why)


def pcg(
    xp: Backend,
    A: Product,
    b: Array,
    *,
    M: Product | None = None,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    atol: float | Scalar = 0.0,
    max_iterations: int = 100,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Solve ``A x = b`` until ``|r| <= max(rtol |b|, atol)`` (Hestenes and Stiefel 1952, section 3).

    Parameters
    ----------
    xp : Backend
        Where.
    A : callable
        ``A(v)`` (n,) for v (n,), symmetric positive definite. Where ``p.A p <= 0`` shows, the method breaks down.
    b : Array
        Right-hand side (n,).
    M : callable, optional
        ``M(r)`` near ``A^-1 r``, symmetric positive definite (Concus, Golub and O'Leary 1976).
    x0 : Array, optional
        Start (n,); 0 where not given.
    rtol, atol : float
        Tolerances.
    max_iterations, record, watch
        As for :func:`~nmdl_bench.linalg.iteration.iterate`.
    """
    unit, b, x0 = in_units(xp, b, x0)
    start = cg_init(xp, A, b, M, x0, rtol, xp.s.div(real(xp, atol), unit))
    return iterate(xp, start, partial(cg_step, xp, A, M), max_iterations, record, watch, unit=unit)


def cg(xp: Backend, apply: Product, b: Array, rtol: float = 1e-10, max_iterations: int = 100) -> tuple[Array, Any]:
    """:func:`pcg` without preconditioner for arrays of any shape.

    Parameters
    ----------
    xp : Backend
        Where.
    apply : callable
        ``apply(p) -> A p``, A symmetric positive definite.
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
    shape = tuple(b.shape)

    def flat(v: Array) -> Array:
        return xp.reshape(v, (-1,))

    found = pcg(
        xp, lambda p: flat(apply(xp.reshape(p, shape))), flat(b), rtol=max(rtol, 10 * xp.eps),
        max_iterations=max_iterations,
    )  # fmt: skip
    return xp.reshape(found.x, shape), found.k
