import numpy as np
import pytest

from nmdl_bench.report.frames import load
from nmdl_bench.report.ratios import ratio_data
from nmdl_bench.report.targets import with_targets


def ratios(store):
    data = load(store, "demo")
    return ratio_data(data, with_targets(data))


def test_ratio_is_the_median_over_pairs_of_one_round(store):
    for repeat, (a, b) in enumerate(((1.0, 0.5), (10.0, 4.0), (2.0, 1.2))):
        store.add("p", "s", "numpy", [1.0, 0.5], repeat=repeat, time=a)
        store.add("p", "s", "torch", [1.0, 0.5], repeat=repeat, time=b)
    (row,) = ratios(store).itertuples()
    assert (row.backend, row.reference, row.pairs) == ("torch", "numpy", 3)
    assert row.ratio == pytest.approx(0.5)  # of 0.5, 0.4, 0.6
    assert 0.4 <= row.low <= 0.5 <= row.high <= 0.6
    assert row.same_work


def test_repeats_of_different_sessions_are_no_pairs(store):
    store.add("p", "s", "numpy", [1.0, 0.5], session="s1")
    store.add("p", "s", "torch", [1.0, 0.5], session="s2")
    assert len(ratios(store)) == 0


def test_two_pairs_have_no_interval(store):
    for repeat in range(2):
        for library, time in (("numpy", 1.0), ("torch", 3.0)):
            store.add("p", "s", library, [1.0, 0.5], repeat=repeat, time=time)
    (row,) = ratios(store).itertuples()
    assert row.ratio == pytest.approx(3.0)
    assert np.isnan(row.low)


def test_different_work_is_told(store):
    store.add("p", "s", "numpy", [1.0, 0.5], passes=10.0)
    store.add("p", "s", "torch", [1.0, 0.5], passes=12.0)
    assert ratios(store).same_work.tolist() == [False]


@pytest.mark.parametrize("spoiled", [{"agrees": 0}, {"agrees": None}, {"status": "diverged"}, {"time": np.nan}])
def test_what_does_not_count_is_left_out(store, spoiled):
    store.add("p", "s", "numpy", [1.0, 0.5])
    store.add("p", "s", "torch", [1.0, 0.5], **spoiled)
    assert len(ratios(store)) == 0


def test_seeds_are_paired_with_themselves(store):
    for seed, (a, b) in enumerate(((1.0, 2.0), (100.0, 400.0))):
        store.add("p", "s", "numpy", [1.0, 0.5], seed=seed, time=a)
        store.add("p", "s", "torch", [1.0, 0.5], seed=seed, time=b)
    (row,) = ratios(store).itertuples()
    assert row.pairs == 2
    assert row.ratio == pytest.approx(np.sqrt(8.0))  # the middle of 2 and 4 is their geometric mean
