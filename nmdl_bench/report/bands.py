"""Lines with bands along time or depth: growth, energy, norms, orders of convergence; points and marks beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmdl_bench.report import style
from nmdl_bench.report.grid import Grid
from nmdl_bench.report.labels import LINE_HEIGHT, end_labels
from nmdl_bench.report.style import Styles, Width

_MOST_DECADES = 60
_RING: dict[str, Any] = {
    "markersize": 5.0, "markerfacecolor": "white", "markeredgewidth": 1.1, "linestyle": "none", "zorder": 4,
}  # fmt: skip


def draw_bands(data: pd.DataFrame, width: Width = "text") -> Figure:
    """A panel for each ``panel`` of the table: median lines, bands from least to greatest, dashed bounds.

    Rows of the role ``points`` are dots that no line joins, those of the role ``mark`` rings on the line of that name.

    Parameters
    ----------
    data : pandas.DataFrame
        Rows of :func:`nmdl_bench.studies.pictures.band`.
    width : str
        ``"text"`` or ``"column"``.
    """
    panels = list(dict.fromkeys(data.panel))
    styles = Styles.of(list(dict.fromkeys(data.line)), ["numpy"])
    single = {panel: data[data.panel == panel].line.nunique() == 1 for panel in panels}
    longest = max((style.text_width(name) for name in data.line.unique()), default=0.0)
    right = 0.1 if all(single.values()) else longest + 0.26
    gap = 0.52 if all(single.values()) else longest + 0.26 + 0.5
    most = int(data.groupby("panel").line.nunique().max())
    columns = 3 if width == "text" and len(panels) > 4 else 2 if width == "text" else 1
    height = max(2.1 if len(panels) == 1 else 1.5, LINE_HEIGHT * most + 0.1)
    grid = Grid.of(width, len(panels), columns, height=height, right=right, gap_x=gap)
    figure = grid.figure()
    for name, (axes, _, _) in zip(panels, grid.panels(figure)):
        here = data[data.panel == name]
        _panel(axes, here, styles)
        axes.set_title(name, loc="left", fontweight="bold", pad=4)
        style.x_label(axes, str(here.x_label.iloc[0]), grid.panel_height)
        style.y_label(axes, str(here.y_label.iloc[0]), grid.panel_width, 0.36)
        if not single[name]:
            names = {str(line): str(line) for line in here.line.unique()}
            end_labels(axes, _ends(axes, here), names, styles, grid.panel_width, grid.panel_height)
    return figure


def _panel(axes: Axes, here: pd.DataFrame, styles: Styles) -> None:
    log_x = bool((here.x > 0).all() and here.x.max() / here.x.min() > 30) or bool("log_x" in here and here.log_x.any())
    low, high = _limits(here)
    if here.log.iloc[0]:
        style.log_axis(axes, "y", low, high)
    else:
        axes.set_ylim(low, high)
    if log_x:
        style.log_axis(axes, "x", here.x.min() / 1.1, here.x.max() * 1.1)
    else:
        axes.set_xlim(here.x.min(), here.x.max() + 0.01 * (here.x.max() - here.x.min()))
    style.light_grid(axes)
    lines = _of_role(here, "line")
    for role, look in (("points", {"markersize": 2.6, "linestyle": "none", "zorder": 2.2}), ("mark", _RING)):
        for name, own in _of_role(here, role).groupby("line", sort=False):
            axes.plot(own.x, own.middle, marker="o", color=styles.colour(str(name)), **look)
    for i, (name, line) in enumerate(lines.groupby("line", sort=False)):
        colour = styles.colour(str(name))
        low_high = (np.clip(side, low, high) for side in (line.low, line.high))
        if (line.low < line.high).any():
            axes.fill_between(line.x, *low_high, color=colour, alpha=0.16, linewidth=0, zorder=2)
        marker: dict[str, Any] = {"marker": "o", "markersize": 2.2} if len(line) <= 16 else {}
        axes.plot(line.x, line.middle, color=colour, linewidth=1.2, label=str(name), zorder=3 + 0.01 * i, **marker)
        if line.bound.notna().any():
            axes.plot(line.x, line.bound, color=colour, linewidth=0.8, linestyle=(0, (4, 2)), zorder=2.5)


def _of_role(here: pd.DataFrame, role: str) -> pd.DataFrame:
    """Rows of a role; without that column, all are of lines."""
    return here[here.role == role] if "role" in here else here if role == "line" else here.iloc[:0]


def _limits(here: pd.DataFrame) -> tuple[float, float]:
    """What the y axis shows; of a logarithmic one at most so many decades."""
    values = here[["low", "high", "bound"]].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if here.log.iloc[0]:
        values = values[values > 0] if (values > 0).any() else np.array([1.0])
        low, high = float(values.min()), float(values.max())
        low = max(low, high * 10.0**-_MOST_DECADES)
        margin = max((high / low) ** 0.05, 1.08)
        return low / margin, high * margin
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _ends(axes: Axes, here: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Where each line ends, in fractions of the panel."""
    lines = _of_role(here, "line")
    # a mark on a line is no end of it; one alone is named as a line is
    drawn = here[~here.line.isin(lines.line) | here.index.isin(lines.index)]
    last = drawn.sort_values("x", kind="stable").groupby("line", sort=False).last()
    low, high = axes.get_ylim()
    points = axes.transData.transform(np.column_stack([last.x, np.clip(last.middle, low, high)]))
    return {str(name): (x, y) for name, (x, y) in zip(last.index, axes.transAxes.inverted().transform(points))}
