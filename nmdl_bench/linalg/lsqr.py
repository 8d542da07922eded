"""LSQR: least squares by Golub-Kahan bidiagonalisation, with estimates of norms and condition at no cost."""

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
    corrected,
    finite,
    first_of,
    hypot,
    iterate,
    normalised,
    ratio,
    real,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Tolerances(NamedTuple):
    """``atol`` and ``btol``, relative errors of A and b; ``inverse_limit = 1 / conlim``; ``b_norm``; ``damp``."""

    atol: Scalar
    btol: Scalar
    inverse_limit: Scalar
    b_norm: Scalar
    damp: Scalar


def tolerances(xp: Backend, b_norm: Scalar, damp: Any, atol: Any, btol: Any, conlim: float) -> Tolerances:
    """As numbers of the backend, none below the unit round-off; ``conlim`` 0 or infinite means no limit."""
    inverse = 1.0 / conlim if conlim > 0 else 0.0

    def floored(v: Any) -> Scalar:
        return xp.s.maximum(real(xp, v), xp.s.const(xp.eps))

    return Tolerances(floored(atol), floored(btol), floored(inverse), b_norm, real(xp, damp))


class Estimates(NamedTuple):
    """What a least-squares method knows of itself for nothing: ``|A|_F``, cond(A), ``|x|``, ``|r|`` and ``|A^T r|``."""

    A_norm: Scalar
    condition: Scalar
    x_norm: Scalar
    r_norm: Scalar
    s_norm: Scalar


def stopping(xp: Backend, limits: Tolerances, at: Estimates) -> Any:
    """The rules of Paige and Saunders 1982, section 6, in the order of the reasons that they give.

    ::

        S1  |r| <= btol |b| + atol |A| |x|      S2  |A^T r| <= atol |A| |r|      S3  cond(A) >= conlim

    with tolerances no smaller than the unit round-off, since no more can be had.
    """
    atol, size = limits.atol, at.A_norm * at.x_norm
    return first_of(
        xp,
        (xp.s.not_(finite(xp, at.r_norm, at.s_norm, at.x_norm)), NOT_FINITE),
        (at.r_norm <= limits.btol * limits.b_norm + atol * size, SOLVED),
        (at.s_norm <= atol * at.A_norm * at.r_norm, LEAST_SQUARES),
        (at.condition * limits.inverse_limit >= 1, ILL_CONDITIONED),
    )


class Bidiagonal(NamedTuple):
    """The newest vectors ``u`` (m,) and ``v`` (n,) of the bidiagonalisation, with ``alpha`` and ``beta``."""

    u: Array
    v: Array
    alpha: Scalar
    beta: Scalar


def bidiagonal_start(xp: Backend, At: Product, b: Array) -> Bidiagonal:
    """``beta_1 u_1 = b``, ``alpha_1 v_1 = A^T u_1`` (Golub and Kahan 1965)."""
    u, beta = normalised(xp, xp.copy(b))
    v, alpha = normalised(xp, xp.copy(At(u)))
    return Bidiagonal(u, v, alpha, beta)


def bidiagonal_next(xp: Backend, A: Product, At: Product, old: Bidiagonal) -> Bidiagonal:
    """``beta u = A v - alpha u_old``, ``alpha v = A^T u - beta v_old``; donates the old vectors."""
    u, beta = normalised(xp, xp.aypx(-old.alpha, A(old.v), old.u))
    v, alpha = normalised(xp, xp.aypx(-beta, At(u), old.v))
    return Bidiagonal(u, v, alpha, beta)


class LSQRState(NamedTuple):
    """Iterate ``x``, search direction ``w``, the bidiagonalisation, and its rotations' ``rho_bar`` and ``phi_bar``.

    ``psi2`` sums the squares that damping adds to the residual; ``A2`` and ``D2`` are squares of ``|A|_F`` and of the
    norm of all ``w / rho``; ``c2, s2, z, xx`` belong to the second rotations, which give ``|x|``.
    """

    x: Array
    w: Array
    pair: Bidiagonal
    rho_bar: Scalar
    phi_bar: Scalar
    psi2: Scalar
    A2: Scalar
    D2: Scalar
    c2: Scalar
    s2: Scalar
    z: Scalar
    xx: Scalar
    r_norm: Scalar
    s_norm: Scalar
    limits: Tolerances
    k: Any
    why: Any


def lsqr_init(
    xp: Backend,
    At: Product,
    b: Array,
    damp: float | Scalar = 0.0,
    atol: float | Scalar = 1e-8,
    btol: float | Scalar = 1e-8,
    conlim: float = 1e8,
) -> LSQRState:
    """State at 0; arguments as for :func:`lsqr`."""
    s, zero = xp.s, xp.s.const(0.0)
    pair = bidiagonal_start(xp, At, b)
    s_norm = pair.alpha * pair.beta
    why = first_of(
        xp, (s.not_(s.isfinite(s_norm)), NOT_FINITE), (pair.beta <= 0, SOLVED), (s_norm <= 0, LEAST_SQUARES)
    )  # fmt: skip
    return LSQRState(
        xp.zeros(tuple(pair.v.shape)), xp.copy(pair.v), pair, pair.alpha, pair.beta, zero, zero, zero, s.const(-1.0),
        zero, zero, zero, pair.beta, s_norm, tolerances(xp, pair.beta, damp, atol, btol, conlim), s.int(0), why,
    )  # fmt: skip


