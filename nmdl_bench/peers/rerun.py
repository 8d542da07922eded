"""Methods that show no iterate before they end: run once on the clock, and off it for what was on the way."""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import Array, Counts, NmdlError, Objective, Record, Result, Status, Stop
from nmdl_bench.peers.base import OursError, ours


class _Look(NamedTuple):
    """What a run of some iterations comes to."""

    reached: int
    counts: Counts
    f: float
    g_norm: float
    seconds: float

    @property
    def row(self) -> tuple[float, ...]:
        """Its :data:`~nmdl_bench.contracts.ROW`."""
        return self.reached, self.counts.forward, self.counts.gradient, self.counts.passes, self.f, self.g_norm


def rerun(
    objective: Objective,
    x: Array,
    stop: Stop,
    record: Record,
    solve: Callable[[int], tuple[Array, int, Counts]],
) -> Result:
    """Run a deterministic method that is told its number of iterations and tells nothing but its last iterate.

    Off the clock it runs from the start for 1, 2, 4, 8 ... iterations, until an iterate meets the tolerance, a limit is
    reached, or it ends by its own rule; bisection then finds the first iteration at which that is so. Where it is the
    limit on time, the last iteration within it. Then the clock runs, and with it the method, for that number of
    iterations. So its time is that of one run; iterations are recorded where one of the runs ended.

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
    limit, max_time = stop.max_evaluations or np.inf, np.inf if stop.max_time is None else stop.max_time
    looks: dict[int, _Look] = {}

    def look(k: int) -> _Look:
        since = time.perf_counter()
        z, reached, counts = solve(k)
        evaluation.xp.synchronize(z)
        seconds = time.perf_counter() - since
        f, g_norm = ours(evaluation.norms, z)
        looks[k] = _Look(reached, counts, f, g_norm, seconds)
        return looks[k]

    def is_end(k: int) -> bool:
        found = look(k)
        over = found.reached < k or found.counts.forward >= limit or found.seconds > max_time
        return over or found.g_norm <= record.g_stop or not np.isfinite(found.f)

    try:
        solve(1)  # what is slow in a process's first run
        low, k = 0, 1
        while not is_end(k) and k < stop.max_iterations:
            low, k = k, min(2 * k, stop.max_iterations)
        while k - low > 1:
            middle = (low + k) // 2
            low, k = (low, middle) if is_end(middle) else (middle, k)
        too_long = looks[k].seconds > max_time
        k = max(low, 1) if too_long else k
        record.begin()  # what came before was off the clock
        z, reached, counts = solve(k)
    except OursError as raised:
        raise raised.error from raised.error.__cause__
    except NmdlError:
        raise
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        return Result(x, "stalled", f"{type(error).__name__}: {' '.join(str(error).split())}", 0, Counts())
    rows = {
        found.reached: found.row for found in map(looks.get, sorted(looks)) if found and 0 < found.reached <= reached
    }
    if rows and record.chunk(lambda: np.array(list(rows.values()), np.float64), z):
        status, reason = record.why()
    else:
        status, reason = _why(stop, k, looks[k], limit, too_long)
    return Result(z, status, reason, reached, counts, float(counts.passes))


def _why(stop: Stop, k: int, end: _Look, limit: float, too_long: bool) -> tuple[Status, str]:
    """Status and reason of a run that ended after at most k iterations, and not where the record says so."""
    if too_long:
        return "max_time", f"one iteration more takes longer than {stop.max_time:.3g} s"
    if end.reached < k:
        return "stalled", f"ended by its own rule after {end.reached} iterations"
    return "max_iterations", f"{end.counts.forward} forwards" if end.counts.forward >= limit else f"{k} iterations"


def quietly(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` without the warnings that it did not converge."""

    @functools.wraps(fn)
    def quiet(*args: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fn(*args, **options)

    return quiet
