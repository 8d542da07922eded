"""Proximal and projected methods: the same steps everywhere, their bounds, restarts, active sets, and bad input."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from math import inf, nan
from typing import Any

import jax
import numpy as np
import pytest
from scipy import optimize

from nmdl_bench.backends import compiled, get_backend
from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.backends.stationarity import measure, total
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import ConfigurationError, Stop, UnknownNameError
from nmdl_bench.optimizers import FISTA, IPALM, LBFGS, ProjectedGradient, ProjectedLBFGS, ProximalGradient
from nmdl_bench.optimizers.descent import Step
from nmdl_bench.optimizers.projected_lbfgs import FreeInverse
from nmdl_bench.problems import CompositeProblem
from nmdl_bench.problems.factorisation import FactorisationProblem
from nmdl_bench.problems.penalties import L1, Box
from nmdl_bench.registry import mismatch
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_bad_data, check_optimizer, check_zero_gradient, numerical_backends, standins

XP = get_backend("numpy")
EAGER = [XP, get_backend("torch"), *standins()]


def lasso(**options: Any) -> CompositeProblem:
    chosen = {"n": 30, "features": 20, "nonzeros": 4, "weight": 0.1, **options}
    return PROBLEMS.make("sparse-recovery", **chosen)  # type: ignore[return-value]


def bounded(lower: Any = -0.3, upper: Any = 0.2, **options: Any) -> CompositeProblem:
    """Logistic regression on 60 breast masses between bounds."""
    smooth = PROBLEMS.make("logistic-breast-cancer", n=60, alpha=1e-2, **options)
    return CompositeProblem("bounded", "", smooth, Box(lower, upper))


def factors() -> CompositeProblem:
    A = np.random.default_rng(3).random((12, 3)) @ np.random.default_rng(4).random((3, 9))
    return CompositeProblem("factors", "", FactorisationProblem("factors", "", A, 3), Box(0.0))


CASES: dict[str, tuple[Any, Any]] = {
    "proximal gradient": (ProximalGradient(), lasso),
    "fista": (FISTA(), lasso),
    "fista, smooth": (FISTA(restart="function"), lambda: lasso().smooth),
    "ipalm": (IPALM(), factors),
    "projected gradient": (ProjectedGradient(), bounded),
    "spectral": (ProjectedGradient(spectral=True, values=3), bounded),
    "projected l-bfgs": (ProjectedLBFGS(memory=4), bounded),
}
ON_JAX = ("fista", "ipalm", "spectral", "projected l-bfgs")


@pytest.mark.parametrize("name", CASES)
def test_first_twenty_steps_are_the_same_everywhere(name: str) -> None:
    optimizer, problem = CASES[name]
    found = check_optimizer(optimizer, problem(), EAGER)
    assert found.counts[-1, 0] > 5
    assert found.f[-1] < found.f[0]
    if name in ON_JAX:
        check_optimizer(optimizer, problem(), [get_backend("jax")], reference=found)


LISTED = [
    ("sparse-logistic-digits", ProximalGradient()),
    ("sparse-logistic-digits", FISTA()),
    ("lasso", FISTA(restart="function")),
    ("nonnegative-least-squares", ProjectedLBFGS()),
    ("bounded-logistic-digits", ProjectedLBFGS()),
    ("bounded-logistic-digits", ProjectedGradient()),
    ("bounded-logistic-digits", ProjectedGradient(spectral=True)),
    ("nonnegative-matrix-factorisation", IPALM()),
]


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "optimizer"), LISTED)
def test_first_sixty_steps_on_listed_problems(problem: str, optimizer: Any) -> None:
    found = check_optimizer(optimizer, PROBLEMS.make(problem), numerical_backends(), steps=60, tolerance=1e-5)
    assert found.counts[-1, 0] >= 25


@pytest.mark.parametrize("name", CASES)
def test_the_state_holds_total_value_and_stationarity(name: str) -> None:
    optimizer, make = CASES[name]
    objective = make().bind(XP)
    state = optimizer.init(objective, objective.x0)
    for _ in range(30):
        f, tape = objective.forward(state.x)
        assert state.f == pytest.approx(total(objective, state.x, f), rel=1e-14)
        assert state.g_norm == pytest.approx(measure(objective, state.x, objective.grad(tape)), rel=1e-9, abs=1e-15)
        state = optimizer.step(objective, state)


@pytest.mark.parametrize("name", CASES)
def test_runs_end_stationary(name: str) -> None:
    optimizer, make = CASES[name]
    result = solve(make(), optimizer, XP, Stop(max_iterations=20000, gtol=1e-8))
    assert result.status == "converged"
    assert result.history[-1, 4] == pytest.approx(result.loss, rel=1e-12)
    assert result.grad_norm <= 1e-8 * max(1.0, result.history[0, 5])


NUMBERS: dict[str, tuple[Any, Any, Any]] = {
    "fista": (lasso, FISTA(), FISTA(growth=3.0, shrink=0.5)),
    "ipalm": (factors, IPALM(), IPALM(inertia=0.1, shrink=0.7)),
    "projected-lbfgs": (bounded, ProjectedLBFGS(), ProjectedLBFGS(near=1e-2, c1=0.3)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_one_trace_serves_all_numbers_and_bounds(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make, one, other = NUMBERS[name]
    calls, step = Counter[str](), type(one).step

    def counted(self: Any, *args: Any) -> Any:
        calls["step"] += 1
        return step(self, *args)

    monkeypatch.setattr(type(one), "step", counted)
    monkeypatch.setattr(compiled, "_COMPILED", {})  # other tests may have compiled the same
    xp, stop = get_backend("jax"), Stop(max_iterations=25, gtol=0.0)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        losses = [solve(make(), optimizer, xp, stop).loss for optimizer in (one, other)]
        assert losses[0] != losses[1]
        if make is bounded:
            assert solve(bounded(-0.1, 0.1), one, xp, stop).loss > losses[0]
        assert calls["step"] == 1
        assert caplog.text.count("Finished XLA compilation of jit(chunk)") == 1


# ------------------------------------------------------------------------------------------------- proximal gradient
def test_the_bounds_of_beck_and_teboulle_hold() -> None:
    """Their theorems 3.1 and 4.4, with the largest L that was accepted; FISTA without restart.

    The first step has a guess for L, which may be far too large: they are for the iterates from there on, and the start
    is no nearer to the minimiser than the first iterate is.
    """
    problem = lasso(features=60, weight=0.02)
    best = solve(problem, FISTA(), XP, Stop(max_iterations=2000, gtol=1e-12))
    assert best.status == "converged"
    objective = problem.bind(XP)
    distance = float(np.sum((objective.x0 - best.x) ** 2))
    for optimizer, bound in (
        (ProximalGradient(), lambda L, k: L * distance / (2 * k)),
        (FISTA(restart="none"), lambda L, k: 2 * L * distance / (k + 1) ** 2),
    ):
        state = optimizer.init(objective, objective.x0)
        largest, slow = 0.0, 0
        for _ in range(400):
            k, L = state.k, state.L
            state = optimizer.step(objective, state)
            if state.k > k >= 1:
                largest = max(largest, L)
                assert state.f - best.loss <= bound(largest, k) + 1e-13
                slow += state.f - best.loss > 1e-9
        assert slow > 50  # the bound was put to a test


def ill_conditioned() -> Any:
    return PROBLEMS.make("logistic-digits", n=200)


def test_restarts_pay() -> None:
    iterations = {
        restart: solve(ill_conditioned(), FISTA(restart=restart), XP, Stop(max_iterations=600, gtol=1e-6)).iterations
        for restart in ("gradient", "function", "none")
    }
    assert iterations["gradient"] < 0.3 * iterations["none"]
    assert iterations["function"] < 0.3 * iterations["none"]
    plain = solve(ill_conditioned(), ProximalGradient(), XP, Stop(max_iterations=600, gtol=1e-6))
    assert iterations["gradient"] < 0.4 * plain.iterations


@pytest.mark.parametrize("optimizer", [FISTA(), FISTA(restart="function"), ProximalGradient()])
def test_values_that_do_not_differ_any_more_do_not_stop_them(optimizer: Any) -> None:
    """With gradients of 1e-12 values agree to 24 digits: slopes have to judge the steps."""
    for problem in (PROBLEMS.make("logistic-breast-cancer"), bounded()):
        result = solve(problem, optimizer, XP, Stop(max_iterations=1000, gtol=1e-13))
        assert result.status == "converged"


@pytest.mark.parametrize("restart", ["gradient", "function"])
def test_restarts_are_where_they_should_be(restart: str) -> None:
    objective = ill_conditioned().bind(XP)
    optimizer = FISTA(restart=restart)
    state, restarts = optimizer.init(objective, objective.x0), 0
    for _ in range(400):
        k, x, F, y, t = state.k, state.x.copy(), state.f, state.y.copy(), state.memory.t
        state = optimizer.step(objective, state)
        if state.k == k:
            np.testing.assert_array_equal(state.x, x)
            continue
        turned = (y - state.x) @ (state.x - x) > 0 if restart == "gradient" else state.f > F
        if turned or k == 0:
            restarts += k > 0
            assert state.memory.t == 1
            np.testing.assert_array_equal(state.y, state.x)
        else:
            assert state.memory.t == pytest.approx((1 + np.sqrt(1 + 4 * t * t)) / 2)
            c = (t - 1) / state.memory.t
            np.testing.assert_allclose(state.y, state.x + c * (state.x - x), rtol=1e-12, atol=1e-15)
    assert restarts >= 2


def test_zeros_are_identified() -> None:
    """The lasso's support and signs, with scikit-learn's coordinate descent."""
    from sklearn.linear_model import Lasso

    problem = lasso()
    train = problem.smooth.data.train
    fitted = Lasso(alpha=0.1, tol=1e-13, max_iter=10**5).fit(train.Y, train.C[:, 0])
    for optimizer in (FISTA(), ProximalGradient()):
        result = solve(problem, optimizer, XP, Stop(max_iterations=5000, gtol=1e-10))
        np.testing.assert_array_equal(np.sign(result.x[:-1]), np.sign(fitted.coef_))
        np.testing.assert_allclose(result.x, np.append(fitted.coef_, fitted.intercept_), atol=1e-8)


def test_a_point_without_a_finite_value_is_left_behind() -> None:
    """Momentum leads to where the value overflows: the method goes on from its iterate, and gives up nothing."""
    objective = lasso().bind(XP)
    optimizer = FISTA(restart="none")
    state = optimizer.init(objective, objective.x0)
    while state.ready:
        state = optimizer.step(objective, state)
    state = state._replace(y=state.y + 1e200)
    with np.errstate(over="ignore"):
        state = optimizer.step(objective, state)
    assert (state.ready, state.fresh, state.stalled, state.memory.t) == (False, True, False, 1.0)
    k = state.k
    for _ in range(5):
        state = optimizer.step(objective, state)
    assert state.k > k


# -------------------------------------------------------------------------------------------------------------- iPALM
@pytest.mark.parametrize("inertia", [0.0, 0.4, 0.8])
def test_ipalm_decreases_its_lyapunov_function(inertia: float) -> None:
    objective = factors().bind(XP)
    optimizer = IPALM(inertia=inertia, growth=1.2)
    state = optimizer.init(objective, objective.x0)
    blocks, last, falls, tau = objective.blocks, [], 0, [nan, nan]
    for _ in range(300):
        k, i, L, x = state.k, state.memory.i, state.L, state.x.copy()
        state = optimizer.step(objective, state)
        if state.k == k:
            continue
        other = blocks[1 - i]
        np.testing.assert_array_equal(state.x[other], x[other])
        np.testing.assert_array_equal(state.memory.x_old[blocks[i]], x[blocks[i]])
        allowed = state.k > 4 and L * inertia**2 <= tau[i]
        tau[i] = L
        if state.k > 2:
            moved = [np.sum((state.x - state.memory.x_old)[block] ** 2) for block in blocks]
            last.append(state.f + sum(t / 2 * m for t, m in zip(tau, moved)))
        if allowed:
            falls += 1
            assert last[-1] <= last[-2] * (1 + 1e-12)
    assert falls > 100
    assert last[-1] < 1e-2 * last[0]


def test_without_inertia_a_step_is_one_forward() -> None:
    result = solve(factors(), IPALM(inertia=0.0, shrink=1.0), XP, Stop(max_iterations=60, gtol=0.0))
    with_inertia = solve(factors(), IPALM(inertia=0.4, shrink=1.0), XP, Stop(max_iterations=60, gtol=0.0))
    assert result.counts.forward <= 60 + 25
    assert with_inertia.counts.forward >= 2 * 58


@pytest.mark.parametrize("inertia", [0.0, 0.4])
def test_ipalm_goes_on_where_one_block_alone_is_at_a_fixed_point(inertia: float) -> None:
    """With V = 0 the gradient in U vanishes, and V moves; where both factors are 0, neither does."""
    optimizer, objective = IPALM(inertia=inertia), factors().bind(XP)
    x0 = objective.x0.copy()
    x0[objective.blocks[1]] = 0.0
    first = state = optimizer.init(objective, x0)
    while state.k < 1500 and not state.stalled:
        state = optimizer.step(objective, state)
    assert state.f < 1e-2 * first.f
    state = optimizer.init(objective, 0 * x0)
    while not state.stalled:
        state = optimizer.step(objective, state)
    assert state.k == 2


# ------------------------------------------------------------------------------------------------------------ bounds
@pytest.mark.parametrize(
    "optimizer", [ProjectedLBFGS(), ProjectedGradient(spectral=True), ProjectedGradient(), FISTA()]
)
def test_the_active_set_is_that_of_scipys_solver(optimizer: Any) -> None:
    """Bounded least squares; also with bounds on one side, on none, and equal ones."""
    problem = lasso(features=15).smooth
    rng = np.random.default_rng(5)
    size = problem.start.size
    lower, upper = np.full(size, -0.3), np.full(size, 0.2)
    lower[rng.permutation(size)[:4]], upper[rng.permutation(size)[:4]] = -inf, inf
    lower[2] = upper[2] = 0.125
    train = problem.data.train
    A = np.column_stack([train.Y, np.ones(len(train.Y))])
    free = lower < upper
    reference = np.where(free, 0.0, lower)
    rest = train.C[:, 0] - A @ reference
    reference[free] = optimize.lsq_linear(A[:, free], rest, (lower[free], upper[free]), method="bvls", tol=1e-15).x
    one = CompositeProblem("mixed", "", problem, Box(tuple(lower), tuple(upper)))
    result = solve(one, optimizer, XP, Stop(max_iterations=20000, gtol=1e-10))
    assert result.status == "converged"
    np.testing.assert_allclose(result.x, reference, atol=1e-7)
    np.testing.assert_array_equal(result.x == lower, np.isclose(reference, lower))
    np.testing.assert_array_equal(result.x == upper, np.isclose(reference, upper))
    assert 3 <= np.sum((result.x == lower) | (result.x == upper)) < size


def test_without_bounds_it_is_l_bfgs() -> None:
    """Same directions, as long as both accept the first trial."""
    smooth = PROBLEMS.make("logistic-breast-cancer", n=60, alpha=0.1)
    open_ = CompositeProblem("open", "", smooth, Box())
    ours, theirs = (
        solve(problem, solver, XP, Stop(max_iterations=12, gtol=0.0))
        for problem, solver in ((open_, ProjectedLBFGS(memory=5)), (smooth, LBFGS(memory=5)))
    )
    assert theirs.counts.forward == ours.counts.forward == 13
    np.testing.assert_allclose(ours.history[:, 4], theirs.history[:, 4], rtol=1e-10)


@pytest.mark.parametrize("memory", [1, 3])
def test_the_free_direction_is_that_of_the_dense_matrix(memory: int) -> None:
    """``B`` by the BFGS formula (Nocedal and Wright 2006, eq. 6.19) from ``theta I``, and ``B_FF`` inverted."""
    rng, n = np.random.default_rng(memory), 8
    Q = rng.standard_normal((n, n))
    Q = Q @ Q.T + np.eye(n)
    x, pairs, inverse = rng.random(n), [], FreeInverse(memory, 1e-3)
    problem = CompositeProblem("box", "", lasso(features=n - 1).smooth, Box(0.0, 1.0))
    objective = problem.bind(XP)
    state, g = inverse.init(XP, x), Q @ x
    for k in range(2 * memory + 2):
        x_new = rng.random(n)
        x_new[rng.permutation(n)[:3]] = 0.0
        g_new = Q @ x_new + rng.standard_normal(n) * 0.01
        pairs = [*pairs, (x_new - x, g_new - g)][-memory:]
        step = Step(x.copy(), x_new, g.copy(), g_new, None, 1.0, None, None)  # type: ignore[arg-type]
        state, d, t, _ = inverse.update(objective, state, step)
        s, y = pairs[-1]
        B = (y @ y) / (s @ y) * np.eye(n)
        theta = B[0, 0]
        for s, y in pairs:
            B = B - np.outer(B @ s, B @ s) / (s @ B @ s) + np.outer(y, y) / (y @ s)
        e = min(1e-3, measure(objective, x_new, g_new))
        held = ((x_new <= e) & (g_new > 0)) | ((x_new >= 1 - e) & (g_new < 0))
        expected = -g_new / theta
        expected[~held] = -np.linalg.solve(B[np.ix_(~held, ~held)], g_new[~held])
        assert held.any() or k == 0
        np.testing.assert_allclose(d, expected, rtol=1e-8, atol=1e-10)
        assert t == 1
        x, g = x_new, g_new


def test_projected_lbfgs_needs_hardly_more_evaluations_than_scipys() -> None:
    """To a gap of 1e-10: geometric mean over three bounded problems; the whole comparison is benchmarks.convex."""
    from math import log

    ratios = []
    for problem in (PROBLEMS.make("bounded-logistic-breast-cancer"), bounded(), bounded(-0.05, inf)):
        best = solve(problem, ProjectedLBFGS(), XP, Stop(max_iterations=500, gtol=1e-12)).loss
        history = solve(problem, ProjectedLBFGS(), XP, Stop(max_iterations=500, gtol=1e-10)).history
        ours = history[history[:, 4] <= best * (1 + 1e-10), 1][0]
        objective, values = problem.bind(XP), []

        def fun(x: np.ndarray, objective: Any = objective, values: list[float] = values) -> Any:
            f, tape = objective.forward(x)
            values.append(f)
            return f, objective.grad(tape)

        limits = list(zip(objective.lower, objective.upper))
        options = {"ftol": 0.0, "gtol": 1e-10, "maxcor": 10}
        optimize.minimize(fun, objective.x0, jac=True, method="L-BFGS-B", bounds=limits, options=options)
        theirs = 1 + next(j for j, f in enumerate(values) if f <= best * (1 + 1e-10))
        ratios.append(ours / theirs)
    assert np.mean([log(ratio) for ratio in ratios]) <= log(1.1)


def test_spectral_steps_may_rise_and_armijos_may_not() -> None:
    problem = bounded(-inf, inf)
    rises = {}
    for spectral in (False, True):
        loss = solve(problem, ProjectedGradient(spectral=spectral), XP, Stop(max_iterations=100, gtol=0.0)).history[
            :, 4
        ]
        rises[spectral] = np.sum(np.diff(loss) > 1e-13)
        if spectral:  # no value above the largest of the ten before it
            for j in range(1, len(loss)):
                assert loss[j] <= loss[max(0, j - 10) : j].max() + 1e-14
    assert rises[False] == 0
    assert rises[True] > 0


def test_elements_at_a_bound_do_not_make_trials_longer() -> None:
    problem = PROBLEMS.make("nonnegative-least-squares", n=200)
    result = solve(problem, ProjectedGradient(), XP, Stop(max_iterations=200, gtol=0.0))
    assert np.mean(result.x == 0) > 0.2
    assert result.counts.forward <= 1.1 * result.iterations


# ------------------------------------------------------------------------------------------------------ hard to please
def stationary() -> CompositeProblem:
    """Least squares to the target 0 from 0, where value, penalty and gradient vanish."""
    problem = lasso()
    smooth = problem.smooth
    train = smooth.data.train
    flat = replace(smooth, data=replace(smooth.data, train=train._replace(C=np.zeros_like(train.C))))
    flat.__dict__["start"] = np.zeros(flat.network.size)
    return CompositeProblem("flat", "", flat, problem.h)


METHODS = [ProximalGradient(), FISTA(), ProjectedGradient(), ProjectedGradient(spectral=True), ProjectedLBFGS()]


def around(optimizer: Any, smooth: Any) -> CompositeProblem:
    """With a penalty, or with bounds for methods that need them."""
    needs_bounds = "bounds" in getattr(optimizer, "needs", ())
    return CompositeProblem("around", "", smooth, Box(-0.3, 0.3) if needs_bounds else L1(0.1))


@pytest.mark.parametrize("optimizer", METHODS)
def test_nothing_moves_where_the_start_is_the_minimum(optimizer: Any) -> None:
    problem = around(optimizer, stationary().smooth)
    check_zero_gradient(optimizer, problem, EAGER)
    result = solve(problem, optimizer, XP)
    assert (result.status, result.iterations, result.loss) == ("converged", 0, 0.0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("bad", [nan, inf])
@pytest.mark.parametrize("optimizer", METHODS)
def test_bad_data_show_in_the_value(optimizer: Any, bad: float) -> None:
    smooth = lasso().smooth
    train = smooth.data.train
    spoilt = replace(smooth, data=replace(smooth.data, train=train._replace(Y=train.Y * bad)))
    spoilt.__dict__["start"] = np.full(smooth.network.size, 0.1)
    problem = around(optimizer, spoilt)
    check_bad_data(optimizer, problem, EAGER)
    assert solve(problem, optimizer, XP, Stop(max_iterations=5)).status == "diverged"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_factors_show_in_the_value() -> None:
    problem = factors()
    problem.smooth.A[0, 0] = nan
    check_bad_data(IPALM(), problem, EAGER)


@pytest.mark.parametrize("optimizer", [*METHODS, IPALM()])
def test_without_an_interior_nothing_moves(optimizer: Any) -> None:
    smooth = factors().smooth if isinstance(optimizer, IPALM) else lasso().smooth
    problem = CompositeProblem("point", "", smooth, Box(0.25, 0.25))
    for xp in (XP, get_backend("torch")):
        result = solve(problem, optimizer, xp)
        assert result.status == "converged"
        np.testing.assert_array_equal(result.x, 0.25)


@pytest.mark.parametrize("optimizer", METHODS)
def test_a_start_outside_the_bounds_is_projected(optimizer: Any) -> None:
    objective = bounded().bind(XP)
    state = optimizer.init(Evaluation(objective), objective.x0 + 5.0)
    np.testing.assert_array_equal(state.x, 0.2)
    assert np.isfinite(state.f)
    for _ in range(20):
        state = optimizer.step(objective, state)
        assert np.all((state.x >= -0.3) & (state.x <= 0.2))


@pytest.mark.parametrize("scale", [1e-140, 1e-8, 1e8, 1e140])
@pytest.mark.parametrize("optimizer", METHODS)
def test_scales_far_from_one(optimizer: Any, scale: float) -> None:
    """Targets times ``scale``, penalty and bounds alike: no exception, no rise, and no wrong word."""
    smooth = lasso().smooth
    train = smooth.data.train
    scaled = replace(smooth, data=replace(smooth.data, train=train._replace(C=train.C * scale)))
    scaled.__dict__["start"] = np.zeros(smooth.network.size)
    bounds = "bounds" in getattr(optimizer, "needs", ())
    problem = CompositeProblem("scaled", "", scaled, Box(-0.3 * scale, 0.3 * scale) if bounds else L1(0.1 * scale))
    result = solve(problem, optimizer, XP, Stop(max_iterations=500, gtol=1e-6))
    assert result.loss <= result.history[0, 4]
    evaluated = Evaluation(problem.bind(XP))
    assert (result.status == "converged") == (result.grad_norm <= 1e-6 * max(1.0, evaluated.norms(evaluated.x0)[1]))
    if scale == 1e8:
        assert result.status == "converged"


# -------------------------------------------------------------------------------------------------- what goes with what
def test_who_may_minimise_what() -> None:
    def unfit(problem: str, solver: str) -> str:
        return mismatch(PROBLEMS[problem].structure({}), SOLVERS[solver].needs, SOLVERS[solver].accepts)

    for solver in ("fista", "proximal-gradient"):
        for problem in ("ridge", "lasso", "nonnegative-least-squares", "nonnegative-matrix-factorisation"):
            assert unfit(problem, solver) == ""
    for solver in ("projected-gradient", "projected-lbfgs"):
        assert unfit("nonnegative-least-squares", solver) == ""
        assert "it needs bounds" in unfit("lasso", solver)
        assert "it needs bounds" in unfit("ridge", solver)
    assert unfit("nonnegative-matrix-factorisation", "ipalm") == ""
    assert "it needs blocks" in unfit("ridge", "ipalm")
    assert "it is for smooth problems" in unfit("lasso", "lbfgs")
    assert mismatch(("composite",), (), ("bounds",)) != ""  # a method for bounds alone cannot take any penalty
    assert mismatch(("composite", "bounds"), (), ("bounds",)) == ""
    assert mismatch((), (), ("bounds",)) == ""
    with pytest.raises(ConfigurationError, match="LBFGS cannot minimise 'lasso': it is for smooth problems"):
        solve(PROBLEMS.make("lasso"), LBFGS(), XP)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FISTA(growth=1.0), "growth must be finite and above 1, not 1.0"),
        (lambda: ProximalGradient(shrink=0.0), r"shrink must lie in \(0, 1\], not 0.0"),
        (lambda: IPALM(max_trials=0), "max_trials must be at least 1, not 0"),
        (lambda: IPALM(inertia=1.0), r"inertia must lie in \[0, 1\), not 1.0"),
        (lambda: ProjectedGradient(c1=1.0), r"c1 must lie in \(0, 1\), not 1.0"),
        (lambda: ProjectedGradient(spectral=True, values=0), "values must be at least 1, not 0"),
        (lambda: ProjectedLBFGS(memory=0), "memory must be at least 1, not 0"),
        (lambda: ProjectedLBFGS(near=-1.0), "near must be non-negative and finite, not -1.0"),
    ],
)
def test_numbers_that_cannot_work(make: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_unknown_restarts_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'gradient'"):
        FISTA(restart="gradients")
