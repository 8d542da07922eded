"""Iterations without memory: weighted Jacobi, Landweber, steepest descent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, Scalar
from nmdl_bench.linalg.iteration import (
    BREAKDOWN,
    LEAST_SQUARES,
    NOT_FINITE,
    SOLVED,
    Product,
    Solution,
    corrected,
    finite,
    first_of,
    in_units,
    iterate,
    norm,
    real,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class StationaryState(NamedTuple):
    """Iterate ``x``, residual ``r = b - A x``, the weight of a step, and the limit that ends the method."""

    x: Array
    r: Array
    weight: Scalar
    r_norm: Scalar
    s_norm: Scalar
    limit: Scalar
    k: Any
    why: Any


def square_init(
    xp: Backend, A: Product, b: Array, weight: float | Scalar, rtol: float | Scalar, x0: Array | None
) -> StationaryState:
    """State at ``x0``, or at 0, of the methods for square systems."""
    s = xp.s
    r = xp.copy(b) if x0 is None else xp.axpy(-1.0, A(x0), xp.copy(b))
    x = xp.zeros(tuple(b.shape)) if x0 is None else xp.copy(x0)
    limit, r_norm = real(xp, rtol) * norm(xp, b), norm(xp, r)
    why = _square_why(xp, r_norm, limit)
    return StationaryState(x, r, real(xp, weight), r_norm, s.const(float("nan")), limit, s.int(0), why)


def _square_why(xp: Backend, r_norm: Scalar, limit: Scalar) -> Any:
    return first_of(xp, (xp.s.not_(xp.s.isfinite(r_norm)), NOT_FINITE), (r_norm <= limit, SOLVED))


def jacobi_step(xp: Backend, A: Product, inverse_diagonal: Array, state: StationaryState) -> StationaryState:
    """``d = weight D^-1 r``, ``x + d``, ``r - A d``."""
    d = xp.scale(state.weight, inverse_diagonal * state.r)
    x, r = xp.axpy(1.0, d, state.x), xp.axpy(-1.0, A(d), state.r)
    r_norm = norm(xp, r)
    return state._replace(x=x, r=r, r_norm=r_norm, k=state.k + 1, why=_square_why(xp, r_norm, state.limit))


def jacobi(
    xp: Backend,
    A: Product,
    b: Array,
    diagonal: Array,
    *,
    weight: float | Scalar = 1.0,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    max_iterations: int = 100,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Weighted Jacobi, ``x + weight D^-1 (b - A x)``, until ``|r| <= rtol |b|`` (Saad 2003, section 4.1).

    Parameters
    ----------
    xp : Backend
        Where.
    A : callable
        ``A(v)`` (n,) for v (n,).
    b, diagonal : Array
        Right-hand side and A's diagonal D (n,), no element of which may be 0.
    weight : float
        Of a step; the method converges for A and ``2 D / weight - A`` positive definite.
    x0, rtol, max_iterations, record, watch
        As for :func:`~nmdl_bench.linalg.cg.pcg`.
    """
    unit, b, x0 = in_units(xp, b, x0)
    start = square_init(xp, A, b, weight, rtol, x0)
    return iterate(xp, start, partial(jacobi_step, xp, A, 1.0 / diagonal), max_iterations, record, watch, unit=unit)


def steepest_descent_step(xp: Backend, A: Product, state: StationaryState) -> StationaryState:
    """``alpha = weight r.r / r.A r``, ``x + alpha r``, ``r - alpha A r``."""
    s, r = xp.s, state.r
    Ar = A(r)
    curvature = xp.dot(r, Ar)
    definite = curvature > 0
    step = s.where(definite, s.div(state.r_norm * state.r_norm, curvature), curvature - curvature)
    alpha = state.weight * step
    x, r = xp.axpy(alpha, r, state.x), xp.axpy(-alpha, Ar, r)
    r_norm = norm(xp, r)
    why = first_of(
        xp, (s.not_(finite(xp, r_norm, curvature)), NOT_FINITE), (r_norm <= state.limit, SOLVED),
        (s.not_(definite), BREAKDOWN),
    )  # fmt: skip
    return state._replace(x=x, r=r, r_norm=r_norm, k=state.k + 1, why=why)


def steepest_descent(
    xp: Backend,
    A: Product,
    b: Array,
    *,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    max_iterations: int = 100,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Steepest descent with exact steps for A symmetric positive definite; arguments as for ``pcg``.

    The error in A's norm falls by ``(cond - 1) / (cond + 1)`` a step at worst (Kantorovich 1948). For least squares
    see :func:`~nmdl_bench.linalg.cgls.steepest_descent_ls`.
    """
    unit, b, x0 = in_units(xp, b, x0)
    start = square_init(xp, A, b, 1.0, rtol, x0)
    return iterate(xp, start, partial(steepest_descent_step, xp, A), max_iterations, record, watch, unit=unit)


def landweber_init(xp: Backend, At: Product, b: Array, weight: float | Scalar, rtol: float | Scalar) -> StationaryState:
    """State at 0."""
    g = At(b)
    s_norm, shape = norm(xp, g), tuple(g.shape)
    limit = real(xp, rtol) * s_norm
    why = first_of(xp, (xp.s.not_(xp.s.isfinite(s_norm)), NOT_FINITE), (s_norm <= 0, LEAST_SQUARES))
    return StationaryState(
        xp.zeros(shape), xp.copy(b), real(xp, weight), norm(xp, b), s_norm, limit, xp.s.int(0), why
    )  # fmt: skip


def landweber_step(xp: Backend, A: Product, At: Product, state: StationaryState) -> StationaryState:
    """``s = A^T r``, ``x + weight s``, ``r - weight A s``; ``s_norm`` is that of the iterate before."""
    d = state.weight * At(state.r)
    x, r = xp.axpy(1.0, d, state.x), xp.axpy(-1.0, A(d), state.r)
    r_norm, s_norm = norm(xp, r), xp.s.div(norm(xp, d), xp.s.abs(state.weight))
    bad = xp.s.not_(finite(xp, r_norm, s_norm))
    why = first_of(xp, (bad, NOT_FINITE), (s_norm <= state.limit, LEAST_SQUARES))
    return state._replace(x=x, r=r, r_norm=r_norm, s_norm=s_norm, k=state.k + 1, why=why)


def landweber(
    xp: Backend,
    A: Product,
    At: Product,
    b: Array,
    *,
    weight: float | Scalar,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    max_iterations: int = 100,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Landweber's iteration for least squares, ``x + weight A^T (b - A x)`` (Landweber 1951).

    Converges for ``0 < weight < 2 / |A|_2^2``; stopped early, it regularises: after k steps the component along the
    singular vector of sigma is that of the solution times ``1 - (1 - weight sigma^2)^k``. Arguments as for
    :func:`~nmdl_bench.linalg.cgls.cgls`; stops where ``|A^T r| <= rtol |A^T (b - A x0)|``.
    """
    problem = corrected(xp, A, At, b, x0, None)
    start = landweber_init(xp, problem.At, problem.b, weight, rtol)
    step = partial(landweber_step, xp, problem.A, problem.At)
    return iterate(xp, start, step, max_iterations, record, watch, problem.finish, unit=problem.unit)
