"""Performance profiles (Dolan and More 2002) at their exact steps."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmdl_bench.report import style
from nmdl_bench.report.frames import RunData
from nmdl_bench.report.labels import LINE_HEIGHT, end_labels
from nmdl_bench.report.style import Styles, Width

_LEAST = 1e-9  # s, or passes: no clock tells less apart
_COLUMNS = ["measure", "backend", "solver", "ratio", "fraction", "instances"]


# ------------------------------------------------------------------------------------------------------------ data
def performance_profile(costs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Steps of the performance profiles ``rho_s(t) = |{p : r_ps <= t}| / n_p`` (Dolan and More 2002, eq. 2.1).

    Parameters
    ----------
    costs : numpy.ndarray
        (solvers, problems); positive, and infinite or NaN where a solver failed. ``r_ps`` is a cost over the least
        cost of its problem. A problem that no solver solved stays in the number ``n_p``.

    Returns
    -------
    list of (ratio, fraction)
        For each solver the places where its profile steps, ascending and without repetition, and its value from there
        on. Both are empty for a solver that solved nothing.
    """
    costs = np.where(np.isnan(costs), np.inf, np.asarray(costs, dtype=float))
    best = costs.min(axis=0, initial=np.inf)
    out = []
    for row in costs:
        solved = np.isfinite(row)
        ratio, number = np.unique(row[solved] / best[solved], return_counts=True)
        out.append((ratio, np.cumsum(number) / costs.shape[1]))
    return out


def profile_data(data: RunData, results: pd.DataFrame) -> pd.DataFrame:
    """Profiles of passes over the data and of time to the target; an instance is a problem with one seed.

    Passes are those of each solver's first backend, since all backends take the same steps. Times are compared over all
    solvers and backends; the medians of repeats count, where the backend agrees with NumPy float64.

    Returns
    -------
    pandas.DataFrame
        Rows ``measure`` (``passes`` or ``time``), ``backend`` (empty for passes), ``solver``, ``ratio``, ``fraction``
        (the profile from that ratio on; a solver that solved nothing has one row at 1 with 0) and ``instances``.
    """
    instances = results[["problem", "seed"]].drop_duplicates()
    index = pd.MultiIndex.from_frame(instances)
    solved = results[results.reached]
    passes: dict[tuple[str, str], np.ndarray] = {}
    times: dict[tuple[str, str], np.ndarray] = {}
    for backend in data.order("backend"):
        for solver, group in results[results.backend == backend].groupby("solver", sort=False):
            own = solved[(solved.backend == backend) & (solved.solver == solver)]
            if not group.agrees.eq(False).fillna(False).all() and ("", solver) not in passes:
                passes["", str(solver)] = _costs(own, "target_passes", index)
            times[backend, str(solver)] = _costs(own[own.comparable], "target_time", index)
    rows = []
    for measure, costs in (("passes", passes), ("time", times)):
        if any(np.isfinite(c).any() for c in costs.values()):
            rows += _steps(measure, costs, len(index))
    return pd.DataFrame(rows, columns=_COLUMNS)


def _costs(own: pd.DataFrame, column: str, index: pd.MultiIndex) -> np.ndarray:
    costs = own.groupby(["problem", "seed"])[column].median().reindex(index).to_numpy(dtype=float)
    return np.maximum(costs, _LEAST)  # NaN stays NaN


def _steps(measure: str, costs: Mapping[tuple[str, str], np.ndarray], instances: int) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for (backend, solver), (ratio, fraction) in zip(costs, performance_profile(np.array(list(costs.values())))):
        steps = list(zip(ratio, fraction)) or [(1.0, 0.0)]
        rows += [(measure, backend, solver, float(r), float(f), instances) for r, f in steps]
    return rows


# ------------------------------------------------------------------------------------------------------------ draw
def draw_profiles(data: pd.DataFrame, styles: Styles, width: Width = "text") -> Figure:
    """Profiles in panels: passes, then time on each backend, all times against the best of all backends.

    Parameters
    ----------
    data : pandas.DataFrame
        As :func:`profile_data` gives it.
    styles : Styles
        Colours of solvers and line styles of backends.
    width : str
        ``"text"`` or ``"column"``.
    """
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
        right = max(1.1, float(data.ratio[data.measure == measure].max())) ** 1.06
        _panel(panel, here, styles, right, panel_width, height)
        panel.set_title("passes" if measure == "passes" else f"time on {backend}", loc="left", fontweight="bold", pad=4)
        what = "passes to target" if measure == "passes" else "time to target"
        style.x_label(panel, f"{what}, relative to the best", height)
        if c == 0:
            style.y_label(panel, "fraction of problems", panel_width)
        else:
            panel.tick_params(axis="y", labelleft=False)
    return figure


def _panel(panel: Axes, data: pd.DataFrame, styles: Styles, right: float, width: float, height: float) -> None:
    style.log_axis(panel, "x", 1.0, right)
    panel.set_ylim(-0.02, 1.03)
    panel.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    style.light_grid(panel)
    solvers = [s for s in styles.solvers if s in set(data.solver)]
    ends: dict[str, tuple[float, float]] = {}
    for solver in solvers:
        line = data[data.solver == solver]
        x = np.concatenate([line.ratio, [right]])
        y = np.concatenate([line.fraction, line.fraction.iloc[-1:]])
        if x[0] > 1.0:  # not the best anywhere: the profile starts at zero
            x, y = np.concatenate([[1.0, x[0]], x]), np.concatenate([[0.0, 0.0], y])
        look = styles.solvers[solver]
        backend = data.backend.iloc[0] or next(iter(styles.backends))
        panel.plot(
            x,
            y,
            drawstyle="steps-post",
            color=look.colour,
            linestyle=styles.line(backend),
            linewidth=0.4 if not y.any() else 0.9 if look.peer else 1.2,
            clip_on=False,
            label=solver,
        )
        low, high = panel.get_ylim()
        ends[solver] = (1.0, (float(y[-1]) - low) / (high - low))
    end_labels(panel, ends, {s: s for s in solvers}, styles, width, height)
