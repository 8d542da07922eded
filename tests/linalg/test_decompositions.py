"""Lanczos, Golub-Kahan, the randomised SVD, and solutions by singular values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from systems import general, orthogonal, symmetric

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.linalg import (
    SVD,
    golub_kahan,
    lanczos,
    randomised_svd,
    tikhonov_solution,
    truncated_solution,
)
from nmdl_bench.testing import numerical_backends

XP = get_backend("numpy")
BACKENDS = numerical_backends()


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.library)
def test_lanczos_tridiagonalises(xp: Backend) -> None:
    A, b = symmetric(15, 20.0), np.random.default_rng(1).standard_normal(15)
    with xp.scope():
        found = xp.compile(lambda A, b: lanczos(xp, lambda v: A @ v, b, 6))(xp.asarray(A), xp.asarray(b))
        Q, alpha, beta = map(xp.to_numpy, found)
    T = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
    np.testing.assert_allclose(Q @ Q.T, np.eye(7), atol=1e-13)
    np.testing.assert_allclose(Q[0], b / np.linalg.norm(b), rtol=1e-13)
    np.testing.assert_allclose(A @ Q[:6].T, Q[:6].T @ T + beta[-1] * np.outer(Q[6], np.eye(6)[5]), atol=1e-12)


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.library)
def test_golub_kahan_bidiagonalises(xp: Backend) -> None:
    A, b = general(15, 10, 20.0), np.random.default_rng(1).standard_normal(15)
    with xp.scope():
        found = xp.compile(lambda A, b: golub_kahan(xp, lambda v: A @ v, lambda w: A.T @ w, b, 6))(
            xp.asarray(A), xp.asarray(b)
        )
        U, V, B = map(xp.to_numpy, found[:3])
        beta_1 = float(xp.to_numpy(xp.zeros((1,)) + found.beta_1)[0])
    np.testing.assert_allclose(U @ U.T, np.eye(7), atol=1e-13)
    np.testing.assert_allclose(V @ V.T, np.eye(6), atol=1e-13)
    np.testing.assert_allclose(A @ V.T, U.T @ B, atol=1e-12)
    np.testing.assert_allclose(beta_1 * U[0], b, rtol=1e-13)
    assert not np.any(np.triu(B, 1))
    assert not np.any(np.tril(B, -2))


def test_reorthogonalisation_keeps_what_the_recurrence_loses() -> None:
    A = np.diag([*np.linspace(0, 1, 199), 100.0])
    b = np.ones(200)
    lost, kept = (lanczos(XP, lambda v: A @ v, b, 40, r).Q for r in (False, True))
    assert np.abs(kept @ kept.T - np.eye(41)).max() < 1e-13
    assert np.abs(lost @ lost.T - np.eye(41)).max() > 0.5
    A = general(150, 100, 1e6)
    lost, kept = (golub_kahan(XP, lambda v: A @ v, lambda w: A.T @ w, A @ np.ones(100), 40, r).V for r in (False, True))
    assert np.abs(kept @ kept.T - np.eye(40)).max() < 1e-12
    assert np.abs(lost @ lost.T - np.eye(40)).max() > 0.5


def test_exhausted_spaces_leave_zeros() -> None:
    rng = np.random.default_rng(0)
    A = 3 * np.eye(10)
    Q, alpha, beta = lanczos(XP, lambda v: A @ v, rng.standard_normal(10), 4)
    assert alpha == pytest.approx([3, 0, 0, 0], abs=1e-14)
    assert not np.any(beta)
    assert not np.any(Q[1:])
    B = golub_kahan(XP, lambda v: A @ v, lambda w: A.T @ w, rng.standard_normal(10), 4).B
    assert B[0, 0] == pytest.approx(3)
    assert np.count_nonzero(B) == 1
    assert not np.any(golub_kahan(XP, lambda v: A @ v, lambda w: A.T @ w, np.zeros(10), 2).B)
    with pytest.raises(ConfigurationError, match="steps must be at least 1, not 0"):
        lanczos(XP, lambda v: A @ v, np.ones(10), 0)


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.library)
def test_spaces_exhausted_beside_a_small_coefficient_leave_zeros(xp: Backend) -> None:
    """What is left there is round-off of the operator's size, and not of the last coefficient's."""
    v, w = np.random.default_rng(0).standard_normal((2, 20))
    v /= np.linalg.norm(v)
    w -= (w @ v) * v
    w /= np.linalg.norm(w)
    with xp.scope():
        A, b = xp.asarray(np.eye(20) - 2 * np.outer(v, v)), xp.asarray(v + w)
        found = xp.compile(lambda A, b: lanczos(xp, lambda x: A @ x, b, 5))(A, b)
        Q, alpha, beta = map(xp.to_numpy, found)
        A, b = xp.asarray(np.outer(v, w)), xp.asarray(v + 1e-8 * w)
        found = xp.compile(lambda A, b: golub_kahan(xp, lambda x: A @ x, lambda y: A.T @ y, b, 4))(A, b)
        U, V, B = map(xp.to_numpy, found[:3])
    np.testing.assert_allclose(alpha, 0, atol=1e-15)  # the reflection exchanges q_1 and q_2
    np.testing.assert_allclose(beta, [1, 0, 0, 0, 0], atol=1e-15)
    assert np.count_nonzero(beta) == 1
    assert not np.any(Q[2:])
    np.testing.assert_allclose(B[:2, 0], [1, 1e-8], rtol=1e-7)
    assert np.count_nonzero(B) == 2
    assert not np.any(U[2:])
    assert not np.any(V[1:])


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.library)
def test_the_randomised_svd_is_the_same_everywhere(xp: Backend) -> None:
    A = general(30, 20, 1e4)
    with xp.scope():
        found = xp.compile(lambda A: randomised_svd(xp, lambda V: A @ V, lambda W: A.T @ W, 20, 5, oversampling=4))(
            xp.asarray(A)
        )
        U, sigma, Vt = map(xp.to_numpy, found)
    np.testing.assert_allclose(U.T @ U, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(Vt @ Vt.T, np.eye(5), atol=1e-12)
    exact = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(sigma, exact[:5], rtol=1e-6)
    assert np.linalg.norm(A - (U * sigma) @ Vt, 2) <= 1.0001 * exact[5]
    reference = randomised_svd(XP, lambda V: A @ V, lambda W: A.T @ W, 20, 5, oversampling=4)
    np.testing.assert_allclose((U * sigma) @ Vt, (reference.U * reference.sigma) @ reference.Vt, atol=1e-9)


def test_power_iterations_help_where_singular_values_decay_slowly() -> None:
    rng = np.random.default_rng(0)
    A = (orthogonal(200, 100, rng) * np.arange(1, 101) ** -0.5) @ orthogonal(100, 100, rng).T
    errors = []
    for power in (0, 2):
        U, sigma, Vt = randomised_svd(XP, lambda V: A @ V, lambda W: A.T @ W, 100, 10, power=power)
        errors.append(np.linalg.norm(A - (U * sigma) @ Vt, 2) * 11**0.5)
    # theorem 10.6 bounds the first by 1 + sqrt(10 / 9) + ..., what two power iterations leave is near the best
    assert 1.05 < errors[0] < 3
    assert 1 <= errors[1] < 1.05


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (30, {"rank": 0}, "rank must be at least 1"),
        (30, {"rank": 21}, "rank must be at most the 20 columns, not 21"),
        (14, {"rank": 15}, "rank must be at most the 14 rows, not 15"),
    ],
)
def test_impossible_ranks_are_sentences(rows: int, options: dict[str, Any], message: str) -> None:
    A = general(rows, 20, 10.0)
    with pytest.raises(ConfigurationError, match=message):
        randomised_svd(XP, lambda V: A @ V, lambda W: A.T @ W, 20, **options)


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.library)
def test_solutions_by_singular_values(xp: Backend) -> None:
    A, b = general(12, 8, 100.0), np.random.default_rng(1).standard_normal(12)
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    with xp.scope():
        svd, data = SVD(*xp.svd(xp.asarray(A))), xp.asarray(b)
        for k in (0, 3, 8):
            x = xp.to_numpy(truncated_solution(xp, svd, data, k))
            np.testing.assert_allclose(x, Vt[:k].T @ ((U[:, :k].T @ b) / s[:k]), rtol=1e-10, atol=1e-13)
        x = xp.to_numpy(tikhonov_solution(xp, svd, data, 0.3))
    np.testing.assert_allclose(x, np.linalg.solve(A.T @ A + 0.3 * np.eye(8), A.T @ b), rtol=1e-10)


def test_zero_singular_values_count_for_nothing() -> None:
    A, b = np.diag([2.0, 1.0, 0.0]), np.ones(3)
    svd = SVD(*np.linalg.svd(A))
    np.testing.assert_allclose(truncated_solution(XP, svd, b, 3), [0.5, 1, 0], atol=1e-15)
    with pytest.raises(ConfigurationError, match="k must lie between 0 and 3, not 4"):
        truncated_solution(XP, svd, b, 4)
