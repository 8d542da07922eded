"""The worker process: ``python -m nmdl_bench.runs.worker``, one array library and dtype each.

Requests are dictionaries with a ``verb``: ``hello`` (import the library), ``problem`` (build one, evaluate its start),
``prepare`` (build a solver, run it twice, so that everything is compiled), ``measure`` (one repeat), ``reference`` (the
first rows of a run) and ``release`` (forget problems and solvers). What is built is kept between requests, so that a
repeat costs the repeat alone. A failure is an answer too: ``{"failure": {"status": ..., "reason": ...}}``.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmdl_bench.contracts import PROBLEMS, SOLVERS, Entry, Stop, UnavailableError
from nmdl_bench.measure import memory, serve, threads
from nmdl_bench.runs.plugins import load_all, one_line

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend
    from nmdl_bench.contracts import Optimizer, Problem, Result, Solver

_WARM_UP = 2
"""Iterations and epochs of a warm-up: the second meets the state that the first left, whose types may differ (JAX)."""


@dataclass
class _Prepared:
    """A solver on a problem, warmed up; ``retained`` are the bytes that it has held since."""

    problem: Problem
    solver: Solver | Optimizer
    stop: Stop
    seed: int
    compile_time: float
    retained: int


class Session:
    """What a worker knows and holds."""

    def __init__(self) -> None:
        self._xp: Backend | None = None
        self._baseline = 0
        self._problems: dict[str, tuple[Problem, dict[str, Any]]] = {}
        self._cases: dict[str, _Prepared] = {}
        self._leftover = 0

    @property
    def xp(self) -> Backend:
        """The backend; ``hello`` comes first."""
        assert self._xp is not None
        return self._xp

    def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer one request, whatever happens in it."""
        verb = message.pop("verb")
        try:
            return dict(getattr(self, "do_" + verb)(**message))
        except BaseException as error:  # a solver may raise anything, SystemExit included
            traceback.print_exc()
            return {"failure": describe(error)}

    # ------------------------------------------------------------------------------------------------------- verbs
    def do_hello(self, backend: str, dtype: str, plugins: list[str]) -> dict[str, Any]:
        """Import everything; what is resident afterwards is the baseline of later peaks."""
        import numpy as np

        import nmdl_bench.catalogue
        import nmdl_bench.solve  # noqa: F401
        from nmdl_bench.backends import get_backend
        from nmdl_bench.measure.environment import device_kind, versions_of

        load_all([Path(path) for path in plugins])
        xp = self._xp = get_backend(backend, dtype)
        with xp.scope():
            x = xp.asarray(np.ones(64))
            xp.to_numpy(xp.compile(lambda a: a + a)(x))  # the library's own first-time work
            xp.synchronize()
        memory.trim()
        self._baseline = memory.rss()
        return {
            "facts": {
                "library": xp.library,
                "device": xp.device,
                "device_kind": device_kind(xp.device),
                "dtype": xp.dtype_name,
                "versions": versions_of(xp.library),
                "pools": threads.thread_facts(),
                "cpus": _cpus(),
            }
        }

    def do_problem(self, key: str, name: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
        """Build a problem; its value and gradient at the start, and its known minimum."""
        if key not in self._problems:
            _require("problem", PROBLEMS[name])
            problem = PROBLEMS.make(name, seed=seed, **options)
            self._problems[key] = problem, self._start(problem)
        return self._problems[key][1]

    def do_prepare(
        self, key: str, problem: str, name: str, options: dict[str, Any], stop: dict[str, Any], seed: int
    ) -> dict[str, Any]:
        """Build a solver and run it twice for a few iterations: the first run compiles, the second does not."""
        if key not in self._cases:
            memory.trim()
            before = memory.rss()
            for library in SOLVERS[name].requires:
                if importlib.util.find_spec(library) is not None:
                    importlib.import_module(library)
            case = self._case(problem, name, options, stop, seed)
            memory.trim()
            before, imported = memory.rss(), max(memory.rss() - before, 0)
            self._leftover += imported  # a library is imported once, and is no case's
            first = self._run(case, at_most=_WARM_UP)[1]
            second = self._run(case, at_most=_WARM_UP)[1]
            memory.trim()
            case.compile_time = max(first - second, 0.0)
            case.retained = max(memory.rss() - before, 0)
            self._cases[key] = case
        return {"compile_time": self._cases[key].compile_time}

    def do_measure(self, key: str) -> dict[str, Any]:
        """One repeat of a prepared case: columns of the store's ``results``."""
        case, xp = self._cases[key], self.xp
        others = sum(other.retained for name, other in self._cases.items() if name != key)
        memory.trim()
        memory.reset_peak()
        xp.memory_reset()
        result, wall = self._run(case)
        peak, device_peak = memory.peak(), xp.memory_peak()
        return _columns(result) | {
            "wall": wall,
            "compile_time": case.compile_time,
            "memory_host": float(max(peak - self._baseline - self._leftover - others, 0)),
            "memory_device": None if device_peak is None else float(device_peak),
        }

    def do_reference(
        self, problem: str, name: str, options: dict[str, Any], stop: dict[str, Any], seed: int, rows: int
    ) -> dict[str, Any]:
        """History of a run's first ``rows`` iterations or epochs."""
        from nmdl_bench.runs.store import pack

        memory.trim()
        before = memory.rss()
        history = self._run(self._case(problem, name, options, stop, seed), at_most=rows)[0].history
        memory.trim()
        self._leftover += max(memory.rss() - before, 0)  # what it imported is no case's
        return {"history": pack(history)}

    def do_release(self) -> dict[str, Any]:
        """Forget problems and solvers; what stays resident is not charged to later cases."""
        self._problems.clear()
        self._cases.clear()
        memory.trim()
        self._leftover = max(memory.rss() - self._baseline, 0)
        return {}

    # ----------------------------------------------------------------------------------------------------- helpers
    def _start(self, problem: Problem) -> dict[str, Any]:
        import numpy as np

        from nmdl_bench.backends import stationarity
        from nmdl_bench.backends.compiled import Evaluation
        from nmdl_bench.runs.store import pack
        from nmdl_bench.solve import bind

        with self.xp.scope():
            objective = bind(problem, self.xp)
            value, gradient = Evaluation(objective).value_and_grad(objective.x0)
            value = float(stationarity.total(objective, objective.x0, value))
            gradient = np.asarray(self.xp.to_numpy(gradient), dtype=np.float64)
        minimum = getattr(problem, "minimum", None)
        known = float("nan") if minimum is None else float(minimum)
        return {"value": value, "gradient": pack(gradient), "minimum": known}

    def _case(self, problem: str, name: str, options: dict[str, Any], stop: dict[str, Any], seed: int) -> _Prepared:
        _require("solver", SOLVERS[name])
        return _Prepared(self._problems[problem][0], SOLVERS.make(name, **options), Stop(**stop), seed, 0.0, 0)

    def _run(self, case: _Prepared, at_most: int | None = None) -> tuple[Result, float]:
        """Solve, within ``at_most`` iterations or epochs where given; the result and the seconds that all of it took.

        The number of iterations is an argument of compiled steps, so that a short run compiles what a long one needs.
        """
        from nmdl_bench.solve import solve

        stop = case.stop
        if at_most is not None:
            few = {name: min(at_most, getattr(stop, name)) for name in ("max_iterations", "max_epochs")}
            stop = dataclasses.replace(stop, **few)
        start = time.perf_counter()
        result = solve(case.problem, case.solver, self.xp, stop=stop, seed=case.seed)
        return result, time.perf_counter() - start


def _columns(result: Result) -> dict[str, Any]:
    import json

    import numpy as np

    from nmdl_bench.contracts import HISTORY_COLUMNS
    from nmdl_bench.runs.store import pack

    history = np.asarray(result.history, dtype=np.float64).reshape(-1, len(HISTORY_COLUMNS))
    counts = {f"n_{name}": int(value) for name, value in result.counts._asdict().items()}
    return counts | {
        "status": result.status,
        "reason": result.reason,
        "iterations": int(result.iterations),
        "passes": float(result.passes),
        "loss": float(result.loss),
        "grad_norm": float(result.grad_norm),
        "time": float(result.time),
        "metrics_json": json.dumps({name: float(value) for name, value in result.metrics.items()}),
        "metric_history_json": json.dumps(result.metric_history),
        "history": pack(history),
        "x": pack(np.asarray(result.x)),
    }


def _require(kind: str, entry: Entry[Any]) -> None:
    """Raise UnavailableError where a problem or solver needs a library that is not installed."""
    missing = [name for name in entry.requires if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{kind} {entry.name!r} needs {' and '.join(missing)}, which is not installed")


def describe(error: BaseException) -> dict[str, str]:
    """Status and one-line reason of an exception."""
    if isinstance(error, UnavailableError):
        return {"status": "unavailable", "reason": " ".join(str(error).split())}
    status = "out_of_memory" if _is_out_of_memory(error) else "error"
    return {"status": status, "reason": one_line(error)}


def _is_out_of_memory(error: BaseException) -> bool:
    # the libraries' own types, by name: none of them may be imported here
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"}:
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower() or "can't allocate memory" in text
    )


def _cpus() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    """Serve the parent that started this process."""
    pipes = serve.settle()
    sys.argv = sys.argv[:1]
    serve.answer(*pipes, Session().handle)


if __name__ == "__main__":
    main()
