"""Status, history, clock and limits of :func:`nmdl_bench.solve.solve`."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import CAPACITY, HISTORY_COLUMNS, ConfigurationError, Counts, Result, Stop
from nmdl_bench.data.batches import batches
from nmdl_bench.solve import Stepwise, solve
from nmdl_bench.solve import recorder as recorder_module
from nmdl_bench.solve.recorder import tolerance

sys.path.insert(0, str(Path(__file__).parent))
from quadratic import QuadraticProblem

BACKENDS = ["numpy", "torch", "jax"]
COLUMN = {name: i for i, name in enumerate(HISTORY_COLUMNS)}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("solver", ["lbfgs", "steepest-descent", "scipy-lbfgsb"])
def test_a_converged_run_is_complete(backend: str, solver: str) -> None:
    stop = Stop(max_iterations=3000, gtol=1e-8)
    result = solve(QuadraticProblem(), SOLVERS.make(solver), get_backend(backend), stop)
    assert result.status == "converged", result.reason
    assert result.grad_norm <= 1e-8 * 100  # |g(x0)|_inf = 100
    np.testing.assert_allclose(result.x, 1, atol=1e-6)
    history = result.history
    assert list(history[:, COLUMN["iteration"]]) == list(range(result.iterations + 1))
    assert history[-1, COLUMN["loss"]] == pytest.approx(result.loss, rel=1e-9, abs=1e-300)
    assert history[-1, COLUMN["forward"]] == result.counts.forward
    assert np.all(np.diff(history[:, COLUMN["time"]]) >= 0)
    assert result.metric_history[0]["iteration"] == 0
    assert result.metric_history[-1]["iteration"] == result.iterations
    assert result.metrics["distance"] < 1e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_limits_on_iterations_and_evaluations(backend: str) -> None:
    xp = get_backend(backend)
    slow = SOLVERS.make("steepest-descent")
    result = solve(QuadraticProblem(), slow, xp, Stop(max_iterations=7, gtol=1e-14))
    assert (result.status, result.iterations) == ("max_iterations", 7)
    result = solve(QuadraticProblem(), slow, xp, Stop(max_iterations=500, max_evaluations=9, gtol=1e-14))
    assert result.status == "max_iterations"
    assert result.counts.forward == 9
    assert "9 forwards" in result.reason


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_wrong_gradient_stalls(backend: str) -> None:
    result = solve(QuadraticProblem(sign=-1.0), SOLVERS.make("lbfgs"), get_backend(backend), Stop())
    assert result.status == "stalled"
    assert result.iterations == 0
    assert "lowers the value" in result.reason


@pytest.mark.parametrize("backend", BACKENDS)
def test_divergence_returns_the_last_finite_point(backend: str) -> None:
    xp = get_backend(backend)
    fast = SOLVERS.make("sgd", step_size=1e3, momentum=0.0)
    result = solve(QuadraticProblem(d=(1e10, 1e10, 1e10)), fast, xp, Stop(max_iterations=200))
    assert result.status == "diverged"
    assert np.all(np.isfinite(result.x))
    assert np.isfinite(result.loss)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("solver", ["lbfgs", "steepest-descent", "adam", "sgd", "nesterov", "scipy-lbfgsb"])
def test_nan_in_the_data_is_diverged_at_the_start(backend: str, solver: str) -> None:
    result = solve(QuadraticProblem(d=(1.0, np.nan, 1.0)), SOLVERS.make(solver), get_backend(backend), Stop())
    assert result.status == "diverged"
    np.testing.assert_array_equal(result.x, 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("solver", ["lbfgs", "steepest-descent", "adam", "sgd", "nesterov", "scipy-lbfgsb"])
def test_zero_gradient_at_the_start_has_converged(backend: str, solver: str) -> None:
    result = solve(QuadraticProblem(x0=(1.0, 1.0, 1.0)), SOLVERS.make(solver), get_backend(backend), Stop())
    assert (result.status, result.iterations) == ("converged", 0)


class Liar:
    """A solver that calls any point a solution."""

    def run(self, objective, x, stop, record, seed=0):
        record.begin()
        record(0, None, x=x, counts=Counts(1, 1))
        return Result(x, "converged", "I say so", 0, Counts(1, 1))


def test_convergence_is_recomputed_not_believed() -> None:
    result = solve(QuadraticProblem(), Liar(), get_backend("numpy"), Stop())
    assert result.status == "stalled"
    assert "I say so" in result.reason
    assert result.loss == pytest.approx(55.5)


class FakeTime:
    """A clock that moves by a second at each reading."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1.0
        return self.now


def test_metrics_are_off_the_clock_and_time_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime()
    monkeypatch.setattr(recorder_module, "time", fake)

    class Slow(QuadraticProblem):
        def metrics(self, xp, x):
            fake.now += 1000.0
            return super().metrics(xp, x)

    result = solve(Slow(), SOLVERS.make("steepest-descent"), get_backend("numpy"), Stop(gtol=1e-14, max_time=5.0))
    # a second for the start and one for each chunk of five iterations: none of the 1,000 s of metrics
    assert result.status == "max_time"
    assert result.time == pytest.approx(5.0)
    assert result.iterations == 4 * 5
    times = result.history[:, COLUMN["time"]]
    measured = result.history[:, COLUMN["measured"]] == 1
    assert list(times[measured]) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert np.all(np.diff(times) > 0)


