"""Solvers on problems and backends: one sweep of `nmdl-bench run` a commit (``sweep.toml``), looked up by benchmarks.

The sweep measures as for any report: a worker process for each backend, threads pinned, repeats interleaved, the device
waited for, compilation and metrics off the clock. asv sees the repeats as samples.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import BACKENDS, Samples, skipped

SWEEP = Path(__file__).with_name("sweep.toml")
TAU = 0.01
"""A target leaves this part of the start's distance to the best loss (a tenth is met within an epoch on digits)."""
BEST = {"spirals": 1.578e-4, "digits": 3.758e-3}
"""Losses that gaps count from, where 3,000 iterations of L-BFGS ended. Constants, so that commits stay comparable."""
Summary = dict[str, Any]


def sweep(only: str = "") -> dict[tuple[str, str, str], Summary]:
    """Run ``sweep.toml`` in a store of its own; what each (backend, problem, solver) gave."""
    from nmdl_bench.runs.progress import PlainProgress
    from nmdl_bench.runs.run import plan, run
    from nmdl_bench.runs.store import Store

    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder, "store.sqlite"), create=True) as store:
        planned = plan(SWEEP)
        run(planned, store, progress=PlainProgress(), only=only)
        cases: dict[tuple[str, str, str], list[Any]] = {}
        for row in store.results(planned.run_id):
            cases.setdefault((row["library"], row["problem"], row["solver"]), []).append(row)
    return {case: summary(case[1], rows) for case, rows in cases.items()}


def summary(problem: str, rows: list[Any]) -> Summary:
    """Plain numbers of a case's repeats; ``reason`` where there are none."""
    from nmdl_bench.report.targets import crossing, target_value

    first = rows[0]
    if first["history"] is None:
        return {"status": first["status"], "reason": first["reason"]}
    best, start = BEST[problem], first["loss0"]
    met = crossing(first["history"], target_value(start, best, TAU))
    memory = [row["memory_host"] if row["memory_device"] is None else row["memory_device"] for row in rows]
    return {
        "status": first["status"],
        "solve": [row["time"] for row in rows],
        "step": [row["time"] / max(row["iterations"], 1) for row in rows],
        "compile": first["compile_time"],
        "memory": max(memory),
        "iterations": met.iterations,
        "evaluations": met.forward,
        "gap": float(f"{(first['loss'] - best) / (start - best):.4g}"),  # backends differ in later digits
    }


class Solvers:
    """Whatever did not happen is NaN (shown as n/a): asv can publish neither infinity nor None."""

    params = (BACKENDS, ["spirals", "digits"], ["steepest-descent", "lbfgs", "sgd", "nesterov", "adam"])
    param_names = ("backend", "problem", "solver")
    skip_params = skipped(params)
    timeout = 60
    version = "1"

    def setup_cache(self) -> Any:
        return sweep()

    setup_cache.timeout = 900  # type: ignore[attr-defined]

    def setup(self, cases: Any, *case: str) -> None:
        self.found = cases[case]
        if self.found["status"] == "unavailable":
            raise NotImplementedError(self.found["reason"])
        if "solve" not in self.found:
            raise RuntimeError(f"{self.found['status']}: {self.found['reason']}")

    def track_solve_time(self, cases: Any, *case: str) -> Samples:
        return {"samples": self.found["solve"], "number": 1}

    def track_step_time(self, cases: Any, *case: str) -> Samples:
        return {"samples": self.found["step"], "number": 1}

    def track_compile_time(self, cases: Any, *case: str) -> float:
        return self.found["compile"]

    def track_memory(self, cases: Any, *case: str) -> float:
        """Peak on the device where its allocator tells, else on the host over what is resident after imports."""
        return self.found["memory"]

    def track_iterations_to_target(self, cases: Any, *case: str) -> float:
        return self.found["iterations"]

    def track_evaluations_to_target(self, cases: Any, *case: str) -> float:
        return self.found["evaluations"]

    def track_gap(self, cases: Any, *case: str) -> float:
        """What is left of the start's distance to the best known loss when the budget is used up."""
        return self.found["gap"]


Solvers.track_solve_time.unit = Solvers.track_step_time.unit = "seconds"  # type: ignore[attr-defined]
Solvers.track_compile_time.unit = "seconds"  # type: ignore[attr-defined]
Solvers.track_memory.unit = "bytes"  # type: ignore[attr-defined]
Solvers.track_iterations_to_target.unit = "iterations"  # type: ignore[attr-defined]
Solvers.track_evaluations_to_target.unit = "evaluations"  # type: ignore[attr-defined]
Solvers.track_gap.unit = "of the start's"  # type: ignore[attr-defined]
