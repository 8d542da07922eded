import numpy as np
import pytest

from nmdl_bench.contracts import HISTORY_COLUMNS
from nmdl_bench.runs.agreement import Start, agrees, deviation


def history(losses, iterations=None):
    table = np.zeros((len(losses), len(HISTORY_COLUMNS)))
    table[:, HISTORY_COLUMNS.index("iteration")] = range(len(losses)) if iterations is None else iterations
    table[:, HISTORY_COLUMNS.index("loss")] = losses
    return table


G = np.array([3.0, 4.0])


def test_largest_of_value_gradient_and_losses():
    reference = Start(2.0, G)
    assert deviation(reference, None, reference) == 0.0
    assert deviation(Start(2.02, G), None, reference) == pytest.approx(0.01)
    assert deviation(Start(2.0, G + np.array([0.0, 0.5])), None, reference) == pytest.approx(0.1)
    assert deviation(reference, history([4, 2, 1.4]), reference, history([4, 2, 1])) == pytest.approx(0.1)


def test_only_the_first_rows_of_equal_iterations_count():
    reference = Start(2.0, G)
    assert deviation(reference, history([4, 3, 2, 1, 0.5, 9]), reference, history([4, 3, 2, 1, 0.5, 0.4])) == 0.0
    assert deviation(reference, history([4, 1], [0, 10]), reference, history([4, 2], [0, 5])) == 0.0
    assert deviation(reference, history([4]), reference, None) == 0.0


def test_losses_near_zero_are_held_against_the_largest():
    reference = Start(1.0, G)
    assert deviation(reference, history([1, 1e-30]), reference, history([1, 5e-29])) < 1e-15
    assert deviation(reference, history([0.0]), reference, history([0.0])) == 0.0


def test_what_is_not_finite_or_has_another_shape_does_not_agree():
    reference = Start(2.0, G)
    for other in (Start(float("nan"), G), Start(2.0, G * np.nan), Start(2.0, np.ones(3)), Start(float("inf"), G)):
        assert not agrees(deviation(other, None, reference), "float32")
    assert not agrees(deviation(reference, history([1, np.nan]), reference, history([1, 2])), "float32")


def test_tolerances():
    assert agrees(1e-9, "float64")
    assert not agrees(1.1e-9, "float64")
    assert agrees(1e-3, "float32")
    assert not agrees(1.1e-3, "float32")
