"""One row a solver, backend and problem: medians, spreads, and which values are the best."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nmdl_bench.report.frames import RunData
from nmdl_bench.report.numbers import count, mebibytes, percent, significant
from nmdl_bench.report.targets import with_targets

FAILED = ("diverged", "out_of_memory", "timeout", "unavailable", "error", "missing")
"""Statuses after which a run's numbers are shown but never the best."""
METRIC_PREFERENCE = ("accuracy_validation", "accuracy_test", "accuracy_train")
_TIME_RESOLUTION = 0.01  # medians closer than this are ties, however well the repeats agree


@dataclass(frozen=True)
class Column:
    """A column of the final table."""

    name: str
    """Column of the summary frame; ``name_low`` and ``name_high`` are its spread over seeds."""
    header: str
    unit: str
    show: Callable[[float], str]
    better: int = -1
    """-1 where less is better, 1 where more is, 0 where no value is the best."""
    needs: str = "sound"
    """Boolean column of the summary that a row must have true to be the best."""
    timed: bool = False
    """Whether it is a time, which counts only where the backend agrees with NumPy."""
    group: str = ""
    """Heading over several columns."""
    tie: float = 0.0
    """Relative difference that a measurement cannot resolve."""
    spread: bool = False
    """Whether tables show the spread over seeds (the CSV has all spreads)."""


@dataclass(frozen=True)
class Summary:
    """The final table's numbers."""

    frame: pd.DataFrame
    """One row a (problem, solver, backend); see :func:`summarise`."""
    columns: tuple[Column, ...]
    metric: str | None
    repeats: pd.DataFrame
    """The results with their targets, one row a measured repeat."""

    def problem(self, name: str) -> pd.DataFrame:
        """The rows of one problem."""
        return self.frame[self.frame.problem == name]

    @property
    def problems(self) -> list[str]:
        """Problems in the experiment's order."""
        return list(dict.fromkeys(self.frame.problem))


def summarise(data: RunData) -> Summary:
    """Medians over repeats and seeds, for every solver, backend and problem.

    Repeats are reduced first (median a seed), then seeds: ``x`` is their median and ``x_low``, ``x_high`` the least and
    greatest. ``best_x`` marks the best values of a problem; those that the measurement cannot tell from the best are
    marked too: equal as printed, or, for times, within twice the median absolute deviation of the best's repeats (at
    least 1 %). Iterations, evaluations and times can be best only where the target was reached with every seed, and
    times only where the backend agrees with NumPy float64.

    Returns
    -------
    Summary
        ``frame`` has ``problem``, ``solver``, ``kind``, ``backend``, ``dtype``, ``status``, ``reason``, ``seeds``,
        ``repeats``, ``solved`` (seeds whose target was reached), ``reached``, ``comparable``, ``sound``,
        ``interpolated``, ``target``, and the columns described above.
    """
    repeats = with_targets(data)
    metric = choose_metric(data)
    columns = _columns(repeats, metric)
    names = ["problem", "solver", "backend"]
    groups = dict(iter(repeats.groupby(names, sort=False)))
    lost = dict(data.missing.groupby(names).size()) if len(data.missing) else {}
    rows = []
    for case in data.cases.drop_duplicates(names).itertuples():
        key = (case.problem, case.solver, case.backend)
        row = {n: getattr(case, n) for n in ("problem", "solver", "kind", "library", "device", "dtype", "backend")}
        rows.append(row | _reduce(groups.get(key, repeats.iloc[:0]), int(lost.get(key, 0)), columns))
    frame = pd.DataFrame(rows)
    for column in columns:
        frame[f"best_{column.name}"] = False
        for _, group in frame.groupby("problem", sort=False):
            frame.loc[group.index, f"best_{column.name}"] = best_marks(group, column)
    return Summary(frame, columns, metric, repeats)


def choose_metric(data: RunData) -> str | None:
    """The experiment's ``[report] metric``, else the first accuracy that was measured, else None.

    A metric that the experiment wants and no case measured is warned of.
    """
    metrics = set(data.results.columns[data.results.notna().any()]) if len(data.results) else set()
    wanted = data.settings.get("metric")
    if wanted is not None and metrics and wanted not in metrics:
        measured = ", ".join(m for m in METRIC_PREFERENCE if m in metrics)
        warnings.warn(f"[report] metric {wanted!r} was not measured; accuracies: {measured or 'none'}", stacklevel=2)
    return next((m for m in (wanted, *METRIC_PREFERENCE) if isinstance(m, str) and m in metrics), None)


def metric_label(metric: str) -> str:
    """``accuracy_validation`` as ``validation accuracy``."""
    words = metric.split("_")
    return " ".join([*words[1:], words[0]]) if words[0] in ("accuracy", "error", "loss") else " ".join(words)


