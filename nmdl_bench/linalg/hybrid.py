"""Hybrid LSQR: the bidiagonalisation projects, Tikhonov's term regularises what is projected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, ConfigurationError, Scalar
from nmdl_bench.linalg.iteration import (
    FLAT,
    LEAST_SQUARES,
    NOT_FINITE,
    SOLVED,
    Product,
    Solution,
    finite,
    first_of,
    in_units,
    real,
    run,
)
from nmdl_bench.linalg.lanczos import orthogonal_to, unit
from nmdl_bench.linalg.lsqr import bidiagonal_start
from nmdl_bench.linalg.parameter_choice import Spectrum, choose_gcv, gcv, residual_squares

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class HybridState(NamedTuple):
    """Best iterate ``x`` so far, the current one, the bidiagonalisation, and what chooses.

    ``U`` (K + 1, m), ``V`` (K, n) and ``B`` (K + 1, K) are padded with zeros for the steps to come; ``u, v, a`` the
    newest vectors and the newest diagonal element. ``omega_sum`` adds the weights up, ``alpha`` is the last parameter
    and ``alpha_best`` that of ``x``; ``criterion`` is the last value of the stopping function, ``least`` its least,
    ``first`` its first, and ``waited`` counts the steps since the least; ``weight`` is omega, None where it is chosen.
    """

    x: Array
    current: Array
    U: Array
    V: Array
    B: Array
    u: Array
    v: Array
    a: Scalar
    beta_1: Scalar
    omega_sum: Scalar
    alpha: Scalar
    alpha_best: Scalar
    criterion: Scalar
    least: Scalar
    first: Scalar
    waited: Any
    r_norm: Scalar
    s_norm: Scalar
    tol: Scalar
    weight: Scalar | None
    k: Any
    why: Any


class HybridSolution(NamedTuple):
    """A solution with the ``alpha`` that it belongs to, in ``1/2 |A x - b|^2 + alpha/2 |x|^2``."""

    solution: Solution
    alpha: Scalar


def hybrid_init(
    xp: Backend, At: Product, b: Array, most: int, tol: float | Scalar, weight: float | Scalar | None = None
) -> HybridState:
    """State at 0 with room for ``most`` steps."""
    s, zero, infinity = xp.s, xp.s.const(0.0), xp.s.const(float("inf"))
    pair = bidiagonal_start(xp, At, b)
    (m,), (n,) = b.shape, pair.v.shape
    s_norm = pair.alpha * pair.beta
    why = first_of(xp, (s.not_(s.isfinite(s_norm)), NOT_FINITE), (pair.beta <= 0, SOLVED), (s_norm <= 0, LEAST_SQUARES))
    U = xp.set_row(xp.zeros((most + 1, m)), 0, pair.u)
    return HybridState(
        xp.zeros((n,)), xp.zeros((n,)), U, xp.zeros((most, n)), xp.zeros((most + 1, most)), pair.u, pair.v, pair.alpha,
        pair.beta, zero, zero, zero, infinity, infinity, infinity, s.int(0), pair.beta, s_norm, real(xp, tol),
        None if weight is None else real(xp, weight), s.int(0), why,
    )  # fmt: skip


def hybrid_step(xp: Backend, A: Product, At: Product, patience: int, state: HybridState) -> HybridState:
    """One step of the bidiagonalisation with full reorthogonalisation, and the projected problem's solution.

    With the SVD ``B = P diag(sigma) Q^T``, ``c = beta_1 P^T e_1`` and ``phi_i = alpha / (sigma_i^2 + alpha)``, alpha
    minimises::

        G(alpha) = |(I - B B_alpha) beta_1 e_1|^2 / (k + 1 - omega sum (1 - phi_i))^2

    and the iterate is ``V^T Q diag(sigma / (sigma^2 + alpha)) c``. Columns of B that are still zero add singular values
    0, which change neither the residual nor the sum.
    """
    s, k = xp.s, state.k
    most, one = state.B.shape[1], xp.s.const(1.0)
    V = xp.set_row(state.V, k, state.v)
    top = s.maximum(xp.norm_inf(state.B), state.a)
    u, beta = unit(xp, orthogonal_to(xp, xp.head(state.U, k + 1), xp.aypx(-state.a, A(state.v), state.u)), top)
    U = xp.set_row(state.U, k + 1, u)
    column = xp.axpy(beta, xp.one_hot(k + 1, most + 1), state.a * xp.one_hot(k, most + 1))
    B = xp.set_column(state.B, k, column)
    v, a = unit(xp, orthogonal_to(xp, xp.head(V, k + 1), xp.aypx(-beta, At(u), state.v)), s.maximum(top, beta))

    P, sigma, Qt = xp.svd(B)
    c, size = state.beta_1 * P[0, :], s.real(k + 1)
    rest = s.maximum(state.beta_1 * state.beta_1 - xp.dot(c, c), one - one)
    at = Spectrum(sigma, c, rest, size + one)
    omega = weight_of(xp, at, xp.dot(sigma, xp.one_hot(k, most))) if state.weight is None else state.weight
    omega_sum = state.omega_sum + omega
    # k + 1 - omega F = omega ((k + 1) / omega - F): the weight acts as a larger number of data
    alpha = choose_gcv(xp, at._replace(m=s.div((size + one) * size, omega_sum)))
    current = V.T @ (Qt.T @ (sigma / (sigma * sigma + alpha) * c))

    alphas = alpha * (1.0 + xp.zeros((1,)))
    r_norm = s.sqrt(xp.total(residual_squares(xp, at, alphas)))
    criterion = xp.total(gcv(xp, at._replace(m=s.const(float(U.shape[1]))), alphas))
    better = criterion < state.least
    x = xp.cond(better, lambda new, old: xp.copy(new), lambda new, old: old, current, state.x)
    first = s.where(k == 0, criterion, state.first)
    waited = s.where(better, s.int(0), state.waited + 1)
    flat = s.or_(s.abs(criterion - state.criterion) <= state.tol * first, waited >= patience)
    why = first_of(
        xp,
        (s.not_(finite(xp, criterion, r_norm)), NOT_FINITE),
        (s.or_(beta == 0, a == 0), LEAST_SQUARES),
        (flat, FLAT),
    )
    return HybridState(
        x, current, U, V, B, u, v, a, state.beta_1, omega_sum, alpha, s.where(better, alpha, state.alpha_best),
        criterion, s.minimum(criterion, state.least), first, waited, r_norm, s.const(float("nan")), state.tol,
        state.weight, k + 1, why,
    )  # fmt: skip


def weight_of(xp: Backend, at: Spectrum, smallest: Scalar) -> Scalar:
    """The weight for which ``smallest^2``, of the smallest singular value, would be the best parameter; at most 1.

    Chung, Nagy and O'Leary 2008, section 4.2: with ``N = |r|^2``, ``F = sum (1 - phi)`` and ``' = d/d alpha``,
    ``G' = 0`` gives ``omega = N' (k + 1) / (N' F - 2 N F')``.
    """
    s, alpha = xp.s, smallest * smallest
    squares = at.sigma * at.sigma + alpha
    phi, dphi = alpha * (1.0 / squares), at.sigma * at.sigma / (squares * squares)
    c2 = at.c * at.c
    N, dN = xp.dot(phi * phi, c2) + at.rest, 2.0 * xp.dot(phi * dphi, c2)
    omega = s.div(dN * at.m, dN * xp.total(1.0 - phi) + 2.0 * N * xp.total(dphi))
    usable = s.and_(s.isfinite(omega), omega > 0)
    return s.minimum(s.where(usable, omega, s.const(1.0)), s.const(1.0))


def hybrid_lsqr(
    xp: Backend,
    A: Product,
    At: Product,
    b: Array,
    *,
    weight: float | Scalar | None = None,
    tol: float | Scalar = 1e-6,
    patience: int = 3,
    max_iterations: int = 50,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> HybridSolution:
    """Regularise an ill-posed least-squares problem without a parameter (Chung, Nagy and O'Leary 2008).

    LSQR's error falls first and rises later, as noise comes in; here each projected problem is regularised by
    Tikhonov's term, with the parameter from weighted cross-validation, and the error levels off.

    Parameters
    ----------
    xp : Backend
        Where.
    A, At : callable
        ``A(v)`` (m,) for v (n,), and ``At(w)`` (n,) for w (m,).
    b : Array
        Data (m,).
    weight : float or Scalar, optional
        Omega in (0, 1]; 1 is plain cross-validation, which regularises projected problems too much. By default the
        mean of :func:`weight_of` over all steps so far.
    tol : float
        The method stops where ``m |r|^2 / trace(I - A A_k)^2`` changes by less than ``tol`` times its first value.
    patience : int
        Or where it has not fallen for so many steps; ``x`` belongs to its least value.
    max_iterations : int
        Steps at most; ``(m + n) max_iterations`` numbers are kept.
    record, watch
        As for :func:`~nmdl_bench.linalg.iteration.iterate`.

    Raises
    ------
    ConfigurationError
        ``weight`` is a number not in (0, 1], or ``max_iterations`` is less than 1.
    """
    if isinstance(weight, int | float) and not 0 < weight <= 1:
        raise ConfigurationError(f"weight must lie in (0, 1], not {weight!r}")
    if max_iterations < 1:
        raise ConfigurationError(f"max_iterations must be at least 1, not {max_iterations!r}")
    size, b, _ = in_units(xp, b)
    start = hybrid_init(xp, At, b, max_iterations, tol, weight)
    step = partial(hybrid_step, xp, A, At, patience)
    found, last = run(
        xp, start, step, max_iterations, record, watch, watched=lambda state: size * state.current, unit=size
    )  # fmt: skip
    return HybridSolution(found, last.alpha_best)
