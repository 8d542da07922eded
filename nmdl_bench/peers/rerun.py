"""Methods that show no iterate before they end: run once on the clock, and off it for what was on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import Array, Counts, Objective, Record, Result, Status, Stop


def rerun(
    objective: Objective,
    x: Array,
    stop: Stop,
    record: Record,
    solve: Callable[[int], tuple[Array, int, Counts]],
) -> Result:
    """Run a deterministic method that is told its number of iterations and tells nothing but its last iterate.

    Off the clock it runs from the start for every multiple of ``stop.chunk``, until an iterate meets the tolerance,
    the limits are reached, or it ends by its own rule. Then the clock runs, and with it the method, for that number of
    iterations. So its time is that of one run; iterations are recorded at the multiples.

    Parameters
    ----------
    objective, x, stop, record
        As for :meth:`nmdl_bench.contracts.Solver.run`.
    solve : callable
        ``solve(k)`` gives the iterate after at most k iterations from ``x``, their number, and what they evaluated.
    """
    evaluation = Evaluation(objective)
    record.begin()
    if record(0, None, x=x, counts=Counts()):
        return Result(x, *record.why(), 0, Counts())
    rows: list[tuple[float, ...]] = []
    status: Status = "max_iterations"
    k, counts, reason = 0, Counts(), f"{stop.max_iterations} iterations"
    while k < stop.max_iterations:
        wanted = min(k + stop.chunk, stop.max_iterations)
        z, reached, counts = solve(wanted)
        f, g_norm = evaluation.norms(z)
        if reached == k and rows:
            rows.pop()
        k = reached
        rows.append((k, counts.forward, counts.gradient, counts.passes, f, g_norm))
        if k < wanted:
            status, reason = "stalled", f"ended by its own rule after {k} iterations"
            break
        if counts.forward >= (stop.max_evaluations or np.inf):
            reason = f"{counts.forward} forwards"
            break
        if g_norm <= record.g_stop or not np.isfinite(f):
            break
    record.begin()  # what came before was off the clock
    z, k, counts = solve(k)
    if rows and record.chunk(lambda: np.array(rows, np.float64), z):
        status, reason = record.why()
    return Result(z, status, reason, k, counts, float(counts.passes))


def quietly(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` without the warnings that it did not converge."""
    import functools
    import warnings

    @functools.wraps(fn)
    def quiet(*args: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fn(*args, **options)

    return quiet
