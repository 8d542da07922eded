"""How figures look: sizes, fonts, colours, line styles, and how they are saved."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

Width = Literal["column", "text"]
WIDTHS: dict[Width, float] = {"column": 3.35, "text": 6.9}
"""Widths in inches of one column and of the whole text block of a two-column journal page."""
FORMATS = ("pdf", "svg", "png")
GREY = "#666666"
SIZE = 7.0
"""Size of labels in points."""

# Okabe and Ito 2008, without the yellow, which a thin line on white does not carry
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (7, 2)), (0, (2, 1)))
_OURS: tuple[Any, ...] = ("-", (0, (9, 1.4)))
_PEERS: tuple[Any, ...] = ((0, (3.2, 1.3)), (0, (1, 1.2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")

RC: dict[str, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "xtick.labelsize": SIZE,
    "ytick.labelsize": SIZE,
    "axes.linewidth": 0.5,
    "axes.edgecolor": "#333333",
    "axes.labelcolor": "#111111",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.labelcolor": "#111111",
    "ytick.labelcolor": "#111111",
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.minor.width": 0.35,
    "ytick.minor.width": 0.35,
    "xtick.major.size": 2.6,
    "ytick.major.size": 2.6,
    "xtick.minor.size": 1.4,
    "ytick.minor.size": 1.4,
    "axes.labelpad": 2.5,
    "lines.linewidth": 1.1,
    "lines.solid_capstyle": "round",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "nmdl_bench",
    "savefig.dpi": 200,
    "figure.dpi": 100,
    "path.simplify": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """The figures' settings for a while: defaults of matplotlib, not the user's, and back to the user's at the end."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, value in RC.items():
            matplotlib.rcParams[name] = value  # type: ignore[index]
        yield


@dataclass(frozen=True)
class Look:
    """How one solver is drawn, in every figure of a report."""

    colour: str
    lap: int
    """0 for the first seven solvers of a group, 1 for the next seven, which are drawn darker, ..."""
    peer: bool


