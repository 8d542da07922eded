import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmdl_bench.report.labels import spread_labels


def test_labels_that_fit_stay_where_they_are():
    assert spread_labels(np.array([3.0, 1.0]), 0.5, 0.0, 4.0) == pytest.approx([3.0, 1.0])


def test_two_equal_wishes_move_apart_by_half_each():
    assert spread_labels(np.array([2.0, 2.0]), 1.0, 0.0, 4.0) == pytest.approx([1.5, 2.5])


def test_a_pushed_pool_takes_its_mean():
    # wishes 0, 0, 1 at distance 1 inside [-5, 5]: z = y - (0, 1, 2) = (0, -1, -1) pools to -2/3
    assert spread_labels(np.array([0.0, 0.0, 1.0]), 1.0, -5.0, 5.0) == pytest.approx([-2 / 3, 1 / 3, 4 / 3])


def test_labels_stay_inside_the_axis():
    assert spread_labels(np.array([0.0, 0.0]), 1.0, 0.0, 3.0) == pytest.approx([0.5, 1.5])


def test_too_many_labels_overflow_on_both_sides_alike():
    assert spread_labels(np.zeros(4), 1.0, 0.0, 2.0) == pytest.approx([-0.5, 0.5, 1.5, 2.5])


def test_none():
    assert len(spread_labels(np.array([]), 1.0, 0.0, 1.0)) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1.0, 2.0), min_size=1, max_size=20))
def test_no_overlap_and_order_kept(wanted):
    at = spread_labels(np.array(wanted), 0.1, 0.0, 1.0)
    order = np.argsort(wanted, kind="stable")
    assert np.all(np.diff(at[order]) >= 0.1 - 1e-9)
