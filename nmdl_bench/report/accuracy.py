"""Spread of a metric over seeds: every point and the median, with the settings of each solver."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, ScalarFormatter

from nmdl_bench.report import style
from nmdl_bench.report.frames import RunData
from nmdl_bench.report.style import Styles, Width
from nmdl_bench.report.summary import metric_label

_SETTINGS_SIZE = 5.8


# ------------------------------------------------------------------------------------------------------------ data
def accuracy_data(data: RunData, results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The metric at the end of every solve, on the first backend of each solver, one row a seed.

    Returns
    -------
    pandas.DataFrame
        Rows ``problem``, ``network`` (the problem's settings), ``solver``, ``settings``, ``backend``, ``seed``,
        ``metric`` (its name) and ``value`` (median over repeats; accuracies as fractions).
    """
    rank = {b: i for i, b in enumerate(data.order("backend"))}
    rows = []
    for (problem, solver), group in results[results[metric].notna()].groupby(["problem", "solver"], sort=False):
        backend = min(group.backend, key=lambda b: rank[b])
        group = group[group.backend == backend]
        network, settings = (settings_text(group[c].iloc[0]) for c in ("problem_json", "solver_json"))
        for seed, value in group.groupby("seed")[metric].median().items():
            rows.append((problem, network, solver, settings, backend, seed, metric, value))
    return pd.DataFrame(
        rows, columns=["problem", "network", "solver", "settings", "backend", "seed", "metric", "value"]
    )


def settings_text(options_json: str) -> str:
    """``memory = 10, step = 0.01`` from the JSON of a problem or solver; empty where all are defaults."""
    try:
        described = json.loads(options_json)
    except ValueError:
        return ""
    options = described.get("options", {}) if isinstance(described, dict) else {}
    return ", ".join(f"{k} = {_short(v)}" for k, v in options.items()) if isinstance(options, dict) else ""


def _short(value: object) -> str:
    return (
        f"{value:g}"
        if isinstance(value, float)
        else json.dumps(value)
        if isinstance(value, (dict, list))
        else str(value)
    )


_NAME = 1.4
"""Inches that a solver's name may take."""


# ------------------------------------------------------------------------------------------------------------ draw
def draw_accuracy(data: pd.DataFrame, styles: Styles, width: Width = "text") -> Figure:
    """A panel a problem: a dot a seed, a bar at the median with its value; settings in small print.

    Parameters
    ----------
    data : pandas.DataFrame
        As :func:`accuracy_data` gives it.
    styles : Styles
        Colours of solvers.
    width : str
        ``"text"`` or ``"column"``.
    """
    problems = list(dict.fromkeys(data.problem))
    lines = {p: list(data[data.problem == p].drop_duplicates("solver").itertuples()) for p in problems}
    shared = len({tuple((line.solver, line.settings) for line in own) for own in lines.values()}) == 1
    across = min(len(problems), 1 if width == "column" else 3 if shared else 2)
    total = style.WIDTHS["column" if across == 1 else width]
    longest = 1.2  # inches that a line of settings may take
    every = [line for own in lines.values() for line in own]
    settings = [_wrap(line.settings, longest) for line in every]
    names = [style.text_width(_fitting(line.solver), 7.5, "italic") for line in every]
    names += [style.text_width(text, _SETTINGS_SIZE) for texts in settings for text in texts]
    left, value, above, below, between = max(names) + 0.12, 0.36, 0.24, 0.36, 0.12
    deepest = max(map(len, settings))
    row = 0.2 + (0.02 + 0.082 * deepest if deepest else 0.0)
    repeated = 1 if shared else across  # how many panels of a row have names at their left
    panel_width = (total - repeated * left - across * value) / across
    networks = {p: _wrap(own[0].network, panel_width + value) for p, own in lines.items()}
    above += 0.085 * max(map(len, networks.values()))
    rows = [problems[i : i + across] for i in range(0, len(problems), across)]
    heights = [max(len(lines[p]) for p in group) * row for group in rows]
    figure = style.new_figure(total, (above + below) * len(rows) + sum(heights) + between * (len(rows) - 1))
    top = float(figure.get_size_inches()[1])
    for group, tallest in zip(rows, heights):
        at = 0.0
        for c, problem in enumerate(group):
            named = c == 0 or not shared
            at += left if named else 0.0
            height = len(lines[problem]) * row
            panel = style.place(figure, at, top - above - height, panel_width, height)
            _panel(panel, data[data.problem == problem], lines[problem], styles, height)
            if named:
                _names(panel, lines[problem], styles, longest)
            _title(panel, problem, networks[problem])
            at += panel_width + value
        top -= above + tallest + below + between
    return figure


