"""Pictures in a plane: phase planes, decision regions, spectra with stability regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from nmdl_bench.diagnostics.spectra import Region
from nmdl_bench.report import style
from nmdl_bench.report.grid import Grid, colour_bar
from nmdl_bench.report.style import Width

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, without the yellow; a class or a start each."""
TIME = LinearSegmentedColormap.from_list("time", ["#9ecae1", "#3182bd", "#08306b"])
"""From the first step, light, to the last, dark."""
_REGION = "#fae3b4"


def draw_phase(data: pd.DataFrame, width: Width = "text") -> Figure:
    """A panel for each kernel: the vector field in grey, trajectories with a dot for each layer, starts as rings."""
    panels = list(dict.fromkeys(data.panel))
    grid = Grid.of(width, len(panels), 3, aspect=1.0, gap_x=0.42, left=0.46)
    figure = grid.figure()
    for name, (axes, _, column) in zip(panels, grid.panels(figure)):
        here = data[data.panel == name]
        field, paths = here[here.role == "field"], here[here.role == "trajectory"]
        axes.quiver(
            field.x, field.y, field.u, field.v, color="#b5b5b5", angles="xy", width=0.004, headwidth=4, pivot="mid",
            zorder=1,
        )  # fmt: skip
        dot = 2.0 if paths.step.max() <= 40 else 1.2
        for i, (_, path) in enumerate(paths.groupby("line", sort=False)):
            colour = COLOURS[i % len(COLOURS)]
            axes.plot(path.x, path.y, color=colour, linewidth=1.0, marker="o", markersize=dot, zorder=3)
            axes.plot(
                path.x.iloc[:1], path.y.iloc[:1], marker="o", markersize=4.6, markerfacecolor="white",
                markeredgecolor=colour, markeredgewidth=1.1, linestyle="none", zorder=4,
            )  # fmt: skip
        _square(axes, np.concatenate([field.x, paths.x]), np.concatenate([field.y, paths.y]))
        axes.locator_params(nbins=5)
        axes.set_title(name, loc="left", pad=4)
        style.x_label(axes, "$y_1$", grid.panel_height)
        if column == 0:
            style.y_label(axes, "$y_2$", grid.panel_width, 0.3)
    return figure


def draw_regions(data: pd.DataFrame, width: Width = "text") -> Figure:
    """A panel for each network: the class decided on in pale colours, paler where the margin is small; samples on top.

    Training samples are dots, those of other parts are crosses where they are classified wrongly.
    """
    panels = list(dict.fromkeys(data.panel))
    title = max(style.text_width(name, 9.0) for name in panels)
    grid = Grid.of(
        width, len(panels), 2, aspect=0.95, gap_x=0.5, left=0.46, narrowest=max(title, 1.5), widest=3.3, gap_y=0.66
    )
    figure = grid.figure()
    for name, (axes, _, _) in zip(panels, grid.panels(figure)):
        here = data[data.panel == name]
        plane, samples = here[here.role == "grid"], here[here.role != "grid"]
        x, y = np.unique(plane.x), np.unique(plane.y)
        order = plane.sort_values(["y", "x"])
        classes = order.label.to_numpy(dtype=int).reshape(len(y), len(x))
        margin = order.margin.to_numpy(dtype=float).reshape(len(y), len(x))
        axes.imshow(
            _paint(classes, margin), origin="lower", aspect="auto", interpolation="nearest",
            extent=(x[0], x[-1], y[0], y[-1]), zorder=0,
        )  # fmt: skip
        for k in np.unique(classes)[1:]:  # where class k begins, that is its margin changes sign
            axes.contour(
                x, y, np.where(classes == k, margin, -margin), [0.0], colors="#333333", linewidths=0.5, zorder=1
            )
        for k in sorted(samples.label.unique()):
            own = samples[(samples.label == k) & (samples.role == "train")]
            axes.scatter(own.x, own.y, s=2.6, color=COLOURS[int(k) % len(COLOURS)], linewidths=0, zorder=3)
        wrong = samples[(samples.role != "train") & (samples.right == 0)]
        axes.scatter(wrong.x, wrong.y, s=11, marker="x", color="black", linewidths=0.8, zorder=4)
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(y[0], y[-1])
        axes.set_title(name, loc="left", fontweight="bold", pad=4)
        style.x_label(axes, "$y_1$ (standardised)", grid.panel_height)
        style.y_label(axes, "$y_2$ (standardised)", grid.panel_width, 0.3)
    return figure


