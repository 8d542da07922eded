"""Panels of equal size in rows and columns, at fixed places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmdl_bench.report import style
from nmdl_bench.report.style import Width


@dataclass(frozen=True)
class Grid:
    """Where panels stand; all lengths in inches."""

    total: float
    """Width of the figure."""
    count: int
    columns: int
    panel_width: float
    panel_height: float
    left: float
    gap_x: float
    above: float
    below: float
    gap_y: float

    @classmethod
    def of(
        cls,
        width: Width,
        count: int,
        columns: int,
        *,
        height: float | None = None,
        aspect: float = 0.8,
        left: float = 0.5,
        right: float = 0.08,
        gap_x: float = 0.5,
        above: float = 0.22,
        below: float = 0.4,
        gap_y: float = 0.62,
        narrowest: float = 1.0,
        widest: float = 99.0,
    ) -> Grid:
        """A grid that fills the width, each panel ``aspect`` times as high as wide where no ``height`` is given.

        Panels are at least ``narrowest`` wide, which may leave fewer columns, and at most ``widest``, which may leave
        the figure narrower.
        """
        total = style.WIDTHS[width]
        columns = max(1, min(columns, count, int((total - left - right + gap_x) / (narrowest + gap_x))))
        wide = min((total - left - right - (columns - 1) * gap_x) / columns, widest)
        total = left + columns * wide + (columns - 1) * gap_x + right
        return cls(total, count, columns, wide, height or aspect * wide, left, gap_x, above, below, gap_y)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return ceil(self.count / self.columns)

    @property
    def height(self) -> float:
        """Height of the figure."""
        return self.above + self.below + self.rows * self.panel_height + (self.rows - 1) * self.gap_y

    def figure(self) -> Figure:
        """An empty figure of the grid's size."""
        return style.new_figure(self.total, self.height)

    def panels(self, figure: Figure) -> Iterator[tuple[Axes, int, int]]:
        """Each panel with its row and column, row by row."""
        for i in range(self.count):
            row, column = divmod(i, self.columns)
            left = self.left + column * (self.panel_width + self.gap_x)
            bottom = self.height - self.above - (row + 1) * self.panel_height - row * self.gap_y
            yield style.place(figure, left, bottom, self.panel_width, self.panel_height), row, column

    def is_lowest(self, i: int) -> bool:
        """Whether no panel stands below panel ``i``."""
        return i + self.columns >= self.count


def colour_bar(
    figure: Figure, panel: Axes, mappable: object, label: str, gap: float = 0.06, wide: float = 0.09
) -> Axes:
    """A colour bar at the right of a panel, as high as it."""
    w, _ = figure.get_size_inches()
    box = panel.get_position()
    bar = figure.add_axes((box.x1 + gap / w, box.y0, wide / w, box.height))
    drawn = figure.colorbar(mappable, cax=bar)  # type: ignore[arg-type]
    drawn.outline.set_linewidth(0.4)  # type: ignore[operator]
    bar.tick_params(length=1.8, width=0.4, pad=1.5, labelsize=style.SIZE - 0.5)
    if label:
        bar.set_ylabel(label, labelpad=2)
    return bar