@dataclass(frozen=True)
class Styles:
    """Colours of solvers, line styles and markers of backends."""

    solvers: dict[str, Look]
    backends: dict[str, int]

    @classmethod
    def of(
        cls,
        solvers: Sequence[str],
        backends: Sequence[str],
        peers: Sequence[str] = (),
        groups: Sequence[Sequence[str]] = (),
    ) -> Styles:
        """Assign styles in the order given; colours begin anew with each group of solvers that share a panel."""
        place = {name: i for group in reversed(groups) for i, name in enumerate(group)}
        rest = [name for name in solvers if name not in place]
        place |= {name: i for i, name in enumerate(rest)}
        looks = {}
        for name in solvers:
            lap, at = divmod(place[name], len(_COLOURS))
            looks[name] = Look(_shade(_COLOURS[at], lap), lap, name in peers)
        return cls(looks, {name: i for i, name in enumerate(backends)})

    def frame(self) -> pd.DataFrame:
        """The assignment as a table, so that figures can be redrawn without the store."""
        rows = [
            ("solver", n, "peer" if look.peer else "ours", look.colour, look.lap) for n, look in self.solvers.items()
        ]
        rows += [("backend", n, "", "", 0) for n in self.backends]
        return pd.DataFrame(rows, columns=["role", "label", "kind", "colour", "lap"])

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Styles:
        """The inverse of :meth:`frame`; a colour edited in the table is kept."""
        solvers = frame[frame.role == "solver"]
        laps = [int(float(lap)) for lap in solvers.lap] if "lap" in frame else [i // 7 for i in range(len(solvers))]
        looks = {
            str(r.label): Look(str(r.colour), lap, bool(r.kind == "peer")) for r, lap in zip(solvers.itertuples(), laps)
        }
        return cls(looks, {str(n): i for i, n in enumerate(frame.loc[frame.role == "backend", "label"])})

    def colour(self, solver: str) -> str:
        """Colour of a solver."""
        return self.solvers[solver].colour

    def line(self, backend: str) -> Any:
        """Line style of a backend."""
        return _LINES[self.backends[backend] % len(_LINES)]

    def dashes(self, solver: str) -> Any:
        """Line style of a solver by its kind.

        Ours are solid or, from the eighth of a group on, in long dashes; peers in short dashes or dots.
        """
        look = self.solvers[solver]
        return _PEERS[min(look.lap, 1)] if look.peer else _OURS[min(look.lap, 1)]

    def marker(self, backend: str) -> str:
        """Marker of a backend."""
        return _MARKERS[self.backends[backend] % len(_MARKERS)]

    def text(self, solver: str) -> dict[str, Any]:
        """Style of a solver's label: its colour, darkened to be read; peers in italics."""
        look = self.solvers[solver]
        return {"color": readable(look.colour), "fontstyle": "italic" if look.peer else "normal"}


def _shade(colour: str, lap: int) -> str:
    """Later laps are darker, then lighter, then darker still; greys for black."""
    if lap == 0:
        return colour
    black = colour == "#000000"
    target = 0.0 if lap % 2 and not black else 1.0
    share = (0.45, 0.7, 0.25, 0.85)[(lap - 1) % 4] if black else min(0.45 + 0.25 * ((lap - 1) // 2), 0.9)
    red, green, blue = (c + share * (target - c) for c in to_rgb(colour))
    return to_hex((red, green, blue))


def readable(colour: str) -> str:
    """``colour`` darkened until its contrast on white is at least 4.5 (WCAG 2.1, 1.4.3)."""
    rgb = to_rgb(colour)
    while 1.05 / (_luminance(rgb) + 0.05) < 4.5:
        rgb = (0.94 * rgb[0], 0.94 * rgb[1], 0.94 * rgb[2])
    return to_hex(rgb)


def _luminance(rgb: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# ------------------------------------------------------------------------------------------------------------ axes
def new_figure(width_in: float, height_in: float) -> Figure:
    """A figure with an Agg canvas, apart from pyplot."""
    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    return figure


def place(figure: Figure, left: float, bottom: float, width: float, height: float, **options: Any) -> Axes:
    """Axes at a place given in inches from the figure's lower left corner."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, bottom / h, width / w, height / h), **options)


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float = SIZE, style: Literal["normal", "italic"] = "normal") -> float:
    """Width in inches of one line of text, or of a formula where it begins with a dollar sign."""
    font = FontProperties(family="STIXGeneral", style=style, size=size)
    return float(_RULER.get_text_width_height_descent(text, font, text.startswith("$"))[0]) / _RULER.dpi


_RULER = RendererAgg(1, 1, 720)


def x_label(axes: Axes, text: str, height: float) -> None:
    """Label below an axis that is ``height`` inches high; at a fixed place, which saves measuring all tick labels."""
    axes.set_xlabel(text)
    axes.xaxis.set_label_coords(0.5, -0.2 / height)


def y_label(axes: Axes, text: str, width: float, distance: float = 0.34) -> None:
    """Label at the left of axes that are ``width`` inches wide, ``distance`` inches away."""
    axes.set_ylabel(text)
    axes.yaxis.set_label_coords(-distance / width, 0.5)


def log_axis(axes: Axes, which: Literal["x", "y"], low: float, high: float, start: float | None = None) -> None:
    """Make one axis logarithmic, with at most seven labels: decades or, where few are in view, parts of them too.

    With ``start``, the scale begins there, and the edge itself stands for zero. Labels side by side are fewer where
    they would touch.
    """
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    axis = axes.xaxis if which == "x" else axes.yaxis
    first = low if start is None else start
    zero = [] if start is None else [(low, "0")]
    room = axes.bbox.width / axes.figure.dpi / math.log(high / low)

    def apart(ticks: list[tuple[float, str]]) -> bool:
        spans = [(room * math.log(v / low), text_width(text) / 2) for v, text in [*zero, *ticks]]
        return all(a + half + 0.05 <= b - other for (a, half), (b, other) in pairwise(spans))

    ticks = [*zero, *log_ticks(first, high, apart if which == "x" else None)]
    labelled = [v for v, _ in ticks[len(zero) :]]
    axis.set_major_locator(FixedLocator([v for v, _ in ticks]))
    axis.set_major_formatter(FixedFormatter([text for _, text in ticks]))
    axis.set_minor_locator(NullLocator())
    decades = range(math.floor(math.log10(first)), math.ceil(math.log10(high)) + 1)
    parts = range(1, 10) if len(decades) <= 8 else (1,)
    minor = [v for d in decades for m in parts if first <= (v := m * 10.0**d) <= high and v not in labelled]
    # one artist for all: a Tick object each takes most of the time that a figure does
    along = axes.get_xaxis_transform() if which == "x" else axes.get_yaxis_transform()
    edge = [0.0] * len(minor)
    place = (minor, edge) if which == "x" else (edge, minor)
    marker: Any = TICKDOWN if which == "x" else TICKLEFT
    look = {"color": RC["xtick.color"], "markersize": 1.4, "markeredgewidth": 0.35, "clip_on": False, "zorder": 2.01}
    axes.add_line(Line2D(*place, transform=along, marker=marker, linestyle="none", gid="minor ticks", **look))


Ticks = list[tuple[float, str]]
"""Places and texts of an axis's labels."""


def log_ticks(low: float, high: float, fits: Callable[[Ticks], bool] | None = None) -> Ticks:
    """The finest labels of a logarithmic axis that are not too many, and fit; one where none do."""
    plain = low > 0.0009 and high < 20_000
    choices = [[(v, _log_label(v, plain)) for v in choice] for choice in log_labels(low, high)]
    return next((choice for choice in choices if fits is None or fits(choice)), choices[-1][-1:])


def log_labels(low: float, high: float) -> list[list[float]]:
    """Choices of at most six labels for a logarithmic axis, the finest first: parts of decades, then every n-th one."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    choices = [[m * 10.0**d for d in range(first, last + 1) for m in parts] for parts in _PARTS]
    choices += [[10.0**d for d in range(first, last + 1) if d % n == 0] for n in (1, 2, 3, 5, 10, 20, 50)]
    inside = [[v for v in choice if low <= v <= high] for choice in choices]
    few = [choice for choice in inside if 1 <= len(choice) <= 6]
    return few if high / low > 1.5 and few else [_linear_labels(low, high)]


_PARTS = ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3))


def _linear_labels(low: float, high: float) -> list[float]:
    return [float(v) for v in MaxNLocator(4).tick_values(low, high) if low <= v <= high] or [low]


def _log_label(value: float, plain: bool) -> str:
    if plain or value in (1.0, 10.0):
        return f"{value:,.6g}".replace(",", "\N{THIN SPACE}")
    exponent = math.floor(math.log10(value) + 1e-9)
    multiple = round(value / 10.0**exponent, 6)
    before = "" if multiple == 1 else rf"{multiple:g}{{\cdot}}"
    return f"${before}10^{{{exponent}}}$"


def light_grid(axes: Axes, which: Literal["x", "y", "both"] = "y") -> None:
    """Hairlines at major ticks, below everything."""
    axes.grid(True, axis=which, which="major", color="#e6e6e6", linewidth=0.4, zorder=0)
    axes.set_axisbelow(True)


# ---------------------------------------------------------------------------------------------------------- saving
def save(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write ``stem``.pdf, .svg and .png; equal figures give equal files (no dates in them)."""
    paths = []
    for suffix in formats:
        path = stem.with_suffix(f".{suffix}")
        path.write_bytes(render(figure, suffix))
        paths.append(path)
    return paths


def render(figure: Figure, suffix: str) -> bytes:
    """The figure as the bytes of one format."""
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}[suffix]
    buffer = io.BytesIO()
    with styled():  # fonts and identifiers are decided while saving
        figure.savefig(buffer, format=suffix, metadata=metadata, dpi=200)
    return buffer.getvalue()
