"""Convergence curves: training loss, or what it lacks of the least one, against iterations, passes and time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmdl_bench.contracts import HISTORY_COLUMNS
from nmdl_bench.report import style
from nmdl_bench.report.frames import RunData
from nmdl_bench.report.labels import LINE_HEIGHT, end_labels
from nmdl_bench.report.style import Styles, Width
from nmdl_bench.report.summary import FAILED
from nmdl_bench.report.targets import relative_gap

AXES = {
    "iterations": "iterations",
    "passes": "passes over the training data",
    "time": "time (s)",
}
_COLUMN = {"iterations": "iteration", "passes": "passes", "time": "time"}
_POINTS = 120
"""Most points drawn of a line."""
LEAST_GAP = 1e-16
"""What a smaller gap is drawn at: round-off, or a value below the known minimum."""


# ------------------------------------------------------------------------------------------------------------ data
def curve_data(data: RunData, results: pd.DataFrame, problems: Sequence[str], gap: bool = False) -> pd.DataFrame:
    """What the figure shows: a curve a problem and solver, on the first backend that it was measured on.

    With one seed, the repeat of median time; with several, the median over seeds of the last loss at or before ``x``
    (a seed that has ended keeps its last loss), beside the least and greatest.

    Parameters
    ----------
    data : RunData
        The run.
    results : pandas.DataFrame
        As :func:`nmdl_bench.report.targets.with_targets` gives them.
    problems : sequence of str
        Which problems to show.
    gap : bool
        Whether :func:`~nmdl_bench.report.targets.relative_gap` takes the loss's place, at least :data:`LEAST_GAP`; the
        columns are then ``gap``, ``gap_low`` and ``gap_high``.

    Returns
    -------
    pandas.DataFrame
        Rows ``problem``, ``solver``, ``backend``, ``status``, ``axis`` (a key of ``AXES``), ``x``, ``loss``,
        ``loss_low``, ``loss_high``, ``measured`` (0 where ``x`` is an interpolated time), ``seeds``, ``target``.
    """
    rank = {b: i for i, b in enumerate(data.order("backend"))}
    has = np.array([pair in data.histories for pair in zip(results.key, results["repeat"])], dtype=bool)
    groups = results[has & results.problem.isin(problems)].groupby(["problem", "solver"], sort=False)
    parts = []
    for (problem, solver), group in groups:
        backend = min(group.backend.unique(), key=lambda b: rank[b])
        group = group[group.backend == backend]
        histories = [_median_history(data, seed, gap) for _, seed in group.groupby("seed")]
        failed = [s for s in group.status if s in FAILED]
        about = {"problem": problem, "solver": solver, "backend": backend}
        about["status"] = failed[0] if failed else group.status.iloc[0]
        target = [
            float(relative_gap(t, f, f0)) if gap else t for t, f, f0 in zip(group.target, group.f_best, group.loss0)
        ]
        about |= {"seeds": len(histories), "target": float(np.median(target))}
        for axis in AXES:
            line = _line(histories, axis)
            parts.append(
                {name: np.full(len(line["x"]), value) for name, value in (about | {"axis": axis}).items()} | line
            )
    order = ["problem", "solver", "backend", "status", "axis", "x", "loss", "loss_low", "loss_high", "measured"]
    columns = [*order, "seeds", "target"]
    frame = pd.DataFrame({c: np.concatenate([part[c] for part in parts]) if parts else [] for c in columns})
    return frame.rename(columns=lambda c: c.replace("loss", "gap")) if gap else frame


def _median_history(data: RunData, seed: pd.DataFrame, gap: bool) -> np.ndarray:
    """History of the repeat of median time, with gaps for losses where asked for."""
    history = data.histories[_median_repeat(seed)]
    if gap:
        history, losses = history.copy(), HISTORY_COLUMNS.index("loss")
        f_best, f0 = float(seed.f_best.iloc[0]), float(seed.loss0.iloc[0])
        history[:, losses] = np.maximum(relative_gap(history[:, losses], f_best, f0), LEAST_GAP)
    return history


def _median_repeat(group: pd.DataFrame) -> tuple[str, int]:
    """Key of the repeat whose time is the median (the lower one of two)."""
    at = group.sort_values("time", kind="stable").iloc[(len(group) - 1) // 2]
    return str(at["key"]), int(at["repeat"])


def _line(histories: list[np.ndarray], axis: str) -> dict[str, np.ndarray]:
    column = HISTORY_COLUMNS.index(_COLUMN[axis])
    losses = HISTORY_COLUMNS.index("loss")
    measured = HISTORY_COLUMNS.index("measured")
    finite = [h[np.isfinite(h[:, losses]) & np.isfinite(h[:, column])] for h in histories]
    finite = [h[np.argsort(h[:, column], kind="stable")] for h in finite if len(h)]
    if len(finite) == 1:
        h = _thin(finite[0])
        clock = h[:, measured] if axis == "time" else np.ones(len(h))
        y = h[:, losses]
        return {"x": h[:, column], "loss": y, "loss_low": y, "loss_high": y, "measured": clock}
    if not finite:
        return {c: np.empty(0) for c in ("x", "loss", "loss_low", "loss_high", "measured")}
    start = max(h[0, column] for h in finite)
    x = np.unique(np.concatenate([h[h[:, column] >= start, column] for h in finite]))
    x = _thin(x)
    at = np.array([h[np.searchsorted(h[:, column], x, side="right") - 1, losses] for h in finite])
    middle = {"loss": np.median(at, axis=0), "loss_low": at.min(axis=0), "loss_high": at.max(axis=0)}
    return {"x": x, **middle, "measured": np.ones(len(x))}


def _thin(rows: np.ndarray) -> np.ndarray:
    """At most ``_POINTS`` rows, ends included: half of them evenly spaced, half crowding to the start (log axes)."""
    n = len(rows)
    if n <= _POINTS:
        return rows
    even = np.linspace(0, n - 1, _POINTS // 2)
    crowded = np.geomspace(1, n, _POINTS // 2) - 1
    return rows[np.unique(np.concatenate([even, crowded]).round().astype(int))]


# ------------------------------------------------------------------------------------------------------------ draw
def draw_gaps(data: pd.DataFrame, styles: Styles, width: Width = "text") -> Figure:
    """Relative gap to the least loss, as :func:`draw_curves`; ``data`` as :func:`curve_data` gives it with ``gap``."""
    frame = data.rename(columns={f"gap{end}": f"loss{end}" for end in ("", "_low", "_high")})
    return draw_curves(frame, styles, width, what="relative gap")


def draw_curves(
    data: pd.DataFrame,
    styles: Styles,
    width: Width = "text",
    axes: Sequence[str] = tuple(AXES),
    what: str = "training loss",
) -> Figure:
    """Training loss, a row of panels a problem (in a single column: a panel below the other).

    Parameters
    ----------
    data : pandas.DataFrame
        As :func:`curve_data` gives it.
    styles : Styles
        Colours of solvers and line styles of backends.
    width : str
        ``"text"`` or ``"column"``.
    axes : sequence of str
        Which of ``AXES`` to draw.
    what : str
        Label of the vertical axes.
    """
    problems = list(dict.fromkeys(data.problem))
    reference = next(iter(styles.backends))
    labels = {p: _labels(data[data.problem == p], reference) for p in problems}
    names = [text for panel in labels.values() for text in panel.values()]
    total = style.WIDTHS[width]
    across = len(axes) if width == "text" else 1
    left, right, gap = 0.47, max(map(style.text_width, names), default=0.0) + 0.22, 0.13
    panel_width = (total - left - right - (across - 1) * gap) / across
    down = [(p, list(axes[i : i + across])) for p in problems for i in range(0, len(axes), across)]
    heights = [max(1.3, LINE_HEIGHT * len(labels[p]) + 0.1) for p, _ in down]
    separate = across == 1  # every panel then has its own x label
    above, below, between = 0.26, 0.36, 0.62 if separate else 0.48
    figure = style.new_figure(total, above + below + sum(heights) + between * (len(down) - 1))
    logs = {a: _is_log(data[data.axis == a]) for a in axes}
    bottom = float(figure.get_size_inches()[1]) - above
    for i, ((problem, row), height) in enumerate(zip(down, heights)):
        bottom -= height
        here = data[data.problem == problem]
        limits = _loss_limits(here)
        for j, axis in enumerate(row):
            panel = style.place(figure, left + j * (panel_width + gap), bottom, panel_width, height)
            lines = here[here.axis == axis]
            _panel(panel, lines, styles, limits, logs[axis])
            if j:
                panel.tick_params(axis="y", which="both", labelleft=False)
            else:
                style.y_label(panel, what, panel_width)
            if separate or i == len(down) - 1:
                style.x_label(panel, AXES[axis], height)
            if j == 0 and (not separate or axis == axes[0]):
                _name_target(panel, lines)
                panel.set_title(problem, loc="left", fontweight="bold", pad=4)
            if j == len(row) - 1:
                end_labels(panel, _ends(panel, lines), labels[problem], styles, panel_width, height)
        bottom -= between
    return figure


def _labels(lines: pd.DataFrame, reference: str) -> dict[str, str]:
    """Label of every solver of a problem: where it did not run on the reference backend, or failed, it says so."""
    out = {}
    for solver, backend, status in (
        lines[["solver", "backend", "status"]].drop_duplicates("solver").itertuples(index=False)
    ):
        elsewhere = backend if backend != reference and backend not in solver else ""
        notes = [n for n in (elsewhere, status if status in FAILED else "") if n]
        out[solver] = f"{solver} ({', '.join(notes)})".replace("_", " ") if notes else solver
    return out


def _is_log(lines: pd.DataFrame) -> bool:
    """Whether the ends of lines are so far apart that a linear axis would hide the short ones."""
    ends = lines.groupby(["problem", "solver"]).x.max()
    ends = ends[ends > 0]
    return bool(len(ends)) and bool((lines[lines.x > 0].groupby("problem").x.count() > 0).all()) and _spread(ends) > 8


def _spread(ends: pd.Series) -> float:
    return float((ends.groupby("problem").max() / ends.groupby("problem").min()).max())


def _loss_limits(lines: pd.DataFrame) -> tuple[float, float, bool]:
    """Least and greatest loss to show, and whether on a logarithmic axis. Divergence leaves at the top."""
    start = float(lines.groupby("solver").loss.first().max())
    low, high = float(lines.loss_low.min()), float(lines.loss_high.max())
    if low > 0 and high / low > 5:
        high = min(high, 3.0 * start)
        margin = (high / low) ** 0.05
        return low / margin, high * margin, True
    high = min(high, start + 0.5 * max(start - low, 1e-300))
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin, False


def _panel(panel: Axes, lines: pd.DataFrame, styles: Styles, limits: tuple[float, float, bool], log: bool) -> None:
    low, high, log_loss = limits
    if log_loss:
        style.log_axis(panel, "y", low, high)
    else:
        panel.set_ylim(low, high)
    left = _log_axis(panel, lines) if log else _linear_axis(panel, lines)
    style.light_grid(panel)
    target = lines.target.dropna()
    if len(target):
        panel.axhline(float(target.iloc[0]), color=style.GREY, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
    for i, (solver, line) in enumerate(lines.groupby("solver", sort=False)):
        colour = styles.colour(str(solver))
        x = np.maximum(line.x, left)
        if line.seeds.iloc[0] > 1:
            panel.fill_between(x, line.loss_low, line.loss_high, color=colour, alpha=0.13, linewidth=0, zorder=2)
        look = {"color": colour, "linestyle": styles.line(str(line.backend.iloc[0])), "zorder": 3 + 0.01 * i}
        panel.plot(x, line.loss, linewidth=0.9 if styles.solvers[str(solver)].peer else 1.2, label=solver, **look)
        clock = line[line.measured == 1]
        if len(clock) < len(line):  # readings of the clock; times between them are interpolated
            panel.scatter(
                np.maximum(clock.x, left), clock.loss, s=2.2, c="white", edgecolors=colour, linewidths=0.4, zorder=4
            )
    final = lines.groupby("solver", sort=False).last()
    failed = final.status.isin(FAILED)
    for ends, marker, size in ((final[~failed], "o", 2.6), (final[failed], "x", 3.4)):
        if len(ends):
            colours = [styles.colour(str(s)) for s in ends.index]
            panel.scatter(
                ends.x, ends.loss, s=size**2, c=colours, marker=marker, linewidths=0.9, zorder=5, edgecolors=None
            )


def _log_axis(panel: Axes, lines: pd.DataFrame) -> float:
    """Logarithmic axis from the least ``x`` after a start; returns its left edge, where the starts are drawn."""
    starts = ~lines.solver.duplicated()
    after = lines.x[~starts & (lines.x > 0)]
    last = float(lines.x.max())
    low = max(float(after.min()), last * 1e-6) if len(after) else last / 10.0
    left = low / max(last / low, 1.5) ** 0.08
    style.log_axis(panel, "x", left, last * (last / left) ** 0.03, start=low)
    return left


def _linear_axis(panel: Axes, lines: pd.DataFrame) -> float:
    last = float(lines.x.max()) if len(lines) else 1.0
    panel.set_xlim(0.0, 1.03 * last if last > 0 else 1.0)
    return 0.0


def _name_target(panel: Axes, lines: pd.DataFrame) -> None:
    target = lines.target.dropna()
    low, high = panel.get_ylim()
    if len(target) and low < target.iloc[0] < high:
        across = panel.get_yaxis_transform()
        place = (0.02, float(target.iloc[0]))
        panel.text(*place, "target", transform=across, fontsize=style.SIZE - 1, color=style.GREY, va="bottom")


def _ends(panel: Axes, lines: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Where each line ends, in fractions of the panel."""
    last = lines.groupby("solver", sort=False).last()
    low, high = panel.get_ylim()
    inside = panel.transData.transform(np.column_stack([last.x, np.clip(last.loss, low, high)]))
    return dict(zip(last.index, map(tuple, panel.transAxes.inverted().transform(inside))))
