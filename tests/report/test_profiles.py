import numpy as np
import pytest

from nmdl_bench.report.frames import load
from nmdl_bench.report.profiles import performance_profile, profile_data
from nmdl_bench.report.targets import with_targets


def test_profiles_step_where_they_must():
    # problems:       1    2    3     4 (nobody)
    costs = np.array([[1.0, 4.0, np.inf, np.nan], [2.0, 2.0, 3.0, np.inf]])
    (r0, f0), (r1, f1) = performance_profile(costs)
    assert r0.tolist() == [1.0, 2.0]
    assert f0.tolist() == [0.25, 0.5]
    assert r1.tolist() == [1.0, 2.0]
    assert f1.tolist() == [0.5, 0.75]


def test_a_solver_that_solves_nothing_has_no_step():
    (ratio, fraction), _ = performance_profile(np.array([[np.inf], [1.0]]))
    assert len(ratio) == len(fraction) == 0


def test_profile_of_a_run(store):
    for problem, factor in (("p", 1.0), ("q", 3.0)):
        store.add(problem, "a", "numpy", [1.0, 0.5, 0.0], step_time=1.0)
        store.add(problem, "b", "numpy", [1.0, 0.0], step_time=factor)
        store.add(problem, "a", "torch", [1.0, 0.5, 0.0], step_time=0.5)
    data = load(store, "demo")
    frame = profile_data(data, with_targets(data))

    def steps(measure, backend, solver):
        own = frame[(frame.measure == measure) & (frame.backend == backend) & (frame.solver == solver)]
        return list(zip(own.ratio, own.fraction))

    assert steps("passes", "", "b") == [(1.0, 1.0)]
    assert steps("passes", "", "a") == [(1.5, 1.0)]  # 3 passes against 2, on both problems
    # times to target: p 2, 1, 1 and q 2, 3, 1: the best is 1 both times
    assert steps("time", "numpy", "a") == [(2.0, 1.0)]
    assert steps("time", "numpy", "b") == [(1.0, 0.5), (3.0, 1.0)]
    assert steps("time", "torch", "a") == [(1.0, 1.0)]


def test_times_that_do_not_count_are_not_solved(store):
    store.add("p", "a", "numpy", [1.0, 0.0])
    store.add("p", "b", "numpy", [1.0, 0.0], agrees=0)
    data = load(store, "demo")
    frame = profile_data(data, with_targets(data))
    own = frame[(frame.measure == "time") & (frame.solver == "b")]
    assert own.fraction.tolist() == [0.0]


def test_nothing_solved_nothing_drawn(store):
    store.add("p", "a", "numpy", None, status="error")
    data = load(store, "demo")
    assert len(profile_data(data, with_targets(data))) == 0


def test_medians_of_repeats_count(store):
    for repeat, step in enumerate((1.0, 1.0, 50.0)):
        store.add("p", "a", "numpy", [1.0, 0.0], repeat=repeat, step_time=step)
        store.add("p", "b", "numpy", [1.0, 0.0], repeat=repeat, step_time=2.0)
    data = load(store, "demo")
    frame = profile_data(data, with_targets(data))
    assert frame[(frame.measure == "time") & (frame.solver == "b")].ratio.tolist() == pytest.approx([2.0])
