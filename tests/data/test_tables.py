"""Tables that scikit-learn ships."""

from __future__ import annotations

import numpy as np
import pytest

from nmdl_bench.contracts import DataError, UnavailableError
from nmdl_bench.data import load, tables


def test_diabetes_is_scikit_learns() -> None:
    from sklearn.datasets import load_diabetes

    data = load("diabetes", standardise=False)
    assert [len(part.Y) for part in (data.train, data.validation, data.test)] == [310, 44, 88]
    assert (data.features, data.classes, data.train.labels) == (10, 1, None)
    Y, C = (np.concatenate([getattr(part, name) for part in (data.train, data.validation, data.test)]) for name in "YC")
    raw, target = load_diabetes(return_X_y=True, scaled=False)
    at, there = np.lexsort(Y.T), np.lexsort(raw.T)
    np.testing.assert_array_equal(Y[at], raw[there])
    np.testing.assert_allclose(C[at, 0], ((target - target.mean()) / target.std())[there], rtol=1e-13)


def test_breast_cancer_is_scikit_learns() -> None:
    from sklearn.datasets import load_breast_cancer

    data = load("breast-cancer", standardise=False)
    assert [len(part.Y) for part in (data.train, data.validation, data.test)] == [400, 56, 113]
    assert (data.features, data.classes) == (30, 1)
    Y, C = (np.concatenate([getattr(part, name) for part in (data.train, data.validation, data.test)]) for name in "YC")
    raw, target = load_breast_cancer(return_X_y=True)
    at, there = np.lexsort(Y.T), np.lexsort(raw.T)
    np.testing.assert_array_equal(Y[at], raw[there])
    np.testing.assert_array_equal(C[at, 0], target[there])


@pytest.mark.parametrize("name", ["diabetes", "breast-cancer"])
def test_training_parts_are_standardised(name: str) -> None:
    Y = load(name, seed=3).train.Y
    np.testing.assert_allclose(Y.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(Y.std(axis=0), 1, rtol=1e-12)


def test_what_is_missing_or_other_than_expected_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no-such-file\.csv cannot be read"):
        tables._table("no-such-file.csv", ",", 0, (1, 1))
    with pytest.raises(DataError, match=r"holds a table of shape \(569, 31\), expected \(1, 1\)"):
        tables._table("breast_cancer.csv", ",", 1, (1, 1))
    monkeypatch.setattr(tables.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="scikit-learn, which ships this data set, is not installed"):
        load("diabetes")
