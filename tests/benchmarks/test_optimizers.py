"""Our optimizers against the peers': the pairs, the problems, the rows and what is printed of them."""

import json
import math
from copy import copy
from dataclasses import asdict, replace

import numpy as np
import pytest

from benchmarks import common, optimizers
from benchmarks.optimizer_pairs import INSTANCES, PAIRS, Instance, Pair
from nmdl_bench.backends import get_backend, libraries
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import HISTORY_COLUMNS, Stop
from nmdl_bench.measure.stats import paired_ratio
from nmdl_bench.runs.plugins import load_all
from nmdl_bench.runs.store import pack
from nmdl_bench.solve import solve
from nmdl_bench.testing import numerical_backends

PAIR = next(pair for pair in PAIRS if pair.peer == "scipy-lbfgsb")
ABSENT = replace(PAIR, ours="no-such", backend="numpy")


@pytest.fixture(scope="module")
def rows():
    patch = pytest.MonkeyPatch()
    patch.setattr(
        optimizers,
        "INSTANCES",
        (Instance("circles", {"n": 60}), Instance("nowhere"), Instance("spirals", {"n": 60}, 0.5)),
    )
    try:
        return optimizers.compare([replace(PAIR, large=500), ABSENT], rounds=3)
    finally:
        patch.undo()


def test_pairs_are_distinct_and_what_is_registered_takes_its_options():
    assert len({(pair.label, pair.backend) for pair in PAIRS}) == len(PAIRS)
    assert {pair.backend for pair in PAIRS} <= set(libraries())
    assert any(not optimizers.missing(pair) for pair in PAIRS)
    for pair in PAIRS:
        if not optimizers.missing(pair):
            SOLVERS.make(pair.ours, **pair.options, **pair.ours_options)
            assert SOLVERS[pair.peer].runs_on(pair.backend)
            known = SOLVERS.options(pair.peer)
            assert known is None or set(known) >= {*pair.options, *pair.peer_options}
    for instance in INSTANCES:
        if instance.problem in PROBLEMS:
            known = PROBLEMS.options(instance.problem)
            assert known is None or set(known) >= set(instance.options)


def test_rows_compare_evaluations_and_times(rows):
    row, absent = rows
    assert absent.reason == "no solver is called 'no-such'"
    assert set(row.each) == {"circles 60", "spirals 60"}  # what is not registered is passed over
    assert row.solved == (2, 2, 2)
    expected = np.exp(np.mean([math.log(ours / theirs) for ours, theirs in row.each.values()]))
    assert row.evaluations.value == pytest.approx(expected)
    assert [timing.n for timing in row.timings] == [20, 500]
    for timing in row.timings:
        assert len(timing.ours) == len(timing.theirs) == 3
        assert timing.ratio == paired_ratio(timing.ours, timing.theirs)
        assert 0 < min(timing.ours) < 1.0
    json.dumps([asdict(row) for row in rows])


def test_table_has_a_line_for_each_pair_and_says_what_is_missing(rows):
    lines = optimizers.table(rows).splitlines()
    assert lines[2].startswith("| lbfgs | scipy-lbfgsb | numpy | ")
    assert {line.count("|") for line in lines[:3]} == {12}
    assert lines[-1] == "not compared: no-such ~ scipy-lbfgsb on numpy: no solver is called 'no-such'"
    broken = replace(rows[0], timings=(optimizers.Timing(20, reason="it | died"),))
    assert r"| 20 | it \| died |" in optimizers.table([broken]).splitlines()[2]


def test_a_solver_that_fails_is_a_reason_and_no_crash():
    with optimizers.Bench() as bench:
        timing = bench.timing(replace(PAIR, options={"memory": -1}), 20, 2)
        assert "memory must be at least 1" in timing.reason
        assert bench.timing(PAIR, 20, 2).reason == ""  # the same processes go on


def test_composite_pairs_meet_composite_problems():
    fista = Pair("lbfgs", "scipy-lbfgsb", "numpy", problem="bench-sparse")
    assert not [
        i for i in optimizers.instances_of(fista) if "composite" not in PROBLEMS[i.problem].structure(i.options)
    ]
    assert [i.problem for i in optimizers.instances_of(PAIR)][:2] == ["logistic-digits", "logistic-digits"]


