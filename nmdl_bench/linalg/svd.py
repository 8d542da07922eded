"""Solutions by singular values, and a few of these by a random projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError, Scalar
from nmdl_bench.linalg.iteration import Product, real

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class SVD(NamedTuple):
    """``A = U diag(sigma) V^T``: U (m, k), sigma (k,) decreasing, Vt (k, n)."""

    U: Array
    sigma: Array
    Vt: Array


def randomised_svd(
    xp: Backend,
    A: Product,
    At: Product,
    n: int,
    rank: int,
    *,
    oversampling: int = 10,
    power: int = 2,
    seed: int = 0,
) -> SVD:
    """The largest singular values and their vectors by a random projection (Halko, Martinsson and Tropp 2011).

    Algorithm 4.4: an orthonormal basis Q of ``(A A^T)^power A Omega``, with a QR factorisation after every product, and
    the SVD of ``Q^T A``.

    Parameters
    ----------
    xp : Backend
        Where.
    A, At : callable
        ``A(V)`` (m, l) for V (n, l), and ``At(W)`` (n, l) for W (m, l): operators on blocks of columns.
    n : int
        Columns of A.
    rank : int
        Singular values wanted, >= 1.
    oversampling : int
        Columns of Omega beyond ``rank``, >= 0.
    power : int
        Power iterations, >= 0; 1 or 2 where singular values decay slowly.
    seed : int
        Draws Omega, Gaussian, on the host: all backends see the same.

    Raises
    ------
    ConfigurationError
        A number that cannot be, or more values than A has rows or columns.
    """
    if rank < 1 or oversampling < 0 or power < 0:
        raise ConfigurationError(
            f"rank must be at least 1, oversampling and power not negative: {rank!r}, {oversampling!r}, {power!r}"
        )
    if rank > n:
        raise ConfigurationError(f"rank must be at most the {n} columns, not {rank!r}")
    rng = np.random.Generator(np.random.Philox(seed))
    Y = A(xp.asarray(rng.standard_normal((n, min(rank + oversampling, n)))))
    if rank > Y.shape[0]:
        raise ConfigurationError(f"rank must be at most the {Y.shape[0]} rows, not {rank!r}")
    Q = xp.qr(Y)[0]
    for _ in range(power):
        Q = xp.qr(A(xp.qr(At(Q))[0]))[0]
    V, sigma, Wt = xp.svd(At(Q))  # A^T Q = V diag(sigma) W^T, so that A is about Q W diag(sigma) V^T
    return SVD(Q @ Wt.T[:, :rank], sigma[:rank], V[:, :rank].T)


def truncated_solution(xp: Backend, svd: SVD, b: Array, k: int) -> Array:
    """Sum over the k largest singular values of ``(u_i.b / sigma_i) v_i``; those that are zero count for nothing.

    Raises
    ------
    ConfigurationError
        ``k`` is not between 0 and the number of singular values.
    """
    if not 0 <= k <= svd.sigma.shape[0]:
        raise ConfigurationError(f"k must lie between 0 and {svd.sigma.shape[0]}, not {k!r}")
    if k == 0:
        return xp.zeros((svd.Vt.shape[1],))
    sigma, c = svd.sigma[:k], svd.U[:, :k].T @ b
    safe = xp.where(sigma > 0, sigma, sigma + 1.0)
    return svd.Vt[:k, :].T @ xp.where(sigma > 0, c / safe, 0.0 * c)


def tikhonov_solution(xp: Backend, svd: SVD, b: Array, alpha: float | Scalar) -> Array:
    """Minimiser of ``1/2 |A x - b|^2 + alpha/2 |x|^2``: the sum of ``sigma_i / (sigma_i^2 + alpha) (u_i.b) v_i``.

    ``alpha`` must be positive where a singular value is zero.
    """
    filtered = svd.sigma / (svd.sigma * svd.sigma + real(xp, alpha))
    return svd.Vt.T @ (filtered * (svd.U.T @ b))
