import numpy as np
import pytest

from nmdl_bench.contracts import HISTORY_COLUMNS
from nmdl_bench.report.frames import VALUE_COLUMNS, history_frame, load, results_frame


def test_one_row_a_repeat_with_flat_columns(demo):
    frame = results_frame(demo, "demo")
    assert len(frame) == 2 * 3 * 2 * 3
    assert {*VALUE_COLUMNS, "problem", "solver", "backend", "seed", "repeat", "accuracy_test"} <= set(frame.columns)
    assert frame.accuracy_validation.iloc[0] == pytest.approx(0.95)
    assert frame.agrees.dtype == "boolean"


def test_missing_values_are_nan(store):
    store.add("p", "a", "numpy", None, status="timeout", agrees=None, time=None)
    frame = results_frame(store, "demo")
    assert np.isnan(frame.time[0])
    assert np.isnan(frame.loss[0])
    assert frame.agrees.isna()[0]


def test_history_in_long_form(store):
    store.add("p", "a", "numpy", [4.0, 2.0, 1.0])
    store.add("p", "b", "numpy", [4.0, 3.0], repeat=1)
    store.add("p", "c", "numpy", None, status="error")
    frame = history_frame(store, "demo")
    assert len(frame) == 5
    assert frame.loss.tolist() == [4.0, 2.0, 1.0, 4.0, 3.0]
    assert frame.solver.tolist() == ["a"] * 3 + ["b"] * 2
    assert frame["repeat"].tolist() == [0, 0, 0, 1, 1]
    assert set(HISTORY_COLUMNS) <= set(frame.columns)


def test_history_of_nothing(store):
    store.add("p", "c", "numpy", None, status="error")
    assert len(history_frame(store, "demo")) == 0


@pytest.mark.parametrize(
    ("places", "labels"),
    [
        ([("numpy", "cpu", "float64"), ("torch", "cpu", "float64")], ["numpy", "torch"]),
        ([("torch", "cpu", "float64"), ("torch", "cuda:0", "float64")], ["torch:cpu", "torch:cuda:0"]),
        ([("jax", "cpu", "float32"), ("jax", "cpu", "float64")], ["jax float32", "jax float64"]),
        ([("cupy", "cuda:0", "float64")], ["cupy:cuda:0"]),
    ],
)
def test_backend_labels_are_the_shortest_that_differ(store, places, labels):
    for library, device, dtype in places:
        store.add(
            "p", "a", library, [1.0, 0.5], case={"device": device, "dtype": dtype, "key": library + device + dtype}
        )
    assert results_frame(store, "demo").backend.tolist() == labels


def test_cases_hold_the_missing_ones_in_the_experiments_order(store):
    store.add("p", "a", "numpy", [1.0, 0.5])
    store.lose("p", "b", "numpy")
    store.add("p", "c", "numpy", [1.0, 0.5])
    data = load(store, "demo")
    assert data.order("solver") == ["a", "b", "c"]
    assert len(data.missing) == 1
