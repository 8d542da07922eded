"""What a check raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import NmdlError

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class CheckError(NmdlError, AssertionError):
    """A check failed: one sentence with what was checked, on which backend, what came and what should have come."""


def require(holds: Any, sentence: str) -> None:
    """Raise :class:`CheckError` with ``sentence`` unless ``holds``."""
    if not holds:
        raise CheckError(sentence)


def deviation(got: Any, expected: Any, least: float = 0.0) -> float:
    """Largest absolute difference by the largest absolute value expected (at least ``least``), or by 1 where that is 0.

    Infinite where shapes differ, or NaN and infinities stand in other places.
    """
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    finite = np.isfinite(expected)
    if got.shape != expected.shape or not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    scale = max(np.abs(expected[finite]).max(), least) or 1.0
    error = np.abs(got[finite] - expected[finite]).max() / scale
    return float(error) if np.isfinite(error) else float("inf")


def require_close(what: str, got: Any, expected: Any, tolerance: float, least: float = 0.0) -> None:
    """Raise :class:`CheckError` where :func:`deviation` is over ``tolerance``."""
    got, expected = np.asarray(got), np.asarray(expected)
    require(got.shape == expected.shape, f"{what} has shape {got.shape} instead of {expected.shape}")
    error = deviation(got, expected, least)
    require(
        error <= tolerance,
        f"{what} is off by a relative {error:.3g}, more than {tolerance:.3g}: "
        f"got {_short(got)} instead of {_short(expected)}",
    )


def host_reals(xp: Backend, values: Any) -> np.ndarray:
    """Scalars of the backend (reals) as a host vector, float64."""
    return np.array(xp.recorded(xp.record(xp.recorder(1, len(values)), 0, list(values)))[0], dtype=np.float64)


def tolerance(xp: Backend, float64: float, float32: float) -> float:
    """The one that fits the backend's precision."""
    return float64 if xp.dtype_name == "float64" else float32


def _short(a: np.ndarray) -> str:
    return np.array2string(a, threshold=12, edgeitems=2, precision=17 if a.size < 4 else 6).replace("\n", "")
