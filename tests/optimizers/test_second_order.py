"""Newton and Gauss-Newton with line searches: inner iterations, tolerances, samples, and passes beside SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimizer_cases import small
from residuals import Bard, PowellSingular, QuadraticProblem, ResidualProblem, Rosenbrock, Underdetermined
from scipy import optimize

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import PROBLEMS, SOLVERS, ConfigurationError, Stop, UnknownNameError
from nmdl_bench.data.batches import batches
from nmdl_bench.optimizers import GaussNewton, GaussNewtonCG, NewtonCG, SubsampledGaussNewtonCG, SubsampledNewtonCG
from nmdl_bench.optimizers.curvature import Forcing
from nmdl_bench.optimizers.descent import line_search_init, line_search_step
from nmdl_bench.optimizers.line_search import WOLFE, Armijo
from nmdl_bench.optimizers.newton_cg import TruncatedNewton, truncated_cg
from nmdl_bench.solve import solve
from nmdl_bench.testing import (
    check_bad_data,
    check_optimizer,
    check_zero_gradient,
    numerical_backends,
    standins,
    trajectory,
)

XP = get_backend("numpy")
SUBSAMPLED = ("subsampled-newton-cg", "subsampled-gauss-newton-cg")


# ------------------------------------------------------------------------------------------------- inner iterations
def inner(
    B: np.ndarray, g: np.ndarray, eta: float = 1e-12, max_cg: int = 50, reorthogonalise: bool = True
) -> tuple[np.ndarray, int]:
    forcing = Forcing.start(XP, eta, 1.0, 1.5)
    z, _, j = truncated_cg(XP, lambda v: B @ v, g.copy(), forcing, max_cg, reorthogonalise)
    return z, j


@pytest.mark.parametrize("reorthogonalise", [True, False])
@pytest.mark.parametrize("eta", [0.5, 1e-3, 1e-10])
def test_truncated_cg_meets_its_tolerance_with_the_products_that_it_needs(eta: float, reorthogonalise: bool) -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((12, 12))
    B, g = A @ A.T + np.eye(12), rng.standard_normal(12)
    z, j = inner(B, g, eta, 50, reorthogonalise)
    assert np.linalg.norm(B @ z + g) <= eta * np.linalg.norm(g) * (1 + 1e-6)
    before, _ = inner(B, g, 1e-14, j - 1, reorthogonalise)
    assert np.linalg.norm(B @ before + g) > eta * np.linalg.norm(g)


def test_orthogonal_residuals_save_products_and_hold_back_round_off() -> None:
    """A spectrum with some large eigenvalues, whose Ritz values come again and again where orthogonality is lost."""
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    w = np.concatenate([np.linspace(1e-2, 1, 50), np.logspace(1, 4, 10)])
    B, g = (Q * w) @ Q.T, Q @ np.ones(60)
    B = 0.5 * (B + B.T)
    (kept, fewer), (lost, more) = (inner(B, g, 1e-8, 500, choice) for choice in (True, False))
    assert fewer <= 60 < more
    np.testing.assert_allclose(kept, lost, rtol=1e-4, atol=1e-5)
    nearly = B * (1 + 1e-15 * rng.standard_normal((60, 60)))
    nearly = 0.5 * (nearly + nearly.T)
    errors = [
        np.abs(inner(nearly, g, 1e-8, 40, choice)[0] - inner(B, g, 1e-8, 40, choice)[0]).max()
        for choice in (True, False)
    ]
    assert errors[0] < 1e-9
    assert errors[0] < 1e-2 * errors[1]


@pytest.mark.parametrize("scale", [1.0, 1e-120, 1e120])
def test_negative_curvature_ends_the_inner_iterations(scale: float) -> None:
    B, g = np.diag([-1.0, 2.0, 2.0]), scale * np.array([2.0, 1.0, 0.1])
    z, j = inner(B, g)
    np.testing.assert_allclose(z, -g)  # at once: steepest descent
    assert j == 1
    g = np.array([0.1, 1.0, 1.0])
    z, j = inner(B, scale * g)  # later: what there is, the minimiser along -g
    assert j == 2
    np.testing.assert_allclose(z / scale, -g * (g @ g) / (g @ B @ g))


def test_singular_systems_give_the_shortest_solution() -> None:
    rng = np.random.default_rng(1)
    J = rng.standard_normal((4, 9))
    B, g = J.T @ J, J.T @ rng.standard_normal(4)
    z, j = inner(B, g, 1e-10)
    assert j <= 6
    np.testing.assert_allclose(z, -np.linalg.pinv(B) @ g, rtol=1e-6, atol=1e-9)
    z, j = inner(np.zeros((3, 3)), np.ones(3))
    np.testing.assert_array_equal(z, -np.ones(3))
    z, j = inner(B, np.zeros(9))
    np.testing.assert_array_equal(z, np.zeros(9))
    assert j == 0


def test_tolerances_are_those_of_eisenstat_and_walker() -> None:
    forcing = Forcing.start(XP, 0.5, 0.9, 2.0)
    etas = []
    for norm in (1.0, 0.9, 0.5, 0.05, 0.0005):
        forcing = forcing.tighten(XP, norm)
        etas.append(forcing.eta)
    ratio = 0.9 * (0.5 / 0.9) ** 2
    # 0.9 * 0.5^2 = 0.225 holds the second, 0.9 * 0.5^2 and 0.9 ratio^2 < 0.1 let the others fall
    np.testing.assert_allclose(etas, [0.5, 0.5, ratio, 0.9 * 0.1**2, 0.9 * 0.01**2], rtol=1e-12)
    held = Forcing.start(XP, 0.9, 0.9, 1.5).tighten(XP, 1.0).tighten(XP, 1e-6)
    assert held.eta == pytest.approx(0.9 * 0.9**1.5)  # not 9e-10
    floor = Forcing.start(XP, 0.1, 0.9, 2.0).tighten(XP, 1.0).tighten(XP, 1e-12)
    assert floor.eta == pytest.approx(200 * XP.eps)


@pytest.mark.parametrize(("exponent", "least"), [(2.0, 1.8), (1.25, 1.15)])
def test_the_order_of_convergence_is_the_exponent(exponent: float, least: float) -> None:
    problem = QuadraticProblem(np.diag(np.logspace(0, 3, 30)), np.ones(30), 3 * np.ones(30), quartic=True)
    result = solve(problem, NewtonCG(exponent=exponent), XP, Stop(gtol=1e-13))
    g = result.history[:, 5]
    last = g[g > 1e-13][-3:]
    assert result.status == "converged"
    assert np.log(last[2] / last[1]) / np.log(last[1] / last[0]) > least, g


def test_numbers_stay_data_through_a_restart() -> None:
    """A search that gives up starts again along -g; the tolerances' constants stay those of the state."""
    search, objective = Armijo(max_trials=1), ResidualProblem(Rosenbrock).bind(XP)
    made, text = (TruncatedNewton("hessian", 5, True, eta, 0.9, 1.5) for eta in (0.3, 0.7))
    assert made == text
    assert hash(made) == hash(text)
    state, restarts = line_search_init(objective, objective.x0, search, made), 0
    for _ in range(40):
        state = line_search_step(objective, state, search, text)
        restarts += bool(state.fresh)
        assert state.memory.eta_max == 0.3
    assert restarts > 0


