"""Every registered peer on a small problem: progress, honest counts and histories, limits, bad data."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from small_problems import ALPHA, CALLS, Quadratics, Small, boxed, convex, rosenbrock, suited

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import HISTORY_COLUMNS, ConfigurationError, Counts, Problem, Result, Stop, UnknownNameError
from nmdl_bench.peers.host import Host
from nmdl_bench.peers.rerun import rerun
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.registry import mismatch
from nmdl_bench.solve import solve

PEERS = [entry.name for entry in SOLVERS if entry.kind == "peer"]
LOGISTIC = [name for name in PEERS if name.startswith("sklearn-logistic")]
# they show no iterate before they end: run for a few iterations, and again for a few more
RERUN = [name for name in PEERS if name.startswith(("sklearn-", "scipy-sparse-ls"))]
DERIVATIVE_FREE = ["scipy-nelder-mead", "scipy-powell", "scipy-cobyla", "optimistix-nelder-mead"]
FIXED_STEPS = [name for name in PEERS if "batch_size" in (SOLVERS.options(name) or ())]
# compiling is what their tests cost; these stand for the others of their library, unless all are asked for
QUICK = {
    "optax-sgd", "optax-adam", "optax-polyak-sgd", "optax-lbfgs", "jaxopt-lbfgs", "jaxopt-proximal-gradient",
    "jaxopt-lm", "optimistix-bfgs", "optimistix-nelder-mead", "optimistix-lm",
}  # fmt: skip
STEPS = Stop(max_iterations=12, gtol=1e-9)


def home(peer: str) -> str:
    """The backend that it is tried on: its own, or NumPy."""
    return next(library for library in ("numpy", "torch", "jax") if SOLVERS[peer].runs_on(library))


def cases(names: list[str]) -> Any:
    """The named peers as parameters."""
    slow = [home(name) == "jax" and name not in QUICK for name in names]
    return pytest.mark.parametrize(
        "peer", [pytest.param(name, marks=pytest.mark.slow if heavy else ()) for name, heavy in zip(names, slow)]
    )


def logistic(**options: Any) -> LearningProblem:
    """Logistic regression into five classes, from two features."""
    sizes = {"n": 80, "n_validation": 0, "n_test": 0}
    return PROBLEMS.make("peaks", depth=0, alpha=0.1, **sizes, **options)  # type: ignore[return-value]


def problem_for(peer: str) -> Problem:
    return logistic() if peer in LOGISTIC else suited(peer)


def attempt(peer: str, problem: Problem, stop: Stop = STEPS, **options: Any) -> Result:
    CALLS.clear()
    xp = get_backend(home(peer))
    with np.errstate(all="ignore"):
        result = solve(problem, SOLVERS.make(peer, **options), xp, stop)
    xp.synchronize()
    return result


def column(result: Result, name: str) -> np.ndarray:
    return result.history[:, HISTORY_COLUMNS.index(name)]


@cases(PEERS)
def test_loss_falls_and_history_adds_up(peer: str) -> None:
    problem = problem_for(peer)
    result = attempt(peer, problem)
    assert result.status in ("max_iterations", "converged", "stalled"), result.reason
    assert result.loss < column(result, "loss")[0]
    assert result.iterations == column(result, "iteration")[-1] <= STEPS.max_iterations
    for name in ("iteration", "forward", "gradient", "passes", "time"):
        assert np.all(np.diff(column(result, name)) >= 0), name
    assert np.all(np.diff(column(result, "iteration")) >= 1)
    assert result.counts.forward == column(result, "forward")[-1]
    assert result.counts.gradient == column(result, "gradient")[-1]
    assert result.passes == column(result, "passes")[-1]
    made, entry = SOLVERS.make(peer), SOLVERS[peer]
    assert (getattr(made, "needs", ()), getattr(made, "accepts", ())) == (entry.needs, entry.accepts)


# where JAX evaluates more than the method asks for, or evaluates many points at once
INEXACT = {"jaxopt-gauss-newton", "jaxopt-lm", "optimistix-nelder-mead"}
PROXIMAL = {"jaxopt-gradient-descent", "jaxopt-projected-gradient", "jaxopt-proximal-gradient"}


@cases([name for name in PEERS if name not in {*RERUN, *INEXACT}])
def test_counts_are_the_evaluations_that_happen(peer: str) -> None:
    result = attempt(peer, suited(peer))
    # the harness evaluates the start and the returned point, and where the method knows no value, every iterate shown
    shown = peer in {*DERIVATIVE_FREE, *FIXED_STEPS, *PROXIMAL} or peer.startswith("scipy-sparse")
    looks = 2 + shown * len(result.history)
    if peer in PROXIMAL:  # each chunk runs twice
        looks += result.counts.forward
    assert result.counts.forward == CALLS["forward"] - looks
    if peer not in PROXIMAL:  # their trials want the value alone, and the compiler leaves out the gradient
        assert result.counts.gradient == CALLS["gradient"] - looks
    assert tuple(result.counts[2:]) == (CALLS["jvp"], CALLS["vjp"], CALLS["hessian"])


@pytest.mark.parametrize("peer", ["scipy-lbfgsb", "scipy-bfgs", "torch-sgd"])
def test_data_are_bound_once_and_not_at_every_evaluation(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = []
    with_arrays = Quadratics.with_arrays

    def counted(self: Any, arrays: Any) -> Any:
        bound.append(arrays is not None)  # without arrays it is what a compiled function is made of
        return with_arrays(self, arrays)

    monkeypatch.setattr(Quadratics, "with_arrays", counted)
    attempt(peer, suited(peer))
    assert not any(bound)


def test_the_norms_of_an_iterate_are_off_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "_measure", slow := slowed(Host._measure, 0.02))
    result = attempt("scipy-bfgs", suited("scipy-bfgs"))
    assert slow.calls > 5  # type: ignore[attr-defined]
    assert result.time < 0.02 * (slow.calls - 1)  # type: ignore[attr-defined]


def slowed(fn: Any, seconds: float) -> Any:
    """``fn``, which takes longer and counts its calls."""

    def slow(*args: Any) -> Any:
        slow.calls += 1  # type: ignore[attr-defined]
        time.sleep(seconds)
        return fn(*args)

    slow.calls = 0  # type: ignore[attr-defined]
    return slow


@cases(PEERS)
def test_nan_ends_as_diverged(peer: str) -> None:
    problem = problem_for(peer)
    nan = np.full(problem.start.shape, np.nan)  # type: ignore[attr-defined]
    if peer in LOGISTIC:
        problem.__dict__["start"] = nan
    else:
        problem = replace(problem, start=nan)  # type: ignore[type-var]
    result = attempt(peer, problem)
    assert (result.status, result.iterations) == ("diverged", 0)


@cases(PEERS)
def test_a_zero_gradient_has_converged(peer: str) -> None:
    problem = problem_for(peer)
    if peer in LOGISTIC:
        x = solve(logistic(), SOLVERS.make("lbfgs"), get_backend("numpy"), Stop(max_iterations=500, gtol=1e-11)).x
        problem.__dict__["start"] = x
    else:
        small = problem
        assert isinstance(small, Small)
        zero = np.zeros(small.start.shape)
        problem = replace(small, start=zero, c=0 * small.c, A=abs(small.A))  # its minimum is at 0
    result = attempt(peer, problem)
    assert (result.status, result.iterations) == ("converged", 0)
    np.testing.assert_array_equal(result.x, problem.start)  # type: ignore[attr-defined]


@cases(PEERS)
def test_limits_on_time_and_evaluations(peer: str) -> None:
    problem = problem_for(peer)
    result = attempt(peer, problem, replace(STEPS, max_time=0.0))
    assert (result.status, result.iterations) == ("max_time", 0)
    # what is in flight is finished: an iteration at most
    result = attempt(peer, problem, Stop(max_iterations=1000, gtol=0.0, max_evaluations=4))
    if result.status == "max_iterations":
        slack = 31 if home(peer) == "jax" else 25 if peer == "torch-lbfgs" else 3 if peer in RERUN else 0
        assert result.counts.forward <= 4 + slack


# --------------------------------------------------------------------------------------------- beyond the first steps
SUPERLINEAR = [
    "scipy-cg", "scipy-bfgs", "scipy-lbfgsb", "scipy-newton-cg", "scipy-trust-ncg", "scipy-trust-krylov",
    "scipy-trust-exact", "scipy-dogleg", "scipy-tnc", "scipy-slsqp", "scipy-trust-constr", "scipy-nelder-mead",
    "scipy-powell", "scipy-lm", "scipy-trf", "scipy-dogbox", "torch-lbfgs", "optax-lbfgs", "jaxopt-lbfgs",
    "jaxopt-bfgs", "jaxopt-nonlinear-cg", "jaxopt-gauss-newton", "jaxopt-lm", "optimistix-bfgs",
    "optimistix-nonlinear-cg", "optimistix-nelder-mead", "optimistix-lm", "optimistix-gauss-newton",
    "optimistix-dogleg",
]  # fmt: skip


@cases(SUPERLINEAR)
def test_rosenbrock_is_solved(peer: str) -> None:
    # JAXopt's conjugate gradients take 100 to several hundred iterations in the valley: round-off decides
    result = attempt(peer, rosenbrock(), Stop(max_iterations=2000, gtol=1e-6))
    assert result.status == "converged", result.reason
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert result.loss < 1e-7


def test_a_method_that_shows_no_value_ends_where_the_tolerance_is_met() -> None:
    result = attempt("jaxopt-gauss-newton", rosenbrock(), Stop(max_iterations=1000, gtol=1e-6))
    assert result.status == "converged"
    assert result.counts.forward <= 6
    assert len(result.history) == result.iterations + 1
    result = attempt("jaxopt-gauss-newton", rosenbrock(), Stop(max_iterations=1000, gtol=0.0))
    assert result.status in ("converged", "stalled")


@cases([name for name in PEERS if "bounds" in (*SOLVERS[name].needs, *SOLVERS[name].accepts)])
def test_bounds_hold(peer: str) -> None:
    result = attempt(peer, boxed(), Stop(max_iterations=300, gtol=1e-6))
    assert result.status == "converged", result.reason
    np.testing.assert_allclose(result.x, [0.5, 0.25], atol=1e-4)
    assert np.all(result.x <= 0.5)


def test_fewer_residuals_than_unknowns() -> None:
    wide = convex()
    wide = replace(wide, A=wide.A[:2], B=wide.B[:2], c=wide.c[:2], cls=Quadratics)
    with pytest.raises(ConfigurationError, match="at least as many residuals as unknowns, not 2 and 3"):
        attempt("scipy-lm", wide)


def test_the_seed_draws_the_noise() -> None:
    xp, peer = get_backend("jax"), SOLVERS.make("optax-noisy-sgd", eta=0.1)
    one, again, other = (solve(convex(), peer, xp, Stop(max_iterations=3), seed=seed).x for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


class Slow:
    """A method that takes a hundredth of a second an iteration and halves the iterate in it."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self.runs = x, []

    def __call__(self, k: int) -> tuple[np.ndarray, int, Counts]:
        self.runs.append(k)
        time.sleep(0.01 * k)
        return self.x / 2**k, k, Counts(k, k)


