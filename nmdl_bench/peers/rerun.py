"""Methods that show no iterate before they end: run once on the clock, and off it for what was on the way."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import Array, Counts, NmdlError, Objective, Record, Result, Status, Stop


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
    k, reason = 0, f"{stop.max_iterations} iterations"
    chunk, limit = stop.chunk, stop.max_evaluations or np.inf
    try:
        while k < stop.max_iterations:
            wanted = min(k + chunk, stop.max_iterations)
            z, reached, counts = solve(wanted)
            if counts.forward > limit and wanted > k + 1:
                chunk = (wanted - k) // 2
                continue
            k = reached
            f, g_norm = evaluation.norms(z)
            rows.append((k, counts.forward, counts.gradient, counts.passes, f, g_norm))
            if k < wanted:
                status, reason = "stalled", f"ended by its own rule after {k} iterations"
                break
            if counts.forward >= limit:
                reason = f"{counts.forward} forwards"
                break
            if g_norm <= record.g_stop or not np.isfinite(f):
                break
        if len(rows) > 1 and rows[-1][0] <= rows[-2][0]:  # nothing came of asking for more
            rows.pop()
        record.begin()  # what came before was off the clock
        z, k, counts = solve(k)
    except NmdlError:
        raise
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        return Result(x, "stalled", f"{type(error).__name__}: {' '.join(str(error).split())}", 0, Counts())
    if rows and record.chunk(lambda: np.array(rows, np.float64), z):
        status, reason = record.why()
    return Result(z, status, reason, k, counts, float(counts.passes))


def quietly(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` without the warnings that it did not converge."""

    @functools.wraps(fn)
    def quiet(*args: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fn(*args, **options)

    return quiet