# ---------------------------------------------------------------------------------------------------- whole methods
@pytest.mark.parametrize("name", WOLFE)
def test_searches_by_name(name: str) -> None:
    """A Wolfe search with a slope that must fall to a tenth makes other steps than backtracking."""
    armijo, wolfe = (
        trajectory(NewtonCG(search=search, c2=0.1), ResidualProblem(Rosenbrock), XP, steps=40)
        for search in ("armijo", name)
    )
    assert not np.array_equal(armijo.counts, wolfe.counts)
    assert wolfe.f[-1] < 0.2 * wolfe.f[0]
    with pytest.raises(UnknownNameError, match="did you mean 'armijo'"):
        GaussNewton(search="armjo")


def test_without_a_search_every_step_is_whole_whatever_the_value() -> None:
    """On Rosenbrock's function two steps of Gauss-Newton end in the minimum, the first of them uphill."""
    found = trajectory(GaussNewton(search="none"), ResidualProblem(Rosenbrock), XP, steps=2)
    assert found.f[1] > found.f[0] > found.f[2]
    np.testing.assert_allclose(found.x[2], [1.0, 1.0], rtol=1e-12)
    counts = solve(
        ResidualProblem(Rosenbrock), GaussNewton(search="none"), XP, Stop(max_iterations=10, gtol=1e-10)
    ).counts
    assert counts.forward == 3


