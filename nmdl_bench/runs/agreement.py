"""Agreement before speed: a backend's timing counts only where its numbers are those of NumPy in float64.

Compared are the value and the gradient at the start, and the first losses that the solver recorded. End points of
non-convex runs may differ rightly, and are reported, not compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nmdl_bench.contracts import HISTORY_COLUMNS

TOLERANCE = {"float64": 1e-9, "float32": 1e-3}
"""Largest relative deviation that agrees, by dtype."""
ROWS = 5
"""Recorded losses that are compared, at most."""
STEPS = 50
"""Iterations up to which losses are compared: later, round-off decides where a stochastic method goes."""
_ITERATION, _LOSS = HISTORY_COLUMNS.index("iteration"), HISTORY_COLUMNS.index("loss")


class Start(NamedTuple):
    """Value and gradient (size,) at a problem's start, and the problem's known minimum, NaN where there is none."""

    value: float
    gradient: np.ndarray
    minimum: float = float("nan")


def deviation(
    start: Start, history: np.ndarray | None, reference: Start, reference_history: np.ndarray | None = None
) -> float:
    """Largest relative deviation from the reference.

    Parameters
    ----------
    start, reference : Start
        Value and gradient at the start, here and in NumPy float64.
    history, reference_history : ndarray (rows, 8), optional
        Histories of one solver, here and in NumPy float64; the first rows of equal iterations are compared, as far as
        :data:`STEPS`.

    Returns
    -------
    float
        The largest of three: the value's deviation relative to it, the gradient's in the 2-norm relative to its norm,
        and that of the losses in the maximum norm relative to the largest of them. NaN where something is not finite.
    """
    parts = [
        _relative(np.array([start.value]), np.array([reference.value])),
        _relative(start.gradient, reference.gradient),
    ]
    if history is not None and reference_history is not None:
        ours, theirs = _losses(history), _losses(reference_history)
        common = [k for k in list(theirs)[:ROWS] if k in ours and k <= STEPS]
        if common:
            a, b = np.array([ours[k] for k in common]), np.array([theirs[k] for k in common])
            parts.append(float(np.max(np.abs(a - b)) / (np.max(np.abs(b)) or 1.0)))
    return float(np.max(parts))  # NaN wins


def agrees(value: float, dtype: str) -> bool:
    """Whether a deviation is within the tolerance of ``dtype``; NaN never is."""
    return value <= TOLERANCE[dtype]


def _relative(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        return float("inf")
    scale = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / (scale or 1.0)


def _losses(history: np.ndarray) -> dict[int, float]:
    rows = history[np.isfinite(history[:, _ITERATION])]
    return {int(row[_ITERATION]): float(row[_LOSS]) for row in rows}
