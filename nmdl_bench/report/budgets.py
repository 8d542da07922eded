"""Passes over the data that solvers took to small gaps, beside those that the experiment allows them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from nmdl_bench.report.frames import RunData
from nmdl_bench.report.levels import LevelTable
from nmdl_bench.report.numbers import count
from nmdl_bench.report.targets import crossing, gap_value

COLUMNS = ["problem", "solver", "kind", "backend", "gap", "passes", "budget", "peer", "peer_passes", "met"]
_HEADS = ("Solver", "Backend", "Problem", "Gap", "Passes", "Budget", "Best peer", "Met")


def budget_data(data: RunData) -> pd.DataFrame:
    """What each entry of ``[report] budgets`` came to.

    Returns
    -------
    pandas.DataFrame
        A row for each problem, solver and backend that an entry names: the ``gap`` ``(f - f*) / |f*|`` to the known
        minimum, the ``passes`` to it (the most over seeds and repeats; infinite where one did not reach it), the
        ``budget``, the ``peer`` with the fewest passes to that gap, of those that the entry names or of all, and its
        ``peer_passes`` (NaN where none reached it), and whether the budget was ``met``. Empty where the experiment
        names no budgets.
    """
    rows = []
    for entry in data.settings.get("budgets") or ():
        problem, gap, budget = entry["problem"], float(entry["gap"]), float(entry["passes"])
        taken = _passes(data, problem, gap)
        others = [(passes, solver) for (solver, kind, _), passes in taken.items() if kind == "peer"]
        peers = [found for found in others if found[1] in (entry.get("peers") or [found[1]])]
        best, peer = min(peers, default=(np.inf, ""))
        for (solver, kind, backend), passes in taken.items():
            if solver in entry["solvers"]:
                found = (peer, best) if np.isfinite(best) else ("", np.nan)
                rows.append((problem, solver, kind, backend, gap, passes, budget, *found, passes <= budget))
    return pd.DataFrame(rows, columns=COLUMNS)


def _passes(data: RunData, problem: str, gap: float) -> dict[tuple[str, str, str], float]:
    """Most passes of each solver's repeats to the gap, infinite where one did not reach it."""
    frame = data.results[(data.results.problem == problem) & np.isfinite(data.results.minimum)]
    taken: dict[tuple[str, str, str], float] = {}
    for row in cast(Any, frame.itertuples()):
        target = gap_value(row.minimum, gap, row.loss0)
        history = data.histories.get((row.key, row.repeat))
        found = np.nan if history is None else crossing(history, target).passes
        case = (row.solver, row.kind, row.backend)
        taken[case] = max(taken.get(case, 0.0), found if found == found else np.inf)
    return taken


def budget_table(frame: pd.DataFrame) -> LevelTable | None:
    """The table of budgets, or None where there are none; ``frame`` is :func:`budget_data`'s."""
    if not len(frame):
        return None
    rows = []
    for row in cast(Any, frame.itertuples()):
        name = f"{row.solver}†" if row.kind == "peer" else row.solver
        passes = count(row.passes) if np.isfinite(row.passes) else "not reached"
        peer = f"{count(row.peer_passes)} ({row.peer})" if row.peer else ""
        met = "yes" if row.met else "no"
        rows.append((name, row.backend, row.problem, f"{row.gap:g}", passes, count(row.budget), peer, met))
    note = "Passes over the data to a relative gap to the known minimum, and how many the experiment allows."
    return LevelTable("Budgets", note, _HEADS, tuple(rows))
