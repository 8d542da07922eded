import json

import numpy as np
import pytest

from nmdl_bench.report.budgets import budget_data, budget_table
from nmdl_bench.report.frames import load
from nmdl_bench.report.levels import latex, level_data, level_tables, markdown
from nmdl_bench.report.targets import crossing, gap_value, relative_gap, target_value, tau_of, with_targets


def history(losses, measured=None):
    k = np.arange(len(losses), dtype=float)
    measured = np.ones_like(k) if measured is None else np.asarray(measured, dtype=float)
    return np.stack([k, 2 * k + 1, k + 1, 0.5 * k, np.asarray(losses), 0 * k, 0.25 * k, measured], axis=1)


def test_target_is_more_and_wilds():
    assert target_value(10.0, 2.0, 0.1) == pytest.approx(2.8)


def test_crossing_is_the_first_row_at_or_below():
    found = crossing(history([8.0, 4.0, 2.0, 1.0]), 2.0)
    assert found.reached
    assert (found.iterations, found.forward, found.gradient, found.passes, found.time) == (2, 5, 3, 1.0, 0.5)
    assert not found.interpolated


def test_the_first_crossing_counts_though_the_loss_rises_again():
    assert crossing(history([8.0, 1.0, 5.0, 1.0]), 2.0).iterations == 1


def test_nan_and_no_crossing_are_not_reached():
    assert not crossing(history([8.0, np.nan, 3.0]), 2.0).reached
    assert not crossing(np.empty((0, 8)), 2.0).reached


def test_interpolated_times_are_marked():
    assert crossing(history([8.0, 4.0, 2.0], measured=[1, 0, 1]), 4.0).interpolated
    assert not crossing(history([8.0, 4.0, 2.0], measured=[1, 0, 1]), 2.0).interpolated


def test_the_best_is_over_all_solvers_and_backends_of_a_problem_and_seed(store):
    store.add("p", "a", "numpy", [10.0, 6.0, 4.0])
    store.add("p", "a", "torch", [10.0, 6.0, 4.0])
    store.add("p", "b", "jax", [10.0, 1.0, 0.0])
    store.add("p", "a", "numpy", [20.0, 10.0, 5.0], seed=1)  # another seed has its own
    store.add("q", "a", "numpy", [100.0, 90.0])  # and so has another problem
    frame = with_targets(load(store, "demo")).set_index(["problem", "solver", "library", "seed"])
    assert frame.loc[("p", "a", "numpy", 0), "f_best"] == 0.0
    assert frame.loc[("p", "a", "torch", 0), "target"] == pytest.approx(1.0)  # 0 + 0.1 (10 - 0)
    assert frame.loc[("p", "a", "numpy", 1), "target"] == pytest.approx(6.5)
    assert frame.loc[("q", "a", "numpy", 0), "target"] == pytest.approx(91.0)
    assert frame.reached.tolist() == [False, False, True, True, True]
    assert frame.loc[("p", "b", "jax", 0), "target_time"] == pytest.approx(0.01)
    assert frame.loc[("p", "a", "numpy", 1), "target_passes"] == 3.0


def test_a_backend_that_disagrees_sets_no_target(store):
    store.add("p", "a", "numpy", [10.0, 4.0])
    store.add("p", "a", "jax", [10.0, -50.0], agrees=0)
    frame = with_targets(load(store, "demo"))
    assert frame.f_best.tolist() == [4.0, 4.0]
    assert frame.comparable.tolist() == [True, False]


def test_times_count_only_where_agreement_is_known(store):
    store.add("p", "a", "numpy", [10.0, 4.0], agrees=None)
    frame = with_targets(load(store, "demo"))
    assert frame.comparable.tolist() == [False]
    assert frame.reached.tolist() == [True]


def test_losses_of_single_batches_set_no_target(store):
    store.add("p", "a", "numpy", [10.0, 0.001, 3.0], loss=4.0)  # recomputed over all samples: 4
    assert with_targets(load(store, "demo")).f_best.tolist() == [4.0]


def test_a_best_value_on_the_way_counts(store):
    store.add("p", "a", "numpy", [10.0, 2.0, 3.0])
    assert with_targets(load(store, "demo")).f_best.tolist() == [2.0]


def test_tau_of_experiment_then_problem_then_default(store):
    store.add("p", "a", "numpy", [1.0, 0.5], case={"problem_json": json.dumps({"name": "p", "options": {"tau": 0.01}})})
    store.add("q", "a", "numpy", [1.0, 0.5])
    assert tau_of(load(store, "demo"), "p") == 0.1
    store.run.spec = "tau = 1"
    assert tau_of(load(store, "demo"), "p") == 0.01
    assert tau_of(load(store, "demo"), "q") == 0.1


def test_nothing_finite_gives_no_target(store):
    store.add("p", "a", "numpy", [np.nan, np.nan], status="diverged", loss=np.nan, loss0=np.nan)
    frame = with_targets(load(store, "demo"))
    assert np.isnan(frame.target[0])
    assert not frame.reached[0]


def test_a_known_minimum_is_what_targets_count_from(store):
    store.add("p", "a", "numpy", [10.0, 6.0, 4.0], minimum=0.0)
    store.add("q", "a", "numpy", [10.0, 6.0, 4.0], minimum=5.0)  # somebody went below: it is no minimum
    frame = with_targets(load(store, "demo"))
    assert frame.f_best.tolist() == [0.0, 4.0]
    assert frame.target.tolist() == pytest.approx([1.0, 4.6])
    assert frame.reached.tolist() == [False, True]


