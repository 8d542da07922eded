"""LSMR: MINRES on the normal equations by Golub-Kahan bidiagonalisation; ``|A^T r|`` falls at every step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, Scalar
from nmdl_bench.linalg.iteration import (
    LEAST_SQUARES,
    NOT_FINITE,
    SOLVED,
    Product,
    Solution,
    corrected,
    first_of,
    hypot,
    iterate,
    norm,
    ratio,
)
from nmdl_bench.linalg.lsqr import (
    Bidiagonal,
    Estimates,
    Tolerances,
    bidiagonal_next,
    bidiagonal_start,
    stopping,
    tolerances,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class ResidualNorm(NamedTuple):
    """What Fong and Saunders 2011, section 5.1, need to follow ``|r|``; ``dd`` and ``d`` stand for dots above beta."""

    d: Scalar
    beta_dd: Scalar
    beta_d: Scalar
    rho_d: Scalar
    tau_tilde: Scalar
    theta_tilde: Scalar
    zeta: Scalar


class LSMRState(NamedTuple):
    """Iterate ``x``, directions ``h`` and ``h_bar``, the bidiagonalisation, and the two rotations' remainders.

    ``A2`` is ``|A|_F^2``; ``low`` and ``high`` bound the diagonal of ``R_bar`` so far, whose ratio estimates cond(A).
    """

    x: Array
    h: Array
    h_bar: Array
    pair: Bidiagonal
    alpha_bar: Scalar
    zeta_bar: Scalar
    rho: Scalar
    rho_bar: Scalar
    c_bar: Scalar
    s_bar: Scalar
    residual: ResidualNorm
    A2: Scalar
    low: Scalar
    high: Scalar
    r_norm: Scalar
    s_norm: Scalar
    limits: Tolerances
    k: Any
    why: Any


def lsmr_init(
    xp: Backend,
    At: Product,
    b: Array,
    damp: float | Scalar = 0.0,
    atol: float | Scalar = 1e-8,
    btol: float | Scalar = 1e-8,
    conlim: float = 1e8,
) -> LSMRState:
    """State at 0; arguments as for :func:`lsmr`."""
    s, zero, one = xp.s, xp.s.const(0.0), xp.s.const(1.0)
    pair = bidiagonal_start(xp, At, b)
    s_norm, shape = pair.alpha * pair.beta, tuple(pair.v.shape)
    why = first_of(
        xp, (s.not_(s.isfinite(s_norm)), NOT_FINITE), (pair.beta <= 0, SOLVED), (s_norm <= 0, LEAST_SQUARES)
    )  # fmt: skip
    return LSMRState(
        xp.zeros(shape), xp.copy(pair.v), xp.zeros(shape), pair, pair.alpha, s_norm, one, one, one, zero,
        ResidualNorm(zero, pair.beta, zero, one, zero, zero, zero), pair.alpha * pair.alpha,
        s.const(float("inf")), zero, pair.beta, s_norm, tolerances(xp, pair.beta, damp, atol, btol, conlim),
        s.int(0), why,
    )  # fmt: skip


def lsmr_step(xp: Backend, A: Product, At: Product, state: LSMRState) -> LSMRState:
    """One step of Fong and Saunders 2011, algorithm LSMR, with damping (section 5.4)."""
    s, limits, one = xp.s, state.limits, xp.s.const(1.0)
    pair = bidiagonal_next(xp, A, At, state.pair)
    alpha, beta = pair.alpha, pair.beta
    # damping, then beta, then theta are rotated away
    alpha_hat = hypot(xp, state.alpha_bar, limits.damp)
    c_hat, s_hat = ratio(xp, state.alpha_bar, alpha_hat), ratio(xp, limits.damp, alpha_hat)
    rho = hypot(xp, alpha_hat, beta)
    c, sn = ratio(xp, alpha_hat, rho), ratio(xp, beta, rho)
    theta, alpha_bar = sn * alpha, c * alpha
    theta_bar, rho_diagonal = state.s_bar * rho, state.c_bar * rho
    rho_bar = hypot(xp, rho_diagonal, theta)
    c_bar, s_bar = ratio(xp, rho_diagonal, rho_bar), ratio(xp, theta, rho_bar)
    zeta, zeta_bar = c_bar * state.zeta_bar, -s_bar * state.zeta_bar
    h_bar = xp.aypx(-ratio(xp, theta_bar * rho, state.rho * state.rho_bar), state.h, state.h_bar)
    x = xp.axpy(ratio(xp, zeta, rho * rho_bar), h_bar, state.x)
    h = xp.aypx(-ratio(xp, theta, rho), pair.v, state.h)
    residual, r_norm = _residual(xp, state.residual, (c_hat, s_hat, c, sn), theta_bar, rho_bar, zeta)
    A_norm = s.sqrt(state.A2 + beta * beta)
    condition = ratio(xp, s.maximum(state.high, rho_diagonal), s.minimum(state.low, rho_diagonal))
    s_norm = s.abs(zeta_bar)
    at = Estimates(A_norm, s.maximum(condition, one), norm(xp, x), r_norm, s_norm)
    return LSMRState(
        x, h, h_bar, pair, alpha_bar, zeta_bar, rho, rho_bar, c_bar, s_bar, residual,
        state.A2 + beta * beta + alpha * alpha, s.minimum(state.low, rho_bar), s.maximum(state.high, rho_bar),
        r_norm, s_norm, limits, state.k + 1, stopping(xp, limits, at),
    )  # fmt: skip


def _residual(
    xp: Backend,
    old: ResidualNorm,
    rotations: tuple[Scalar, Scalar, Scalar, Scalar],
    theta_bar: Scalar,
    rho_bar: Scalar,
    zeta: Scalar,
) -> tuple[ResidualNorm, Scalar]:
    """The norm of the (damped) residual, by a third kind of rotation."""
    c_hat, s_hat, c, sn = rotations
    acute, check = c_hat * old.beta_dd, -s_hat * old.beta_dd
    beta_hat, beta_dd = c * acute, -sn * acute
    rho_tilde = hypot(xp, old.rho_d, theta_bar)
    c_tilde, s_tilde = ratio(xp, old.rho_d, rho_tilde), ratio(xp, theta_bar, rho_tilde)
    theta_tilde, rho_d = s_tilde * rho_bar, c_tilde * rho_bar
    beta_d = -s_tilde * old.beta_d + c_tilde * beta_hat
    tau_tilde = ratio(xp, old.zeta - old.theta_tilde * old.tau_tilde, rho_tilde)
    tau_d = ratio(xp, zeta - theta_tilde * tau_tilde, rho_d)
    d, gap = old.d + check * check, beta_d - tau_d
    r_norm = xp.s.sqrt(d + gap * gap + beta_dd * beta_dd)
    return ResidualNorm(d, beta_dd, beta_d, rho_d, tau_tilde, theta_tilde, zeta), r_norm


def lsmr(
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
    """Minimise ``|A x - b|^2 + damp^2 |x - x0|^2`` (Fong and Saunders 2011); arguments as for LSQR.

    ``r_norm`` is that of the damped system ``[A; damp I] x = [b; 0]``, ``s_norm`` that of its normal equations. The
    stopping rules are those of :func:`nmdl_bench.linalg.lsqr.stopping`.
    """
    problem = corrected(xp, A, At, b, x0, right)
    start = lsmr_init(xp, problem.At, problem.b, damp, atol, btol, conlim)
    step = partial(lsmr_step, xp, problem.A, problem.At)
    return iterate(xp, start, step, max_iterations, record, watch, problem.finish, unit=problem.unit)