def best_marks(group: pd.DataFrame, column: Column) -> np.ndarray:
    """Which rows of one problem hold the best value of a column, ties by resolution included."""
    values = group[column.name].to_numpy(dtype=float)
    allowed = np.isfinite(values) & group.sound.to_numpy(dtype=bool) & group[column.needs].to_numpy(dtype=bool)
    if column.timed:
        allowed &= group.comparable.to_numpy(dtype=bool)
    if column.better == 0 or allowed.sum() < 2:  # alone is not the best of anything
        return np.zeros(len(group), dtype=bool)
    keyed = np.where(allowed, values * -column.better, np.inf)
    first = int(np.argmin(keyed))
    tolerance = column.tie
    if column.timed:
        tolerance = max(_TIME_RESOLUTION, float(np.nan_to_num(group[f"{column.name}_noise"].to_numpy()[first])))
    close = keyed <= keyed[first] + tolerance * abs(keyed[first])
    shown = np.array([column.show(v) for v in values])
    return allowed & (close | (shown == shown[first]))


def _columns(repeats: pd.DataFrame, metric: str | None) -> tuple[Column, ...]:
    columns = [
        Column("iterations", "Iterations", "", count, needs="converged"),
        Column("passes", "Passes", "", count, needs="converged"),
        Column("target_passes", "passes", "", count, needs="reached", group="To target"),
        Column("target_time", "time", "s", significant, needs="reached", timed=True, group="To target", spread=True),
        Column("time", "Total time", "s", significant, needs="converged", timed=True),
        Column("compile_time", "Compile", "s", significant, better=0, timed=True),
        Column("loss", "Final loss", "", significant),
    ]
    if metric is not None:
        accuracy = metric.startswith("accuracy")
        better = 1 if accuracy else -1 if metric.startswith(("error", "loss", "rmse", "mse", "mae")) else 0
        header = metric_label(metric).capitalize().replace("Validation accuracy", "Val. accuracy")
        columns.append(
            Column(metric, header, "%" if accuracy else "", percent if accuracy else significant, better, spread=True)
        )
    columns.append(Column("memory_host", "Memory", "MiB", mebibytes, tie=0.02))
    columns.append(Column("memory_device", "Device memory", "MiB", mebibytes, tie=0.02))
    optional = ("compile_time", "memory_host", "memory_device")
    return tuple(c for c in columns if c.name not in optional or (repeats[c.name].fillna(0.0) != 0.0).any())


def _reduce(group: pd.DataFrame, lost: int, columns: tuple[Column, ...]) -> dict[str, object]:
    statuses = Counter([*group.status, *["missing"] * lost])
    status, often = statuses.most_common(1)[0]
    row: dict[str, object] = {
        "status": status if len(statuses) == 1 else f"{status} {often}/{sum(statuses.values())}",
        "reason": next((r for s, r in zip(group.status, group.reason) if s == status and r), ""),
        "seeds": group.seed.nunique(),
        "repeats": int(group.groupby("seed").size().max()) if len(group) else 0,
        "comparable": bool(len(group)) and bool(group.comparable.all()),
        "interpolated": bool(group.target_interpolated.any()),
        "target": float(group.target.median()) if len(group) else float("nan"),
    }
    disagrees = (group.agrees == False).any()  # noqa: E712 (NA is neither)
    row["sound"] = bool(len(group)) and not (set(statuses) & set(FAILED)) and not disagrees
    seeds = [np.flatnonzero(group.seed.to_numpy() == seed) for seed in group.seed.unique()]
    reached = group.reached.to_numpy()
    row["solved"] = sum(bool(reached[at].all()) for at in seeds)
    row["converged"] = set(statuses) == {"converged"}  # who ran into a limit has not got there first
    row["reached"] = bool(seeds) and row["solved"] == len(seeds) and not lost
    for column in columns:
        values = group[column.name].to_numpy(dtype=float)
        row |= _spread_of(column, [values[at] for at in seeds])
    return row


def _spread_of(column: Column, seeds: list[np.ndarray]) -> dict[str, float]:
    """Median over seeds of the medians over repeats, with least and greatest."""
    medians = np.array([_nanmedian(values) for values in seeds])
    finite = medians[np.isfinite(medians)]
    if column.name.startswith("target_"):  # a seed that never got there counts as infinity: no median where half do
        medians = np.where(np.isnan(medians), np.inf, medians)
    middle = _nanmedian(medians[~np.isnan(medians)], keep_infinite=True)
    out = {column.name: middle if np.isfinite(middle) else float("nan")}
    out[f"{column.name}_low"] = float(finite.min()) if len(finite) else float("nan")
    out[f"{column.name}_high"] = float(finite.max()) if len(finite) else float("nan")
    if column.timed:
        noise = [_noise(values) for values in seeds]
        out[f"{column.name}_noise"] = float(np.median(noise)) if noise else float("nan")
    return out


def _noise(values: np.ndarray) -> float:
    """Twice the relative median absolute deviation of repeats."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0
    middle = float(np.median(values))
    return 2.0 * float(np.median(np.abs(values - middle))) / middle if middle > 0 else 0.0


def _nanmedian(values: np.ndarray, keep_infinite: bool = False) -> float:
    kept = values if keep_infinite else values[np.isfinite(values)]
    return float(np.median(kept)) if len(kept) else float("nan")
