"""Several right-hand sides at once: block CG and block LSQR.

Operators act on matrices (n, s) with a column for each right-hand side. Norms are Frobenius norms over all columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, Scalar
from nmdl_bench.linalg.iteration import (
    BREAKDOWN,
    LEAST_SQUARES,
    NOT_FINITE,
    SOLVED,
    LeastSquares,
    Product,
    Solution,
    corrected,
    finite,
    first_of,
    in_units,
    iterate,
    real,
    run,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def frobenius(xp: Backend, A: Array) -> Scalar:
    """Frobenius norm."""
    flat = xp.reshape(A, (-1,))
    return xp.s.sqrt(xp.dot(flat, flat))


class BlockCGState(NamedTuple):
    """Iterate ``x``, residual ``R``, directions ``P`` with orthonormal columns, all (n, s); ``limit`` of ``|R|``."""

    x: Array
    R: Array
    P: Array
    r_norm: Scalar
    s_norm: Scalar
    limit: Scalar
    k: Any
    why: Any


def block_cg_init(
    xp: Backend, A: Product, B: Array, M: Product | None, x0: Array | None, rtol: float | Scalar
) -> BlockCGState:
    """State at ``x0``, or at 0; arguments as for :func:`block_cg`."""
    s = xp.s
    R = xp.copy(B) if x0 is None else xp.axpy(-1.0, A(x0), xp.copy(B))
    x = xp.zeros(tuple(B.shape)) if x0 is None else xp.copy(x0)
    P = xp.qr(R if M is None else M(R))[0]
    r_norm, limit = frobenius(xp, R), real(xp, rtol) * frobenius(xp, B)
    why = first_of(xp, (s.not_(s.isfinite(r_norm)), NOT_FINITE), (r_norm <= limit, SOLVED))
    return BlockCGState(x, R, P, r_norm, s.const(float("nan")), limit, s.int(0), why)


def block_cg_step(xp: Backend, A: Product, M: Product | None, state: BlockCGState) -> BlockCGState:
    """One step of O'Leary 1980, section 2, with directions made orthonormal.

    ::

        Q = A P,  alpha = (P^T Q)^-1 P^T R,  X + P alpha,  R - Q alpha,
        Z = M R,  beta = -(P^T Q)^-1 Q^T Z,  P = orth(Z + P beta)

    Residuals that become dependent leave columns of Z + P beta dependent; the orthonormal factor has other columns in
    their place, so that ``P^T Q`` stays regular.
    """
    s, (x, R, P) = xp.s, state[:3]
    Q = A(P)
    L = xp.cholesky(P.T @ Q)

    def solve(Y: Array) -> Array:
        return xp.solve_triangular(xp.copy(L.T), xp.solve_triangular(L, Y, True))

    alpha = solve(P.T @ R)
    x_new, R = xp.addmm(xp.copy(x), P, alpha), xp.addmm(R, Q, alpha, -1.0)
    r_norm = frobenius(xp, R)
    Z = R if M is None else M(R)
    P = xp.qr(xp.addmm(xp.copy(Z), P, solve(Q.T @ Z), -1.0))[0]
    definite = s.isfinite(xp.total(L))
    x = xp.cond(definite, lambda new, old: new, lambda new, old: old, x_new, x)
    known = s.isfinite(xp.total(Q))
    why = first_of(
        xp, (s.not_(known), NOT_FINITE), (s.not_(definite), BREAKDOWN), (s.not_(s.isfinite(r_norm)), NOT_FINITE),
        (r_norm <= state.limit, SOLVED),
    )  # fmt: skip
    r_norm = s.where(definite, r_norm, state.r_norm)
    return BlockCGState(x, R, P, r_norm, state.s_norm, state.limit, state.k + 1, why)


def block_cg(
    xp: Backend,
    A: Product,
    B: Array,
    *,
    M: Product | None = None,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    max_iterations: int = 100,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Solve ``A X = B`` for all columns at once until ``|R|_F <= rtol |B|_F`` (O'Leary 1980).

    Parameters
    ----------
    xp : Backend
        Where.
    A : callable
        ``A(V)`` (n, s) for V (n, s), symmetric positive definite.
    B : Array
        Right-hand sides (n, s), s <= n.
    M : callable, optional
        ``M(R)`` near ``A^-1 R``, symmetric positive definite.
    x0 : Array, optional
        Start (n, s); 0 where not given.
    rtol, max_iterations, record, watch
        As for :func:`~nmdl_bench.linalg.cg.pcg`.
    """
    unit, B, x0 = in_units(xp, B, x0)
    start = block_cg_init(xp, A, B, M, x0, rtol)
    return iterate(xp, start, partial(block_cg_step, xp, A, M), max_iterations, record, watch, unit=unit)


