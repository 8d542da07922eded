import numpy as np
import pytest

from nmdl_bench.report.frames import load
from nmdl_bench.report.summary import choose_metric, summarise
from nmdl_bench.report.words import failures, overview, verdicts


def summary_of(store):
    return summarise(load(store, "demo"))


def row(summary, solver, backend="numpy"):
    frame = summary.frame
    return frame[(frame.solver == solver) & (frame.backend == backend)].iloc[0]


def test_median_over_repeats_then_seeds_with_the_spread(store):
    for seed, loss in enumerate((0.1, 0.2, 0.6)):
        for repeat, time in enumerate((1.0, 2.0, 9.0)):
            store.add("p", "a", "numpy", [1.0, loss], seed=seed, repeat=repeat, time=time + seed)
    found = row(summary_of(store), "a")
    assert (found.loss, found.loss_low, found.loss_high) == (0.2, 0.1, 0.6)
    assert (found.time, found.time_low, found.time_high) == (3.0, 2.0, 4.0)
    assert (found.seeds, found.repeats, found.solved) == (3, 3, 3)


def test_the_best_of_each_column_is_marked(store):
    converged = {"status": "converged"}
    store.add("p", "fast", "numpy", [1.0, 0.05], step_time=0.1, metrics={"accuracy_test": 0.90}, **converged)
    store.add("p", "exact", "numpy", [1.0, 0.5, 0.0], step_time=0.2, metrics={"accuracy_test": 0.95}, **converged)
    summary = summary_of(store)
    fast, exact = row(summary, "fast"), row(summary, "exact")
    assert fast.best_target_time
    assert fast.best_iterations
    assert not exact.best_target_time
    assert exact.best_loss
    assert not fast.best_loss
    assert exact.best_accuracy_test
    assert not fast.best_accuracy_test


def test_times_that_cannot_be_told_apart_tie(store):
    for solver, times in (("a", (1.0, 1.1, 1.2)), ("b", (1.15, 1.25, 1.2)), ("c", (2.0, 2.0, 2.0))):
        for repeat, time in enumerate(times):
            store.add("p", solver, "numpy", [1.0, 0.0], repeat=repeat, step_time=time)
    summary = summary_of(store)  # a: median 1.1, deviation 0.1, so up to 1.1 + 0.2 is a tie
    assert [bool(row(summary, s).best_target_time) for s in "abc"] == [True, True, False]


def test_values_that_print_alike_tie(store):
    store.add("p", "a", "numpy", [1.0, 0.100001])
    store.add("p", "b", "numpy", [1.0, 0.100002])
    store.add("p", "c", "numpy", [1.0, 0.11])
    summary = summary_of(store)
    assert [bool(row(summary, s).best_loss) for s in "abc"] == [True, True, False]


def test_a_time_that_does_not_agree_is_never_the_best(store):
    store.add("p", "a", "numpy", [1.0, 0.0], step_time=1.0)
    store.add("p", "b", "numpy", [1.0, 0.0], step_time=2.0)
    store.add("p", "a", "jax", [1.0, 0.0], step_time=0.1, agrees=0)
    summary = summary_of(store)
    assert row(summary, "a").best_target_time
    wrong = row(summary, "a", "jax")
    assert not any(wrong[f"best_{c.name}"] for c in summary.columns)
    assert wrong.target_time == pytest.approx(0.1)  # shown all the same


def test_stopping_early_is_not_the_best_number_of_iterations(store):
    store.add("p", "quits", "numpy", [1.0, 0.9], status="max_iterations")
    store.add("p", "a", "numpy", [1.0, 0.5, 0.0], status="converged")
    store.add("p", "b", "numpy", [1.0, 0.6, 0.5, 0.0], status="converged")
    summary = summary_of(store)
    assert [bool(row(summary, s).best_iterations) for s in ("quits", "a", "b")] == [False, True, False]


def test_failed_runs_are_never_the_best(store):
    store.add("p", "a", "numpy", [1.0, 0.3])
    store.add("p", "b", "numpy", [1.0, 0.4])
    store.add("p", "c", "numpy", [1.0, 0.1], status="diverged", reason="loss is inf")
    summary = summary_of(store)
    assert row(summary, "a").best_loss
    assert not row(summary, "c").best_loss


def test_one_alone_is_not_called_the_best(store):
    store.add("p", "a", "numpy", [1.0, 0.3])
    summary = summary_of(store)
    assert not any(row(summary, "a")[f"best_{c.name}"] for c in summary.columns)


def test_a_target_missed_by_half_of_the_seeds_has_no_median_time(store):
    for seed in range(4):
        store.add("p", "good", "numpy", [1.0, 0.0], seed=seed)
        store.add("p", "half", "numpy", [1.0, 0.0 if seed % 2 else 0.9], seed=seed)
    half = row(summary_of(store), "half")
    assert np.isnan(half.target_time)
    assert (half.solved, half.seeds, half.reached) == (2, 4, False)


def test_mixed_statuses_are_counted(store):
    for seed, status in enumerate(("converged", "converged", "stalled")):
        store.add("p", "a", "numpy", [1.0, 0.5], seed=seed, status=status)
    assert row(summary_of(store), "a").status == "converged 2/3"


def test_metric_is_the_one_asked_for_or_the_first_accuracy(demo):
    assert choose_metric(load(demo, "demo")) == "accuracy_validation"
    demo.run.spec = '[report]\nmetric = "accuracy_test"'
    assert choose_metric(load(demo, "demo")) == "accuracy_test"


def test_a_metric_that_nobody_measured_is_warned_of(demo):
    demo.run.spec = '[report]\nmetric = "foo"'
    with pytest.warns(UserWarning, match=r"metric 'foo' was not measured; accuracies: accuracy_validation"):
        assert choose_metric(load(demo, "demo")) == "accuracy_validation"


def test_no_metric_no_column(store):
    store.add("p", "a", "numpy", [1.0, 0.5])
    summary = summary_of(store)
    assert summary.metric is None
    assert "accuracy_validation" not in [c.name for c in summary.columns]


def test_sentences(demo):
    demo.lose("digits", "newton", "numpy")
    demo.add("digits", "newton", "torch", None, status="timeout", reason="exceeded 60 s", agrees=None)
    demo.add("spirals", "newton", "torch", [2.0, 1.0], agrees=0, agreement=0.5)
    data = load(demo, "demo")
    assert overview(data) == (
        "4 solvers (1 peer) on 2 problems and 2 backends (numpy and torch; float64), 1 seed, 3 repeats: 15 cases, "
        "14 measured, 1 of them failed, 1 without a result yet."
    )
    said = dict(verdicts(summarise(data)))
    # lbfgs halves the loss each step: 4 steps to under a tenth, at 0.01 s each on torch
    assert (
        said["spirals"]
        == "lbfgs on torch met the target first, in 0.0400 s; lbfgs with the fewest passes over the data, 5."
    )
    table = failures(data)
    assert list(table.what) == ["timeout", "disagrees", "missing"] or set(table.what) == {
        "timeout",
        "disagrees",
        "missing",
    }
    assert "0.5" in table.reason[table.what == "disagrees"].iloc[0]


def test_the_verdict_does_not_hide_compilation(store):
    store.add("p", "a", "numpy", [1.0, 0.0], step_time=1.0)
    store.add("p", "a", "jax", [1.0, 0.0], step_time=0.5, compile_time=7.0)
    ((_, said),) = verdicts(summary_of(store))
    assert said.startswith("a on jax met the target first, in 0.500 s, besides 7.00 s of compilation;")
