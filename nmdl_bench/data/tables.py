"""Tables of measurements that scikit-learn ships: patients with diabetes, and breast masses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from nmdl_bench.contracts import DataError, UnavailableError
from nmdl_bench.data.dataset import Dataset, from_arrays


def diabetes(
    *,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """The 442 diabetes patients of Efron et al. (2004): 10 measurements each, and the disease's progression a year on.

    The target is shifted and scaled to mean 0 and standard deviation 1 over all patients.

    Parameters
    ----------
    n
        Patients in all; None for all.
    n_validation, n_test
        Patients of these parts; None for a tenth and a fifth of ``n`` (44 and 88, and 310 to train on).
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`.

    Raises
    ------
    UnavailableError
        If scikit-learn is not installed.
    """
    Y, c = _table("diabetes_data_raw.csv.gz", " ", 0, (442, 10)), _table("diabetes_target.csv.gz", " ", 0, (442,))
    C = ((c - c.mean()) / c.std())[:, None]
    return from_arrays(
        "diabetes", Y, C, seed=seed, n=n, n_validation=n_validation, n_test=n_test, standardise=standardise
    )


def breast_cancer(
    *,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """The 569 breast masses of Wolberg, Street and Mangasarian (1995): 30 measurements; target 1 where benign, else 0.

    The target is one number, for the loss ``binary-cross-entropy``.

    Parameters
    ----------
    n
        Masses in all; None for all.
    n_validation, n_test
        Masses of these parts; None for a tenth and a fifth of ``n`` (56 and 113, and 400 to train on).
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`.

    Raises
    ------
    UnavailableError
        If scikit-learn is not installed.
    """
    table = _table("breast_cancer.csv", ",", 1, (569, 31))
    return from_arrays(
        "breast-cancer", table[:, :-1], table[:, -1:], seed=seed, n=n, n_validation=n_validation, n_test=n_test,
        standardise=standardise,
    )  # fmt: skip


def _table(file: str, delimiter: str, header: int, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of a file that scikit-learn ships, read without importing it."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(
            'scikit-learn, which ships this data set, is not installed; install it with pip install "nmdl-bench[data]"'
        )
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / file
    try:
        table = np.loadtxt(path, delimiter=delimiter, skiprows=header)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); reinstall scikit-learn or try another version") from error
    if table.shape != shape:
        raise DataError(f"{path} holds a table of shape {table.shape}, expected {shape}; try another scikit-learn")
    return table
