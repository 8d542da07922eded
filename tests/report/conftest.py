"""A results store held in memory, with the readers of the real one and a small language to fill it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from nmdl_bench.report import figures
from nmdl_bench.report.frames import load
from nmdl_bench.report.summary import summarise

SPEC = """\
name = "demo"
title = "Solvers on two small problems"
backends = ["numpy", "torch"]
[report]
tau = 0.1
"""


@dataclass
class Run:
    run_id: str = "r1"
    experiment: str = "demo"
    spec: str = SPEC
    started: float = 1_750_000_000.0
    finished: float | None = 1_750_000_060.0
    provenance_id: str = "p1"


@dataclass
class MemoryStore:
    """The readers of ``Store`` over lists."""

    run: Run = field(default_factory=Run)
    rows: list[dict[str, Any]] = field(default_factory=list)
    lost: list[dict[str, Any]] = field(default_factory=list)

    def find_run(self, name_or_id: str) -> Run:
        return self.run

    def results(self, run_id: str) -> list[dict[str, Any]]:
        return self.rows

    def missing(self, run_id: str) -> list[dict[str, Any]]:
        return self.lost

    def provenance(self, provenance_id: str) -> dict[str, Any]:
        return {"python": "3.11.0", "packages": {"numpy": "2.4.6"}, "cpu": "a <CPU>", "git": {"dirty": True}}

    def case(self, problem: str, solver: str, library: str, seed: int, **more: Any) -> dict[str, Any]:
        key = f"{problem}/{solver}/{library}/{more.get('dtype', 'float64')}/{seed}"
        known = {row["key"]: row["position"] for row in [*self.rows, *self.lost]}
        return {
            "key": key,
            "position": known.get(key, len(known)),
            "problem": problem,
            "problem_json": json.dumps({"name": problem, "options": {"n": 60}}),
            "solver": solver,
            "solver_json": json.dumps({"name": solver, "options": {"step": 0.1}}),
            "library": library,
            "device": "cpu",
            "dtype": "float64",
            "seed": seed,
            "kind": "ours",
        } | more

    def add(
        self,
        problem: str,
        solver: str,
        library: str,
        losses: Any = None,
        *,
        seed: int = 0,
        repeat: int = 0,
        step_time: float = 0.01,
        status: str = "max_iterations",
        metrics: dict[str, float] | None = None,
        case: dict[str, Any] | None = None,
        **values: Any,
    ) -> None:
        """One measured repeat whose history has ``losses`` (rows,), one pass a row, ``step_time`` s a row."""
        row = self.case(problem, solver, library, seed, **(case or {}))
        row |= {"repeat": repeat, "session": "s1", "round": repeat, "status": status, "reason": "", "agrees": 1}
        if losses is not None:
            losses = np.asarray(losses, dtype=float)
            k = np.arange(len(losses), dtype=float)
            row |= {
                "history": np.stack([k, k + 1, k + 1, k + 1, losses, losses, k * step_time, np.ones_like(k)], axis=1),
                "iterations": len(k) - 1,
                "n_forward": len(k),
                "n_gradient": len(k),
                "passes": float(len(k)),
                "loss0": losses[0],
                "loss": losses[-1],
                "grad_norm": 1e-3,
                "time": (len(k) - 1) * step_time,
                "compile_time": 0.0,
                "memory_host": 3e6,
                "agreement": 1e-12,
            }
        row |= {"metrics_json": json.dumps(metrics or {}), "provenance_id": "p1"} | values
        self.rows.append(row)

    def lose(self, problem: str, solver: str, library: str, seed: int = 0) -> None:
        """One case without a result."""
        self.lost.append(self.case(problem, solver, library, seed))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def _fill(store: MemoryStore) -> MemoryStore:
    for problem, f0 in (("spirals", 2.0), ("digits", 4.0)):
        for solver, rate in (("lbfgs", 0.5), ("sgd", 0.8), ("scipy-lbfgs", 0.6)):
            for library, step in (("numpy", 0.02), ("torch", 0.01)):
                for repeat in range(3):
                    store.add(
                        problem,
                        solver,
                        library,
                        f0 * rate ** np.arange(12),
                        repeat=repeat,
                        step_time=step * (1 + 0.001 * repeat),
                        metrics={"accuracy_validation": 1 - 0.1 * rate, "accuracy_test": 0.8},
                        case={"kind": "peer" if solver.startswith("scipy") else "ours"},
                    )
    return store


@pytest.fixture
def demo(store: MemoryStore) -> MemoryStore:
    """Two problems, two of our solvers and one peer, NumPy and PyTorch, three repeats."""
    return _fill(store)


@pytest.fixture(scope="session")
def demo_plan() -> Any:
    """The figures planned for :func:`demo` by name, and their styles; not to be changed."""
    data = load(_fill(MemoryStore()), "demo")
    return {f.name: f for f in figures.plan(data, summarise(data))}, figures.styles_of(data)
