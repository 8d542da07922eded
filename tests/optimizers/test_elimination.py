"""The last layer's convex problem: minimisers against independent ones, rank-deficient features, bad data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.networks.losses import get_loss
from nmdl_bench.optimizers.elimination import Eliminated, eliminate, project, solve
from nmdl_bench.testing import numerical_backends

XP = get_backend("numpy")
SQUARES, ENTROPY = get_loss("least-squares"), get_loss("cross-entropy")


def samples(n: int = 30, p: int = 4, k: int = 3, rank: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((n, p))
    if rank is not None:
        Z[:, rank:] = Z[:, : p - rank]
    return Z, np.eye(k)[rng.integers(k, size=n)]


def found(loss: Any, Z: np.ndarray, C: np.ndarray, alpha: float, xp: Any = XP, W: Any = None) -> Eliminated:
    W = np.zeros((Z.shape[1], C.shape[1])) if W is None else W
    with xp.scope():
        return eliminate(xp, loss, xp.asarray(Z), xp.asarray(C), alpha, xp.asarray(W))


def matrix(loss: Any, Z: np.ndarray, at: Eliminated, alpha: float) -> np.ndarray:
    """``H_WW`` by products, for ``W`` row by row."""
    p, k = at.W.shape
    columns = []
    for i in range(p * k):
        V = np.eye(p * k)[i].reshape(p, k)
        columns.append((Z.T @ loss.hessian(XP, at.loss, Z @ V) + alpha * V).ravel())
    return np.array(columns).T


# ------------------------------------------------------------------------------------------------------- least squares
@pytest.mark.parametrize(("n", "p", "alpha"), [(30, 4, 0.0), (30, 4, 0.1), (3, 6, 0.1), (3, 6, 0.0)])
def test_least_squares_are_lapacks(n: int, p: int, alpha: float) -> None:
    Z, C = samples(n, p)
    at = found(SQUARES, Z, C, alpha)
    A = np.concatenate([Z / np.sqrt(n), np.sqrt(alpha) * np.eye(p)])
    B = np.concatenate([C / np.sqrt(n), np.zeros((p, 3))])
    W = np.linalg.lstsq(A, B, rcond=None)[0]
    np.testing.assert_allclose(at.W, W, rtol=1e-11, atol=1e-13)
    assert at.f == pytest.approx(0.5 * np.sum((A @ W - B) ** 2), rel=1e-12, abs=1e-28)
    assert at.g_norm <= 1e-14


def test_rank_deficient_features_have_the_shortest_minimiser() -> None:
    Z, C = samples(rank=2)
    at = found(SQUARES, Z, C, 0.0)
    np.testing.assert_allclose(at.W, np.linalg.pinv(Z) @ C, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(at.W[:2], at.W[2:], rtol=1e-10)
    assert at.g_norm <= 1e-14
    zero = found(SQUARES, 0 * Z, C, 0.0)
    assert not zero.W.any()
    assert zero.f == pytest.approx(0.5)


def test_float32_and_every_backend() -> None:
    Z, C = samples(rank=2)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        for loss in (SQUARES, ENTROPY):
            reference = found(loss, Z, C, 1e-2)
            for xp in numerical_backends() if dtype == "float64" else [get_backend("torch", dtype)]:
                at = found(loss, Z, C, 1e-2, xp)
                np.testing.assert_allclose(xp.to_numpy(at.W), reference.W, atol=tolerance, err_msg=repr(xp))


# ------------------------------------------------------------------------------------------------------- cross-entropy
@pytest.mark.parametrize("alpha", [1e-1, 1e-4])
def test_newtons_method_finds_the_minimum_that_scipy_finds(alpha: float) -> None:
    Z, C = samples()
    at = found(ENTROPY, Z, C, alpha)

    def value(w: np.ndarray) -> tuple[float, np.ndarray]:
        W = w.reshape(at.W.shape)
        f, tape = ENTROPY.forward(XP, Z @ W, C)
        return f + 0.5 * alpha * w @ w, (Z.T @ ENTROPY.grad(XP, tape) + alpha * W).ravel()

    best = minimize(value, np.zeros(at.W.size), jac=True, method="BFGS", options={"gtol": 1e-10})
    assert at.f == pytest.approx(best.fun, rel=1e-12)
    np.testing.assert_allclose(at.W.ravel(), best.x, atol=1e-6)
    assert at.g_norm <= 1e-14


def test_where_newtons_method_starts_does_not_matter() -> None:
    Z, C = samples()
    cold = found(ENTROPY, Z, C, 1e-3)
    far = found(ENTROPY, Z, C, 1e-3, W=40 * np.random.default_rng(1).standard_normal(cold.W.shape))
    warm = found(ENTROPY, Z, C, 1e-3, W=cold.W)
    for at in (far, warm):
        np.testing.assert_allclose(at.W, cold.W, rtol=1e-12, atol=1e-14)
    assert warm.products == 3 < cold.products < far.products


def test_separated_classes_with_hardly_a_regulariser() -> None:
    Z = np.linspace(-1, 1, 20)[:, None] ** [0, 1]
    C = np.eye(2)[(Z[:, 1] > 0).astype(int)]
    at = found(ENTROPY, Z, C, 1e-10)
    assert at.g_norm <= 1e-10
    assert at.f < 1e-5


def test_separated_classes_without_a_regulariser() -> None:
    """The softmax's Hessian is singular and the minimum at infinity: the gradient falls all the same."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        C = np.eye(4)[rng.integers(4, size=60)]
        Z = np.column_stack([C + 0.01 * rng.standard_normal(C.shape), np.ones(60)])
        first = np.abs(Z.T @ ENTROPY.grad(XP, ENTROPY.forward(XP, 0 * C, C)[1])).max()
        at = found(ENTROPY, Z, C, 0.0)
        assert at.g_norm <= 1e-10 * first
        assert np.isfinite(at.factors).all()


