"""Spread of samples, and ratios of paired samples with bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

import numpy as np

K = TypeVar("K", bound=Hashable)
NOT_SLOWER = 1.05
"""'Not slower' means that the upper end of the ratio's confidence interval is at most this."""


@dataclass(frozen=True)
class Spread:
    """Order statistics of a sample, in the sample's unit; NaN where it is empty."""

    n: int
    median: float
    q25: float
    q75: float
    low: float
    high: float

    @property
    def iqr(self) -> float:
        """Interquartile range."""
        return self.q75 - self.q25


def spread(samples: Sequence[float] | np.ndarray) -> Spread:
    """Median, quartiles (linear interpolation) and range of the finite ``samples`` (n,)."""
    a = np.asarray(samples, dtype=np.float64)
    a = a[np.isfinite(a)]
    if a.size == 0:
        return Spread(0, *([float("nan")] * 5))
    q = np.quantile(a, [0.5, 0.25, 0.75, 0.0, 1.0])
    return Spread(int(a.size), *(float(v) for v in q))


@dataclass(frozen=True)
class Ratio:
    """An estimated ratio of paired samples with its confidence interval.

    ``low`` and ``high`` are NaN where there are too few pairs for an interval (``n < 3``). ``coverage`` is the level
    that the interval can claim: the one asked for, or less where ``n`` pairs cannot reach it.
    """

    value: float
    low: float
    high: float
    n: int
    coverage: float

    def not_slower(self, bound: float = NOT_SLOWER) -> bool | None:
        """Whether the upper end is at most ``bound``; None where there are too few pairs to say."""
        return None if np.isnan(self.high) else bool(self.high <= bound)

    def as_dict(self) -> dict[str, Any]:
        """Fields by name."""
        return asdict(self)


def pair(a: Mapping[K, float], b: Mapping[K, float]) -> tuple[np.ndarray, np.ndarray]:
    """Values of ``a`` and ``b`` at their common keys, in ``a``'s order, as two arrays (n,)."""
    common = [key for key in a if key in b]
    return np.array([a[key] for key in common], dtype=float), np.array([b[key] for key in common], dtype=float)


def paired_ratio(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    *,
    statistic: Literal["median", "geometric mean"] = "median",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Ratio:
    """``a_i / b_i`` summarised over pairs, with a percentile bootstrap interval over resampled pairs.

    Parameters
    ----------
    a, b : array_like (n,)
        Positive values; ``a_i`` and ``b_i`` were measured side by side. Pairs with a value that is not finite and
        positive are left out.
    statistic : str
        ``"median"`` of the ratios, or their ``"geometric mean"``.
    confidence : float
        Level of the two-sided interval.
    resamples : int
        Bootstrap resamples.
    seed : int
        Key of the Philox generator that draws them: equal input gives an equal interval.

    Returns
    -------
    Ratio

    Raises
    ------
    ValueError
        The lengths differ, or the statistic is unknown.

    Notes
    -----
    The plain percentile interval is too narrow for few pairs: for a mean it is about ``m +- z s sqrt((n - 1) / n)``
    where Student's is ``m +- t_{n-1} s``. The tail probability is therefore taken at
    ``Phi(-sqrt(n / (n - 1)) t_{n-1, 1-alpha/2})``, the expanded percentile interval (Hesterberg 2015, "What teachers
    should know about the bootstrap", The American Statistician 69, 371-386). Even the whole range of ``n`` values
    covers the median with no more than ``1 - 2^(1-n)`` (sign test): fewer than six pairs cannot give 95 %, and
    ``coverage`` says so.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"paired samples need one length, not {a.shape} and {b.shape}")
    usable = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    logs = np.log(a[usable] / b[usable])
    n = logs.size
    centre = _CENTRES.get(statistic)
    if centre is None:
        raise ValueError(f"unknown statistic {statistic!r}; known: {', '.join(_CENTRES)}")
    if n == 0:
        return Ratio(float("nan"), float("nan"), float("nan"), 0, 0.0)
    value = float(np.exp(centre(logs)))
    if n < 3:
        return Ratio(value, float("nan"), float("nan"), n, 0.0)
    rng = np.random.Generator(np.random.Philox(seed))
    draws = centre(logs[rng.integers(0, n, size=(resamples, n))], axis=1)
    tail = _expanded_tail(n, confidence)
    low, high = np.exp(np.quantile(draws, [tail, 1.0 - tail]))
    return Ratio(value, float(low), float(high), n, min(confidence, 1.0 - 2.0 ** (1 - n)))


# the median of an even number of ratios is the geometric mean of the middle two: then median(a/b) = 1 / median(b/a)
_CENTRES: dict[str, Any] = {"median": np.median, "geometric mean": np.mean}


def _expanded_tail(n: int, confidence: float) -> float:
    from scipy.special import ndtr, stdtrit

    t = float(stdtrit(n - 1, 0.5 + confidence / 2))
    return float(ndtr(-np.sqrt(n / (n - 1)) * t))
