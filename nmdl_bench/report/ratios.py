"""Backend comparison: paired ratios of time against a reference backend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmdl_bench.measure.stats import NOT_SLOWER, pair, paired_ratio
from nmdl_bench.report import style
from nmdl_bench.report.frames import RunData
from nmdl_bench.report.style import Styles, Width
from nmdl_bench.report.summary import FAILED

_SAME_WORK = 0.01  # passes that differ by less than this share are the same work
_COLUMNS = ["problem", "solver", "backend", "reference", "ratio", "low", "high", "pairs", "coverage", "same_work"]


# ------------------------------------------------------------------------------------------------------------ data
def ratio_data(data: RunData, results: pd.DataFrame) -> pd.DataFrame:
    """Time of a solve on each backend over that on the reference, the first backend of the experiment.

    Pairs were measured side by side: same problem, solver, seed, session and round. Repeats that failed, or whose
    backend does not agree with NumPy float64, are left out.

    Returns
    -------
    pandas.DataFrame
        Rows ``problem``, ``solver``, ``backend``, ``reference``, ``ratio`` (median over pairs), ``low``, ``high``
        (ends of the 95 % interval; NaN for fewer than three pairs), ``pairs``, ``coverage`` (the level that so many
        pairs can claim) and ``same_work`` (whether both took the same passes over the data, to 1 %).
    """
    backends = data.order("backend")
    rows = []
    sound = results[results.comparable & ~results.status.isin(FAILED) & (results.time > 0)]
    for (problem, solver), group in sound.groupby(["problem", "solver"], sort=False):
        times, passes = {}, {}
        for backend, own in group.groupby("backend", sort=False):
            keys = list(zip(own.seed, own.session, own["round"]))
            times[backend] = dict(zip(keys, own.time))
            passes[backend] = dict(zip(keys, own.passes))
        reference = backends[0]
        for backend in backends[1:]:
            if reference not in times or backend not in times:
                continue
            a, b = pair(times[backend], times[reference])
            ratio = paired_ratio(a, b)
            if not ratio.n:
                continue
            work_a, work_b = pair(passes[backend], passes[reference])
            same = bool(np.allclose(work_a, work_b, rtol=_SAME_WORK, equal_nan=True))
            interval = (ratio.value, ratio.low, ratio.high, ratio.n, ratio.coverage)
            rows.append((problem, solver, backend, reference, *interval, same))
    return pd.DataFrame(rows, columns=_COLUMNS)


# ------------------------------------------------------------------------------------------------------------ draw
def draw_ratios(data: pd.DataFrame, styles: Styles, width: Width = "text") -> Figure:
    """Ratios with their intervals, a panel a problem, a row a solver, a marker a backend.

    Parameters
    ----------
    data : pandas.DataFrame
        As :func:`ratio_data` gives it.
    styles : Styles
        Colours of solvers and markers of backends.
    width : str
        ``"text"`` or ``"column"``.
    """
    problems = list(dict.fromkeys(data.problem))
    solvers = [s for s in styles.solvers if s in set(data.solver)]
    backends = [b for b in styles.backends if b in set(data.backend)]
    total = style.WIDTHS[width]
    across = min(len(problems), 3 if width == "text" else 1)
    if width == "text" and across == 1:
        total = style.WIDTHS["column"]  # one panel stretched over the page says no more
    down = math.ceil(len(problems) / across)
    left = max(style.text_width(s, 7.5, "italic") for s in solvers) + 0.14
    right, gap, above, below, between = 0.1, 0.2, 0.4, 0.36, 0.56
    row = max(0.2, 0.085 * len(backends) + 0.06)
    height = row * len(solvers) + 0.06
    panel_width = (total - left - right - (across - 1) * gap) / across
    figure = style.new_figure(total, above + below + down * height + (down - 1) * between)
    limits = _limits(data)
    top = float(figure.get_size_inches()[1]) - above
    for i, problem in enumerate(problems):
        r, c = divmod(i, across)
        bottom = top - height - r * (height + between)
        panel = style.place(figure, left + c * (panel_width + gap), bottom, panel_width, height)
        _panel(panel, data[data.problem == problem], solvers, backends, styles, limits)
        panel.set_title(problem, loc="left", fontweight="bold", pad=4)
        if c == 0:
            _solver_names(panel, solvers, styles)
        if i >= len(problems) - across:
            style.x_label(panel, f"time relative to {data.reference.iloc[0]} (below 1: faster)", height)
    _legend(figure, backends, styles, left / total)
    return figure


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    ends = np.concatenate([data.ratio, data.low.dropna(), data.high.dropna(), [0.95, 1.05]])
    low, high = float(ends.min()), float(ends.max())
    margin = max((high / low) ** 0.06, 1.03)
    return low / margin, high * margin


def _panel(
    panel: Axes,
    data: pd.DataFrame,
    solvers: list[str],
    backends: list[str],
    styles: Styles,
    limits: tuple[float, float],
) -> None:
    style.log_axis(panel, "x", *limits)
    panel.set_ylim(len(solvers) - 0.5, -0.5)
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    style.light_grid(panel, "x")
    for i in range(1, len(solvers)):
        panel.axhline(i - 0.5, color="#eeeeee", linewidth=0.4, zorder=0)
    panel.axvspan(1.0, NOT_SLOWER, color="#eeeeee", linewidth=0, zorder=0.5)
    panel.axvline(1.0, color=style.GREY, linewidth=0.6, zorder=1)
    offsets = (np.arange(len(backends)) - 0.5 * (len(backends) - 1)) * min(0.3, 0.75 / max(len(backends), 1))
    for backend, offset in zip(backends, offsets):
        own = data[data.backend == backend]
        y = np.array([solvers.index(s) for s in own.solver]) + offset
        colours = [styles.colour(str(s)) for s in own.solver]
        panel.hlines(y, own.low, own.high, colors=colours, linewidths=0.9, zorder=3)
        fill = [c if same else "white" for c, same in zip(colours, own.same_work)]
        look: dict[str, Any] = {"marker": styles.marker(backend), "s": 3.6**2, "linewidths": 0.8, "zorder": 4}
        panel.scatter(own.ratio, y, facecolors=fill, edgecolors=colours, **look)


def _solver_names(panel: Axes, solvers: list[str], styles: Styles) -> None:
    for i, solver in enumerate(solvers):
        panel.annotate(
            solver,
            (0.0, i),
            xycoords=panel.get_yaxis_transform(),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="center_baseline",
            fontsize=7.5,
            **styles.text(solver),
        )


def _legend(figure: Figure, backends: list[str], styles: Styles, left: float) -> None:
    grey = "#444444"
    handles = [Line2D([], [], marker=styles.marker(b), color=grey, markersize=3.6, linewidth=0.9) for b in backends]
    figure.legend(
        handles,
        backends,
        loc="upper left",
        bbox_to_anchor=(left, 1.0),
        ncols=len(backends),
        frameon=False,
        fontsize=style.SIZE,
        handlelength=1.6,
        columnspacing=1.4,
        handletextpad=0.5,
        borderaxespad=0.15,
        borderpad=0.0,
    )