class BlockLSQRState(NamedTuple):
    """Iterate ``x`` (n, s), directions ``W`` (n, s), and the block bidiagonalisation.

    ``U`` (m, s) and ``V`` (n, s) are its newest blocks, ``T`` (s, s) the factor in ``V T``; ``rho_bar`` and
    ``phi_bar`` (s, s) what its QR factorisation has still to rotate.
    """

    x: Array
    W: Array
    U: Array
    V: Array
    T: Array
    rho_bar: Array
    phi_bar: Array
    r_norm: Scalar
    s_norm: Scalar
    rtol: Scalar
    b_norm: Scalar
    A2: Scalar
    k: Any
    why: Any


def block_lsqr_init(xp: Backend, At: Product, B: Array, rtol: float | Scalar) -> BlockLSQRState:
    """State at 0: ``U_1 B_1 = B``, ``V_1 T_1 = A^T U_1``."""
    s = xp.s
    U, phi_bar = xp.qr(B)
    V, T = xp.qr(At(U))
    s_norm, r_norm = frobenius(xp, T @ phi_bar), frobenius(xp, phi_bar)
    why = first_of(xp, (s.not_(s.isfinite(s_norm)), NOT_FINITE), (r_norm <= 0, SOLVED), (s_norm <= 0, LEAST_SQUARES))
    return BlockLSQRState(
        xp.zeros(tuple(V.shape)), xp.copy(V), U, V, T, xp.copy(T.T), phi_bar, r_norm, s_norm, real(xp, rtol),
        s.where(r_norm > 0, r_norm, s.const(1.0)), s.const(0.0), s.int(0), why,
    )  # fmt: skip


def block_lsqr_step(xp: Backend, A: Product, At: Product, state: BlockLSQRState) -> BlockLSQRState:
    """One step of Karimi and Toutounian 2006, algorithm 3, on the block Bidiag 1 of Golub, Luk and Overton 1981.

    ::

        A V - U T^T = U_new B,  A^T U_new - V B^T = V_new T_new,
        Q^T [rho_bar  0        phi_bar]   [rho  theta        phi        ]
            [B        T_new^T  0      ] = [0    rho_bar_new  phi_bar_new]

    ``X + W rho^-1 phi``, ``W_new = V_new - W rho^-1 theta``, and ``|A^T R| = |T_new Q_22 phi_bar_new|``.
    """
    s, (x, W, U, V, T) = xp.s, state[:5]
    k = T.shape[0]
    U, B = xp.qr(xp.addmm(xp.copy(A(V)), U, T.T, -1.0))
    A2 = state.A2 + xp.total(T * T) + xp.total(B * B)
    V, T = xp.qr(xp.addmm(xp.copy(At(U)), V, B.T, -1.0))
    zeros = xp.zeros((k, k))
    upper = xp.concat([state.rho_bar, zeros, state.phi_bar], axis=1)
    Q, R = xp.qr(xp.concat([upper, xp.concat([B, T.T, zeros], axis=1)], axis=0))
    rho, rest = R[:k, :k], xp.solve_triangular(xp.copy(R[:k, :k]), xp.copy(R[:k, k:]))
    rho_bar, phi_bar = xp.copy(R[k:, k : 2 * k]), xp.copy(R[k:, 2 * k :])
    A_norm = s.sqrt(A2)
    inverse_diagonal = 1.0 / xp.sum(rho * xp.constant(np.eye(k)), axis=1)
    regular = s.and_(s.isfinite(xp.total(rest)), xp.norm_inf(inverse_diagonal) * A_norm * (10 * xp.eps) < 1)
    step = xp.cond(regular, lambda rest: rest, lambda rest: xp.zeros(tuple(rest.shape)), rest)
    x = xp.addmm(x, W, xp.copy(step[:, k:]))
    W = xp.addmm(xp.copy(V), W, xp.copy(step[:, :k]), -1.0)
    r_norm, s_norm = frobenius(xp, phi_bar), frobenius(xp, T @ (Q[k:, k:] @ phi_bar))
    tol = s.maximum(state.rtol, s.const(xp.eps))
    why = first_of(
        xp,
        (s.not_(finite(xp, r_norm, s_norm, xp.total(rho))), NOT_FINITE),
        (s.not_(regular), BREAKDOWN),
        (r_norm <= tol * state.b_norm, SOLVED),
        (s_norm <= tol * A_norm * r_norm, LEAST_SQUARES),
    )
    return BlockLSQRState(
        x, W, U, V, T, rho_bar, phi_bar, r_norm, s_norm, state.rtol, state.b_norm, A2, state.k + 1, why
    )  # fmt: skip