def test_asv_looks_up_rows_and_skips_other_backends(rows):
    cases = {(row.pair.backend, row.pair.label): asdict(row) for row in rows}
    adapter = optimizers.Optimizers()
    adapter.setup(cases, "numpy", PAIR.label)
    for track in (adapter.track_time_ratio, adapter.track_evaluations_ratio):
        assert math.isfinite(track(cases, "numpy", PAIR.label))
    assert len(adapter.track_step_time(cases, "numpy", PAIR.label)["samples"]) == 3
    with pytest.raises(NotImplementedError, match="no-such"):
        optimizers.Optimizers().setup(cases, "numpy", ABSENT.label)
    with pytest.raises(NotImplementedError, match="not installed"):
        optimizers.Optimizers().setup(cases, "cupy", PAIR.label)
    assert ("torch", PAIR.label) in optimizers.Optimizers.skip_params
    assert ("numpy", PAIR.label) not in optimizers.Optimizers.skip_params
    assert optimizers.Optimizers.params[0] == common.BACKENDS


@pytest.mark.parametrize("name", ["bench-valley", "bench-bounded", "bench-sparse", "bench-fit"])
def test_derivatives_of_what_is_timed(name):
    load_all([optimizers.PLUGIN])
    problem = PROBLEMS.make(name, n=4)
    rng = np.random.Generator(np.random.Philox(3))
    x, v = rng.standard_normal((2, 4))
    for xp in numerical_backends():
        with xp.scope():
            objective = problem.bind(xp)

            def at(t, of, objective=objective, xp=xp):
                return of(objective.forward(xp.asarray(x + t * v)))

            def slope(of, at=at):
                return (at(1e-6, of) - at(-1e-6, of)) / 2e-6

            _, tape = objective.forward(xp.asarray(x))
            V, g = xp.asarray(v), xp.to_numpy(objective.grad(tape))
            assert slope(lambda found: float(found[0])) == pytest.approx(g @ v, rel=1e-6)
            moved = slope(lambda found, f=objective, xp=xp: xp.to_numpy(f.grad(found[1])))
            np.testing.assert_allclose(xp.to_numpy(objective.hessian(tape, V)), moved, rtol=1e-6, atol=1e-6)
            if name == "bench-fit":
                J, r = xp.to_numpy(objective.jacobian(tape)), xp.to_numpy(objective.residual(tape))
                np.testing.assert_allclose(J.T @ r, g, rtol=1e-10)
                np.testing.assert_allclose(xp.to_numpy(objective.jvp(tape, V)), J @ v, rtol=1e-10)
                np.testing.assert_allclose(xp.to_numpy(objective.gauss_newton(tape, V)), J.T @ (J @ v), rtol=1e-10)
            if "composite" in problem.provides:
                near = xp.to_numpy(objective.prox(xp.asarray(np.array([2.0, 2.0, -2.0, 0.001])), xp.s.const(1.0)))
                expected = [0.5, 2.0, -2.0, 0.001] if name == "bench-bounded" else [1.99, 1.99, -1.99, 0.0]
                np.testing.assert_allclose(near, expected)


def test_pairs_with_hessian_products_are_compared_by_passes(monkeypatch):
    pair = next(pair for pair in PAIRS if pair.ours == "newton-cg")
    assert pair.products
    monkeypatch.setattr(optimizers, "INSTANCES", (Instance("circles", {"n": 60}),))
    with optimizers.Bench() as bench:
        _, solved, each = bench.evaluations(pair)
        _, _, forwards = bench.evaluations(replace(pair, products=False))
        seconds = optimizers._seconds
        # two iterations, of five passes together, in a second after the start's row
        history = np.array(
            [[0, 1, 1, 3, 9.0, 1.0, 0.5, 1], [1, 2, 2, 5, 8.0, 1.0, 1.0, 0], [2, 3, 3, 8, 7.0, 1.0, 1.5, 1]]
        )
        row = {"iterations": 2, "history": pack(history)}
        worker = type("Worker", (), {"measure": lambda self, case: row})()
        assert (seconds(worker, None, "iteration"), seconds(worker, None, "passes")) == (0.5, 0.2)
    assert solved[0] == 1
    assert each["circles 60"][0] > forwards["circles 60"][0]


def test_products_count_for_the_point_that_they_lead_to(monkeypatch):
    problem, xp = PROBLEMS.make("spirals", n=60), get_backend("numpy")
    bound, passes, seen = problem.bind(xp), [], {}

    def forward(x, batch=None):
        f, tape = type(bound).forward(bound, x, batch)
        passes.append("forward")
        seen.setdefault(float(f), len(passes))
        return f, tape

    def hessian(tape, v):
        passes.append("product")
        return type(bound).hessian(bound, tape, v)

    watched = copy(bound)
    vars(watched).update(forward=forward, hessian=hessian, with_arrays=lambda arrays: watched)
    monkeypatch.setattr(type(problem), "bind", lambda self, xp: watched)
    history = solve(problem, SOLVERS.make("newton-cg"), xp, Stop(max_iterations=6, gtol=0.0)).history
    known = optimizers.when_known(history)
    assert [seen[row[HISTORY_COLUMNS.index("loss")]] for row in known] == list(known[:, 3])
    assert known[-1, 3] < history[-1, 3]