def _paint(classes: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Colours (rows, columns, 3) of classes, mixed with white: the more, the smaller the margin."""
    palette = np.array([to_rgb(colour) for colour in COLOURS])
    strength = 0.12 + 0.26 * np.tanh(margin / max(float(np.median(margin)), 1e-12))
    return 1 + strength[..., None] * (palette[classes % len(COLOURS)] - 1)


def draw_spectra(data: pd.DataFrame, width: Width = "text") -> Figure:
    """A panel for each evolution: eigenvalues times the step size, light at the first step, dark at the last.

    Shaded: where the integrator does not amplify; a segment of an axis for Verlet and leapfrog.
    """
    panels = list(dict.fromkeys(data.panel))
    grid = Grid.of(width, len(panels), 3, aspect=1.0, gap_x=0.56, left=0.5, right=0.6, widest=2.6)
    figure = grid.figure()
    last = float(data.time.max()) or 1.0
    for i, (name, (axes, _, column)) in enumerate(zip(panels, grid.panels(figure))):
        here = data[data.panel == name]
        region = Region.parse(str(here.region.iloc[0]))
        x, y = _view(here, region, grid.panel_width / grid.panel_height)
        _shade(axes, region, x, y)
        axes.axhline(0, color="#999999", linewidth=0.4, zorder=1)
        axes.axvline(0, color="#999999", linewidth=0.4, zorder=1)
        look: dict[str, Any] = {"cmap": TIME, "vmin": 0.0, "vmax": last, "s": 5, "linewidths": 0, "alpha": 0.85}
        dots = axes.scatter(here.real, here.imag, c=here.time, zorder=3, **look)
        axes.set_xlim(*x)
        axes.set_ylim(*y)
        axes.locator_params(nbins=5)
        power = "h^2" if region.kind == "real" else "h"
        axes.set_title(name, loc="left", fontweight="bold", pad=4)
        style.x_label(axes, rf"$\mathrm{{Re}}\,{power}\lambda$", grid.panel_height)
        style.y_label(axes, rf"$\mathrm{{Im}}\,{power}\lambda$", grid.panel_width, 0.38)
        if column == grid.columns - 1 or i == len(panels) - 1:
            colour_bar(figure, axes, dots, "time")
    return figure


def _view(here: pd.DataFrame, region: Region, ratio: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of both axes at one scale: the eigenvalues with room, and the origin; the whole region where near."""
    reach = 1.6 * max(float(np.hypot(here.real, here.imag).max()), 1e-3)
    x, y = np.array([*here.real, reach / 4, -reach / 4]), np.array([*here.imag, reach / 3, -reach / 3])
    if region.kind == "polynomial" and reach > 1:
        x, y = np.append(x, -2.2), np.append(y, [1.2, -1.2])
    elif region.kind != "polynomial" and reach > 0.5 * region.numbers[0]:
        ends = np.array([1.05, -1.05]) * region.numbers[0]
        x, y = (np.append(x, ends[1]), y) if region.kind == "real" else (x, np.append(y, ends))
    middle = (0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max()))
    half = 0.6 * max((x.max() - x.min()) / ratio, y.max() - y.min())
    return (middle[0] - ratio * half, middle[0] + ratio * half), (middle[1] - half, middle[1] + half)


def _shade(axes: Axes, region: Region, x: tuple[float, float], y: tuple[float, float]) -> None:
    if region.kind == "polynomial":
        X, Y = np.meshgrid(np.linspace(*x, 300), np.linspace(*y, 300))
        R = region.amplification(X + 1j * Y)
        axes.contourf(X, Y, R, [0, 1], colors=[_REGION], zorder=0)
        axes.contour(X, Y, R, [1], colors="#b8860b", linewidths=0.7, zorder=0.5)
        return
    end = region.numbers[0]
    segment: Any = [(0, -end), (0, end)] if region.kind == "imaginary" else [(-end, 0), (0, 0)]
    axes.add_collection(LineCollection([segment], colors=_REGION, linewidths=5, zorder=0.5, capstyle="butt"))


def _square(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Both axes at one scale, around all points."""
    half = 0.53 * max(np.ptp(x), np.ptp(y))
    axes.set_xlim(0.5 * (x.min() + x.max()) - half, 0.5 * (x.min() + x.max()) + half)
    axes.set_ylim(0.5 * (y.min() + y.max()) - half, 0.5 * (y.min() + y.max()) + half)