def block_lsqr(
    xp: Backend,
    A: Product,
    At: Product,
    B: Array,
    *,
    rtol: float | Scalar = 1e-10,
    max_iterations: int = 100,
    x0: Array | None = None,
    right: tuple[Product, Product] | None = None,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Minimise ``|A X - B|_F`` for all columns at once (Karimi and Toutounian 2006).

    Stops where ``|R| <= rtol |B|`` or ``|A^T R| <= rtol |A| |R|``, all Frobenius norms, ``|A|`` as far as it is seen;
    breaks down where a block loses rank. Two products more tell the true norms at the end.

    Parameters
    ----------
    xp : Backend
        Where.
    A, At : callable
        ``A(V)`` (m, s) for V (n, s), and ``At(W)`` (n, s) for W (m, s).
    B : Array
        Right-hand sides (m, s), linearly independent, s at most m and n.
    rtol : float
        Tolerance, never below the unit round-off.
    x0 : Array, optional
        Start (n, s); 0 where not given.
    right : pair of callables, optional
        Preconditioner, as for :func:`~nmdl_bench.linalg.iteration.corrected`, for blocks of columns.
    max_iterations, record, watch
        As for :func:`~nmdl_bench.linalg.iteration.iterate`.
    """
    problem = corrected(xp, A, At, B, x0, right)
    start = block_lsqr_init(xp, problem.At, problem.b, rtol)
    step = partial(block_lsqr_step, xp, problem.A, problem.At)
    found, last = run(xp, start, step, max_iterations, record, watch, problem.finish, unit=problem.unit)
    return _verified(xp, problem, last, found)


def _verified(xp: Backend, problem: LeastSquares, last: BlockLSQRState, found: Solution) -> Solution:
    """The solution with the true norms of its residuals.

    A block that loses rank is completed by vectors that are not orthogonal to earlier ones; the recurrences then take
    residuals for small that are not. Such a solution broke down.
    """
    s = xp.s
    R = xp.axpy(-1.0, problem.A(last.x), xp.copy(problem.b))
    r_norm, s_norm, unit = frobenius(xp, R), frobenius(xp, problem.At(R)), problem.unit
    A_norm, tol = s.sqrt(last.A2), 100 * s.maximum(last.rtol, s.const(xp.eps))
    size = A_norm * frobenius(xp, last.x)
    holds = s.or_(
        s.not_(s.or_(found.why == SOLVED, found.why == LEAST_SQUARES)),
        r_norm <= tol * (last.b_norm + size),
        s_norm <= tol * A_norm * (r_norm + size),
    )
    return found._replace(why=s.where(holds, found.why, s.int(BREAKDOWN)), r_norm=unit * r_norm, s_norm=unit * s_norm)
