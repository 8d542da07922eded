"""Which solvers find the minima of the 35 functions of More, Garbow and Hillstrom: ``python -m benchmarks.mgh``.

From the standard starts and from 10 and 100 times as far. Printed are the numbers of functions solved, by start, and
each miss of our own solvers with where it ended.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import SOLVERS
from nmdl_bench.contracts import Stop
from nmdl_bench.problems.mgh import FUNCTIONS, TestProblem, classify, sum_of_squares
from nmdl_bench.runs.plugins import one_line
from nmdl_bench.solve import solve

OURS = ("levenberg-marquardt", "gauss-newton", "newton-tr", "lbfgs", "bfgs")
PEERS = ("scipy-lm", "scipy-trf", "scipy-bfgs", "scipy-lbfgsb", "scipy-trust-krylov", "optimistix-lm")
FACTORS = (1.0, 10.0, 100.0)
STOP = Stop(max_iterations=3000, max_evaluations=10000, max_time=60.0, gtol=0.0)
"""Solvers go on until they find no better point: what is asked is where, not how soon."""


class Outcome(NamedTuple):
    """Where a solver ended on one function from one start."""

    solver: str
    function: str
    factor: float
    solved: bool
    where: str
    """``global minimum``, ``local minimum 48.9843``, ``neither, F = 0.012``, or why there is no end."""
    status: str
    evaluations: int
    largest: float
    """Of the variables' absolute values."""


def outcomes(
    solvers: Iterable[str], functions: Iterable[str] = FUNCTIONS, factors: Iterable[float] = FACTORS, stop: Stop = STOP
) -> list[Outcome]:
    """Run each solver on each function from each start, in float64: on NumPy, or on the first library it runs on."""
    found = []
    functions, factors = tuple(functions), tuple(factors)
    for name in solvers:
        entry = SOLVERS[name]
        xp = get_backend("numpy" if entry.runs_on("numpy") else entry.backends[0])
        for function in functions:
            for factor in factors:
                found.append(_outcome(name, SOLVERS.make(name), TestProblem(function, factor), xp, stop))
            print(f"{name}: {function}", file=sys.stderr, flush=True)
    return found


def _outcome(name: str, solver: Any, problem: TestProblem, xp: Any, stop: Stop) -> Outcome:
    function, factor = problem.function, problem.factor
    if not np.isfinite(sum_of_squares(function, problem.start, problem.m)):
        return Outcome(name, function.name, factor, False, "the start overflows", "diverged", 1, float("nan"))
    try:
        result = solve(problem, solver, xp, stop)
    except Exception as error:  # a solver that breaks off has not solved it; the table says how
        return Outcome(name, function.name, factor, False, one_line(error, 100), "error", 0, float("nan"))
    end = classify(function, result.x, problem.m)
    largest = float(np.abs(result.x).max())
    return Outcome(name, function.name, factor, end.solved, end.words, result.status, result.counts.forward, largest)


def table(found: Sequence[Outcome]) -> str:
    """How many functions each solver solves from each start, as Markdown.

    ``other known points`` are ends at local minima, saddles and on the way to infinity; the rest is neither.
    """
    factors = sorted({outcome.factor for outcome in found})
    rows = []
    for name in dict.fromkeys(outcome.solver for outcome in found):
        solved = [sum(o.solved for o in found if (o.solver, o.factor) == (name, factor)) for factor in factors]
        own = [o for o in found if o.solver == name]
        known = sum(o.where.startswith(("local", "saddle", "towards")) for o in own)
        rows.append([name, *solved, sum(solved), known, sum(o.evaluations for o in own)])
    total = len({(outcome.function, outcome.factor) for outcome in found})
    headers = [
        "solver",
        *(f"start x {factor:g}" for factor in factors),
        f"of {total}",
        "other known points",
        "evaluations",
    ]
    return tabulate(rows, headers=headers, tablefmt="github")


def misses(found: Sequence[Outcome]) -> str:
    """Where our solvers ended that did not solve a function, and which solvers did, as Markdown."""
    rows = []
    for outcome in found:
        if outcome.solved or (SOLVERS[outcome.solver].kind or "ours") != "ours":
            continue
        at = outcome.function, outcome.factor
        others = sorted(o.solver for o in found if o.solved and (o.function, o.factor) == at)
        start = f"{outcome.function} x {outcome.factor:g}"
        rows.append([outcome.solver, start, outcome.where, f"{outcome.largest:.2g}", outcome.status, ", ".join(others)])
    headers = ["solver", "start", "ended at", "largest variable", "status", "solved by"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mgh", description=__doc__)
    known = [name for name in (*OURS, *PEERS) if name in SOLVERS]
    parser.add_argument("--solvers", nargs="+", default=known, metavar="NAME", help=f"default: {' '.join(known)}")
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS), metavar="NAME")
    parser.add_argument("--factors", nargs="+", type=float, default=list(FACTORS), metavar="F")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes there too")
    given = parser.parse_args(arguments)
    found = outcomes(given.solvers, given.functions, given.factors)
    print(table(found), "\n\nNot solved by ours:\n\n", misses(found), sep="")
    if given.json:
        given.json.write_text(json.dumps([o._asdict() for o in found], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
