"""Random streams, sizes of parts, and stratified splits."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import ConfigurationError

# Marks this package's data streams, so that they are independent of any other use of the same seed (initial weights,
# batches).
STREAM_KEY = 0x64617461


class Streams(NamedTuple):
    """Independent random streams of one seed, so that what one of them draws does not change the others."""

    draw: np.random.Generator
    noise: np.random.Generator
    split: np.random.Generator
    test: np.random.Generator


def streams(seed: int) -> Streams:
    """Philox generators for drawing, noise, splitting and the test part.

    Raises
    ------
    ConfigurationError
        If the seed is not an integer from 0.
    """
    root = np.random.SeedSequence(check_count("seed", seed), spawn_key=(STREAM_KEY,))
    return Streams(*(np.random.Generator(np.random.Philox(child)) for child in root.spawn(4)))


def check_count(option: str, value: Any, minimum: int = 0) -> int:
    """``value`` as an integer of at least ``minimum``, or a :class:`ConfigurationError`."""
    try:
        count = operator.index(value)
    except TypeError:
        count = minimum - 1
    if count < minimum or isinstance(value, (bool, np.bool_)):
        raise ConfigurationError(f"{option} = {value!r} must be an integer of at least {minimum}")
    return count


def check_real(option: str, value: Any, *, positive: bool = False) -> float:
    """``value`` as a finite float from 0 (above 0 where ``positive``), or a :class:`ConfigurationError`."""
    number = math.nan if isinstance(value, (bool, np.bool_, str, bytes)) else _as_float(value)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise ConfigurationError(f"{option} = {value!r} must be a finite number {'above' if positive else 'from'} 0")
    return number


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def part_sizes(n: int, n_validation: int | None, n_test: int | None, fractions: tuple[int, int] = (10, 5)) -> list[int]:
    """Sizes of the training, validation and test part of ``n`` samples.

    Parameters
    ----------
    n
        Samples in all.
    n_validation, n_test
        Samples of these parts; None for a tenth and a fifth of ``n``, rounded down.
    fractions
        The default divisors of ``n``: validation, test.

    Raises
    ------
    ConfigurationError
        If a size is negative or no integer, or nothing is left to train on.
    """
    validation = n // fractions[0] if n_validation is None else check_count("n_validation", n_validation)
    test = n // fractions[1] if n_test is None else check_count("n_test", n_test)
    train = n - validation - test
    if train < 1:
        raise ConfigurationError(
            f"n_validation = {validation} and n_test = {test} leave nothing to train on of n = {n} samples; "
            f"their sum must be at most {n - 1}"
        )
    return [train, validation, test]


def stratified_split(labels: np.ndarray, sizes: list[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Indices of random disjoint subsets with the class proportions of the whole, and of the rest.

    Every class gives its proportional share to every subset; shares are rounded by largest remainders (ties go to
    the lower class), so that a subset has the exact size and each class is within one of its share of what was left.

    Parameters
    ----------
    labels
        Classes (n,).
    sizes
        Subset sizes, of at most n together.
    rng
        Draws the permutation from which the subsets are taken, and the order of each.

    Returns
    -------
    list of np.ndarray
        Index arrays of the given sizes, then one with the remaining samples.
    """
    order = rng.permutation(len(labels))
    subsets = []
    for size in sizes:
        classes, inverse, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
        share, remainder = np.divmod(size * counts, max(len(order), 1))  # in integers: exact on every machine
        share[np.argsort(-remainder, kind="stable")[: size - share.sum()]] += 1
        taken = np.zeros(len(order), dtype=bool)
        for c in range(len(classes)):
            taken[np.flatnonzero(inverse == c)[: share[c]]] = True
        subsets.append(order[taken])
        order = order[~taken]
    # Shuffled once more: where one class has its share before another, the subset ends, and the next begins, with a
    # run of one class.
    return [rng.permutation(indices) for indices in [*subsets, order]]


def subset(name: str, labels: np.ndarray, n: int | None, rng: np.random.Generator, option: str = "n") -> np.ndarray:
    """Indices of ``n`` random samples with the class proportions of ``labels``; all in order for None.

    Raises
    ------
    ConfigurationError
        If ``n`` is more than there are, or not an integer of at least 1.
    """
    total = len(labels)
    if n is None or check_count(option, n, minimum=0 if option == "n_test" else 1) == total:
        return np.arange(total)
    if n > total:
        raise ConfigurationError(f"{option} = {n} is more than the {total} samples of data set {name!r}")
    return np.sort(stratified_split(labels, [n], rng)[0])
