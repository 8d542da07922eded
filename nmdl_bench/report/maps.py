"""Functions of two variables as maps, and kernels as images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from nmdl_bench.report import style
from nmdl_bench.report.grid import Grid, colour_bar
from nmdl_bench.report.style import Width

_LEVELS = 12


def draw_maps(data: pd.DataFrame, width: Width = "text") -> Figure:
    """A panel for each ``panel``: filled contours, with a colour bar; a cross where ``mark`` says.

    Panels with one ``scale`` share their colours. The levels are logarithmic where values are positive and differ by
    more than a factor of 30.
    """
    panels = list(dict.fromkeys(data.panel))
    columns = int(data.columns_wanted.iloc[0]) if "columns_wanted" in data else 3
    bars = 0.62
    grid = Grid.of(
        width,
        len(panels),
        columns,
        aspect=0.95,
        gap_x=bars + 0.42,
        left=0.46,
        right=bars,
        widest=2.7,
        gap_y=0.42 if data.x_label.nunique() == 1 else 0.62,
    )
    figure = grid.figure()
    norms = {scale: _norm(group.value.to_numpy()) for scale, group in data.groupby("scale")}
    for i, (name, (axes, _, column)) in enumerate(zip(panels, grid.panels(figure))):
        here = data[data.panel == name].sort_values(["y", "x"])
        x, y = np.unique(here.x), np.unique(here.y)
        V = here.value.to_numpy(dtype=float).reshape(len(y), len(x))
        norm, levels = norms[here.scale.iloc[0]]
        shown = np.clip(V, levels[0], levels[-1])
        axes.contourf(x, y, shown, levels, norm=norm, cmap="viridis", zorder=0)
        axes.contour(x, y, shown, levels[1:-1], colors="white", linewidths=0.25, alpha=0.6, zorder=1)
        marked = here[["mark_x", "mark_y"]].dropna()
        if len(marked):
            place = marked.iloc[0]
            axes.plot(
                [place.mark_x], [place.mark_y], marker="+", color="white", markersize=7, markeredgewidth=1.4, zorder=3
            )
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(y[0], y[-1])
        axes.set_title(name, loc="left", fontweight="bold", pad=4)
        if grid.is_lowest(i) or data.x_label.nunique() > 1:
            style.x_label(axes, str(here.x_label.iloc[0]), grid.panel_height)
        if column == 0 or data.y_label.nunique() > 1:
            style.y_label(axes, str(here.y_label.iloc[0]), grid.panel_width, 0.32)
        # a norm of its own: bars that share one reset one another's labels
        own = type(norm)(norm.vmin, norm.vmax)
        bar = colour_bar(figure, axes, ScalarMappable(own, "viridis"), str(here.v_label.iloc[0]))
        if isinstance(norm, LogNorm):
            low, high = levels[0], levels[-1]
            ticks = style.log_ticks(low, high)
            bar.yaxis.set_major_locator(FixedLocator([v for v, _ in ticks]))
            bar.yaxis.set_major_formatter(FixedFormatter([text for _, text in ticks]))
            bar.yaxis.set_minor_locator(NullLocator())
            bar.tick_params(which="minor", length=0)
    return figure


def _norm(values: np.ndarray) -> tuple[Normalize, np.ndarray]:
    """Colours and contour levels for values, outliers left aside."""
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(np.quantile(values, 0.99))
    if (low > 0 and high / low > 30) or (low == 0 and high > 0):
        low = max(low, high * 1e-8)
        return LogNorm(low, high), np.geomspace(low, high, _LEVELS + 1)
    high = max(high, low + 1e-12 * max(abs(low), 1.0))
    return Normalize(low, high), np.linspace(low, high, _LEVELS + 1)


def draw_kernels(data: pd.DataFrame, width: Width = "text") -> Figure:
    """A panel for each kernel: blue below zero, red above, white at zero; panels with one ``scale`` share colours."""
    top = {scale: float(np.abs(group.value).max()) or 1.0 for scale, group in data.groupby("scale")}
    columns = 5 if width == "text" else 3
    return _pixels(data, width, columns, "RdBu_r", {str(scale): (-limit, limit) for scale, limit in top.items()})


def draw_images(data: pd.DataFrame, width: Width = "text") -> Figure:
    """A panel for each image, from black to white; panels with one ``scale`` share that."""
    limits = {str(s): (float(g.value.min()), float(g.value.max())) for s, g in data.groupby("scale")}
    return _pixels(data, width, 3 if width == "text" else 2, "gray", limits)


def _pixels(
    data: pd.DataFrame, width: Width, columns: int, colours: str, limits: Mapping[str, tuple[float, float]]
) -> Figure:
    """Panels with a pixel for each ``row`` and ``column``, and between which values each ``scale`` has its colours."""
    panels = list(dict.fromkeys(data.panel))
    shapes = {p: (int(d.row.max()) + 1, int(d.column.max()) + 1) for p, d in data.groupby("panel")}
    bars = 0.5
    shared = data.scale.nunique() == 1  # then one bar at the end of each row says it all
    grid = Grid.of(
        width, len(panels), columns, aspect=1.0, gap_x=0.16 + bars * (not shared), left=0.1, right=bars, above=0.24,
        below=0.08, gap_y=0.36, widest=1.5,
    )  # fmt: skip
    figure = grid.figure()
    for name, (axes, _, column) in zip(panels, grid.panels(figure)):
        here = data[data.panel == name]
        K = np.full(shapes[name], np.nan)
        K[here.row.to_numpy(dtype=int), here.column.to_numpy(dtype=int)] = here.value
        low, high = limits[str(here.scale.iloc[0])]
        picture = axes.imshow(K, cmap=colours, vmin=low, vmax=high, interpolation="nearest", aspect="equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.set_title(name, loc="left", pad=3, fontsize=style.SIZE)
        axes.set_anchor("NW")
        axes.apply_aspect()
        if not shared or column == grid.columns - 1 or name == panels[-1]:
            colour_bar(figure, axes, picture, "", gap=0.05, wide=0.06)
    return figure
