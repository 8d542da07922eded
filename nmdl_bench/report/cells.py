"""The final table as text, before any markup: what the terminal, LaTeX, Markdown and HTML tables share."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from nmdl_bench.report.frames import RunData
from nmdl_bench.report.numbers import significant
from nmdl_bench.report.summary import Column, Summary
from nmdl_bench.report.targets import gap_of, tau_of


@dataclass(frozen=True)
class Cell:
    """One value with its marks."""

    text: str
    """Empty where there is no value."""
    spread: str = ""
    """``low to high`` over seeds, or ``2/5`` where some seeds did not reach the target."""
    best: bool = False
    interpolated: bool = False
    excluded: bool = False
    """A time of a backend that does not agree with NumPy float64."""


@dataclass(frozen=True)
class Row:
    """One solver on one backend."""

    solver: str
    peer: bool
    backend: str
    status: str
    cells: tuple[Cell, ...]
    first: bool
    """Whether it is the first row of its solver."""


@dataclass(frozen=True)
class ProblemTable:
    """The final table of one problem."""

    problem: str
    note: str
    """One sentence: target and seeds."""
    rows: tuple[Row, ...]


def problem_tables(data: RunData, summary: Summary) -> list[ProblemTable]:
    """The final table, one for each problem, in the experiment's order."""
    tables = []
    for problem in summary.problems:
        group = summary.problem(problem)
        rows, before = [], None
        for record in group.to_dict("records"):
            rows.append(_row({str(k): v for k, v in record.items()}, summary.columns, record["solver"] != before))
            before = record["solver"]
        tables.append(ProblemTable(problem, _note(data, group, problem), tuple(rows)))
    return tables


def legend(summary: Summary, *, best: str, peer: str, interpolated: str, excluded: str) -> list[str]:
    """What the marks of a table mean, those only that occur. The arguments are the marks themselves."""
    frame = summary.frame
    lines = []
    if any(frame[f"best_{c.name}"].any() for c in summary.columns):
        lines.append(f"{best} best of its problem, with all that the measurement cannot tell from it")
    if (frame.kind == "peer").any():
        lines.append(f"{peer} solver of another library")
    if (frame.interpolated & frame.target_time.notna()).any():
        lines.append(f"{interpolated} time interpolated between two readings of the clock")
    if (~frame.comparable & frame.time.notna()).any():
        lines.append(f"{excluded} differs from NumPy float64, or was not compared with it: its times do not count")
    return lines


def _row(record: dict[str, object], columns: tuple[Column, ...], first: bool) -> Row:
    return Row(
        solver=str(record["solver"]),
        peer=record["kind"] == "peer",
        backend=str(record["backend"]),
        status=str(record["status"]).replace("_", " "),
        cells=tuple(_cell(record, column) for column in columns),
        first=first,
    )


def _cell(record: dict[str, object], column: Column) -> Cell:
    value = _float(record[column.name])
    text = column.show(value)
    to_target = column.name.startswith("target_")
    spread = ""
    if text and column.spread and int(str(record["seeds"])) > 1:
        low, high = (column.show(_float(record[f"{column.name}_{end}"])) for end in ("low", "high"))
        spread = f"{low} to {high}" if low != high else ""
    if to_target and not record["reached"] and int(str(record["solved"])):
        spread = f"{record['solved']}/{record['seeds']}"
        text = text or "-"
    return Cell(
        text=text,
        spread=spread,
        best=bool(record[f"best_{column.name}"]),
        interpolated=bool(text) and column.name == "target_time" and bool(record["interpolated"]),
        excluded=bool(text) and column.timed and not record["comparable"],
    )


def _note(data: RunData, group: pd.DataFrame, problem: str) -> str:
    """Such as ``Target: training loss 0.123 (tau = 0.1). Medians over 3 repeats.``."""
    targets = group.target.dropna()
    gap = gap_of(data, problem)
    tau = f"tau = {tau_of(data, problem):g}" if gap is None else f"relative gap {gap:g} to the known minimum"
    if not len(targets):
        target = "No solver lowered the loss, so there is no target."
    elif group.seeds.max() > 1:
        target = f"Target: median training loss {significant(float(targets.median()))} over seeds ({tau})."
    else:
        target = f"Target: training loss {significant(float(targets.median()))} ({tau})."
    seeds, repeats = int(group.seeds.max()), int(group.repeats.max())
    over = [f"{n} {word}" for n, word in ((seeds, "seeds"), (repeats, "repeats")) if n > 1]
    return target + (f" Medians over {' and '.join(over)}." if over else " One repeat.")


def _float(value: object) -> float:
    return float(value)  # type: ignore[arg-type]