def _title(panel: Axes, problem: str, network: list[str]) -> None:
    """Name of the problem, with its settings in small print below."""
    small: dict[str, Any] = {"fontsize": _SETTINGS_SIZE, "color": style.GREY, "textcoords": "offset points"}
    for k, text in enumerate(reversed(network)):
        panel.annotate(text, (0.0, 1.0), xytext=(0, 4 + 6.0 * k), xycoords="axes fraction", **small)
    panel.set_title(problem, loc="left", fontweight="bold", pad=4 + 7.0 * len(network))


def _wrap(text: str, width: float) -> list[str]:
    """Settings broken at commas into lines of at most ``width`` inches."""
    lines: list[str] = []
    for part in text.split(", ") if text else []:
        if lines and style.text_width(f"{lines[-1]}, {part}", _SETTINGS_SIZE) <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines


def _panel(panel: Axes, data: pd.DataFrame, lines: list[Any], styles: Styles, height: float) -> None:
    metric = str(data.metric.iloc[0])
    scale = 100.0 if metric.startswith("accuracy") else 1.0
    values = scale * data.value
    least, greatest = float(values.min()), float(values.max())
    margin = max(0.08 * (greatest - least), 0.25 if scale == 100.0 else 1e-3 * max(abs(least), abs(greatest)), 1e-12)
    low, high = least - margin, greatest + margin
    if scale == 100.0:
        high = min(high, 100.0 + 0.05 * (100.0 - low))
    panel.set_xlim(low, high)
    ticks = [
        t for t in MaxNLocator(5).tick_values(low, high) if low <= t <= (min(high, 100.0) if scale == 100.0 else high)
    ]
    panel.xaxis.set_major_locator(FixedLocator(ticks))
    panel.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    panel.set_ylim(len(lines) - 0.5, -0.5)
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)
    style.light_grid(panel, "x")
    style.x_label(panel, metric_label(metric) + (" (%)" if scale == 100.0 else ""), height)
    for i, line in enumerate(lines):
        own = scale * data.value[data.solver == line.solver].to_numpy(dtype=float)
        colour = styles.colour(line.solver)
        middle = float(np.median(own))
        several = len(own) > 1
        if several:
            panel.plot([middle, middle], [i - 0.28, i + 0.28], color=colour, linewidth=1.4, zorder=3)
        dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 3.4, "markeredgewidth": 0.0}
        panel.plot(own, i + _beeswarm(own, panel), color=colour, alpha=0.55 if several else 1.0, zorder=4, **dots)
        shown = f"{middle:.2f}" if scale == 100.0 else f"{middle:.3g}"
        panel.annotate(shown, (1.0, i), xytext=(4, 0), va="center_baseline", fontsize=style.SIZE, **_beside(panel))


def _beside(panel: Axes) -> dict[str, Any]:
    return {"xycoords": panel.get_yaxis_transform(), "textcoords": "offset points", "annotation_clip": False}


def _names(panel: Axes, lines: list[Any], styles: Styles, longest: float) -> None:
    """Name of each solver at the left of its row, with its settings in small print below."""
    for i, line in enumerate(lines):
        settings = _wrap(line.settings, longest)
        up = 3.2 * len(settings)
        name = {"ha": "right", "va": "center_baseline", "fontsize": 7.5, **_beside(panel)}
        panel.annotate(_fitting(line.solver), (0.0, i), xytext=(-5, up), **name, **styles.text(line.solver))
        small = name | {"fontsize": _SETTINGS_SIZE, "color": style.GREY}
        for k, text in enumerate(settings):
            panel.annotate(text, (0.0, i), xytext=(-5, up - 7.4 - 5.9 * k), **small)


def _fitting(name: str) -> str:
    """The name, cut where it would leave no room for the panel: settings make names of any length."""
    while style.text_width(name, 7.5, "italic") > _NAME:
        name = name.rstrip("…")[:-1] + "…"
    return name


def _beeswarm(values: np.ndarray, panel: Axes) -> np.ndarray:
    """Vertical offsets that keep equal points apart."""
    low, high = panel.get_xlim()
    offsets = np.zeros(len(values))
    placed: dict[int, int] = {}
    for i in np.argsort(values, kind="stable"):
        cell = math.floor(60 * (values[i] - low) / (high - low))
        k = placed.get(cell, 0)
        placed[cell] = k + 1
        offsets[i] = 0.11 * math.ceil(k / 2) * (1 if k % 2 else -1)
    return offsets
