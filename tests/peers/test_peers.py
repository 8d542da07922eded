"""Peers run our objectives: the same trajectories where the method is the same, honest counts, and all limits."""

from __future__ import annotations

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import Stop
from nmdl_bench.solve import solve

SMALL = {"n": 140, "n_validation": 20, "n_test": 20, "width": 3, "depth": 2}  # shallow: compiled quickly
QUASI_NEWTON = [
    ("scipy-lbfgsb", "numpy"), ("scipy-lbfgsb", "torch"), ("scipy-lbfgsb", "jax"), ("torch-lbfgs", "torch"),
    ("optax-lbfgs", "jax"),
]  # fmt: skip
PEERS = [*QUASI_NEWTON, ("torch-sgd", "torch"), ("torch-adam", "torch"), ("optax-sgd", "jax"), ("optax-adam", "jax")]
BATCHED = [e.name for e in SOLVERS if e.kind == "peer" and "batch_size" in (SOLVERS.options(e.name) or ())]


@pytest.mark.parametrize(("peer", "backend"), QUASI_NEWTON)
def test_quasi_newton_peers_converge_on_the_convex_problem(peer: str, backend: str) -> None:
    problem = PROBLEMS.make("logistic-digits", n=300)
    result = solve(problem, SOLVERS.make(peer), get_backend(backend), Stop(max_iterations=300, gtol=1e-7))
    ours = solve(problem, SOLVERS.make("lbfgs"), get_backend("numpy"), Stop(max_iterations=300, gtol=1e-7))
    assert result.status == ours.status == "converged", result.reason
    assert result.loss == pytest.approx(ours.loss, rel=1e-9)


SAME_METHOD = [
    ("torch-sgd", "torch", "sgd", {}, {}),
    ("torch-sgd", "torch", "nesterov", {"nesterov": True}, {}),
    ("torch-adam", "torch", "adam", {}, {"step_size": 0.01}),
    ("optax-sgd", "jax", "sgd", {}, {}),
    ("optax-sgd", "jax", "nesterov", {"nesterov": True}, {}),
    ("optax-adam", "jax", "adam", {}, {"step_size": 0.01}),
]


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize(("peer", "backend", "own", "peer_options", "options"), SAME_METHOD)
def test_first_order_methods_are_the_peers(
    peer: str, backend: str, own: str, peer_options: dict, options: dict, batch_size: int | None
) -> None:
    problem, xp, stop = PROBLEMS.make("circles", **SMALL), get_backend(backend), Stop(max_iterations=20, max_epochs=3)
    theirs = solve(problem, SOLVERS.make(peer, batch_size=batch_size, **peer_options, **options), xp, stop, seed=5)
    ours = solve(problem, SOLVERS.make(own, batch_size=batch_size, **options), xp, stop, seed=5)
    np.testing.assert_allclose(theirs.x, ours.x, rtol=1e-10, atol=1e-12)
    assert theirs.counts == ours.counts
    assert theirs.passes == pytest.approx(ours.passes)
    assert theirs.iterations == ours.iterations
    np.testing.assert_allclose(theirs.history[:, 4], ours.history[:, 4], rtol=1e-10)


@pytest.mark.parametrize(
    "peer", [pytest.param(n, marks=pytest.mark.slow if n.startswith("optax") else ()) for n in BATCHED]
)
def test_first_order_peers_take_batches(peer: str) -> None:
    xp, stop = get_backend("jax" if peer.startswith("optax") else "torch"), Stop(max_epochs=2)
    result = solve(PROBLEMS.make("circles", **SMALL), SOLVERS.make(peer, batch_size=20), xp, stop, seed=5)
    assert (result.status, result.iterations, result.counts.forward) == ("max_iterations", 10, 10)
    assert result.passes == 2.0
    assert len(result.history) == 3
    assert np.all(np.isfinite(result.history[:, 4]))


@pytest.mark.parametrize(("peer", "backend"), [("scipy-lbfgsb", "numpy"), ("torch-lbfgs", "torch")])
def test_evaluations_are_counted_as_they_happen(peer: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from nmdl_bench.problems import LearningObjective

    calls = {"forward": 0, "grad": 0}
    for name in calls:
        original = getattr(LearningObjective, name)

        def counting(self, *args, _original=original, _name=name):
            calls[_name] += 1
            return _original(self, *args)

        monkeypatch.setattr(LearningObjective, name, counting)
    result = solve(PROBLEMS.make("circles", **SMALL), SOLVERS.make(peer), get_backend(backend), Stop(max_iterations=12))
    # the harness evaluates the start and the returned point once more, off the clock
    assert result.counts.forward == calls["forward"] - 2
    assert result.counts.gradient == calls["grad"] - 2
    assert result.history[-1, 1] == result.counts.forward


@pytest.mark.parametrize(("peer", "backend"), PEERS)
def test_peers_obey_limits_and_nan(peer: str, backend: str) -> None:
    xp = get_backend(backend)
    problem = PROBLEMS.make("circles", **SMALL)
    result = solve(problem, SOLVERS.make(peer), xp, Stop(max_iterations=6))
    assert (result.status, result.iterations) == ("max_iterations", 6)
    result = solve(problem, SOLVERS.make(peer), xp, Stop(max_iterations=6, max_time=0.0))
    assert (result.status, result.iterations) == ("max_time", 0)
    bad = PROBLEMS.make("circles", **SMALL)
    bad.__dict__["start"] = np.full(bad.network.size, np.nan)
    result = solve(bad, SOLVERS.make(peer), xp, Stop(max_iterations=6))
    assert result.status == "diverged"


@pytest.mark.parametrize(("peer", "backend"), QUASI_NEWTON)
def test_quasi_newton_peers_obey_a_limit_on_evaluations(peer: str, backend: str) -> None:
    problem = PROBLEMS.make("circles", **SMALL)
    result = solve(problem, SOLVERS.make(peer), get_backend(backend), Stop(max_iterations=500, max_evaluations=10))
    assert result.status == "max_iterations"
    assert 10 <= result.counts.forward <= 30


def test_a_step_that_fails_leaves_the_iterate_before_it() -> None:
    problem = PROBLEMS.make("mgh", function="beale")  # its Jacobian is singular at the start
    result = solve(problem, SOLVERS.make("optimistix-gauss-newton"), get_backend("jax"), Stop(max_iterations=50))
    assert (result.status, result.reason, result.iterations) == ("stalled", "its step failed", 0)
    np.testing.assert_array_equal(result.x, problem.start)
    assert np.all(np.isfinite(result.history))
