"""Architectures of networks side by side: accuracy, time and memory in three aligned columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, ScalarFormatter

from nmdl_bench.report import style
from nmdl_bench.report.frames import RunData
from nmdl_bench.report.style import Styles, Width
from nmdl_bench.report.summary import FAILED, metric_label

_COLUMNS = ["problem", "label", "solver", "backend", "seed", "metric", "value", "time", "memory"]
_ROW, _ABOVE, _BELOW, _BETWEEN, _LEGEND = 0.185, 0.26, 0.36, 0.16, 0.16
"""Inches: a row of a panel, its title, its axis, the gap to the next group, the line that names the backends."""


# ------------------------------------------------------------------------------------------------------------ data
def architecture_data(data: RunData, results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Accuracy, time and memory of problems whose labels are ``GROUP: ARCHITECTURE``, two or more in a group.

    Returns
    -------
    pandas.DataFrame
        One row a solve (median over repeats): ``problem`` (the group), ``label`` (the architecture), ``solver``,
        ``backend``, ``seed``, ``metric``, ``value`` (accuracies as fractions), ``time`` (s) and ``memory`` (bytes, on
        the device where its allocator tells).
    """
    rank = {name: i for i, name in enumerate(data.order("problem"))}
    found = results[~results.status.isin(FAILED) & results[metric].notna()]
    memory = found.memory_device.where(found.memory_device.notna(), found.memory_host)
    parts = found.problem.str.partition(": ")
    found = found.assign(
        rank=found.problem.map(rank), problem=parts[0], label=parts[2], memory=memory, value=found[metric]
    )
    found = found[found.label != ""]
    keys = ["rank", "problem", "label", "solver", "backend", "seed"]
    if not len(found):
        return pd.DataFrame(columns=_COLUMNS)
    frame = found.groupby(keys, sort=False)[["value", "time", "memory"]].median().reset_index()
    frame = frame[frame.groupby("problem").label.transform("nunique") > 1].sort_values("rank", kind="stable")
    return frame.assign(metric=metric)[_COLUMNS].reset_index(drop=True)


# ------------------------------------------------------------------------------------------------------------ draw
def draw_architectures(data: pd.DataFrame, styles: Styles, width: Width = "text") -> Figure:
    """A row an architecture and a block a group, with panels of accuracy, time and memory.

    Parameters
    ----------
    data : pandas.DataFrame
        As :func:`architecture_data` gives it.
    styles : Styles
        Markers and order of the backends.
    width : str
        ``"text"`` or ``"column"``.
    """
    groups = {str(name): list(dict.fromkeys(part.label)) for name, part in data.groupby("problem", sort=False)}
    backends = [b for b in styles.backends if (data.backend == b).any()]
    looks = Styles.of(backends, [*styles.backends])
    total, gap, right = style.WIDTHS[width], 0.16 if width == "text" else 0.12, 0.1
    left = max(style.text_width(label, 7.5) for labels in groups.values() for label in labels) + 0.1
    panel_width = (total - left - right - 2 * gap) / 3
    tall = {name: _ROW * len(labels) for name, labels in groups.items()}
    between = _ABOVE + _BETWEEN
    figure = style.new_figure(total, _LEGEND + _ABOVE + _BELOW + sum(tall.values()) + between * (len(groups) - 1))
    limits = [_limits(data, column) for column in ("time", "memory")]
    bottom = float(figure.get_size_inches()[1]) - _LEGEND - _ABOVE
    for i, (name, labels) in enumerate(groups.items()):
        bottom -= tall[name]
        part = data[data.problem == name]
        last = i == len(groups) - 1
        panels = [
            style.place(figure, left + j * (panel_width + gap), bottom, panel_width, tall[name]) for j in range(3)
        ]
        for panel in panels:
            panel.set_ylim(len(labels) - 0.5, -0.5)
            panel.set_yticks([])
            panel.spines["left"].set_visible(False)
        _accuracy(panels[0], part, labels, width)
        for panel, column, scale, (low, high) in zip(panels[1:], ("time", "memory"), (1.0, 2.0**-20), limits):
            style.log_axis(panel, "x", low * scale, high * scale)
            _spans(panel, part, labels, looks, column, scale)
            if not last:
                panel.tick_params(axis="x", which="both", labelbottom=False)
        for panel in panels:
            style.light_grid(panel, "x")
        metric = metric_label(str(part.metric.iloc[0]))
        titles = [metric + (" (%)" if _percent(part) else ""), "time (s)", "peak memory (MiB)"]
        if width == "column":  # where panels are narrower than the words
            titles = [title.replace("validation ", "val. ").removeprefix("peak ") for title in titles]
        for panel, title in zip(panels, titles):
            for row in range(len(labels)):
                panel.axhline(row, color="#eeeeee", linewidth=0.4, zorder=0)
            if last:
                style.x_label(panel, title, tall[name])
        _names(panels[0], name, labels, left)
        bottom -= between
    _legend(figure, backends, looks, left)
    return figure