def test_the_scale_of_the_features_does_not_matter() -> None:
    Z, C = samples()
    one, scaled = found(ENTROPY, Z, C, 0.0), found(ENTROPY, 1e-9 * Z, C, 0.0)
    assert scaled.f == pytest.approx(one.f, rel=1e-13)
    seen = [W - W.mean(axis=1, keepdims=True) for W in (1e-9 * scaled.W, one.W)]  # the softmax does not see the rest
    np.testing.assert_allclose(*seen, atol=1e-9)


def test_without_a_direction_it_ends_at_once() -> None:
    Z, C = samples()
    at = found(ENTROPY, 0 * Z, C, 0.0)
    assert at.products == 2
    assert not at.W.any()
    assert at.f == pytest.approx(np.log(3))


def test_features_whose_squares_underflow_end_too() -> None:
    Z, C = samples()
    at = found(ENTROPY, 1e-156 * Z, C, 0.0)  # the matrix's trace times the unit round-off is zero
    assert at.products == 2
    assert at.f == pytest.approx(np.log(3))


def test_too_many_weights_are_named() -> None:
    with pytest.raises(ConfigurationError, match="2000 x 3 weights are more than Newton's method eliminates, 4000"):
        found(ENTROPY, np.zeros((2, 2000)), np.zeros((2, 3)), 1.0)


# ------------------------------------------------------------------------------------------------------- solves
@pytest.mark.parametrize("loss", [SQUARES, ENTROPY], ids=lambda loss: loss.name)
@pytest.mark.parametrize(("n", "p"), [(30, 4), (3, 6)])
def test_solves_invert_the_matrix(loss: Any, n: int, p: int) -> None:
    Z, C = samples(n, p)
    at, rng = found(loss, Z, C, 0.05), np.random.default_rng(2)
    H, M, T = matrix(loss, Z, at, 0.05), rng.standard_normal((p, 3)), rng.standard_normal((n, 3))
    expected = np.linalg.solve(H, M.ravel()).reshape(p, 3)
    np.testing.assert_allclose(solve(XP, Z, 0.05, at, M), expected, rtol=1e-10, atol=1e-12)
    ZHT = Z.T @ loss.hessian(XP, at.loss, T)
    expected = np.linalg.solve(H, ZHT.ravel()).reshape(p, 3)
    np.testing.assert_allclose(project(XP, loss, Z, 0.05, at, T), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_features_show_in_the_value(bad: float) -> None:
    Z, C = samples()
    for loss in (SQUARES, ENTROPY):
        for xp in [get_backend("numpy"), get_backend("torch"), get_backend("jax")]:
            assert not np.isfinite(float(found(loss, Z * bad, C, 0.1, xp).f)), (loss, xp)