@pytest.mark.parametrize("name", ["newton-cg", "gauss-newton-cg", "gauss-newton"])
def test_residuals_are_solved(name: str) -> None:
    for functions in (Rosenbrock, PowellSingular, Bard):
        if name == "newton-cg" and functions is Bard:
            continue  # it has no second derivatives here
        result = solve(ResidualProblem(functions), SOLVERS.make(name), XP, Stop(max_iterations=200, gtol=1e-11))
        assert result.status == "converged"
        assert result.loss - functions.minimum <= 1e-10


def test_gauss_newton_takes_the_shortest_step() -> None:
    found = trajectory(GaussNewton(), ResidualProblem(Underdetermined), XP, steps=1)
    x = found.x[0]
    r, J = Underdetermined.residual(XP, x, None), Underdetermined.jacobian(XP, x, None)
    np.testing.assert_allclose(found.x[1], x - np.linalg.pinv(J) @ r, rtol=1e-12)

    class Repeated(Rosenbrock):
        """The same unknown twice."""

        start = (-1.2, 1.0, 1.0)

        @staticmethod
        def residual(xp: Any, x: Any, data: Any) -> Any:
            return Rosenbrock.residual(xp, xp.stack([x[0], 0.5 * (x[1] + x[2])]), data)

        @staticmethod
        def jacobian(xp: Any, x: Any, data: Any) -> Any:
            J = Rosenbrock.jacobian(xp, x, data)
            return xp.stack([J[:, 0], 0.5 * J[:, 1], 0.5 * J[:, 1]]).T

    class Hidden(Rosenbrock):
        """A Jacobian of nearly half the rank that its triangle's diagonal of ones hides."""

        start = tuple(np.ones(60))
        U = np.eye(60) - np.triu(np.ones((60, 60)), 1)

        @staticmethod
        def residual(xp: Any, x: Any, data: Any) -> Any:
            return xp.asarray(Hidden.U) @ x - 1

        @staticmethod
        def jacobian(xp: Any, x: Any, data: Any) -> Any:
            return xp.asarray(Hidden.U)

    for xp in numerical_backends():
        x = trajectory(GaussNewton(), ResidualProblem(Hidden), xp, steps=1).x[1]
        np.testing.assert_allclose(x, 1 - np.linalg.pinv(Hidden.U) @ (Hidden.U @ np.ones(60) - 1), atol=1e-9)

    found = trajectory(GaussNewton(), ResidualProblem(Repeated), XP, steps=30)
    assert found.f[-1] < 1e-20
    np.testing.assert_allclose(found.x[:, 1], found.x[:, 2], rtol=1e-9)


def test_indefinite_hessians_lead_to_a_minimum() -> None:
    problem = QuadraticProblem(np.diag([-3.0, 1.0, 10.0]), np.zeros(3), np.array([1e-3, 1.0, -1.0]), quartic=True)
    result = solve(problem, NewtonCG(), XP, Stop(gtol=1e-10))
    assert result.status == "converged"
    assert result.loss == pytest.approx(-9 / 4, rel=1e-9)


def test_counts() -> None:
    problem = small()
    newton, gauss_newton = (trajectory(kind(), problem, XP, steps=5).counts[-1] for kind in (NewtonCG, GaussNewtonCG))
    assert newton[5] > 5
    assert newton[3] == newton[4] == 0
    assert gauss_newton[3] == gauss_newton[4] > 5
    assert gauss_newton[5] == 0