def test_the_best_of_time_is_marked_interpolated_between_chunks() -> None:
    stop = Stop(max_iterations=100, gtol=1e-14)
    history = solve(QuadraticProblem(), SOLVERS.make("steepest-descent"), get_backend("numpy"), stop).history
    marked = history[:, COLUMN["measured"]]
    assert marked[0] == 1
    assert list(np.flatnonzero(marked)[:4]) == [0, 5, 10, 15]


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_looks_are_as_many_as_asked_for(backend: str) -> None:
    few, many = (
        solve(
            QuadraticProblem(), SOLVERS.make("lbfgs"), get_backend(backend), Stop(40, gtol=1e-14, looks=looks)
        ).history
        for looks in (1, 40)
    )
    assert list(np.flatnonzero(few[:, COLUMN["measured"]])) == [0, len(few) - 1]
    assert np.all(many[:, COLUMN["measured"]] == 1)
    np.testing.assert_array_equal(few[:, : COLUMN["time"]], many[:, : COLUMN["time"]])
    assert Stop(1000, looks=1).chunk == CAPACITY - 1


def test_compiled_steps_of_batch_methods_leave_out_what_nobody_reads() -> None:
    """The value is the only tanh here."""
    xp = get_backend("jax")

    class Odd:
        x0, arrays, n_samples, static = xp.asarray(np.ones(3)), (), 1, "odd"

        def with_arrays(self, arrays: Any) -> Any:
            return self

        def forward(self, x: Any, batch: Any = None) -> Any:
            return xp.total(xp.tanh(x)), x

        def grad(self, tape: Any) -> Any:
            return xp.cos(tape)

    objective, optimizer = Odd(), SOLVERS.make("sgd")
    objective.xp = xp  # type: ignore[attr-defined]
    chunk = jax.jit(Stepwise(optimizer)._build_full_batch(objective))  # type: ignore[arg-type]
    text = chunk.lower((), optimizer.init(objective, objective.x0), 5).compile().as_text()
    assert "tanh" in jax.jit(lambda x: objective.forward(x)[0]).lower(objective.x0).compile().as_text()
    assert "tanh" not in text
    assert "cosine" in text