@dataclass(frozen=True)
class Rerun:
    made: list[Slow] = field(default_factory=list)

    def run(self, objective: Any, x: Any, stop: Stop, record: Any, seed: int = 0) -> Result:
        self.made.append(Slow(x))
        return rerun(objective, x, stop, record, self.made[-1])


def test_methods_that_are_run_again_keep_to_the_time() -> None:
    peer, bowl = Rerun(), convex(A=np.eye(3), B=np.zeros((3, 3)), c=np.zeros(3), cls=Quadratics)
    result = solve(bowl, peer, get_backend("numpy"), Stop(max_iterations=40, gtol=0.0, max_time=0.055))
    assert result.status == "max_time"
    assert 2 <= result.iterations <= 5
    assert result.time < 0.08
    assert column(result, "iteration")[-1] == result.iterations
    assert sum(peer.made[0].runs) <= 40


def test_methods_that_are_run_again_end_where_the_tolerance_is_met() -> None:
    peer, bowl = Rerun(), convex(A=np.eye(3), B=np.zeros((3, 3)), c=np.zeros(3), cls=Quadratics)
    result = solve(bowl, peer, get_backend("numpy"), Stop(max_iterations=500, gtol=1e-4))
    assert (result.status, result.iterations, result.counts.forward) == ("converged", 14, 14)