def test_first_steps_are_the_same_everywhere() -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 5))
    quartic = QuadraticProblem(A + A.T, rng.standard_normal(5), rng.standard_normal(5), quartic=True)
    backends = numerical_backends()
    assert check_optimizer(NewtonCG(), quartic, backends, steps=12).counts[-1, 0] > 5
    found = check_optimizer(GaussNewton(), ResidualProblem(Underdetermined), backends, steps=8)
    assert found.f[-1] < 1e-20
    check_optimizer(GaussNewtonCG(), small(), [XP, *standins()], steps=12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["newton-cg", "gauss-newton-cg", "gauss-newton", *SUBSAMPLED])
def test_bad_data_and_vanishing_gradients(name: str) -> None:
    some = [XP, get_backend("torch"), standins()[2]]

    class BadBard(Bard):
        data = (np.nan,) * 15

    class Solved(Rosenbrock):
        start = (1.0, 1.0)

    if "newton-cg" not in name:  # Bard has no second derivatives here
        check_bad_data(SOLVERS.make(name), ResidualProblem(BadBard), some)
    check_zero_gradient(SOLVERS.make(name), ResidualProblem(Solved), some)
    assert solve(ResidualProblem(Solved), SOLVERS.make(name), XP).status == "converged"


# --------------------------------------------------------------------------------------------------------- samples
def test_samples_are_drawn_in_turn_from_the_whole() -> None:
    problem, seen = small(), []
    objective = problem.bind(XP)
    kind, forward = type(objective), type(objective).forward

    class Watched(kind):  # type: ignore[misc, valid-type]
        def forward(self, x: Any, batch: Any = None) -> Any:
            if batch is not None:
                seen.append(batch.copy())
            return forward(self, x, batch)

    watched = Watched(objective.xp, objective.static, objective.arrays, objective.x0, objective.draws)
    optimizer = SubsampledNewtonCG(sample_size=7, sample_seed=3)
    state = optimizer.init(watched, watched.x0)
    for _ in range(12):
        state = optimizer.step(watched, state)
    n = objective.n_samples
    epochs = batches(3, n, 7)
    expected = np.concatenate([next(epochs) for _ in range(20)])[: len(seen)]
    assert len(seen) == state.k + 1
    np.testing.assert_array_equal(seen, expected)
    products = state.counts.hessian
    assert state.counts.forward == 13 + len(seen)
    assert state.passes == pytest.approx(13 + (len(seen) + products) * 7 / n)


def test_a_sample_of_all_gives_the_method_itself() -> None:
    problem = small()
    n = problem.bind(XP).n_samples
    for sampled, plain in ((SubsampledNewtonCG, NewtonCG), (SubsampledGaussNewtonCG, GaussNewtonCG)):
        found = trajectory(sampled(sample_size=10 * n, max_cg=20), problem, XP, steps=8)
        expected = trajectory(plain(max_cg=20), problem, XP, steps=8)
        np.testing.assert_allclose(found.x, expected.x, rtol=1e-6, atol=1e-9)


def test_samples_save_passes_far_from_the_minimum() -> None:
    problem = PROBLEMS.make("logistic-digits")
    target = solve(problem, NewtonCG(), XP, Stop(gtol=1e-8)).loss * 1.01
    passes = {}
    for optimizer in (NewtonCG(), SubsampledNewtonCG(), SubsampledGaussNewtonCG()):
        history = solve(problem, optimizer, XP, Stop(max_iterations=60)).history
        passes[type(optimizer).__name__] = history[history[:, 4] <= target][0, 3]
    assert passes["SubsampledNewtonCG"] <= 0.7 * passes["NewtonCG"], passes
    assert passes["SubsampledGaussNewtonCG"] <= 0.7 * passes["NewtonCG"], passes


def test_samples_are_the_same_everywhere() -> None:
    problem = PROBLEMS.make("logistic-digits", n=60)
    found = check_optimizer(SubsampledNewtonCG(sample_size=16), problem, numerical_backends(), steps=8)
    assert found.f[-1] < found.f[0]