def test_gap_counts_where_the_minimum_is_known(store):
    store.run.spec = "[report]\ntau = 0.1\ngap = 1e-3"
    store.add("p", "a", "numpy", [10.0, 2.1, 2.002, 2.001], minimum=2.0)
    store.add("q", "a", "numpy", [10.0, 1.0, 0.0])
    store.add("zero", "a", "numpy", [1.0, 2e-3, 1e-3], minimum=0.0)
    frame = with_targets(load(store, "demo")).set_index("problem")
    assert frame.target["p"] == pytest.approx(2.002)
    assert frame.target["q"] == pytest.approx(1.0)
    assert frame.target["zero"] == pytest.approx(1e-3)
    assert frame.target_iterations.tolist() == [2, 1, 2]
    # a level asked for by name is one
    assert with_targets(load(store, "demo"), 0.5).target.tolist() == pytest.approx([6.0, 5.0, 0.5])


def test_relative_gap_and_its_inverse():
    assert relative_gap(gap_value(-4.0, 1e-3, 9.0), -4.0, 9.0) == pytest.approx(1e-3)
    assert relative_gap(np.array([1e-10, 0.0]), 1e-10, 2.0).tolist() == [0.0, pytest.approx(-1e-2)]
    assert relative_gap(np.array([2.0, 1e-8, 0.0]), 0.0, 2.0).tolist() == [1.0, 5e-9, 0.0]
    assert gap_value(0.0, 1e-8, 2.0) == 2e-8


def test_table_of_targets_at_several_levels(store):
    store.run.spec = "[report]\ntaus = [1e-3, 0.5]"
    for seed in (0, 1):
        store.add("p", "a", "numpy", [1.0, 0.5, 0.0], seed=seed)
        store.add("p", "b_c", "torch", [1.0, 0.5 - 0.5 * seed, 0.3], seed=seed, case={"kind": "peer"})
    frame = level_data(load(store, "demo"))
    assert list(dict.fromkeys(frame.tau)) == [0.5, 1e-3]
    assert len(frame) == 2 * 2 * 2
    everything, of_p = level_tables(frame)
    assert everything.heads == ("Solver", "Backend", "tau = 0.5", "tau = 0.001")
    assert everything.rows == (("a", "numpy", "2", "2"), ("b_c†", "torch", "2", "1"))
    assert of_p.rows == (("a", "numpy", "2", "3"), ("b_c†", "torch", "2", ""))
    lines = markdown([everything, of_p]).splitlines()
    assert "| b\\_c† | torch | 2 | 1 |" in lines
    assert r"  b\_c$^\dagger$ & torch & 2 & 1 \\" in latex([everything]).splitlines()


def test_no_levels_no_table(demo):
    frame = level_data(load(demo, "demo"))
    assert len(frame) == 0
    assert level_tables(frame) == []


def test_budgets(store):
    entry = 'problem = "p", solvers = ["a", "b"], gap = 1e-3, passes = 3'
    store.run.spec = f'[report]\nbudgets = [{{ {entry} }}, {{ {entry}, peers = ["d"] }}]'
    store.add("p", "a", "numpy", [10.0, 2.1, 2.002, 2.001], minimum=2.0)
    store.add("p", "a", "numpy", [10.0, 2.002], minimum=2.0, repeat=1)
    store.add("p", "b", "numpy", [10.0, 2.1, 2.003], minimum=2.0)
    store.add("p", "c", "numpy", [10.0, 2.001], minimum=2.0, case={"kind": "peer"})
    store.add("p", "d", "numpy", [10.0, 9.0], minimum=2.0, case={"kind": "peer"})
    frame = budget_data(load(store, "demo"))
    assert frame.solver.tolist() == ["a", "b"] * 2
    assert frame.passes.tolist() == [3, np.inf] * 2
    assert frame.met.tolist() == [True, False] * 2
    assert frame.peer.tolist() == ["c", "c", "", ""]
    table = budget_table(frame)
    assert table.rows[0] == ("a", "numpy", "p", "0.001", "3", "3", "2 (c)", "yes")
    assert table.rows[3] == ("b", "numpy", "p", "0.001", "not reached", "3", "", "no")
    assert "| a | numpy | p | 0.001 | 3 | 3 | 2 (c) | yes |" in markdown([table])
    store.run.spec = ""
    assert budget_table(budget_data(load(store, "demo"))) is None


def test_budgets_count_what_failed(store):
    budget = 'solvers = ["good", "flaky", "late", "lost", "elsewhere"], gap = 1e-3, passes = 9'
    store.run.spec = f'[report]\nbudgets = [{{ problem = "p", {budget} }}, {{ problem = "q", {budget} }}]'
    store.add("p", "good", "numpy", [10.0, 2.0], minimum=2.0)
    store.add("p", "flaky", "numpy", [10.0, 2.0], minimum=2.0)
    store.add("p", "flaky", "numpy", repeat=1, status="error")
    store.add("p", "late", "numpy", status="timeout")
    store.lose("p", "lost", "numpy")
    store.add("q", "good", "numpy", [10.0, 2.0])
    frame = budget_data(load(store, "demo"))
    of_p, of_q = (frame[frame.problem == name].set_index("solver") for name in "pq")
    assert of_p.met.to_dict() == {"good": True, "flaky": False, "late": False, "lost": False, "elsewhere": False}
    assert not of_q.met.any()
    cells = {row[:3:2]: row[4] for row in budget_table(frame).rows}
    assert [cells[name, "p"] for name in of_p.index] == ["2", "not reached", "not reached", "not reached", "not run"]
    assert cells["good", "q"] == "no known minimum"
