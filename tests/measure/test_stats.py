import numpy as np
import pytest

from nmdl_bench.measure.stats import pair, paired_ratio, spread


def test_spread_of_known_numbers():
    found = spread([4.0, 1.0, 3.0, 2.0, 5.0, float("nan"), float("inf")])
    assert (found.n, found.median, found.q25, found.q75, found.low, found.high) == (5, 3.0, 2.0, 4.0, 1.0, 5.0)
    assert found.iqr == 2.0
    assert spread([]).n == 0
    assert np.isnan(spread([]).median)


def test_constant_ratio_is_exact():
    b = np.arange(1.0, 11.0)
    found = paired_ratio(2 * b, b)
    assert (found.n, found.coverage) == (10, 0.95)
    np.testing.assert_allclose([found.value, found.low, found.high], 2.0, rtol=1e-14)


@pytest.mark.parametrize("statistic", ["median", "geometric mean"])
def test_pairing_removes_what_both_share(statistic):
    rng = np.random.default_rng(0)
    drift = np.exp(rng.standard_normal(30))  # the machine's, by factors of several
    a, b = 1.1 * drift * (1 + 0.001 * rng.standard_normal(30)), drift
    found = paired_ratio(a, b, statistic=statistic)
    assert 1.098 < found.low < found.value < found.high < 1.102
    assert found.not_slower() is False
    assert paired_ratio(b, a, statistic=statistic).not_slower() is True


def test_ratio_of_swapped_samples_is_the_inverse():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(1, 2, 8), rng.uniform(1, 2, 8)
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert there.value == pytest.approx(1 / back.value, rel=1e-14)
    assert there.low == pytest.approx(1 / back.high, rel=0.02)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_pairs_give_no_interval(n):
    found = paired_ratio([2.0] * n, [1.0] * n)
    assert found.n == n
    assert np.isnan(found.low)
    assert np.isnan(found.high)
    assert found.not_slower() is None
    assert found.coverage == 0.0
    assert np.isnan(found.value) if n == 0 else found.value == pytest.approx(2.0)


def test_three_pairs_span_their_range_and_say_what_that_covers():
    found = paired_ratio([1.0, 2.0, 4.0], [1.0, 1.0, 1.0])
    assert (found.low, found.value, found.high) == pytest.approx((1.0, 2.0, 4.0))
    assert found.coverage == 0.75


def test_values_that_cannot_be_compared_are_left_out():
    found = paired_ratio([1, 2, 3, np.nan, 0.0, -1.0], [1, 2, 3, 1, 1, 1])
    assert found.n == 3
    assert found.value == 1.0


def test_equal_input_gives_an_equal_interval():
    rng = np.random.default_rng(2)
    a, b = rng.uniform(1, 2, 9), rng.uniform(1, 2, 9)
    assert paired_ratio(a, b).as_dict() == paired_ratio(a, b).as_dict()
    assert paired_ratio(a, b, seed=1).low != paired_ratio(a, b, statistic="geometric mean").low


@pytest.mark.parametrize(
    ("n", "statistic"), [(5, "geometric mean"), (10, "geometric mean"), (10, "median"), (30, "median")]
)
def test_interval_covers_as_often_as_it_says(n, statistic):
    rng = np.random.default_rng(3)
    trials, hits = 400, 0
    for _ in range(trials):
        found = paired_ratio(np.exp(0.1 * rng.standard_normal(n)), np.ones(n), statistic=statistic, resamples=500)
        hits += found.low <= 1.0 <= found.high
    # three standard errors of a proportion below the level that it claims
    assert hits / trials > found.coverage - 3 * np.sqrt(0.05 * 0.95 / trials)
    assert hits / trials < 0.998


@pytest.mark.parametrize("n", [12, 40])
def test_interval_of_a_mean_is_students_where_that_is_exact(n):
    from scipy import stats

    logs = stats.norm.ppf((np.arange(n) + 0.5) / n)  # a sample that looks normal
    found = paired_ratio(np.exp(logs), np.ones(n), statistic="geometric mean", resamples=100_000)
    half = stats.t.ppf(0.975, n - 1) * logs.std(ddof=1) / np.sqrt(n)
    assert np.log([found.low, found.high]) == pytest.approx([-half, half], rel=0.05)


def test_unequal_lengths_and_unknown_statistic_are_refused():
    with pytest.raises(ValueError, match="one length"):
        paired_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="unknown statistic 'mode'"):
        paired_ratio([1.0], [1.0], statistic="mode")


def test_pairs_are_the_common_keys():
    a, b = pair({"x": 1.0, "y": 2.0, "z": 3.0}, {"z": 30.0, "x": 10.0, "w": 0.0})
    assert (a.tolist(), b.tolist()) == ([1.0, 3.0], [10.0, 30.0])