def lsqr_step(xp: Backend, A: Product, At: Product, state: LSQRState) -> LSQRState:
    """One step of Paige and Saunders 1982, section 4; damping by a rotation more (section 5.3), norms from 5.1, 5.2."""
    s, old, limits = xp.s, state.pair, state.limits
    alpha_old = old.alpha
    pair = bidiagonal_next(xp, A, At, old)
    A2 = state.A2 + alpha_old * alpha_old + pair.beta * pair.beta + limits.damp * limits.damp
    # [rho_bar phi_bar; damp 0] -> damping rotated away
    damped = hypot(xp, state.rho_bar, limits.damp)
    psi = ratio(xp, limits.damp, damped) * state.phi_bar
    phi_bar = ratio(xp, state.rho_bar, damped) * state.phi_bar
    # [rho_bar 0 phi_bar; beta alpha 0] -> beta rotated away
    rho = hypot(xp, damped, pair.beta)
    c, sn = ratio(xp, damped, rho), ratio(xp, pair.beta, rho)
    theta, rho_bar = sn * pair.alpha, -c * pair.alpha
    phi, phi_bar = c * phi_bar, sn * phi_bar
    inverse = ratio(xp, s.const(1.0), rho)
    x = xp.axpy(phi * inverse, state.w, state.x)
    D2 = state.D2 + xp.dot(state.w, state.w) * inverse * inverse
    w = xp.aypx(-theta * inverse, pair.v, state.w)
    # |x| from the right factorisation of the upper bidiagonal matrix
    delta, gamma_bar = state.s2 * rho, -state.c2 * rho
    rhs = phi - delta * state.z
    z_bar = ratio(xp, rhs, gamma_bar)
    x_norm = s.sqrt(state.xx + z_bar * z_bar)
    gamma = hypot(xp, gamma_bar, theta)
    z = ratio(xp, rhs, gamma)
    psi2 = state.psi2 + psi * psi
    r_norm, s_norm = s.sqrt(phi_bar * phi_bar + psi2), pair.alpha * s.abs(sn * phi)
    A_norm = s.sqrt(A2)
    at = Estimates(A_norm, A_norm * s.sqrt(D2), x_norm, r_norm, s_norm)
    # with damping, the residual of the system itself is smaller than that of [A; damp I] by what x adds
    plain = s.sqrt(s.maximum(r_norm * r_norm - limits.damp * limits.damp * x_norm * x_norm, s.const(0.0)))
    return LSQRState(
        x, w, pair, rho_bar, phi_bar, psi2, A2, D2, ratio(xp, gamma_bar, gamma), ratio(xp, theta, gamma), z,
        state.xx + z * z, s.where(limits.damp == 0, r_norm, plain), s_norm, limits, state.k + 1,
        stopping(xp, limits, at),
    )  # fmt: skip


def lsqr(
    xp: Backend,
    A: Product,
    At: Product,
    b: Array,
    *,
    damp: float | Scalar = 0.0,
    atol: float | Scalar = 1e-8,
    btol: float | Scalar = 1e-8,
    conlim: float = 1e8,
    max_iterations: int = 100,
    x0: Array | None = None,
    right: tuple[Product, Product] | None = None,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Minimise ``|A x - b|^2 + damp^2 |x - x0|^2`` (Paige and Saunders 1982).

    Parameters
    ----------
    xp : Backend
        Where.
    A, At : callable
        ``A(v)`` (m,) for v (n,), and ``At(w)`` (n,) for w (m,).
    b : Array
        Right-hand side (m,).
    damp : float
        Tikhonov parameter's root; with ``right``, it damps ``R (x - x0)``.
    atol, btol, conlim : float
        Of the rules in :func:`stopping`; 0 each: only round-off stops the method.
    x0 : Array, optional
        Start (n,); 0 where not given.
    right : pair of callables, optional
        Preconditioner, as for :func:`~nmdl_bench.linalg.iteration.corrected`.
    max_iterations, record, watch
        As for :func:`~nmdl_bench.linalg.iteration.iterate`.

    Notes
    -----
    ``r_norm`` is that of ``b - A x``, ``s_norm`` that of the damped normal equations.
    """
    problem = corrected(xp, A, At, b, x0, right)
    start = lsqr_init(xp, problem.At, problem.b, damp, atol, btol, conlim)
    step = partial(lsqr_step, xp, problem.A, problem.At)
    return iterate(xp, start, step, max_iterations, record, watch, problem.finish, unit=problem.unit)
