"""Names at the ends of lines, without overlaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from nmdl_bench.report import style
from nmdl_bench.report.style import Styles

LINE_HEIGHT = 0.115
"""Inches between two labels."""
_OVERHANG = 0.08  # inches that labels may reach beyond the ends of the axis


def end_labels(
    panel: Axes,
    ends: Mapping[str, tuple[float, float]],
    names: Mapping[str, str],
    styles: Styles,
    width: float,
    height: float,
) -> None:
    """Name lines at the right of a panel, each at the height where it ends, with a hairline where moved.

    Parameters
    ----------
    panel : Axes
        With its final limits.
    ends : mapping
        Solver to the end of its line, in fractions of the panel.
    names : mapping
        Solver to its label.
    styles : Styles
        Colours.
    width, height : float
        Size of the panel in inches.
    """
    solvers = list(ends)
    x, y = np.array([ends[s] for s in solvers], dtype=float).reshape(-1, 2).T
    y = np.clip(y, 0.0, 1.0)
    at = spread_labels(y * height, LINE_HEIGHT, -_OVERHANG, height + _OVERHANG) / height
    knee, edge, start = (1.0 + d / width for d in (0.02, 0.13, 0.16))
    hairlines = [[(x[i], y[i]), (knee, y[i]), (edge, at[i])] for i in range(len(solvers))]
    colours = [styles.colour(s) for s in solvers]
    look: dict[str, Any] = {"colors": colours, "linewidths": 0.4, "alpha": 0.7, "clip_on": False, "zorder": 1.5}
    panel.add_collection(LineCollection(hairlines, transform=panel.transAxes, **look), autolim=False)
    place: dict[str, Any] = {"transform": panel.transAxes, "fontsize": style.SIZE, "va": "center_baseline"}
    for solver, where in zip(solvers, at):
        panel.text(start, where, names[solver], **place, **styles.text(solver))


def spread_labels(wanted: np.ndarray, size: float, low: float, high: float) -> np.ndarray:
    """Positions nearest to the wanted ones, in least squares, at least ``size`` apart.

    Parameters
    ----------
    wanted : array_like (n,)
        Where the centres of the labels should be, in any order.
    size : float
        Least distance of two centres, in the same unit.
    low, high : float
        Ends of the axis that the labels should stay between (their edges, ``size / 2`` from their centres). Too many
        labels overflow on both sides alike, since labels on top of one another help nobody.

    Returns
    -------
    numpy.ndarray
        Positions (n,), in the order of ``wanted``; equal wishes keep their order.

    Notes
    -----
    With the labels sorted, ``z_i = y_i - i size`` has to be non-decreasing: isotonic regression, solved by pooling
    adjacent violators.
    """
    wanted = np.asarray(wanted, dtype=float)
    n = len(wanted)
    if n == 0:
        return wanted.copy()
    if n * size > high - low:
        middle = 0.5 * (low + high)
        low, high = middle - 0.5 * n * size, middle + 0.5 * n * size
    order = np.argsort(wanted, kind="stable")
    shifts = size * np.arange(n)
    pools: list[tuple[float, int]] = []  # (mean, number of labels)
    for value in wanted[order] - shifts:
        mean, number = float(value), 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, number = (before * count + mean * number) / (count + number), count + number
        pools.append((mean, number))
    fitted = np.repeat([mean for mean, _ in pools], [number for _, number in pools])
    first, last = low + 0.5 * size, high - 0.5 * size - shifts[-1]
    out = np.empty(n)
    out[order] = np.clip(fitted, first, max(first, last)) + shifts
    return out