def _percent(data: pd.DataFrame) -> bool:
    return str(data.metric.iloc[0]).startswith("accuracy")


def _limits(data: pd.DataFrame, column: str) -> tuple[float, float]:
    """Ends of an axis that all groups share."""
    values = data[column][data[column] > 0]
    if not len(values):
        return 0.5, 2.0
    low, high = float(values.min()), float(values.max())
    margin = max(high / low, 2.0) ** 0.07
    return low / margin, high * margin


def _accuracy(panel: Axes, data: pd.DataFrame, labels: list[str], width: Width) -> None:
    """A dot a seed, on the first backend, and a bar at the median."""
    scale = 100.0 if _percent(data) else 1.0
    values = scale * data.value
    margin = max(0.07 * float(values.max() - values.min()), 1e-3 * scale)
    low, high = float(values.min()) - margin, float(values.max()) + margin
    panel.set_xlim(low, high)
    ticks = MaxNLocator(4 if width == "text" else 2).tick_values(low, high)
    panel.xaxis.set_major_locator(FixedLocator([float(t) for t in ticks if low <= t <= high]))
    panel.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    for i, label in enumerate(labels):
        own = data[data.label == label]
        own = own[own.backend == own.backend.iloc[0]]
        shown = scale * own.value.to_numpy(dtype=float)
        dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 3.2, "markeredgewidth": 0.0}
        panel.plot(shown, [i] * len(shown), color="#333333", alpha=0.5, zorder=3, clip_on=False, **dots)
        middle = float(np.median(shown))
        panel.plot([middle, middle], [i - 0.32, i + 0.32], color="#111111", linewidth=1.3, zorder=4)


def _spans(panel: Axes, data: pd.DataFrame, labels: list[str], looks: Styles, column: str, scale: float) -> None:
    """The median of each backend over the seeds, and a line from the least to the greatest."""
    backends = [b for b in looks.solvers if (data.backend == b).any()]
    for i, label in enumerate(labels):
        for k, backend in enumerate(backends):
            own = scale * data[(data.label == label) & (data.backend == backend)][column].to_numpy(dtype=float)
            own = own[own > 0]
            if not len(own):
                continue
            at = i + 0.22 * (k - 0.5 * (len(backends) - 1))
            colour = looks.colour(backend)
            panel.plot([own.min(), own.max()], [at, at], color=colour, linewidth=0.8, zorder=3, alpha=0.6)
            mark: dict[str, Any] = {"marker": looks.marker(backend), "markersize": 3.2, "markeredgewidth": 0.0}
            panel.plot([np.median(own)], [at], color=colour, linestyle="none", zorder=4, **mark)


def _names(panel: Axes, group: str, labels: list[str], left: float) -> None:
    """The group above, the architectures at the left."""
    beside: dict[str, Any] = {"xycoords": panel.get_yaxis_transform(), "textcoords": "offset points"}
    for i, label in enumerate(labels):
        place: dict[str, Any] = {"ha": "right", "va": "center_baseline", "fontsize": 7.5, "annotation_clip": False}
        panel.annotate(label, (0.0, i), xytext=(-5, 0), **place, **beside)
    text: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "fontweight": "bold"}
    panel.annotate(group, (0.0, 1.0), xytext=(72.0 * (0.02 - left), 5), fontsize=8, **text)


def _legend(figure: Figure, backends: list[str], looks: Styles, left: float) -> None:
    """Markers of the backends in one line at the top."""
    w, h = (float(v) for v in figure.get_size_inches())
    x, y = left, h - 0.09
    for backend in backends:
        mark: dict[str, Any] = {"marker": looks.marker(backend), "markersize": 3.6, "linestyle": "none"}
        figure.add_artist(Line2D([(x + 0.04) / w], [y / h], color=looks.colour(backend), markeredgewidth=0.0, **mark))
        colour = looks.text(backend)["color"]
        figure.text((x + 0.12) / w, y / h, backend, fontsize=style.SIZE, va="center_baseline", color=colour)
        x += 0.12 + style.text_width(backend) + 0.2
