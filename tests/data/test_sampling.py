from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.data import from_arrays, from_parts
from nmdl_bench.data.sampling import check_count, check_real, part_sizes, stratified_split, streams


def test_streams_are_reproducible_and_independent() -> None:
    first, again, other = (streams(seed) for seed in (5, 5, 6))
    draws = [rng.random(8) for rng in first]
    assert all((a == b.random(8)).all() for a, b in zip(draws, again))
    assert all((a != b.random(8)).all() for a, b in zip(draws, other))
    assert len({tuple(d) for d in draws}) == 4
    plain = [np.random.Generator(np.random.Philox(child)).random(8) for child in np.random.SeedSequence(5).spawn(4)]
    assert all((a != b).all() for a, b in zip(draws, plain)), "streams of the same seed used elsewhere must differ"


def test_random_bits_are_those_of_always() -> None:
    assert streams(0).draw.integers(1 << 32, size=3).tolist() == [612613751, 3656665479, 3192612480]
    assert streams(0).split.permutation(10).tolist() == [1, 8, 3, 9, 6, 2, 4, 7, 0, 5]


@pytest.mark.parametrize("sizes", [[], [0], [7], [3, 5], [10, 20], [33], [1, 1, 1]])
def test_stratified_split_is_a_partition_with_class_shares(sizes: list[int]) -> None:
    labels = np.repeat([0, 1, 5], [20, 10, 3])
    subsets = stratified_split(labels, sizes, np.random.default_rng(1))
    assert [len(s) for s in subsets] == [*sizes, 33 - sum(sizes)]
    assert sorted(np.concatenate(subsets)) == list(range(33))
    rest = np.arange(33)
    for size, chosen in zip(sizes, subsets):
        for c in (0, 1, 5):
            share = size * (labels[rest] == c).sum() / len(rest)
            assert abs((labels[chosen] == c).sum() - share) < 1
        rest = np.setdiff1d(rest, chosen)


def test_stratified_split_shuffles_each_subset() -> None:
    labels = np.arange(4000) % 2
    for chosen in stratified_split(labels, [1000, 1000], np.random.default_rng(0)):
        ends = np.concatenate([labels[chosen][:20], labels[chosen][-20:]])
        assert 8 <= ends.sum() <= 32, "a run of one class at an end means that the subset is not in random order"
        assert abs(np.corrcoef(np.arange(len(chosen)), chosen)[0, 1]) < 0.1


def test_part_sizes() -> None:
    assert part_sizes(1797, None, None) == [1259, 179, 359]
    assert part_sizes(10, 0, 0) == [10, 0, 0]
    assert part_sizes(2800, None, None, (7, 7)) == [2000, 400, 400]
    with pytest.raises(
        ConfigurationError, match=r"n_validation = 6 and n_test = 4 leave nothing .* n = 10 .* at most 9"
    ):
        part_sizes(10, 6, 4)
    with pytest.raises(ConfigurationError, match="n_validation = -1 must be an integer of at least 0"):
        part_sizes(10, -1, 4)


@pytest.mark.parametrize("value", [-1, 1.0, "3", None, True, np.True_, float("nan")])
def test_counts_are_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"size = .* must be an integer of at least 0"):
        check_count("size", value)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "0.5", None, True, [1.0], 10**400])
def test_reals_are_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"noise = .* must be a finite number from 0"):
        check_real("noise", value)


def test_good_numbers_pass() -> None:
    assert check_count("n", np.int32(3)) == 3
    assert check_real("noise", 0) == 0.0
    assert check_real("noise", np.float32(0.5)) == 0.5
    with pytest.raises(ConfigurationError, match="turns = 0 must be a finite number above 0"):
        check_real("turns", 0, positive=True)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, True])
def test_seeds_are_refused(seed: object) -> None:
    with pytest.raises(ConfigurationError, match="seed = "):
        streams(seed)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------- from_arrays, from_parts
def test_standardised_by_the_training_part_alone() -> None:
    Y = np.random.default_rng(0).normal(3.0, [1.0, 10.0, 0.1], (200, 3))
    raw = from_arrays("mine", Y, np.arange(200) % 2, standardise=False)
    data = from_arrays("mine", Y, np.arange(200) % 2)
    mean, deviation = raw.train.Y.mean(axis=0), raw.train.Y.std(axis=0)
    for part, raw_part in zip((data.train, data.validation, data.test), (raw.train, raw.validation, raw.test)):
        assert part.labels is not None
        np.testing.assert_array_equal(part.labels, raw_part.labels)
        np.testing.assert_allclose(part.Y, (raw_part.Y - mean) / deviation, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(data.train.Y.std(axis=0), 1, rtol=1e-12)


def test_images_have_one_scale_a_channel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 2, 3, 4), dtype=np.uint8)
    images[:, 1] //= 8
    images[:, 0, 0, 0] = 0  # a pixel that never varies
    data = from_arrays("mine", images.reshape(50, -1), np.arange(50) % 5, image_shape=(2, 3, 4))
    standardised = data.train.Y.reshape(-1, 2, 12)
    np.testing.assert_allclose(standardised.mean(axis=(0, 2)), 0, atol=1e-13)
    np.testing.assert_allclose(standardised.std(axis=(0, 2)), 1, rtol=1e-12)
    assert data.features == 24
    assert data.image_shape == (2, 3, 4)