def test_an_interior_point_method_may_leave_the_bounds_on_its_way() -> None:
    problem = PROBLEMS.make("bounded-logistic-digits", n=60)
    result = attempt("scipy-trust-constr", problem, Stop(max_iterations=20))
    assert result.status in ("max_iterations", "converged"), result.reason
    assert np.all(np.isfinite(column(result, "loss")))
    assert result.loss < column(result, "loss")[0]


def test_a_projected_iterate_is_evaluated_off_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is what SciPy asks for; the projections are the harness's own."""
    asked: set[bytes] = set()
    value = Host.value

    def spied(host: Host, z: np.ndarray) -> float:
        asked.add(z.tobytes())
        return value(host, z)

    monkeypatch.setattr(Host, "value", spied)
    problem = PROBLEMS.make("bounded-logistic-digits", n=60)
    result = attempt("scipy-trust-constr", problem, Stop(max_iterations=12))
    assert result.counts.forward <= len(asked)


def test_a_simplex_may_take_long_to_find_a_better_vertex() -> None:
    result = attempt("scipy-nelder-mead", logistic(), Stop(max_iterations=1000, gtol=1e-3))
    assert result.status in ("max_iterations", "converged"), result.reason
    # of a simplex that has shrunk to a point no more comes, and here no point's gradient is exactly zero
    result = attempt("scipy-nelder-mead", convex(), Stop(max_iterations=10**5, gtol=0.0))
    assert result.status == "stalled", result.reason


