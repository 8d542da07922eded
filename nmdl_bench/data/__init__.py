"""Data sets, drawn or read on the host as NumPy arrays, split in three parts and standardised by the training part.

Nothing is downloaded: data sets come from formulas (``synthetic``), from installed packages (``packaged``, ``tables``),
or from files in a folder that the user names (``files``). A data set of one's own is made by :func:`from_arrays`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from nmdl_bench.contracts import unknown
from nmdl_bench.data.dataset import Dataset, Part, from_arrays, from_parts
from nmdl_bench.data.files import cifar_10, fashion_mnist, mnist
from nmdl_bench.data.packaged import digits, mnist_5k
from nmdl_bench.data.synthetic import circles, ellipses, peaks, peaks_regression, spirals, swiss_roll
from nmdl_bench.data.tables import breast_cancer, diabetes

__all__ = ["DATA", "Dataset", "Part", "from_arrays", "from_parts", "load", "option_names"]

DATA: dict[str, Callable[..., Dataset]] = {
    "peaks": peaks,
    "peaks-regression": peaks_regression,
    "spirals": spirals,
    "circles": circles,
    "ellipses": ellipses,
    "swiss-roll": swiss_roll,
    "digits": digits,
    "mnist-5k": mnist_5k,
    "diabetes": diabetes,
    "breast-cancer": breast_cancer,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "cifar-10": cifar_10,
}
"""Data sets by name; the first line of each function's docstring describes it."""


def option_names(name: str) -> tuple[str, ...]:
    """Names of the options that data set ``name`` takes beside ``seed``.

    Raises
    ------
    UnknownNameError
        If there is no such data set.
    """
    if name not in DATA:
        raise unknown("data set", name, DATA)
    return tuple(option for option in inspect.signature(DATA[name]).parameters if option != "seed")


def load(name: str, *, seed: int = 0, **options: Any) -> Dataset:
    """Draw or read a data set.

    Parameters
    ----------
    name
        A key of :data:`DATA`.
    seed
        Seeds the draw, the noise and the split, each with a random stream of its own: the same arguments give the same
        arrays, and more noise does not change the split.
    **options
        What the function of that name in :data:`DATA` takes: ``n``, ``noise``, ``n_validation``, ``n_test``,
        ``standardise``, ``folder``, ...

    Returns
    -------
    Dataset
        Read-only float64 arrays, samples first.

    Raises
    ------
    UnknownNameError
        If the name or an option is not known.
    ConfigurationError
        If an option's value cannot work.
    DataError
        If a file is missing, truncated or not what its name says.
    UnavailableError
        If the package that ships the data is not installed.
    """
    known = option_names(name)
    for option in options:
        if option not in known:
            raise unknown(f"option of data set {name!r}:", option, known)
    return DATA[name](seed=seed, **options)