@pytest.mark.parametrize("value", [0.1, 0.0, -1e300, 1e-310])
def test_constant_features_become_zero(value: float) -> None:
    Y = np.full((30, 2), value)
    Y[:, 1] = np.arange(30)
    data = from_arrays("mine", Y, np.zeros(30, dtype=int))
    for part in (data.train, data.validation, data.test):
        assert (part.Y[:, 0] == 0).all()
        assert np.isfinite(part.Y).all()
    constant = from_parts("mine", [(np.ones((3, 4)), np.arange(3))] * 3, image_shape=(1, 2, 2))
    assert not constant.train.Y.any()


def test_empty_parts_and_a_single_sample() -> None:
    data = from_arrays("mine", np.array([[2.0, 3.0]]), np.array([0]), n_validation=0, n_test=0)
    assert data.train.Y.tolist() == [[0.0, 0.0]]
    assert data.validation.Y.shape == (0, 2)
    assert data.test.C.shape == (0, 1)
    assert data.test.labels is not None
    assert data.test.labels.shape == (0,)


def test_regression_targets_are_kept() -> None:
    Y = np.random.default_rng(0).random((40, 3))
    data = from_arrays("mine", Y, Y[:, :2] * 7, n_test=0, standardise=False)
    assert data.classes == 2
    assert data.train.labels is None
    np.testing.assert_array_equal(data.train.C, data.train.Y[:, :2] * 7)
    assert from_arrays("mine", Y, Y[:, 0]).train.C.shape == (28, 1)


def test_arrays_are_read_only_copies() -> None:
    Y, labels = np.random.default_rng(0).random((20, 2)), np.arange(20) % 2
    before = Y.copy()
    data = from_parts("mine", [(Y, labels)] * 3)
    np.testing.assert_array_equal(Y, before)
    for array in (data.train.Y, data.train.C, data.train.labels, data.test.Y):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    Y[0] = 7
    assert data.train.Y.max() < 7
    assert not np.shares_memory(data.train.Y, data.test.Y)


def test_subsets_keep_class_proportions() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 50])
    data = from_arrays("mine", np.arange(200.0)[:, None], labels, n=40, n_validation=4, n_test=8, standardise=False)
    sizes = [np.bincount(p.labels).tolist() for p in (data.train, data.validation, data.test) if p.labels is not None]
    assert sizes == [[14, 7, 7], [2, 1, 1], [4, 2, 2]]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "lengths": ({"Y": np.ones((3, 2)), "C": np.zeros(2, int)}, r"Y of shape \(3, 2\) and C of shape \(2,\)"),
    "flat": ({"Y": np.ones(3), "C": np.zeros(3, int)}, r"must be \(n, features\)"),
    "empty": ({"Y": np.ones((0, 2)), "C": np.zeros(0, int)}, "the same n of at least 1"),
    "no features": ({"Y": np.ones((9, 0)), "C": np.zeros(9, int)}, "number of features, at least one"),
    "negative label": ({"Y": np.ones((9, 2)), "C": np.full(9, -1), "classes": 2}, "labels must be .* from 0 to 1"),
    "large label": ({"Y": np.ones((9, 2)), "C": np.full(9, 2), "classes": 2}, "labels must be .* from 0 to 1"),
    "nan": ({"Y": np.full((9, 2), np.nan), "C": np.zeros(9, int)}, "must be finite"),
    "infinite target": ({"Y": np.ones((9, 2)), "C": np.full(9, np.inf)}, "must be finite"),
    "too many": (
        {"Y": np.ones((9, 2)), "C": np.zeros(9, int), "n": 10},
        "n = 10 is more than the 9 samples of data set",
    ),
    "none": ({"Y": np.ones((9, 2)), "C": np.zeros(9, int), "n": 0}, "n = 0 must be an integer of at least 1"),
    "image": ({"Y": np.ones((9, 2)), "C": np.zeros(9, int), "image_shape": (1, 2, 2)}, "product 2"),
    "standardise": (
        {"Y": np.ones((9, 2)), "C": np.zeros(9, int), "standardise": "no"},
        "standardise = 'no' must be true",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused(case: str) -> None:
    arguments, message = BAD[case]
    with pytest.raises(ConfigurationError, match=message):
        from_arrays("mine", **arguments)
