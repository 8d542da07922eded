import numpy as np
import pytest
from scipy.stats import binom

from nmdl_bench.report.frames import load
from nmdl_bench.report.profiles import bands, data_profile, performance_profile, profile_data
from nmdl_bench.report.targets import with_targets


def test_profiles_step_where_they_must():
    # problems:       1    2    3     4 (nobody)
    costs = np.array([[1.0, 4.0, np.inf, np.nan], [2.0, 2.0, 3.0, np.inf]])
    (r0, f0), (r1, f1) = performance_profile(costs)
    assert r0.tolist() == [1.0, 2.0]
    assert f0.tolist() == [0.25, 0.5]
    assert r1.tolist() == [1.0, 2.0]
    assert f1.tolist() == [0.5, 0.75]


def test_data_profiles_step_at_costs():
    costs = np.array([[4.0, 2.0, 2.0, np.nan], [np.inf, 9.0, np.nan, np.inf]])
    (c0, f0), (c1, f1) = data_profile(costs)
    assert c0.tolist() == [2.0, 4.0]
    assert f0.tolist() == [0.5, 0.75]
    assert (c1.tolist(), f1.tolist()) == ([9.0], [0.25])
    # in units of n + 1 (eq. 2.4), for n = 1, 3, 1, 1
    (c0, f0), _ = data_profile(costs, np.array([1, 3, 1, 1]))
    assert c0.tolist() == [0.5, 1.0, 2.0]
    assert f0.tolist() == [0.25, 0.5, 0.75]


def test_bands_are_those_of_the_binomial_distribution():
    """Resampling independent problems makes a fraction binomial; each problem here is one instance."""
    row = np.array([1.0] * 30 + [4.0] * 10 + [np.inf] * 10)
    low, high = bands(row, np.array([1.0, 4.0]), np.arange(50))
    for k, p in enumerate((0.6, 0.8)):
        assert [low[k], high[k]] == pytest.approx(binom.ppf([0.025, 0.975], 50, p) / 50, abs=0.0201)
    again = bands(row, np.array([1.0, 4.0]), np.arange(50))
    assert np.array_equal(again, (low, high))  # equal input, equal band


def test_bands_resample_whole_problems():
    """Ten seeds of each problem that all go the same way are no more evidence than one."""
    row = np.array([1.0] * 6 + [np.inf] * 4)
    one = bands(row, np.array([1.0]), np.arange(10))
    ten = bands(np.repeat(row, 10), np.array([1.0]), np.repeat(np.arange(10), 10))
    assert np.allclose(one, ten)
    apart = bands(np.repeat(row, 10), np.array([1.0]), np.arange(100))
    assert apart[1] - apart[0] < 0.6 * (ten[1] - ten[0])


def test_few_problems_have_no_bands(store):
    low, high = bands(np.ones(7), np.array([1.0]), np.arange(7))
    assert np.isnan([low, high]).all()
    for i in range(8):
        store.add(f"p{i}", "a", "numpy", [1.0, 0.0])
        store.add(f"p{i}", "b", "numpy", [1.0, *[0.5] * i, 0.0])
    data = load(store, "demo")
    frame = profile_data(data, with_targets(data), "data")
    assert frame.low.notna().all()
    assert ((frame.low <= frame.fraction) & (frame.fraction <= frame.high)).all()


def test_data_profile_of_a_run(store):
    store.add("p", "a", "numpy", [1.0, 0.5, 0.0], step_time=1.0, x=np.zeros(2))
    store.add("p", "b", "numpy", [1.0, 0.9, 0.9], x=np.zeros(2))
    store.add("q", "a", "numpy", [1.0, 0.0], step_time=1.0, x=np.zeros(7))

    def steps(measure, solver):
        data = load(store, "demo")
        frame = profile_data(data, with_targets(data), "data")
        own = frame[(frame.measure == measure) & (frame.solver == solver)]
        return list(zip(own.cost, own.fraction))

    assert steps("evaluations", "a") == [(2.0, 0.5), (3.0, 1.0)]
    assert steps("time", "a") == [(1.0, 0.5), (2.0, 1.0)]
    assert steps("passes", "b") == [(2.0, 0.0)]
    store.run.spec = "[report]\nper_variable = true"
    assert steps("evaluations", "a") == [(0.25, 0.5), (1.0, 1.0)]
    assert steps("passes", "a") == [(2.0, 0.5), (3.0, 1.0)]


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
