"""Linear least squares: derivatives, exact minima, and the listed problems with a known truth."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import ConfigurationError, Stop
from nmdl_bench.linalg import lsqr
from nmdl_bench.problems.ill_posed import blur, scene
from nmdl_bench.problems.linear import LinearProblem, Separable, refined_least_squares
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_objective, numerical_backends

XP = get_backend("numpy")
NAMES = ("deblurring", "ill-posed")
SMALL: dict[str, dict[str, Any]] = {"deblurring": {"size": 5}, "ill-posed": {"rows": 9, "columns": 6}}
BACKENDS = numerical_backends()


def point(problem: LinearProblem) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(len(problem.start))


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("name", NAMES)
def test_derivatives(name: str, alpha: float) -> None:
    problem: Any = PROBLEMS.make(name, alpha=alpha, **SMALL[name])
    check_objective(problem.bind(XP), point(problem), autodiff=["torch", "jax"] if alpha else [])


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.library)
@pytest.mark.parametrize("name", NAMES)
def test_sums_of_squares_on_all_backends(name: str, xp: Backend) -> None:
    problem: Any = PROBLEMS.make(name, **SMALL[name])
    x, v = point(problem), point(problem)[::-1].copy()
    A, alpha = problem.matrix, problem.alpha
    J = np.concatenate([A, np.sqrt(alpha) * np.eye(len(x))])
    r = J @ x - np.concatenate([problem.b, 0 * x])
    with xp.scope():
        objective = problem.bind(xp)

        def evaluate(arrays: Any, x: Any, v: Any, w: Any) -> Any:
            at = objective.with_arrays(arrays)
            f, tape = at.forward(x)
            matrix, residual = at.jacobian(tape), at.residual(tape)
            products = at.jvp(tape, v), at.vjp(tape, w), at.gauss_newton(tape, v), at.hessian(tape, v)
            return (xp.zeros((1,)) + f, at.grad(tape), residual, matrix, *products)

        found = xp.compile(evaluate)(objective.arrays, *map(xp.asarray, (x, v, r)))
    expected = [0.5 * r @ r], J.T @ r, r, J, J @ v, J.T @ r, J.T @ (J @ v), J.T @ (J @ v)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(xp.to_numpy(ours), theirs, rtol=1e-12, atol=1e-13)


def test_tikhonovs_rows_are_no_part_of_a_compiled_program() -> None:
    """The identity is made on the device; as a constant its n^2 numbers are in the program's text."""
    xp, n = get_backend("jax"), 100
    with xp.scope():
        objective = LinearProblem("wide", "", np.ones((2, n)), np.ones(2), alpha=0.1).bind(xp)

        def jacobian(arrays: Any, x: Any) -> Any:
            at = objective.with_arrays(arrays)
            return at.jacobian(at.forward(x)[1])

        assert len(jax.jit(jacobian).lower(objective.arrays, objective.x0).as_text()) < n * n


def test_separable_maps_are_kronecker_products() -> None:
    rng = np.random.default_rng(0)
    K1, K2 = rng.standard_normal((3, 4)), rng.standard_normal((5, 2))
    A, v, w = np.kron(K1, K2), rng.standard_normal(8), rng.standard_normal(15)
    np.testing.assert_allclose(Separable().apply(XP, (K1, K2), v), A @ v, rtol=1e-12)
    np.testing.assert_allclose(Separable().adjoint(XP, (K1, K2), w), A.T @ w, rtol=1e-12)
    np.testing.assert_allclose(Separable().matrix(XP, (K1, K2)), A, rtol=1e-15)


