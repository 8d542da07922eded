"""MINRES: least residual for symmetric systems, definite or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, Scalar
from nmdl_bench.linalg.iteration import (
    ILL_CONDITIONED,
    LEAST_SQUARES,
    NOT_FINITE,
    SOLVED,
    Product,
    Solution,
    finite,
    first_of,
    hypot,
    in_units,
    iterate,
    norm,
    ratio,
    real,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class MinresState(NamedTuple):
    """Iterate ``x``, Lanczos vector ``v = M r2 / beta``, the last two unscaled ones ``r1, r2``, directions ``w``.

    ``beta_old, beta`` are off-diagonals of the tridiagonal matrix; ``c, sn, delta_bar, epsilon, phi_bar`` belong to
    its QR factorisation, whose diagonal lies between ``low`` and ``high``; ``T2`` is its squared norm; ``x_norm`` is
    ``|x|``, and ``start_norm`` is ``|r_0|``.
    """

    x: Array
    v: Array
    r1: Array
    r2: Array
    w_old: Array
    w: Array
    beta_old: Scalar
    beta: Scalar
    c: Scalar
    sn: Scalar
    delta_bar: Scalar
    epsilon: Scalar
    phi_bar: Scalar
    x_norm: Scalar
    T2: Scalar
    low: Scalar
    high: Scalar
    r_norm: Scalar
    s_norm: Scalar
    rtol: Scalar
    start_norm: Scalar
    k: Any
    why: Any


def minres_init(
    xp: Backend,
    A: Product,
    b: Array,
    M: Product | None = None,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
) -> MinresState:
    """State at ``x0``, or at 0; arguments as for :func:`minres`."""
    s, zero = xp.s, xp.s.const(0.0)
    r = xp.copy(b) if x0 is None else xp.axpy(-1.0, A(x0), xp.copy(b))
    z = r if M is None else M(r)
    beta, shape = s.sqrt(xp.dot(r, z)), tuple(b.shape)
    x = xp.zeros(shape) if x0 is None else xp.copy(x0)
    v = xp.scale(ratio(xp, s.const(1.0), beta), xp.copy(z))
    why = first_of(xp, (s.not_(s.isfinite(beta)), NOT_FINITE), (beta <= 0, SOLVED))
    return MinresState(
        x, v, xp.zeros(shape), r, xp.zeros(shape), xp.zeros(shape), zero, beta, s.const(-1.0), zero, zero, zero, beta,
        norm(xp, x), zero, s.const(float("inf")), zero, beta, s.const(float("nan")), real(xp, rtol), beta, s.int(0),
        why,
    )  # fmt: skip


def minres_step(xp: Backend, A: Product, M: Product | None, state: MinresState) -> MinresState:
    """One Lanczos step, one rotation, one step along ``w`` (Paige and Saunders 1975, section 6).

    With ``T_k`` the tridiagonal matrix, the column ``(epsilon, delta, gamma_bar)^T`` of ``R`` becomes
    ``(epsilon, delta, gamma)^T`` once beta is rotated away, and ``w = (v - epsilon w_-2 - delta w_-1) / gamma``.

    Round-off may keep ``|A r|`` of a least-squares solution above its tolerance. The step after it,
    ``c phi_bar w`` with ``|A w| = 1``, then goes along A's null space: it lowers ``|r|`` by ``c^2 phi_bar / 2`` and
    raises the round-off ``eps |A| |x|`` in r by up to ``eps |A| |c phi_bar w|``. It is not taken where that is more,
    ``|c| <= 2 eps |A| |w|``, and it is longer than x, and ``|A r| <= eps^(1/4) |A| |r|``.
    """
    s, one, beta = xp.s, xp.s.const(1.0), state.beta
    y = xp.aypx(-ratio(xp, beta, state.beta_old), A(state.v), state.r1)
    alpha = xp.dot(state.v, y)
    r2 = xp.axpy(-ratio(xp, alpha, beta), state.r2, y)
    z = r2 if M is None else M(r2)
    beta_new = s.sqrt(xp.dot(r2, z))
    delta = state.c * state.delta_bar + state.sn * alpha
    gamma_bar = state.sn * state.delta_bar - state.c * alpha
    epsilon, delta_bar = state.sn * beta_new, -state.c * beta_new
    # |A r| of the iterate before this step: it is known only now
    root = hypot(xp, gamma_bar, delta_bar)
    above = s.where(state.k == 0, beta - beta, beta)  # the first beta is the right-hand side's norm, and not in T
    T2 = state.T2 + alpha * alpha + above * above + beta_new * beta_new
    A_norm, eps = s.sqrt(T2), xp.eps
    gamma = s.maximum(hypot(xp, gamma_bar, beta_new), eps * A_norm)
    c, sn = ratio(xp, gamma_bar, gamma), ratio(xp, beta_new, gamma)
    tol = s.maximum(state.rtol, s.const(eps))
    w = xp.axpy(-delta, state.w, xp.aypx(-state.epsilon, state.v, state.w_old))
    w = xp.scale(ratio(xp, one, gamma), w)
    w_norm, fall = norm(xp, w), s.abs(c)
    useless = s.and_(
        fall <= 2 * eps * A_norm * w_norm,
        fall * state.phi_bar * w_norm > state.x_norm,
        root <= eps**0.25 * A_norm,
        state.k > 0,
    )
    # where x was a least-squares solution already, the step would go far along A's null space
    done = s.or_(root <= tol * A_norm, useless)
    phi = s.where(done, beta - beta, c * state.phi_bar)
    phi_bar = s.where(done, state.phi_bar, sn * state.phi_bar)
    x = xp.axpy(phi, w, state.x)
    low, high = s.minimum(state.low, gamma), s.maximum(state.high, gamma)
    x_norm = norm(xp, x)
    why = first_of(
        xp,
        (s.not_(finite(xp, phi_bar, x_norm)), NOT_FINITE),
        (phi_bar <= tol * A_norm * x_norm, SOLVED),
        (done, LEAST_SQUARES),
        (s.or_(high * (10 * eps) >= low, A_norm * x_norm * eps >= state.start_norm), ILL_CONDITIONED),
    )
    v = ratio(xp, one, beta_new) * z  # an array of its own: z may be r2
    return MinresState(
        x, v, state.r2, r2, state.w, w, beta, beta_new, c, sn, delta_bar, epsilon, phi_bar, x_norm, T2, low, high,
        phi_bar, state.phi_bar * root, state.rtol, state.start_norm, state.k + 1, why,
    )  # fmt: skip


def minres(
    xp: Backend,
    A: Product,
    b: Array,
    *,
    M: Product | None = None,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    max_iterations: int = 100,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Minimise ``|b - A x|`` over Krylov spaces, A symmetric, definite or not, singular or not.

    Paige and Saunders 1975, section 6. Stops where ``|r| <= rtol |A| |x|``, where ``|A r| <= rtol |A| |r|`` (the
    system has no solution: this is a least-squares one), or where A is singular to working precision. It also stops at
    a least-squares solution, within the tolerance or not, where all that is left is round-off, see :func:`minres_step`.

    Parameters
    ----------
    xp : Backend
        Where.
    A : callable
        ``A(v)`` (n,) for v (n,), symmetric.
    b : Array
        Right-hand side (n,).
    M : callable, optional
        ``M(r)`` near ``A^-1 r``, symmetric positive definite; norms are then those that it induces.
    x0 : Array, optional
        Start (n,); 0 where not given.
    rtol : float
        Tolerance, never below the unit round-off.
    max_iterations, record, watch
        As for :func:`~nmdl_bench.linalg.iteration.iterate`.

    Notes
    -----
    ``s_norm`` is ``|A r|`` of the iterate one step before.
    """
    unit, b, x0 = in_units(xp, b, x0)
    start = minres_init(xp, A, b, M, x0, rtol)
    return iterate(xp, start, partial(minres_step, xp, A, M), max_iterations, record, watch, unit=unit)
