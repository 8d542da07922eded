"""Drawing of performance and data profiles."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmdl_bench.report import style
from nmdl_bench.report.labels import LINE_HEIGHT, end_labels
from nmdl_bench.report.style import Styles, Width

BANDED = 5
"""Most lines of a panel that have their bands drawn: more would hide one another (the CSV has them all)."""
_COSTS = {
    "evaluations": "evaluations to target",
    "passes": "passes over the data to target",
    "time": "time to target (s)",
}


def draw_profiles(data: pd.DataFrame, styles: Styles, width: Width = "text") -> Figure:
    """Profiles in panels: evaluations, passes, then time on each backend, all times against the best of all backends.

    Where each solver ran on one backend only, their times share a panel.

    Parameters
    ----------
    data : pandas.DataFrame
        As :func:`nmdl_bench.report.profiles.profile_data` gives it, of either kind.
    styles : Styles
        Colours and kinds of solvers.
    width : str
        ``"text"`` or ``"column"``.
    """
    timed = data[data.measure == "time"]
    if timed.backend.nunique() > 1 and timed.groupby("solver").backend.nunique().max() == 1:
        data = data.assign(backend="")
    panels = list(data[["measure", "backend"]].drop_duplicates().itertuples(index=False, name=None))
    total = style.WIDTHS[width]
    across = min(len(panels), 2 if width == "text" else 1)
    down = math.ceil(len(panels) / across)
    left, gap, above, below, between = 0.46, 0.1, 0.24, 0.36, 0.58
    label = max(style.text_width(s, style.SIZE, "italic") for s in set(data.solver)) + 0.2
    panel_width = (total - left - across * label - (across - 1) * gap) / across
    most = max(int(data[(data.measure == m) & (data.backend == b)].solver.nunique()) for m, b in panels)
    height = max(1.35, LINE_HEIGHT * most + 0.1)
    figure = style.new_figure(total, above + below + down * height + (down - 1) * between)
    top = float(figure.get_size_inches()[1]) - above
    for i, (measure, backend) in enumerate(panels):
        r, c = divmod(i, across)
        here = data[(data.measure == measure) & (data.backend == backend)]
        bottom = top - height - r * (height + between)
        panel = style.place(figure, left + c * (panel_width + label + gap), bottom, panel_width, height)
        _panel(panel, here, styles, _limits(data[data.measure == measure]), panel_width, height)
        panel.set_title(f"time on {backend}" if backend else measure, loc="left", fontweight="bold", pad=4)
        style.x_label(panel, _x_label(measure, data, panel_width), height)
        if c == 0:
            style.y_label(panel, "fraction of problems", panel_width)
        else:
            panel.tick_params(axis="y", labelleft=False)
    return figure


def _x_label(measure: str, data: pd.DataFrame, width: float) -> str:
    if "ratio" in data:
        return f"{measure} to target, relative to the best" if width > 2.0 else "relative to the best"
    simplex = measure == "evaluations" and "per_variable" in data and bool(data.per_variable.any())
    return "evaluations / (n + 1) to target" if simplex else _COSTS[measure]


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis of a measure: from 1, or from the least cost, to a little beyond the last step."""
    if "ratio" in data:
        return 1.0, max(1.1, float(data.ratio.max())) ** 1.06
    solved = data.cost[data.fraction > 0]
    low, high = (float(solved.min()), float(solved.max())) if len(solved) else (1.0, 1.0)
    margin = max(high / low, 1.5) ** 0.05
    return low / margin, high * margin


def _panel(
    panel: Axes, data: pd.DataFrame, styles: Styles, limits: tuple[float, float], width: float, height: float
) -> None:
    left, right = limits
    where = "ratio" if "ratio" in data else "cost"
    style.log_axis(panel, "x", left, right)
    panel.set_ylim(-0.02, 1.03)
    panel.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    style.light_grid(panel)
    solvers = [s for s in styles.solvers if s in set(data.solver)]
    ends: dict[str, tuple[float, float]] = {}
    for solver in solvers:
        line = data[data.solver == solver]
        x = np.concatenate([line[where], [right]])
        y, low, high = (np.concatenate([line[c], line[c].iloc[-1:]]) for c in ("fraction", "low", "high"))
        if x[0] > left:  # not the best anywhere: the profile starts at zero
            x = np.concatenate([[left], x])
            y, low, high = (np.concatenate([[0.0], side]) for side in (y, low, high))
        look = styles.solvers[solver]
        if len(solvers) <= BANDED and np.isfinite(low).all() and np.isfinite(high).all():
            panel.fill_between(x, low, high, step="post", color=look.colour, alpha=0.1, linewidth=0, zorder=1.6)
        panel.plot(
            x,
            y,
            drawstyle="steps-post",
            color=look.colour,
            linestyle=styles.dashes(solver),
            linewidth=0.4 if not y.any() else 1.0 if look.peer else 1.2,
            clip_on=False,
            label=solver,
        )
        bottom, top = panel.get_ylim()
        ends[solver] = (1.0, (float(y[-1]) - bottom) / (top - bottom))
    end_labels(panel, ends, {s: s for s in solvers}, styles, width, height)
