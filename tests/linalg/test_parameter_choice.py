"""Regularisation parameters: near the best of a fine grid, and what they are chosen for."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from systems import orthogonal

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.linalg import (
    SVD,
    choose_discrepancy,
    choose_gcv,
    choose_l_curve,
    choose_stochastic_gcv,
    history_of,
    hybrid_lsqr,
    lsqr,
    spectrum,
    stochastic_traces,
    tikhonov_solution,
)
from nmdl_bench.linalg.parameter_choice import (
    curvature,
    gcv,
    projected_spectrum,
    residual_squares,
    solution_squares,
    stochastic_gcv,
)
from nmdl_bench.testing import numerical_backends

XP = get_backend("numpy")
BACKENDS = numerical_backends()
CASES = [(60, 40, 0.3), (40, 40, 0.5), (40, 60, 0.8)]
"""Rows, columns, and the rate at which singular values decay."""


@lru_cache
def ill_posed(m: int, n: int, decay: float, noise: float = 1e-2, seed: int = 0):
    """Singular values ``exp(-decay i)``, a smooth truth, white noise of this size relative to the data."""
    rng, k = np.random.default_rng(seed), min(m, n)
    U, V, sigma = orthogonal(m, k, rng), orthogonal(n, k, rng), np.exp(-decay * np.arange(k))
    x = V @ (rng.standard_normal(k) / (1 + np.arange(k)))
    b = U @ (sigma * (V.T @ x))
    e = rng.standard_normal(m)
    e *= noise * np.linalg.norm(b) / np.linalg.norm(e)
    return (U * sigma) @ V.T, b + e, x, float(np.linalg.norm(e))


def exact(m: int, n: int, decay: float, **options: float):
    A, b, x, error = ill_posed(m, n, decay, **options)
    svd = SVD(*np.linalg.svd(A, full_matrices=False))
    return A, b, x, error, svd, spectrum(XP, svd, b)


def fine_grid(sigma: np.ndarray) -> np.ndarray:
    return sigma[0] ** 2 * np.geomspace(1e-31, 10, 20001)


def by_definition(A: np.ndarray, b: np.ndarray, alpha: float) -> float:
    """GCV from matrices alone."""
    m, n = A.shape
    influence = A @ np.linalg.solve(A.T @ A + alpha * np.eye(n), A.T)
    return m * np.sum((b - influence @ b) ** 2) / np.trace(np.eye(m) - influence) ** 2


@pytest.mark.parametrize("case", CASES, ids=str)
def test_functions_of_alpha_are_what_matrices_give(case) -> None:
    A, b, _, _, svd, at = exact(*case)
    for alpha in (1e-3, 0.1):
        x = np.linalg.solve(A.T @ A + alpha * np.eye(A.shape[1]), A.T @ b)
        alphas = np.array([alpha])
        assert residual_squares(XP, at, alphas)[0] == pytest.approx(np.sum((b - A @ x) ** 2), rel=1e-9)
        assert solution_squares(XP, at, alphas)[0] == pytest.approx(x @ x, rel=1e-9)
        assert gcv(XP, at, alphas)[0] == pytest.approx(by_definition(A, b, alpha), rel=1e-9)
        np.testing.assert_allclose(tikhonov_solution(XP, svd, b, alpha), x, rtol=1e-8)


@pytest.mark.parametrize("noise", [1e-4, 1e-2, 0.3])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gcv_is_within_one_percent_of_the_least_on_a_fine_grid(case, noise: float) -> None:
    _, _, _, _, svd, at = exact(*case, noise=noise)
    alpha = choose_gcv(XP, at)
    value = gcv(XP, at, np.array([alpha]))[0]
    assert value <= 1.01 * gcv(XP, at, fine_grid(svd.sigma)).min()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_stochastic_gcv_is_within_one_percent_in_the_median(case) -> None:
    A, b, _, _, svd, at = exact(*case)
    least = gcv(XP, at, fine_grid(svd.sigma)).min()
    ratios = []
    for seed in range(20):
        found = stochastic_traces(XP, lambda v: A @ v, lambda w: A.T @ w, b, 25, probes=4, seed=seed)
        alpha = choose_stochastic_gcv(XP, found)
        ratios.append(gcv(XP, at, np.array([alpha]))[0] / least)
    assert np.median(ratios) <= 1.01
    assert np.max(ratios) < 1.5


def test_all_signs_make_the_trace_exact() -> None:
    A, b, _, _, _, at = exact(40, 40, 0.5)
    values = []
    alphas = np.array([1e-2])
    for seed in range(10):
        found = stochastic_traces(XP, lambda v: A @ v, lambda w: A.T @ w, b, 30, probes=30, seed=seed)
        values.append(stochastic_gcv(XP, found, alphas)[0])
    assert np.mean(values) == pytest.approx(gcv(XP, at, alphas)[0], rel=0.02)
    with pytest.raises(ConfigurationError, match="probes must be at least 1, not 0"):
        stochastic_traces(XP, lambda v: A @ v, lambda w: A.T @ w, b, 30, probes=0)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_projection_is_exact_once_the_space_is_exhausted(case) -> None:
    A, b, *_, at = exact(*case)
    found = projected_spectrum(XP, lambda v: A @ v, lambda w: A.T @ w, b, 30)
    alphas = np.geomspace(1e-4, 1, 7)
    np.testing.assert_allclose(residual_squares(XP, found, alphas), residual_squares(XP, at, alphas), rtol=1e-9)
    np.testing.assert_allclose(solution_squares(XP, found, alphas), solution_squares(XP, at, alphas), rtol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_discrepancy_is_met(case) -> None:
    A, b, _, error, svd, at = exact(*case)
    for tau in (1.0, 1.3):
        alpha = choose_discrepancy(XP, at, error, tau)
        x = tikhonov_solution(XP, svd, b, alpha)
        assert np.linalg.norm(b - A @ x) == pytest.approx(tau * error, rel=1e-5)
    assert choose_discrepancy(XP, at, 2 * np.linalg.norm(b)) > svd.sigma[0] ** 2  # zero would do
    assert choose_discrepancy(XP, at, 0.0) == pytest.approx((XP.eps * svd.sigma[0]) ** 2)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_l_curve_bends_most_at_its_corner(case) -> None:
    *_, svd, at = exact(*case)
    alpha = choose_l_curve(XP, at)
    alphas = svd.sigma[0] ** 2 * np.geomspace(max((svd.sigma[-1] / svd.sigma[0]) ** 2, (16 * XP.eps) ** 2), 1, 4001)
    assert curvature(XP, at, np.array([alpha]))[0] >= 0.99 * curvature(XP, at, alphas).max()
    # by differences along the curve
    t = np.log(alpha) + np.array([-1e-3, 0, 1e-3])
    p, q = (0.5 * np.log(f(XP, at, np.exp(t))) for f in (residual_squares, solution_squares))
    dp, dq, ddp, ddq = (p[2] - p[0]) / 2e-3, (q[2] - q[0]) / 2e-3, np.diff(p, 2)[0] / 1e-6, np.diff(q, 2)[0] / 1e-6
    by_differences = (dp * ddq - ddp * dq) / (dp**2 + dq**2) ** 1.5
    assert curvature(XP, at, np.array([alpha]))[0] == pytest.approx(by_differences, rel=1e-3)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_choices_are_near_the_best_error(case) -> None:
    _, b, x, error, svd, at = exact(*case)
    errors = [np.linalg.norm(tikhonov_solution(XP, svd, b, alpha) - x) for alpha in fine_grid(svd.sigma)[::50]]
    for choice in (choose_gcv(XP, at), choose_discrepancy(XP, at, error), choose_l_curve(XP, at)):
        assert np.linalg.norm(tikhonov_solution(XP, svd, b, choice) - x) <= 2 * min(errors)


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_hybrid_lsqr_does_not_lose_what_lsqr_loses(case) -> None:
    A, b, x, _, svd, _ = exact(*case, noise=3e-2)
    steps = 25

    def watch(y: np.ndarray) -> float:
        return float(np.linalg.norm(y - x))

    operators = lambda v: A @ v, lambda w: A.T @ w
    plain = lsqr(XP, *operators, b, atol=0.0, btol=0.0, conlim=0.0, max_iterations=steps, watch=watch)
    errors = history_of(XP, plain)[:, 2]
    found, alpha = hybrid_lsqr(XP, *operators, b, max_iterations=steps, tol=0.0, watch=watch)
    hybrid = history_of(XP, found)[:, 2]
    assert errors[-1] > 2 * errors.min()
    assert hybrid[-1] <= 1.5 * errors.min()
    assert watch(found.x) <= 1.5 * errors.min()
    np.testing.assert_allclose(found.x, tikhonov_solution(XP, svd, b, alpha), atol=0.1 * np.linalg.norm(x))
    assert found.reason == "flat"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_hybrid_lsqr_ends_where_cross_validation_of_the_whole_problem_does(case) -> None:
    A, b, _, _, svd, at = exact(*case)
    found, alpha = hybrid_lsqr(XP, lambda v: A @ v, lambda w: A.T @ w, b, weight=0.5, max_iterations=30, tol=0.0)
    x = tikhonov_solution(XP, svd, b, choose_gcv(XP, at))
    assert np.linalg.norm(found.x - x) <= 0.5 * np.linalg.norm(x)
    np.testing.assert_allclose(found.x, tikhonov_solution(XP, svd, b, alpha), atol=0.05 * np.linalg.norm(x))


def test_weights_are_data() -> None:
    xp = next(xp for xp in BACKENDS if xp.library == "jax")
    A, b, *_ = exact(12, 8, 0.3)
    traces = []

    def alpha(A: object, b: object, weight: object) -> object:
        traces.append(1)
        return hybrid_lsqr(xp, lambda v: A @ v, lambda w: A.T @ w, b, weight=weight, max_iterations=3, tol=0.0).alpha

    with xp.scope():
        compiled = xp.compile(alpha)
        for weight in (1.0, 0.5):
            expected = hybrid_lsqr(
                XP, lambda v: A @ v, lambda w: A.T @ w, b, weight=weight, max_iterations=3, tol=0.0
            ).alpha
            got = float(compiled(xp.asarray(A), xp.asarray(b), xp.s.const(weight)))
            assert got == pytest.approx(expected, rel=1e-8)
    assert len(traces) == 1


def test_weights_regularise_less_than_plain_cross_validation() -> None:
    A, b, *_ = exact(60, 40, 0.3)
    operators = lambda v: A @ v, lambda w: A.T @ w
    plain, less = (hybrid_lsqr(XP, *operators, b, weight=w, max_iterations=8, tol=0.0).alpha for w in (1.0, 0.5))
    assert less <= plain
    for wrong in (0.0, 1.5):
        with pytest.raises(ConfigurationError, match="weight must lie in"):
            hybrid_lsqr(XP, *operators, b, weight=wrong)
    with pytest.raises(ConfigurationError, match="max_iterations must be at least 1"):
        hybrid_lsqr(XP, *operators, b, max_iterations=0)


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1e160, 1e200])
def test_the_parameter_does_not_change_with_the_size_of_the_data(size: float) -> None:
    A, b, *_ = exact(60, 40, 0.3)
    (far, alpha), (plain, expected) = (
        hybrid_lsqr(XP, lambda v: A @ v, lambda w: A.T @ w, u * b, max_iterations=20) for u in (size, 1.0)
    )
    assert (far.k, far.reason) == (plain.k, plain.reason)
    assert alpha == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(far.x / size, plain.x, rtol=1e-5, atol=1e-6)
    assert far.r_norm == pytest.approx(size * plain.r_norm, rel=1e-6)


@pytest.mark.parametrize("data", ["zeros", "nan"])
def test_hybrid_lsqr_on_data_that_say_nothing(data: str) -> None:
    A, b, *_ = exact(60, 40, 0.3)
    b = 0 * b if data == "zeros" else b * np.nan
    found, _ = hybrid_lsqr(XP, lambda v: A @ v, lambda w: A.T @ w, b)
    assert found.reason == ("solved" if data == "zeros" else "not_finite")
    assert not np.any(found.x)


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.library)
def test_choices_agree_across_backends(xp: Backend) -> None:
    chosen, x = choices(xp)
    expected, x_numpy = on_numpy()
    np.testing.assert_allclose(chosen, expected, rtol=1e-5)
    np.testing.assert_allclose(x, x_numpy, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("xp", numerical_backends("float32"), ids=lambda xp: xp.library)
def test_choices_in_single_precision(xp: Backend) -> None:
    chosen, x = choices(xp)
    expected, x_numpy = on_numpy()
    np.testing.assert_allclose(chosen, expected, rtol=3e-2)
    np.testing.assert_allclose(x, x_numpy, atol=3e-3)


def choices(xp: Backend) -> tuple[list[float], np.ndarray]:
    """Five choices, compiled together, and hybrid LSQR's solution."""
    A, b, _, error = ill_posed(14, 10, 0.7)

    def choose(A, b):
        svd = SVD(*xp.svd(A))
        at = spectrum(xp, svd, b)
        operators = lambda v: A @ v, lambda w: A.T @ w
        traces = stochastic_traces(xp, *operators, b, 8, probes=2)
        found, alpha = hybrid_lsqr(xp, *operators, b, max_iterations=5, record=True)
        return (
            choose_gcv(xp, at), choose_discrepancy(xp, at, error), choose_l_curve(xp, at),
            choose_stochastic_gcv(xp, traces), alpha,
        ), found  # fmt: skip

    with xp.scope():
        chosen, found = xp.compile(choose)(xp.asarray(A), xp.asarray(b))
        chosen = [float(xp.to_numpy(xp.zeros((1,)) + c)[0]) for c in chosen]
        x = xp.to_numpy(found.x)
    return chosen, x


@lru_cache
def on_numpy():
    A, b, _, error = ill_posed(14, 10, 0.7)
    at = spectrum(XP, SVD(*np.linalg.svd(A, full_matrices=False)), b)
    operators = lambda v: A @ v, lambda w: A.T @ w
    found, alpha = hybrid_lsqr(XP, *operators, b, max_iterations=5, record=True)
    traces = stochastic_traces(XP, *operators, b, 8, probes=2)
    choices = choose_gcv(XP, at), choose_discrepancy(XP, at, error), choose_l_curve(XP, at)
    return [*choices, choose_stochastic_gcv(XP, traces), alpha], found.x