@cases([name for name in PEERS if "linear" in SOLVERS[name].needs])
def test_linear_least_squares_are_solved(peer: str) -> None:
    problem = suited(peer)
    result = attempt(peer, problem, Stop(max_iterations=2000, gtol=1e-8))
    exact = np.linalg.lstsq(problem.A, -problem.c)[0]
    assert result.status == "converged", result.reason
    np.testing.assert_allclose(result.x, exact, rtol=1e-6)


def test_krylov_iterates_are_scipys() -> None:
    """The k-th iterate of LSQR with damping from zero, by SciPy's own interface."""
    from scipy.sparse.linalg import lsqr

    problem = replace(suited("scipy-sparse-lsqr"), start=np.zeros(3))
    result = attempt("scipy-sparse-lsqr", problem, Stop(max_iterations=2, gtol=0.0))
    expected = lsqr(problem.A[:6], -problem.c[:6], damp=ALPHA**0.5, iter_lim=2, atol=0, btol=0, conlim=0)[0]
    np.testing.assert_allclose(result.x, expected, rtol=1e-12)


def test_the_best_point_is_not_lost() -> None:
    """A run that is cut inside a line search returns no worse than the best point evaluated."""
    for limit in range(2, 30):
        result = attempt("scipy-cg", rosenbrock(), Stop(max_iterations=100, gtol=0.0, max_evaluations=limit))
        assert result.loss <= column(result, "loss").min()
        assert result.counts.forward <= limit


def test_what_a_solver_cannot_take_is_refused() -> None:
    smooth, box, sparse = ("gauss-newton",), ("composite", "bounds"), ("composite",)
    fits = {
        "scipy-lbfgsb": (smooth, box),
        "scipy-bfgs": (smooth,),
        "jaxopt-projected-gradient": (box,),
        "jaxopt-proximal-gradient": (box, sparse),
        "scipy-lm": (),
    }
    for peer, structures in fits.items():
        entry = SOLVERS[peer]
        for provides in (smooth, box, sparse):
            assert (mismatch(provides, entry.needs, entry.accepts) == "") == (provides in structures), (peer, provides)


@pytest.mark.parametrize(
    ("peer", "backend"),
    [("scipy-trust-ncg", "jax"), ("scipy-lm", "torch"), ("scipy-sparse-cg", "jax"), ("scipy-sparse-lsqr", "jax")],
)
def test_host_solvers_take_every_backend(peer: str, backend: str) -> None:
    problem, stop = suited(peer), Stop(max_iterations=60, gtol=1e-6)
    here = solve(problem, SOLVERS.make(peer), get_backend("numpy"), stop)
    there = solve(problem, SOLVERS.make(peer), get_backend(backend), stop)
    assert here.status == there.status == "converged"
    assert here.counts == there.counts
    np.testing.assert_allclose(there.x, here.x, rtol=1e-8)


KINDS = {
    "five classes": ("peaks", {"depth": 0, "alpha": 0.1, "n": 80}),
    "two classes": ("spirals", {"depth": 0, "alpha": 0.1, "n": 80}),
    "one probability": ("logistic-breast-cancer", {"alpha": 0.1, "n": 200}),
}


