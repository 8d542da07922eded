"""SciPy's solvers, on the host, with value and gradient from any backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize

from nmdl_bench.contracts import Array, Objective, Record, Result, Status, Stop
from nmdl_bench.peers.base import Counted

_STATUS: dict[int, Status] = {0: "converged", 1: "max_iterations", 2: "stalled"}


@dataclass(frozen=True)
class ScipyLBFGSB:
    """``scipy.optimize.minimize(method="L-BFGS-B")`` without bounds (Zhu, Byrd, Lu and Nocedal 1997).

    Parameters
    ----------
    memory : int
        Number of correction pairs.
    max_trials : int
        Trials of its line search (More and Thuente 1994).
    """

    memory: int = 10
    max_trials: int = 20

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        xp = objective.xp
        value_and_grad = Counted(objective)
        x_k, k, g_norm = xp.to_numpy(x).astype(np.float64), 0, np.nan
        known: list[tuple[float, np.ndarray]] = []

        def fun(z: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal g_norm
            if known:  # SciPy asks for the start, which is evaluated already
                return known.pop()
            f, g = value_and_grad(xp.asarray(z))
            g_host = xp.to_numpy(g).astype(np.float64)
            g_norm = float(np.abs(g_host).max())
            return float(f), g_host

        def callback(intermediate_result: Any) -> None:
            nonlocal x_k, k
            x_k, k = intermediate_result.x.copy(), k + 1
            f = intermediate_result.fun
            # the last point evaluated is the accepted one
            if record(k, f, x=xp.asarray(x_k), counts=value_and_grad.counts, grad_norm=g_norm):
                raise StopIteration

        record.begin()
        first = fun(x_k)
        if record(0, first[0], x=x, counts=value_and_grad.counts, grad_norm=g_norm):
            return Result(x, *record.why(), 0, value_and_grad.counts, 1.0)
        known.append(first)
        options = {
            "maxcor": self.memory,
            "maxls": self.max_trials,
            "maxiter": stop.max_iterations,
            "maxfun": stop.max_evaluations or 2**31 - 1,
            "ftol": 0.0,
            "gtol": record.g_stop,
        }
        found = optimize.minimize(fun, x_k, jac=True, method="L-BFGS-B", callback=callback, options=options)
        status, reason = _STATUS.get(found.status, "stalled"), str(found.message)
        if reason.endswith("StopIteration") or "callback" in reason.lower():
            status, reason = record.why()
        else:
            x_k = found.x
        counts = value_and_grad.counts
        return Result(xp.asarray(x_k), status, reason, k, counts, float(counts.forward))
