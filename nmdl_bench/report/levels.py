"""How many problems each solver solved at several levels, and at what cost: the table of targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from nmdl_bench.report.frames import RunData
from nmdl_bench.report.numbers import count
from nmdl_bench.report.tables import escape_latex, escape_markdown, pipe
from nmdl_bench.report.targets import levels_of, with_targets


@dataclass(frozen=True)
class LevelTable:
    """One table of text: a row a solver and backend, a column a level."""

    title: str
    note: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def level_data(data: RunData) -> pd.DataFrame:
    """Where each solver met each level of ``[report] taus``, medians over repeats.

    Returns
    -------
    pandas.DataFrame
        Rows ``problem``, ``solver``, ``kind``, ``backend``, ``seed``, ``tau``, ``target`` (a loss), ``reached`` (with
        every repeat), ``forward``, ``passes``, ``time`` (s); empty where the experiment names no levels.
    """
    names = ["problem", "solver", "kind", "backend", "seed"]
    parts = []
    for tau in levels_of(data):
        grouped = with_targets(data, tau).groupby(names, sort=False)
        columns = {c: grouped[f"target_{c}"].median() for c in ("forward", "passes", "time")}
        frame = pd.DataFrame({"target": grouped.target.median(), "reached": grouped.reached.all(), **columns})
        parts.append(frame.reset_index().assign(tau=tau))
    order = [*names, "tau", "target", "reached", "forward", "passes", "time"]
    return pd.concat(parts)[order].reset_index(drop=True) if parts else pd.DataFrame(columns=order)


def level_tables(frame: pd.DataFrame) -> list[LevelTable]:
    """How many problems were solved at each level, then, for each problem, the passes that it took.

    Parameters
    ----------
    frame : pandas.DataFrame
        As :func:`level_data` gives it.
    """
    if not len(frame):
        return []
    taus = list(dict.fromkeys(frame.tau))
    heads = ("Solver", "Backend", *(f"tau = {tau:g}" for tau in taus))
    instances = len(frame[["problem", "seed"]].drop_duplicates())
    note = f"Problems solved, of {instances} (each seed is one); a solver need not have run on all of them."
    tables = [LevelTable("All problems", note, heads, _rows(frame, taus, lambda own: f"{int(own.reached.sum())}"))]
    for problem, own in frame.groupby("problem", sort=False):
        note = "Passes over the data to the target, medians; empty where it was not met with every seed and repeat."
        tables.append(LevelTable(str(problem), note, heads, _rows(own, taus, _passes)))
    return tables


def _rows(frame: pd.DataFrame, taus: list[float], cell: Callable[[pd.DataFrame], str]) -> tuple[tuple[str, ...], ...]:
    rows = []
    for (solver, kind, backend), own in frame.groupby(["solver", "kind", "backend"], sort=False):
        name = f"{solver}†" if kind == "peer" else str(solver)
        rows.append((name, str(backend), *(cell(own[own.tau == tau]) for tau in taus)))
    return tuple(rows)


def _passes(own: pd.DataFrame) -> str:
    return count(float(own.passes.median())) if len(own) and own.reached.all() else ""


def markdown(tables: list[LevelTable]) -> str:
    """The tables in GitHub's Markdown."""
    parts = []
    for table in tables:
        rules = ["---", "---"] + ["--:"] * (len(table.heads) - 2)
        lines = [f"### {escape_markdown(table.title)}", "", table.note, "", pipe(list(table.heads)), pipe(rules)]
        lines += [pipe([escape_markdown(row[0]), escape_markdown(row[1]), *row[2:]]) for row in table.rows]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, "- † solver of another library"]) + "\n"


def latex(tables: list[LevelTable]) -> str:
    """The tables in LaTeX with booktabs, each over as many pages as it takes."""
    parts = ["% needs \\usepackage{booktabs,longtable}"]
    for table in tables:
        heads = " & ".join(h.replace("tau = ", r"$\tau = $ ") for h in table.heads)
        lines = [
            rf"\begin{{longtable}}{{@{{}}ll{'r' * (len(table.heads) - 2)}@{{}}}}",
            rf"  \caption{{{escape_latex(table.title)}. {escape_latex(table.note)}}} \\",
            r"  \toprule",
            rf"  {heads} \\",
            r"  \midrule\endhead",
        ]
        for row in table.rows:
            name = escape_latex(row[0].removesuffix("†")) + (r"$^\dagger$" if row[0].endswith("†") else "")
            lines.append("  " + " & ".join([name, escape_latex(row[1]), *row[2:]]) + r" \\")
        parts.append("\n".join([*lines, r"  \bottomrule", r"\end{longtable}"]))
    return "\n\n".join(parts) + "\n"