def test_minima_are_those_of_many_digits() -> None:
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    A = np.linalg.qr(rng.standard_normal((9, 5)))[0] * np.geomspace(1, 1e-7, 5) @ rng.standard_normal((5, 5))
    b = rng.standard_normal(9)
    with mpmath.workdps(60):
        exact_A, exact_b = mpmath.matrix(A.tolist()), mpmath.matrix(b.tolist())
        x = mpmath.lu_solve(exact_A.T * exact_A, exact_A.T * exact_b)
        r = exact_b - exact_A * x
        minimum = float((r.T * r)[0] / 2)
        x = np.array([float(v) for v in x])
    found, value = refined_least_squares(A, b)
    assert value == pytest.approx(minimum, rel=4e-16)
    np.testing.assert_allclose(found, x, rtol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_minima_and_minimisers_of_listed_problems(name: str) -> None:
    problem: Any = PROBLEMS.make(name)
    objective = problem.bind(XP)
    value, tape = objective.forward(problem.minimiser)
    assert value == pytest.approx(problem.minimum, rel=1e-14)
    assert (
        np.abs(objective.grad(tape)).max() < 1e-14 * np.abs(objective.grad(objective.forward(problem.start)[1])).max()
    )
    A = problem.matrix
    found = lsqr(
        XP, lambda v: A @ v, lambda w: A.T @ w, problem.b, damp=np.sqrt(problem.alpha), atol=0.0, btol=0.0,
        conlim=0.0, max_iterations=500,
    )  # fmt: skip
    assert objective.forward(found.x)[0] == pytest.approx(problem.minimum, rel=1e-12)
    assert PROBLEMS.make(name, alpha=0.0, **({"width": 3.0} if name == "deblurring" else {"condition": 1e12})).minimum is None  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("name", NAMES)
def test_regularised_solutions_are_near_the_truth(name: str) -> None:
    problem: Any = PROBLEMS.make(name)
    at_start = problem.metrics(XP, problem.start)
    assert at_start == {"residual": 1.0, "error": 1.0}
    assert problem.metrics(XP, problem.minimiser)["error"] < 0.4
    assert problem.metrics(XP, problem.truth)["error"] == 0
    assert problem.metrics(XP, problem.truth)["residual"] == pytest.approx(0.01, rel=1e-2)
    naive = np.linalg.lstsq(problem.matrix, problem.b, rcond=None)[0]
    assert problem.metrics(XP, naive)["error"] > 2
    result = solve(problem, SOLVERS.make("lbfgs"), XP, Stop(max_iterations=500, gtol=1e-8))
    assert result.status == "converged"
    assert result.loss == pytest.approx(problem.minimum, rel=1e-8)


def test_large_images_need_no_matrix() -> None:
    problem: Any = PROBLEMS.make("deblurring", size=200)  # whose matrix would take 13 GB
    assert problem.minimum is None
    value, tape = problem.bind(XP).forward(problem.truth)
    assert problem.metrics(XP, problem.truth)["residual"] == pytest.approx(0.01, rel=1e-2)
    assert value == pytest.approx(0.5 * np.sum(tape.r**2) + 0.5e-3 * np.sum(problem.truth**2))


def test_seeds_draw_the_noise() -> None:
    first, again, other = (PROBLEMS.make("deblurring", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.b, again.b)  # type: ignore[attr-defined]
    assert not np.array_equal(first.b, other.b)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(first.truth, other.truth)  # type: ignore[attr-defined]


def test_blurs_keep_what_is_far_from_the_boundary() -> None:
    K = blur(41, 2.0)
    assert K[20].sum() == pytest.approx(1, rel=1e-12)
    np.testing.assert_array_equal(K, K.T)
    assert np.linalg.norm(K, 2) <= 1
    image = scene(16)
    assert (image.min(), image.max()) == (0, 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("deblurring", {"noise": -1.0}, "noise must be non-negative and finite, not -1.0"),
        ("deblurring", {"width": 0.0}, "width must be positive and finite, not 0.0"),
        ("ill-posed", {"condition": 0.5}, "condition must be at least 1 and finite, not 0.5"),
        ("ill-posed", {"rows": 0}, "rows must be positive and finite, not 0"),
        ("ill-posed", {"alpha": -1.0}, "alpha must be non-negative and finite, not -1.0"),
        ("ill-posed", {"tau": 2.0}, r"tau must lie in \(0, 1\), not 2.0"),
    ],
)
def test_mistakes_are_sentences(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PROBLEMS.make(name, **options)


def test_shapes_have_to_fit() -> None:
    with pytest.raises(
        ConfigurationError, match=r"of problem 'p', A is 3 x 2, and b has the shape \(2,\), truth \(2,\)"
    ):
        LinearProblem("p", "", np.ones((3, 2)), np.ones(2), truth=np.ones(2))