@pytest.mark.parametrize("kind", KINDS)
@cases(LOGISTIC)
def test_logistic_regression_is_the_same_function(peer: str, kind: str) -> None:
    name, options = KINDS[kind]
    problem, stop = PROBLEMS.make(name, **options), Stop(max_iterations=2000, gtol=1e-7)
    assert "logistic" in problem.provides  # type: ignore[attr-defined]
    assert "logistic" in PROBLEMS[name].structure(options)
    ours = solve(problem, SOLVERS.make("lbfgs"), get_backend("numpy"), stop)
    theirs = attempt(peer, problem, stop)
    assert theirs.status == ours.status == "converged", theirs.reason
    assert theirs.loss == pytest.approx(ours.loss, rel=1e-9)
    np.testing.assert_allclose(theirs.x, ours.x, atol=1e-4)


@pytest.mark.parametrize("loss", [None, object])
def test_a_version_whose_loss_cannot_be_counted(loss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from nmdl_bench.peers.sklearn import logistic as adapter

    monkeypatch.setattr(adapter, "LinearModelLoss", loss)
    result = attempt("sklearn-logistic-lbfgs", logistic())
    assert result.counts.forward == result.counts.gradient == result.iterations > 0


@pytest.mark.parametrize("options", [{}, {"depth": 0, "alpha": 0.0}, {"depth": 0, "loss": "least-squares"}])
def test_what_is_no_logistic_regression(options: dict[str, Any]) -> None:
    problem = PROBLEMS.make("spirals", n=40, **options)
    assert "logistic" not in problem.provides  # type: ignore[attr-defined]
    assert "logistic" not in PROBLEMS["spirals"].structure(options)
    with pytest.raises(ConfigurationError, match="it needs logistic"):
        attempt("sklearn-logistic-lbfgs", problem)


def test_listed_linear_problems() -> None:
    """An image deblurred by SciPy's LSQR, and by Ridge on its matrix."""
    problem, stop = PROBLEMS.make("deblurring", size=8, alpha=1e-2), Stop(max_iterations=200, gtol=1e-8)
    results = [attempt(peer, problem, stop) for peer in ("scipy-sparse-lsqr", "scipy-sparse-cg", "sklearn-ridge-svd")]
    assert {result.status for result in results} == {"converged"}
    for result in results:
        np.testing.assert_allclose(result.x, results[-1].x, atol=1e-6)


def test_options_are_typed() -> None:
    assert SOLVERS.options("torch-adamw") == ("step_size", "beta1", "beta2", "epsilon", "weight_decay", "batch_size")
    with pytest.raises(ConfigurationError, match="step_size of solver 'torch-adamw' must be float, not 'fast'"):
        SOLVERS.make("torch-adamw", step_size="fast")
    with pytest.raises(ConfigurationError, match="memory must be at least 1, not 0"):
        SOLVERS.make("scipy-lbfgsb", memory=0)
    with pytest.raises(UnknownNameError, match="did you mean 'memory'"):
        SOLVERS.make("jaxopt-lbfgs", memry=5)


@pytest.mark.parametrize(
    ("peer", "options"),
    [
        ("scipy-bfgs", {"c1": 0.9, "c2": 0.1}),
        ("scipy-cg", {"c1": 0.5}),
        ("scipy-trust-ncg", {"radius": -1.0}),
        ("scipy-trust-ncg", {"radius": 2000.0}),
        ("scipy-trust-exact", {"eta": 5.0}),
        ("scipy-cobyla", {"radius": 0.0}),
        ("torch-adam", {"beta1": 2.0}),
        ("optax-adam", {"beta2": 1.0}),
        ("optax-lion", {"beta1": -0.1}),
        ("jaxopt-lm", {"solver": "magic"}),
        ("jaxopt-lbfgs", {"search": "magic"}),
        ("optimistix-nonlinear-cg", {"method": "magic"}),
    ],
)
def test_options_that_cannot_work_are_refused_when_it_is_made(peer: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=list(options)[-1]):
        SOLVERS.make(peer, **options)


@pytest.mark.parametrize("peer", ["scipy-lbfgsb", "scipy-bfgs", "scipy-trf", "scipy-sparse-lsqr", "sklearn-ridge-lsqr"])
def test_what_the_objective_raises_is_raised_again(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Quadratics.forward

    def broken(self: Any, x: Any, batch: Any = None) -> Any:
        value = forward(self, x, batch)
        if CALLS["forward"] == 3:  # and never again: the harness's own look at the end must not raise it
            raise ValueError("a mistake of the user's")
        return value

    monkeypatch.setattr(Quadratics, "forward", broken)
    with pytest.raises(ValueError, match="a mistake of the user's"):
        attempt(peer, suited(peer))
