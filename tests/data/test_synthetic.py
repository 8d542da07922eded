from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.data import DATA, Dataset, Part, load, option_names
from nmdl_bench.data.synthetic import peaks_function

SYNTHETIC = ("peaks", "spirals", "circles", "ellipses", "swiss-roll")
RANDOM_SPLIT = ("spirals", "circles", "ellipses")


def parts(data: Dataset) -> tuple[Part, Part, Part]:
    return data.train, data.validation, data.test


def labels(part: Part) -> np.ndarray:
    assert part.labels is not None
    return part.labels


@pytest.mark.parametrize("name", SYNTHETIC)
def test_same_arguments_give_the_same_bits(name: str) -> None:
    first, again, other = (load(name, seed=seed, noise=0.1) for seed in (4, 4, 5))
    for a, b, c in zip(parts(first), parts(again), parts(other)):
        assert a.Y.tobytes() == b.Y.tobytes()
        assert a.C.tobytes() == b.C.tobytes()
        assert labels(a).tobytes() == labels(b).tobytes()
        assert (a.Y != c.Y).any()


@pytest.mark.parametrize("name", SYNTHETIC)
def test_shapes_types_and_one_hot(name: str) -> None:
    data = load(name)
    assert data.name == name
    assert data.features == 2
    assert data.image_shape is None
    for part in parts(data):
        n = len(part.Y)
        assert (part.Y.shape, part.C.shape, labels(part).shape) == ((n, 2), (n, data.classes), (n,))
        assert (part.Y.dtype, part.C.dtype, labels(part).dtype) == (np.float64, np.float64, np.int64)
        np.testing.assert_array_equal(part.C, np.eye(data.classes)[labels(part)])
        assert not any(array.flags.writeable for array in part if array is not None)
        counts = np.bincount(labels(part), minlength=data.classes)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_allclose(data.train.Y.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(data.train.Y.std(axis=0), 1, rtol=1e-12)


# What seed 3 gives. Labels and order are exact; coordinates may differ in the last digits between processors, whose
# sines and exponentials are rounded differently.
REFERENCE = {
    "peaks": (
        [5600, 800, 1600],
        [3, 1, 0, 1, 3, 3, 2, 4, 1, 4, 3, 0],
        [2, 1, 2, 0, 4, 2, 2, 2, 0, 3, 4, 3],
        [0.8640416329013655, 0.9136421155092694],
        [1.4742995743267866, -1.2891690747228797],
    ),
    "spirals": (
        [700, 100, 200],
        [1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
        [0.6806308687123362, 0.3480274901778212],
        [1.551937111741471, -1.1983835175548632],
    ),
    "circles": (
        [2000, 400, 400],
        [1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1],
        [1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0],
        [-1.916292308751525, -1.6778262603642462],
        [1.140233093861637, 0.3860630093301955],
    ),
    "swiss-roll": (
        [514, 512, 1024],
        [0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1],
        [1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0],
        [0.9230787804192042, 0.04570163801947543],
        [-1.8927938446875308, -0.8258925676049861],
    ),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_seed_3_gives_what_it_always_gave(name: str) -> None:
    sizes, train_labels, test_labels, train_first, test_first = REFERENCE[name]
    data = load(name, seed=3, noise=0.05)
    assert [len(part.Y) for part in parts(data)] == sizes
    assert labels(data.train)[:12].tolist() == train_labels
    assert labels(data.test)[:12].tolist() == test_labels
    np.testing.assert_allclose(data.train.Y[0], train_first, rtol=1e-11)
    np.testing.assert_allclose(data.test.Y[0], test_first, rtol=1e-11)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_noise_changes_neither_draw_nor_split(name: str) -> None:
    clean, noisy, noisier = (load(name, seed=1, noise=noise, standardise=False) for noise in (0, 0.01, 0.02))
    for a, b, c in zip(parts(clean), parts(noisy), parts(noisier)):
        np.testing.assert_array_equal(labels(a), labels(b))
        np.testing.assert_allclose(c.Y - a.Y, 2 * (b.Y - a.Y), rtol=1e-9, atol=1e-12)
        assert 0.005 < (b.Y - a.Y).std() < 0.015


@pytest.mark.parametrize("name", RANDOM_SPLIT)
def test_parts_are_a_partition(name: str) -> None:
    small = load(name, n=60, seed=2, standardise=False)
    resplit = load(name, n=60, n_validation=1, n_test=30, seed=2, standardise=False)
    points = np.concatenate([part.Y for part in parts(small)])
    assert len(np.unique(points, axis=0)) == 60
    np.testing.assert_array_equal(
        np.unique(points, axis=0), np.unique(np.concatenate([part.Y for part in parts(resplit)]), axis=0)
    )


def test_peaks_follow_the_course() -> None:
    data = load("peaks", n=8004, n_validation=1001, n_test=0, standardise=False)
    assert [len(part.Y) for part in parts(data)] == [7005, 1005, 0]
    axis = np.linspace(-3, 3, 256)
    values = np.array([[peaks_function(x, y) for x in axis] for y in axis])
    h = (values.max() - values.min()) / 5
    for part in (data.train, data.validation):
        nodes = (part.Y + 3) * 255 / 6
        np.testing.assert_allclose(nodes, np.round(nodes), atol=1e-9)
        column, row = np.round(nodes).astype(int).T
        expected = np.clip(np.ceil((values[row, column] - values.min()) / h) - 1, 0, 4)
        np.testing.assert_array_equal(labels(part), expected)
    # the extremes of the surface: about 8.1 at (0, 1.6), -6.5 at (0.2, -1.6)
    assert peaks_function(np.array(-0.0093), np.array(1.5814)) == pytest.approx(8.1062, abs=1e-4)
    assert peaks_function(np.array(0.2283), np.array(-1.6255)) == pytest.approx(-6.5511, abs=1e-4)


@pytest.mark.parametrize(("arms", "turns"), [(2, 1.5), (5, 0.7)])
def test_spirals_lie_on_their_arms(arms: int, turns: float) -> None:
    data = load("spirals", n=503, arms=arms, turns=turns, standardise=False)
    assert data.classes == arms
    assert sum(len(part.Y) for part in parts(data)) == 503
    for part in parts(data):
        r = np.hypot(*part.Y.T)
        phase = np.arctan2(part.Y[:, 1], part.Y[:, 0]) / (2 * math.pi) - turns * r - labels(part) / arms
        np.testing.assert_allclose(phase, np.round(phase), atol=1e-12)
        assert 0.1 <= r.min() <= r.max() <= 1


@pytest.mark.parametrize("name", ["circles", "ellipses"])
def test_ellipses_follow_the_course(name: str) -> None:
    data = load(name, standardise=False)
    assert [np.bincount(labels(part)).tolist() for part in parts(data)] == [[1000, 1000], [200, 200], [200, 200]]
    for part in parts(data):
        r = np.hypot(part.Y[:, 0], part.Y[:, 1] / 0.4)
        np.testing.assert_array_equal(np.floor(r), labels(part))
    r = np.hypot(data.train.Y[:, 0], data.train.Y[:, 1] / 0.4) - labels(data.train)
    assert np.abs(np.quantile(r, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.05
    round_one = load(name, aspect=1, standardise=False)
    np.testing.assert_allclose(round_one.train.Y[:, 1] * 0.4, data.train.Y[:, 1], rtol=1e-12)


def test_swiss_roll_follows_the_course() -> None:
    data = load("swiss-roll", standardise=False)
    assert [len(part.Y) for part in parts(data)] == [514, 512, 1024]
    for part, first in ((data.train, 0), (data.validation, 1)):
        t = np.hypot(*part.Y.T) - 0.2 * labels(part)
        for c in (0, 1):
            np.testing.assert_allclose(np.sort(t[labels(part) == c]) * 512, np.arange(first, 513, 2), atol=1e-10)
        expected = (t + 0.2 * labels(part))[:, None] * np.stack([np.cos(4 * np.pi * t), np.sin(4 * np.pi * t)], axis=1)
        np.testing.assert_allclose(part.Y, expected, atol=1e-12)
    between = np.sort((np.hypot(*data.test.Y.T) - 0.2 * labels(data.test))[labels(data.test) == 0]) * 512
    np.testing.assert_array_equal(np.floor(between), np.arange(512))
    assert (load("swiss-roll", seed=1, standardise=False).test.Y != data.test.Y).any()
    assert [len(part.Y) for part in parts(load("swiss-roll", n=3))] == [4, 2, 4]


REFUSED = [
    ("peaks", {"n": 4}, "n = 4 must be an integer of at least 5"),
    ("spirals", {"n": 1}, "n = 1 must be an integer of at least 2"),
    ("spirals", {"arms": 1}, "arms = 1 must be an integer of at least 2"),
    ("spirals", {"n": 3, "arms": 4}, "n = 3 must be an integer of at least 4"),
    ("spirals", {"turns": -1.0}, "turns = -1.0 must be a finite number above 0"),
    ("circles", {"n": 0}, "n = 0 must be an integer of at least 2"),
    ("ellipses", {"aspect": 0}, "aspect = 0 must be a finite number above 0"),
    ("swiss-roll", {"n": 2}, "n = 2 must be an integer of at least 3"),
    *((name, {"noise": -0.1}, "noise = -0.1 must be a finite number from 0") for name in SYNTHETIC),
    *((name, {"noise": float("nan")}, "noise = nan must be") for name in SYNTHETIC),
    *((name, {"n": 1e3}, "n = 1000.0 must be an integer") for name in SYNTHETIC),
    *((name, {"seed": -1}, "seed = -1 must be an integer of at least 0") for name in SYNTHETIC),
    *((name, {"n": 20, "n_validation": 12, "n_test": 8}, "leave nothing to train on") for name in RANDOM_SPLIT),
    ("peaks", {"n": 20, "n_validation": 12, "n_test": 8}, "leave nothing to train on"),
]


def test_peaks_to_be_regressed_are_uniform_points_with_the_functions_values() -> None:
    data = load("peaks-regression", n=2000, seed=3, standardise=False)
    assert [len(part.Y) for part in (data.train, data.validation, data.test)] == [1400, 200, 400]
    assert (data.features, data.classes, data.train.labels) == (2, 1, None)
    for part in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(part.C[:, 0], peaks_function(part.Y[:, 0], part.Y[:, 1]))
    Y = data.train.Y
    assert -3 <= Y.min() < -2.99 < 2.99 < Y.max() <= 3
    np.testing.assert_allclose(Y.mean(axis=0), 0, atol=4 * np.sqrt(3 / 1400))
    np.testing.assert_allclose(Y.var(axis=0), 3, rtol=0.1)
    noisy = load("peaks-regression", n=2000, seed=3, standardise=False, noise=0.5)
    assert np.std(noisy.train.C - data.train.C) == pytest.approx(0.5, rel=0.1)
    np.testing.assert_array_equal(noisy.test.C, data.test.C)
    scaled = load("peaks-regression", n=2000, seed=3)
    np.testing.assert_allclose(scaled.train.Y.std(axis=0), 1)
    np.testing.assert_array_equal(scaled.train.C, data.train.C)


@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
def test_bad_options_are_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(name, **options)  # type: ignore[arg-type]


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="unknown data set 'spiral'; did you mean 'spirals'"):
        load("spiral")
    with pytest.raises(UnknownNameError, match="unknown option of data set 'spirals': 'arm'; did you mean 'arms'"):
        load("spirals", arm=3)
    with pytest.raises(UnknownNameError, match="unknown option of data set 'digits': 'noise'"):
        load("digits", noise=0.1)


def test_every_data_set_has_options_and_a_one_line_summary() -> None:
    for name, make in DATA.items():
        assert {"n", "standardise"} <= set(option_names(name))
        assert "seed" not in option_names(name)
        summary = (make.__doc__ or "").splitlines()[0]
        assert 20 < len(summary) <= 120
        assert summary.endswith(".")


def test_import_is_light() -> None:
    code = (
        "import sys, nmdl_bench.data; print([m for m in ('sklearn', 'mlxtend', 'pandas', 'scipy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
