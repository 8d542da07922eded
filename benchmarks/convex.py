"""Composite and bounded methods against reference minima and SciPy: ``python -m benchmarks.convex``.

Prints passes over the data to a relative gap ``(F - F*) / |F*|`` beside the budgets below, and evaluations of projected
L-BFGS beside those of SciPy's L-BFGS-B with bounds to the same gap. The exit status tells whether all goals are met.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from scipy import optimize

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import HISTORY_COLUMNS, Stop
from nmdl_bench.solve import solve

XP = get_backend("numpy")
LOSS, PASSES = HISTORY_COLUMNS.index("loss"), HISTORY_COLUMNS.index("passes")
GOALS: list[tuple[str, dict[str, Any], str, float, int]] = [
    ("lasso", {}, "fista", 1e-10, 300),
    ("lasso", {}, "proximal-gradient", 1e-10, 900),
    ("sparse-recovery", {}, "fista", 1e-10, 150),
    ("sparse-recovery", {}, "proximal-gradient", 1e-10, 150),
    ("sparse-logistic-digits", {}, "fista", 1e-8, 2000),
]
"""Problem, its options, solver, relative gap, and passes that it may take."""
BOUNDED: list[tuple[str, dict[str, Any]]] = [
    (name, {"seed": seed})
    for name in ("nonnegative-least-squares", "bounded-logistic-digits", "bounded-logistic-breast-cancer")
    for seed in (0, 1, 2)
]
GAP, RATIO = 1e-10, 1.1
"""Relative gap for bounded problems, and the geometric mean of evaluations, ours by SciPy's, that is allowed."""


def passes_to_gap(problem: Any, solver: str, gap: float, limit: int) -> float:
    """Passes until ``F - F* <= gap |F*|``; infinite where that takes more than ``limit``."""
    stop = Stop(max_iterations=limit, max_evaluations=limit, gtol=0.0)
    history = solve(problem, SOLVERS.make(solver), XP, stop).history
    reached = history[:, LOSS] - problem.minimum <= gap * abs(problem.minimum)
    return float(history[reached, PASSES][0]) if reached.any() else np.inf


def scipy_evaluations(problem: Any, gap: float, limit: int) -> float:
    """Evaluations of SciPy's L-BFGS-B with ten pairs to the same gap."""
    objective, best, calls, found = problem.bind(XP), problem.minimum, 0, np.inf

    def fun(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls, found
        calls += 1
        f, tape = objective.forward(x)
        if f - best <= gap * abs(best) and not np.isfinite(found):
            found = calls
        return f, objective.grad(tape)

    options = {"maxcor": 10, "maxiter": limit, "maxfun": limit, "ftol": 0.0, "gtol": 1e-12}
    bounds = list(zip(objective.lower, objective.upper))
    optimize.minimize(fun, objective.x0, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return found


def main() -> int:
    failed = 0
    for name, options, solver, gap, budget in GOALS:
        taken = passes_to_gap(PROBLEMS.make(name, **options), solver, gap, budget)
        failed += taken > budget
        word = "met" if taken <= budget else "MISSED"
        print(f"{name} {options or ''} {solver}: gap {gap:g} after {taken:g} passes of {budget}, {word}", flush=True)
    ratios = []
    for name, options in BOUNDED:
        problem = PROBLEMS.make(name, **options)
        ours, theirs = passes_to_gap(problem, "projected-lbfgs", GAP, 5000), scipy_evaluations(problem, GAP, 5000)
        ratios.append(ours / theirs)
        print(f"{name} {options} projected-lbfgs: {ours:g} evaluations, SciPy {theirs:g}", flush=True)
    mean = float(np.exp(np.mean(np.log(ratios))))
    print(f"projected-lbfgs by SciPy's L-BFGS-B, geometric mean of evaluations: {mean:.3f}, at most {RATIO} wanted")
    return int(failed > 0 or not mean <= RATIO)


if __name__ == "__main__":
    sys.exit(main())
