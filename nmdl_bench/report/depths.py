"""Memory against depth: a panel a backend, a line for each way to keep states."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from nmdl_bench.report import style
from nmdl_bench.report.labels import end_labels
from nmdl_bench.report.style import Styles, Width


def draw_depths(data: pd.DataFrame, width: Width = "text") -> Figure:
    """Peak memory of value and gradient in states, both axes logarithmic.

    Parameters
    ----------
    data : pandas.DataFrame
        Rows ``backend``, ``label`` (of the line), ``depth``, ``peak`` and ``state`` (bytes).
    width : str
        ``"text"`` or ``"column"`` (panels below one another).
    """
    backends, labels = (list(dict.fromkeys(data[c])) for c in ("backend", "label"))
    styles = Styles.of(labels, backends)
    total = style.WIDTHS[width]
    across = len(backends) if width == "text" else 1
    left, gap, above, below, between, height = 0.5, 0.13, 0.24, 0.4, 0.28, 1.75 if width == "text" else 1.45
    right = max(map(style.text_width, labels)) + 0.24
    panel_width = min((total - left - right - (across - 1) * gap) / across, 2.6)
    down = -(-len(backends) // across)
    figure = style.new_figure(
        left + across * panel_width + (across - 1) * gap + right,
        above + below + down * height + (down - 1) * between,
    )
    states = data.assign(states=data.peak / data.state)
    limits = float(states.states.min()) / 1.6, float(states.states.max()) * 1.6
    for i, backend in enumerate(backends):
        row, column = divmod(i, across)
        bottom = below + (down - 1 - row) * (height + between)
        panel = style.place(figure, left + column * (panel_width + gap), bottom, panel_width, height)
        _panel(panel, states[states.backend == backend], styles, limits)
        panel.set_title(backend, loc="left", fontweight="bold", pad=4)
        if column:
            panel.tick_params(axis="y", which="both", labelleft=False)
        else:
            style.y_label(panel, "peak memory (states)", panel_width, 0.36)
        if row == down - 1:
            style.x_label(panel, "time steps", height)
        else:
            panel.tick_params(axis="x", which="both", labelbottom=False)
        if column == across - 1:
            ends = _ends(panel, states[states.backend == backend])
            end_labels(panel, ends, {name: name for name in labels}, styles, panel_width, height)
    return figure


def _panel(panel: Axes, lines: pd.DataFrame, styles: Styles, limits: tuple[float, float]) -> None:
    depths = sorted(set(lines.depth))
    style.log_axis(panel, "y", *limits)
    _depth_axis(panel, depths)
    style.light_grid(panel)
    for name, line in lines.groupby("label", sort=False):
        look: dict[str, Any] = {
            "color": styles.colour(str(name)),
            "marker": "o",
            "markersize": 3.0,
            "markeredgewidth": 0.0,
        }
        panel.plot(line.depth, line.states, linewidth=1.2, zorder=3, clip_on=False, **look)


def _depth_axis(panel: Axes, depths: list[int]) -> None:
    """Logarithmic, with ticks at the measured depths alone: every other one labelled where they are many."""
    panel.set_xscale("log", base=2)
    panel.set_xlim(depths[0] / 1.15, depths[-1] * 1.15)
    shown = depths[::-1][:: 2 if len(depths) > 4 else 1][::-1]
    panel.xaxis.set_major_locator(FixedLocator([float(d) for d in shown]))
    panel.xaxis.set_major_formatter(FixedFormatter([str(d) for d in shown]))
    panel.xaxis.set_minor_locator(FixedLocator([float(d) for d in depths if d not in shown]))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _ends(panel: Axes, lines: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Where each line ends, in fractions of the panel."""
    last = lines.sort_values("depth").groupby("label", sort=False).last()
    inside = panel.transAxes.inverted().transform(panel.transData.transform(last[["depth", "states"]].to_numpy(float)))
    return {str(name): (float(x), float(y)) for name, (x, y) in zip(last.index, inside)}
