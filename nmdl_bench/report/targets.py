"""Evaluations and time to a target loss that all solvers of a problem share, and the gap that is left of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nmdl_bench.contracts import HISTORY_COLUMNS
from nmdl_bench.report.frames import RunData

DEFAULT_TAU = 0.1
"""'Solved' where neither the experiment nor the problem says otherwise: 90 % of the best reduction."""
LEAST_SCALE = 1e-8
"""What a gap is relative to where the minimum is closer to zero, but not zero."""
_ITERATION, _FORWARD, _GRADIENT, _PASSES, _LOSS, _, _TIME, _MEASURED = range(len(HISTORY_COLUMNS))


@dataclass(frozen=True)
class Crossing:
    """The first row of a history at or below a target; all NaN where there is none."""

    iterations: float = float("nan")
    forward: float = float("nan")
    gradient: float = float("nan")
    passes: float = float("nan")
    """Forwards in passes over the training part."""
    time: float = float("nan")
    """Seconds on the clock."""
    interpolated: bool = False
    """Whether the time was interpolated between two readings of the clock."""

    @property
    def reached(self) -> bool:
        """Whether the target was reached."""
        return self.iterations == self.iterations


def crossing(history: np.ndarray, target: float) -> Crossing:
    """Where a history first meets a target.

    Parameters
    ----------
    history : numpy.ndarray
        (rows, 8), columns ``contracts.HISTORY_COLUMNS``.
    target : float
        Training loss to reach. The row itself counts: nothing is interpolated between rows.
    """
    met = np.flatnonzero(history[:, _LOSS] <= target)  # false for NaN
    if not len(met):
        return Crossing()
    row = history[met[0]]
    return Crossing(
        iterations=float(row[_ITERATION]),
        forward=float(row[_FORWARD]),
        gradient=float(row[_GRADIENT]),
        passes=float(row[_PASSES]),
        time=float(row[_TIME]),
        interpolated=row[_MEASURED] == 0,
    )


def target_value(f0: float, f_best: float, tau: float) -> float:
    """``f_best + tau (f0 - f_best)`` (More and Wild 2009, eq. 2.2 with the least value that any solver reached)."""
    return f_best + tau * (f0 - f_best)


def relative_gap(f: np.ndarray | float, f_best: float, f0: float) -> np.ndarray:
    """``(f - f_best) / max(|f_best|, 1e-8)``, what a value lacks of the least one; ``f / f0`` where that is zero.

    Relative to 1e-8, gaps to a minimum of zero would be below what float64 can tell.
    """
    return (np.asarray(f, dtype=float) - f_best) / _scale(f_best, f0)


def gap_value(f_best: float, gap: float, f0: float) -> float:
    """The value whose :func:`relative_gap` is ``gap``."""
    return f_best + gap * _scale(f_best, f0)


def _scale(f_best: float, f0: float) -> float:
    return f0 if f_best == 0 and f0 > 0 else max(abs(f_best), LEAST_SCALE)


def with_targets(data: RunData, tau: float | None = None) -> pd.DataFrame:
    """The results of a run beside where each repeat met the target of its problem and seed.

    ``f0`` is the median start value of the problem and seed. ``f_best`` is the problem's known minimum or, where none
    is known or somebody went below it, the least value over all its solvers, backends and repeats but those that
    disagree with NumPy float64. Where nobody lowered the loss the target is NaN.

    Parameters
    ----------
    data : RunData
        The run.
    tau : float, optional
        Level of the target; default: the experiment's ``gap`` where the minimum is known, else that of :func:`tau_of`.

    Returns
    -------
    pandas.DataFrame
        :func:`nmdl_bench.report.frames.results_frame` with the further columns ``f_best``, ``target``, ``reached``,
        ``target_iterations``, ``target_forward``, ``target_gradient``, ``target_passes``, ``target_time`` (s),
        ``target_interpolated`` and ``comparable`` (whether its time may be compared with others').
    """
    frame = data.results.copy()
    frame["f_best"] = np.nan
    frame["target"] = np.nan
    for (problem, _), group in frame.groupby(["problem", "seed"], sort=False):
        f0 = float(group.loss0.median())
        f_best = _best(data, group)
        frame.loc[group.index, "f_best"] = f_best
        if f_best < f0:  # else nobody lowered the loss, and there is nothing to reach
            gap = gap_of(data, str(problem)) if tau is None else None
            level = tau_of(data, str(problem)) if tau is None else tau
            target = target_value(f0, f_best, level) if gap is None else gap_value(f_best, gap, f0)
            frame.loc[group.index, "target"] = target
    none = np.empty((0, len(HISTORY_COLUMNS)))
    found = [
        crossing(data.histories.get((key, repeat), none), target)
        for key, repeat, target in zip(frame.key, frame.repeat, frame.target)
    ]
    frame["reached"] = np.array([c.reached for c in found], dtype=bool)
    for name in ("iterations", "forward", "gradient", "passes", "time"):
        frame[f"target_{name}"] = np.array([getattr(c, name) for c in found], dtype=float)
    frame["target_interpolated"] = np.array([c.interpolated for c in found], dtype=bool)
    frame["comparable"] = frame.agrees.fillna(False).astype(bool)
    return frame


def tau_of(data: RunData, problem: str) -> float:
    """The level that 'solved' means: the experiment's ``[report] tau``, else the problem's own, else 0.1."""
    tau = data.settings.get("tau")
    if isinstance(tau, (int, float)) and not isinstance(tau, bool):
        return float(tau)
    for text in data.results.loc[data.results.problem == problem, "problem_json"]:
        try:
            return float(json.loads(text)["options"]["tau"])
        except (ValueError, KeyError, TypeError):
            break
    return DEFAULT_TAU


def gap_of(data: RunData, problem: str) -> float | None:
    """The experiment's ``[report] gap`` where the problem's minimum is known, else None."""
    gap = data.settings.get("gap")
    known = np.isfinite(data.results.loc[data.results.problem == problem, "minimum"]).any()
    return float(gap) if isinstance(gap, (int, float)) and not isinstance(gap, bool) and known else None


def levels_of(data: RunData) -> list[float]:
    """The experiment's ``[report] taus``, from the easiest; empty where it has none."""
    taus = data.settings.get("taus")
    return sorted({float(t) for t in taus}, reverse=True) if isinstance(taus, list) else []


def _best(data: RunData, group: pd.DataFrame) -> float:
    """Least trustworthy loss of a problem and seed, its known minimum included; NaN where there is none.

    The harness recomputes the loss at the returned point over all training samples. A history's rows count too where
    its last one is that loss, so where they are not losses of single batches.
    """
    best = float(np.nanmin([np.inf, *group.minimum]))
    for key, repeat, loss, agrees in zip(group.key, group.repeat, group.loss, group.agrees):
        if agrees is not pd.NA and not agrees:
            continue
        if np.isfinite(loss):
            best = min(best, loss)
        history = data.histories.get((key, repeat))
        if history is None:
            continue
        losses = history[np.isfinite(history[:, _LOSS]), _LOSS]
        if len(losses) and np.isclose(losses[-1], loss, rtol=1e-4, atol=0.0):
            best = min(best, float(losses.min()))
    return float(best) if np.isfinite(best) else float("nan")
