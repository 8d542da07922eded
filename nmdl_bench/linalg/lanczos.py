"""Lanczos tridiagonalisation and Golub-Kahan bidiagonalisation, with or without full reorthogonalisation.

Both take a fixed number of steps. Where the space is exhausted before, the remaining vectors and coefficients are zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError, Scalar
from nmdl_bench.linalg.iteration import Product, norm, ratio

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Tridiagonal(NamedTuple):
    """``A Q_k^T = Q_k^T T + beta_k q_{k+1} e_k^T``.

    Rows of ``Q`` (k + 1, n) are the Lanczos vectors; ``alpha`` (k,) is the diagonal of T, ``beta`` (k,) what follows
    it: ``T_{i+1,i} = beta_i``, and the last ``beta`` is the residual's.
    """

    Q: Array
    alpha: Array
    beta: Array


class Bidiagonalisation(NamedTuple):
    """``A V^T = U^T B`` and ``b = beta_1 U^T e_1``.

    Rows of ``U`` (k + 1, m) and ``V`` (k, n) are the vectors, ``B`` (k + 1, k) is lower bidiagonal, ``beta_1 = |b|``.
    """

    U: Array
    V: Array
    B: Array
    beta_1: Scalar


def lanczos(xp: Backend, A: Product, b: Array, steps: int, reorthogonalise: bool = True) -> Tridiagonal:
    """Tridiagonalise a symmetric operator from ``q_1 = b / |b|`` (Lanczos 1950; Paige 1972).

    Parameters
    ----------
    xp : Backend
        Where.
    A : callable
        ``A(v)`` (n,) for v (n,), symmetric.
    b : Array
        Start (n,).
    steps : int
        Products with A, >= 1.
    reorthogonalise : bool
        Whether each vector is made orthogonal to all before it, twice; the recurrence alone loses that as soon as an
        eigenvalue has converged (Paige 1972).

    Raises
    ------
    ConfigurationError
        ``steps`` is less than 1.
    """
    _check(steps)
    n = b.shape[0]
    beta_1 = norm(xp, b)
    q = ratio(xp, xp.s.const(1.0), beta_1) * b
    Q, zeros = xp.set_row(xp.zeros((steps + 1, n)), 0, q), xp.zeros((n,))
    start = (Q, xp.zeros((steps,)), xp.zeros((steps,)), zeros, q, xp.s.const(0.0), xp.s.const(0.0))

    def step(carry: Any, row: tuple[Any, ...]) -> Any:
        (i,), (Q, alphas, betas, q_old, q, beta, top) = row, carry
        w = xp.aypx(-beta, A(q), q_old)
        alpha = xp.dot(q, w)
        w = xp.axpy(-alpha, q, w)
        top = xp.s.maximum(top, xp.s.abs(alpha))
        w, beta = unit(xp, orthogonal_to(xp, xp.head(Q, i + 1), w) if reorthogonalise else w, top)
        e = xp.one_hot(i, steps)
        alphas, betas = xp.axpy(alpha, e, alphas), xp.axpy(beta, e, betas)
        return xp.set_row(Q, i + 1, w), alphas, betas, q, w, beta, xp.s.maximum(top, beta)

    Q, alphas, betas, *_ = xp.loop(step, start, np.arange(steps)[:, None])
    return Tridiagonal(Q, alphas, betas)


def orthogonal_to(xp: Backend, Q: Array, w: Array) -> Array:
    """``w`` less its part in the space of Q's rows, taken away twice (Kahan's 'twice is enough'); donates ``w``."""
    for _ in range(2):
        w = xp.axpy(-1.0, Q.T @ (Q @ w), w)
    return w


def golub_kahan(
    xp: Backend, A: Product, At: Product, b: Array, steps: int, reorthogonalise: bool = True
) -> Bidiagonalisation:
    """Bidiagonalise from ``u_1 = b / |b|`` (Golub and Kahan 1965; Bidiag 1 of Paige and Saunders 1982).

    Parameters
    ----------
    xp : Backend
        Where.
    A, At : callable
        ``A(v)`` (m,) for v (n,), and ``At(w)`` (n,) for w (m,).
    b : Array
        Start (m,).
    steps : int
        Products with A and with its transpose, >= 1.
    reorthogonalise : bool
        Whether each vector is made orthogonal to all of its kind, twice.

    Raises
    ------
    ConfigurationError
        ``steps`` is less than 1.
    """
    _check(steps)
    one = xp.s.const(1.0)
    beta_1 = norm(xp, b)
    u = ratio(xp, one, beta_1) * b
    v, alpha = unit(xp, xp.copy(At(u)))
    m, n = u.shape[0], v.shape[0]
    U, V, B = xp.set_row(xp.zeros((steps + 1, m)), 0, u), xp.zeros((steps, n)), xp.zeros((steps + 1, steps))

    def step(carry: Any, row: tuple[Any, ...]) -> Any:
        (i,), (U, V, B, v, alpha, top) = row, carry
        V = xp.set_row(V, i, v)
        u = xp.axpy(-alpha, U[i, ...], xp.copy(A(v)))
        u, beta = unit(xp, orthogonal_to(xp, xp.head(U, i + 1), u) if reorthogonalise else u, top)
        top = xp.s.maximum(top, beta)
        U = xp.set_row(U, i + 1, u)
        e = alpha * xp.one_hot(i, steps + 1)
        B = xp.set_column(B, i, xp.axpy(beta, xp.one_hot(i + 1, steps + 1), e))
        w = xp.axpy(-beta, v, xp.copy(At(u)))
        v, alpha = unit(xp, orthogonal_to(xp, xp.head(V, i + 1), w) if reorthogonalise else w, top)
        return U, V, B, v, alpha, xp.s.maximum(top, alpha)

    U, V, B, *_ = xp.loop(step, (U, V, B, v, alpha, alpha), np.arange(steps)[:, None])
    return Bidiagonalisation(U, V, B, beta_1)


def unit(xp: Backend, w: Array, beside: Scalar | None = None) -> tuple[Array, Scalar]:
    """``w / |w|`` and ``|w|``, both zero where round-off ``beside`` the largest coefficient is left; donates ``w``."""
    s, size = xp.s, norm(xp, w)
    if beside is not None:
        size = s.where(size <= 10 * xp.eps * beside, size - size, size)
    return xp.scale(ratio(xp, s.const(1.0), size), w), size


def _check(steps: int) -> None:
    if steps < 1:
        raise ConfigurationError(f"steps must be at least 1, not {steps!r}")