def test_batches_are_epochs_of_permutations() -> None:
    orders = batches(3, 10, 4)
    first, second = next(orders), next(orders)
    assert first.shape == second.shape == (2, 4)
    assert len(set(first.ravel())) == 8
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, next(batches(3, 10, 4)))
    assert not np.array_equal(first, next(batches(4, 10, 4)))
    assert sorted(next(batches(0, 3, 100)).ravel()) == [0, 1, 2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_epochs_count_passes_and_drop_the_short_batch(backend: str) -> None:
    problem = PROBLEMS.make("circles", n=140, n_validation=20, n_test=20)
    solver = SOLVERS.make("sgd", batch_size=30)
    result = solve(problem, solver, get_backend(backend), Stop(max_epochs=3))
    assert result.iterations == 3 * 3
    assert result.counts == Counts(9, 9)
    assert result.passes == pytest.approx(9 * 30 / 100)
    assert len(result.history) == 4


@pytest.mark.parametrize(
    ("name", "options"), [("lbfgs", {}), ("adam", {"batch_size": 16}), ("sgd", {}), ("optax-lbfgs", {})]
)
def test_a_second_solve_compiles_nothing(name: str, options: dict) -> None:
    import jax

    compilations: list[str] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event.endswith("backend_compile_duration"):
            compilations.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    xp, stop = get_backend("jax"), Stop(max_iterations=5, max_epochs=2)
    problem = PROBLEMS.make("circles", n=147, n_validation=21, n_test=21)
    solve(problem, SOLVERS.make(name, **options), xp, stop)
    assert compilations
    compilations.clear()
    # another start, length and tolerance: all of them data
    solve(problem, SOLVERS.make(name, **options), xp, Stop(max_iterations=7, max_epochs=3, gtol=1e-5), seed=1)
    assert not compilations


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_size_that_cannot_work_is_named(size: int) -> None:
    with pytest.raises(ConfigurationError, match=f"batch_size must be at least 1, not {size}"):
        solve(QuadraticProblem(), SOLVERS.make("adam", batch_size=size), get_backend("numpy"))


@pytest.mark.parametrize(
    ("solver", "options", "words"),
    [
        ("lbfgs", {"memory": 2.5}, "memory of solver 'lbfgs' must be int, not 2.5"),
        ("sgd", {"batch_size": "8"}, "batch_size of solver 'sgd' must be"),
        ("scipy-lbfgsb", {"memory": 0}, "memory must be at least 1, not 0"),
        ("torch-sgd", {"nesterov": "yes"}, "nesterov of solver 'torch-sgd' must be bool, not 'yes'"),
    ],
)
def test_options_of_the_wrong_type_are_named(solver: str, options: dict, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        SOLVERS.make(solver, **options)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_size", [None, 20])
def test_batch_methods_obey_a_limit_on_evaluations(backend: str, batch_size: int | None) -> None:
    problem = PROBLEMS.make("circles", n=140, n_validation=20, n_test=20, depth=1)
    stop = Stop(max_iterations=40, max_epochs=9, max_evaluations=12)
    result = solve(problem, SOLVERS.make("sgd", batch_size=batch_size), get_backend(backend), stop)
    assert result.status == "max_iterations"
    assert result.counts.forward == (12 if batch_size is None else 15)  # an epoch has five batches


class NoNorm(NamedTuple):
    """State of a full-batch method that does not form the gradient's norm."""

    x: Any
    f: Any
    g_norm: Any
    k: Any
    counts: Any
    stalled: Any


@dataclass(frozen=True)
class FixedStep:
    """Gradient descent that leaves ``g_norm`` unknown."""

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False

    def init(self, objective, x, batch=None):
        xp = objective.xp
        f, _ = objective.forward(x)
        counts = Counts.start(xp, forward=1)
        return NoNorm(xp.copy(x), f, xp.s.const(float("nan")), xp.s.int(0), counts, xp.s.int(0) > 0)

    def step(self, objective, state, batch=None):
        xp = objective.xp
        _, tape = objective.forward(state.x)
        x = xp.axpy(-0.01, objective.grad(tape), xp.copy(state.x))
        counts = state.counts._replace(forward=state.counts.forward + 1)
        return state._replace(x=x, f=objective.forward(x)[0], k=state.k + 1, counts=counts)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_method_may_leave_the_norm_unknown(backend: str) -> None:
    result = solve(QuadraticProblem(), FixedStep(), get_backend(backend), Stop(max_iterations=8))
    assert (result.status, result.iterations) == ("max_iterations", 8)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("loss", ["cross-entropy", "least-squares"])
def test_a_last_layer_with_activation_keeps_its_tape(backend: str, loss: str) -> None:
    from nmdl_bench.data import from_arrays
    from nmdl_bench.networks.layers import Dense
    from nmdl_bench.networks.network import Network
    from nmdl_bench.problems import LearningProblem
    from nmdl_bench.testing import check_objective

    rng = np.random.default_rng(1)
    data = from_arrays("two", rng.standard_normal((40, 2)), np.arange(40) % 2, n_validation=5, n_test=5)
    network = Network((Dense(2, 4, "tanh"), Dense(4, 2, "tanh")))
    check_objective(LearningProblem("two", "", data, network, loss).bind(get_backend(backend)))


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_the_full_loss_in_parts_is_the_full_loss(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from nmdl_bench.backends import compiled

    evaluation = compiled.Evaluation(PROBLEMS.make("spirals", n=50).bind(get_backend(library)))
    with evaluation.xp.scope():
        whole = evaluation.norms(evaluation.x0)
        monkeypatch.setattr(compiled, "WHOLE", 10)
        monkeypatch.setattr(compiled, "PART", 7)
        np.testing.assert_allclose(evaluation.norms(evaluation.x0), whole, rtol=1e-12)


def test_a_start_whose_gradient_overflows_sets_no_tolerance():
    """Every later gradient would be within a tolerance relative to infinity."""
    assert tolerance(Stop(gtol=1e-6), np.inf) == 1e-6
    assert tolerance(Stop(gtol=1e-6), np.nan) == 1e-6
    assert tolerance(Stop(gtol=1e-6), 100.0) == pytest.approx(1e-4)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_evaluations": 0},
        {"max_evaluations": -1},
        {"max_time": -1.0},
        {"gtol": -1.0},
        {"gtol": math.nan},
        {"looks": 0},
        {"looks": 1.5},
    ],
)
def test_limits_that_cannot_be(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        Stop(**limits)


def test_limits_beyond_an_integer_of_a_compiled_loop() -> None:
    counts = [
        solve(QuadraticProblem(), SOLVERS.make("lbfgs"), get_backend(b), Stop(30, max_evaluations=2**32)).counts
        for b in ("numpy", "jax")
    ]
    assert counts[0].forward == counts[1].forward > 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_method_may_read_the_value_of_its_last_step(backend: str) -> None:
    """One that does not say that it forgets it, whatever the class that it is made from says."""

    @dataclass(frozen=True)
    class Watchful(type(SOLVERS.make("sgd"))):  # type: ignore[misc]
        def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
            new = super().step(objective, state, batch)
            fell = objective.xp.s.where(new.f < state.f, objective.xp.s.int(1), objective.xp.s.int(0))
            return new._replace(counts=new.counts._replace(vjp=new.counts.vjp + fell))

    result = solve(QuadraticProblem(), Watchful(step_size=1e-3, momentum=0.0), get_backend(backend), Stop(10))
    assert result.counts.vjp == 9
