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
        minimum, the ``passes`` to it (the most over seeds and repeats; infinite where one failed or did not reach it,
        NaN where no minimum is known or, with no backend, where the solver did not run on the problem), the ``budget``,
        the ``peer`` with the fewest passes to that gap, of those that the entry names or of all, and its
        ``peer_passes`` (NaN where none reached it), and whether the budget was ``met``. Empty where the experiment
        names no budgets.
    """
    rows = []
    for entry in data.settings.get("budgets") or ():
        problem, gap, budget = entry["problem"], float(entry["gap"]), float(entry["passes"])
        taken = _passes(data, problem, gap)
        named = entry.get("peers")
        peers = [
            (passes, solver)
            for (solver, kind, _), passes in taken.items()
            if kind == "peer" and passes < np.inf and (named is None or solver in named)
        ]
        best, peer = min(peers, default=(np.nan, ""))
        for name in entry["solvers"]:
            cases = [case for case in taken if case[0] == name] or [(name, "", "")]
            for case in cases:
                passes = taken.get(case, np.nan)
                rows.append((problem, *case, gap, passes, budget, peer, best, passes <= budget))
    return pd.DataFrame(rows, columns=COLUMNS)


def _passes(data: RunData, problem: str, gap: float) -> dict[tuple[str, str, str], float]:
    """Most passes of each solver's repeats to the gap, as :func:`budget_data` has them."""
    results = data.results[data.results.problem == problem]
    known = results.groupby("seed")[["minimum", "loss0"]].median()  # a repeat that failed has neither
    taken: dict[tuple[str, str, str], float] = {}
    for row in cast(Any, pd.concat([results, data.missing[data.missing.problem == problem]]).itertuples()):
        passes, case = np.inf, (row.solver, row.kind, row.backend)
        at = known.loc[row.seed] if row.seed in known.index else None
        if at is None or not np.isfinite(at.minimum):
            passes = np.nan
        elif (history := data.histories.get((row.key, row.repeat))) is not None:
            found = crossing(history, gap_value(at.minimum, gap, at.loss0))
            passes = found.passes if found.reached else np.inf
        taken[case] = max(taken.get(case, 0.0), passes) if passes == passes else np.nan
    return taken


def budget_table(frame: pd.DataFrame) -> LevelTable | None:
    """The table of budgets, or None where there are none; ``frame`` is :func:`budget_data`'s."""
    if not len(frame):
        return None
    rows = []
    for row in cast(Any, frame.itertuples()):
        name = f"{row.solver}†" if row.kind == "peer" else row.solver
        missing = "not run" if not row.backend else "no known minimum" if np.isnan(row.passes) else "not reached"
        passes = count(row.passes) if np.isfinite(row.passes) else missing
        peer = f"{count(row.peer_passes)} ({row.peer})" if row.peer else ""
        met = "yes" if row.met else "no"
        rows.append((name, row.backend, row.problem, f"{row.gap:g}", passes, count(row.budget), peer, met))
    note = "Passes over the data to a relative gap to the known minimum, and how many the experiment allows."
    return LevelTable("Budgets", note, _HEADS, tuple(rows))