# ----------------------------------------------------------------------------------------------- beside SciPy's
METHODS = ("newton-cg", "newton-tr", "newton-gltr", "gauss-newton-cg")
PEERS = ("Newton-CG", "trust-ncg", "trust-krylov")


def peer_history(problem: Any, method: str) -> list[tuple[float, float]]:
    """(passes, value) at each evaluation of SciPy's method; a product takes a pass, as ours do."""
    objective, history, products = problem.bind(XP), [], 0
    tape: Any = None

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal tape
        f, tape = objective.forward(x.copy())
        history.append((len(history) + 1 + products, f))
        return f, objective.grad(tape)

    def product(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        at = tape if np.array_equal(tape.x, x) else objective.forward(x.copy())[1]
        return objective.hessian(at, v)

    options = {"maxiter": 100, **({"xtol": 1e-14} if method == "Newton-CG" else {"gtol": 1e-10})}
    optimize.minimize(value_and_grad, problem.start.copy(), jac=True, hessp=product, method=method, options=options)
    return history


def passes_to(history: list[tuple[float, float]], minimum: float, gap: float = 1e-12) -> float:
    return min((passes for passes, f in history if f - minimum <= gap * minimum), default=np.inf)


def compare(problem: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Passes to a relative gap of 1e-12: ours and SciPy's."""
    theirs = {method: peer_history(problem, method) for method in PEERS}
    ours = {}
    for name in METHODS:
        rows = solve(problem, SOLVERS.make(name), XP, Stop(max_iterations=25, gtol=1e-11)).history
        ours[name] = [(row[3], row[4]) for row in rows]
    minimum = min(f for history in (*theirs.values(), *ours.values()) for _, f in history)
    return tuple({m: passes_to(h, minimum) for m, h in some.items()} for some in (ours, theirs))  # type: ignore[return-value]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("alpha", [1e-2, 1e-4])
def test_passes_to_a_gap_of_1e_12_beside_scipys(alpha: float) -> None:
    ours, theirs = compare(PROBLEMS.make("logistic-digits", alpha=alpha))
    assert max(ours.values()) <= 1.6 * min(theirs.values()), (ours, theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("alpha", [1e-2, 1e-4])
def test_passes_to_a_gap_of_1e_12_beside_scipys_on_mnist(alpha: float) -> None:
    ours, theirs = compare(PROBLEMS.make("logistic-mnist-5k", alpha=alpha))
    assert max(ours.values()) <= 1.6 * min(theirs.values()), (ours, theirs)


def test_softmax_without_regularisation_has_a_singular_hessian() -> None:
    """Adding a constant to all classes' parameters changes nothing: no step goes along that, and none is NaN."""
    problem = PROBLEMS.make("logistic-digits", n=200, alpha=0.0)
    for name in METHODS:
        found = trajectory(SOLVERS.make(name), problem, XP, steps=20)
        assert np.all(np.isfinite(found.x)), name
        assert found.f[-1] < 1e-2 * found.f[0], name
        sums = found.x.reshape(len(found.x), -1, 10).sum(axis=2)  # over the classes
        np.testing.assert_allclose(sums - sums[0], 0, atol=1e-7 * np.abs(found.x[-1]).max())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NewtonCG(eta_max=0.0), "eta_max must lie in"),
        (lambda: NewtonCG(gamma=2.0), "gamma must lie in"),
        (lambda: GaussNewtonCG(exponent=1.0), "exponent must lie in"),
        (lambda: NewtonCG(max_cg=0), "max_cg must be at least 1, not 0"),
        (lambda: NewtonCG(c1=0.0), "0 < c1"),
        (lambda: NewtonCG(search="wolfe", c1=0.9, c2=0.1), "c1 < c2"),
        (lambda: GaussNewton(max_trials=0), "max_trials"),
        (lambda: SubsampledNewtonCG(sample_size=0), "sample_size must be at least 1, not 0"),
    ],
)
def test_options_that_cannot_work(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()
