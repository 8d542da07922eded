"""The local executor: worker processes of this machine, one of them active at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nmdl_bench.contracts import SOLVERS
from nmdl_bench.measure.interleave import rounds
from nmdl_bench.measure.process import GIB, WorkerError, WorkerProcess
from nmdl_bench.measure.threads import choose_cpus
from nmdl_bench.runs import agreement
from nmdl_bench.runs.cases import REFERENCE, Case, canonical
from nmdl_bench.runs.executor import FINAL, Event, FindHistory, Group, Measured, Started
from nmdl_bench.runs.experiment import Limits
from nmdl_bench.runs.store import unpack

Place = tuple[str, str, str]
"""Library, device and dtype: what a worker is for."""


class RefusedError(Exception):
    """A worker answered that something failed; it lives on."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Worker:
    """A worker process and what it has been told so far.

    Raises
    ------
    WorkerError, RefusedError
        It could not start, or the library is not usable.
    """

    def __init__(self, place: Place, limits: Limits, plugins: Sequence[Path], cpus: Sequence[int]) -> None:
        self._limits = limits
        self.problems: dict[str, agreement.Start] = {}
        self.prepared: set[str] = set()
        self._process = WorkerProcess("nmdl_bench.runs.worker", threads=limits.threads, cpus=cpus)
        library, device, dtype = place
        try:
            hello = {"verb": "hello", "backend": f"{library}:{device}", "dtype": dtype}
            self.facts: dict[str, Any] = self.ask(hello | {"plugins": [str(p) for p in plugins]}, slow=True)["facts"]
        except RefusedError:
            self.kill()
            raise
        self.facts["threads"] = limits.threads

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.alive

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def ask(self, message: dict[str, Any], *, slow: bool = False) -> dict[str, Any]:
        """Send a request under the limits (``slow`` ones have the start-up time too) and return the answer."""
        time_limit = self._limits.time + (self._limits.startup if slow else 0.0)
        answer = self._process.request(message, time_limit=time_limit, memory_limit=self._limits.memory * GIB)
        if "failure" in answer:
            raise RefusedError(**answer["failure"])
        return dict(answer)

    def start_of(self, case: Case) -> agreement.Start:
        """Have the case's problem built; its value and gradient at the start."""
        key = problem_key(case)
        if key not in self.problems:
            problem = {"key": key, "name": case.problem.name, "options": case.problem.options, "seed": case.seed}
            answer = self.ask({"verb": "problem", **problem}, slow=True)
            gradient = unpack(answer["gradient"])
            assert gradient is not None
            self.problems[key] = agreement.Start(answer["value"], gradient, answer["minimum"])
        return self.problems[key]

    def prepare(self, case: Case) -> None:
        """Have the case's solver built, compiled and warmed up."""
        if case.key not in self.prepared:
            self.ask({"verb": "prepare", "key": case.key, **_solver(case)}, slow=True)
            self.prepared.add(case.key)

    def measure(self, case: Case) -> dict[str, Any]:
        """Measure one repeat."""
        return self.ask({"verb": "measure", "key": case.key})

    def first_rows(self, case: Case) -> np.ndarray | None:
        """History of the solver's first iterations."""
        answer = self.ask({"verb": "reference", **_solver(case), "rows": agreement.ROWS}, slow=True)
        return unpack(answer["history"])

    def release(self) -> None:
        """Have it forget what it built."""
        if self.problems:
            self.problems.clear()
            self.prepared.clear()
            self.ask({"verb": "release"}, slow=True)


class LocalExecutor:
    """Measures with worker processes of this machine; see :class:`nmdl_bench.runs.executor.Executor`.

    Parameters
    ----------
    limits : Limits
        Hard limits of each worker.
    plugins : sequence of Path
        Plug-in files that workers import.
    """

    def __init__(self, limits: Limits, plugins: Sequence[Path] = ()) -> None:
        self._limits = limits
        self._plugins = tuple(plugins)
        self._workers: dict[Place, Worker] = {}
        self._refusals: dict[tuple[Place, str], RefusedError] = {}
        self._reference: dict[str, agreement.Start | None] = {}
        self._reference_rows: dict[tuple[str, str, int], np.ndarray | None] = {}
        self._session = uuid.uuid4().hex[:12]

    @cached_property
    def _cpus(self) -> tuple[int, ...]:
        """CPUs of all workers: one is active at a time."""
        return choose_cpus(self._limits.threads)

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()

    def measure(self, groups: Sequence[Group], find_history: FindHistory) -> Iterator[Event]:
        """Measure group by group, dtype by dtype, so that few workers are alive at once."""
        ordered = sorted(groups, key=lambda group: group.tasks[0].case.dtype, reverse=True)
        for i, group in enumerate(ordered):
            dtype = group.tasks[0].case.dtype
            for place in [p for p in self._workers if p[2] != dtype and p != REFERENCE]:
                self._workers.pop(place).kill()
            yield from self._measure_group(group, f"{self._session}-{i}", find_history)
            for place, worker in list(self._workers.items()):
                try:
                    worker.release()
                except (WorkerError, RefusedError):
                    self._workers.pop(place).kill()

    def _measure_group(self, group: Group, session: str, find_history: FindHistory) -> Iterator[Event]:
        left = {task.case.key: list(task.repeats) for task in group.tasks}
        most = max((len(repeats) for repeats in left.values()), default=0)
        for r, task in rounds(group.tasks, most):
            case, repeats = task.case, left[task.case.key]
            if not repeats:
                continue
            repeat = repeats.pop(0)
            worker = self._workers.get(_place(case))
            yield Started(case, repeat, prepared=worker is not None and worker.alive and case.key in worker.prepared)
            row, facts = self._one(case, find_history)
            if row["status"] in FINAL:
                repeats.clear()
            yield Measured(case, repeat, row | {"session": session, "round": r}, facts)

    def _one(self, case: Case, find_history: FindHistory) -> tuple[dict[str, Any], dict[str, Any]]:
        """One repeat: its row, and facts about the worker."""
        facts: dict[str, Any] = {}
        try:
            worker = self._worker(_place(case))
            facts = worker.facts
            start = self._start(worker, case)
            worker.prepare(case)
            row = worker.measure(case) | {"loss0": start.value, "minimum": start.minimum}
        except (WorkerError, RefusedError) as failure:
            return {"status": failure.status, "reason": failure.reason}, facts
        return row | self._agreement(case, start, row, find_history), facts

    # ----------------------------------------------------------------------------------------------------- workers
    def _worker(self, place: Place) -> Worker:
        """The live worker of a place, started where there is none."""
        if (place, "") in self._refusals:
            raise self._refusals[place, ""]
        worker = self._workers.get(place)
        if worker is None or not worker.alive:
            try:
                worker = self._workers[place] = Worker(place, self._limits, self._plugins, self._cpus)
            except (WorkerError, RefusedError) as failure:  # not usable here: do not wait for it again
                self._refusals[place, ""] = RefusedError(failure.status, failure.reason)
                raise
        return worker

    def _start(self, worker: Worker, case: Case) -> agreement.Start:
        """The problem's start; a problem that fails or kills a worker is not tried again with the next solver."""
        asked = (_place(case), problem_key(case))
        if asked in self._refusals:
            raise self._refusals[asked]
        try:
            return worker.start_of(case)
        except (WorkerError, RefusedError) as failure:
            self._refusals[asked] = RefusedError(failure.status, failure.reason)
            raise

    # --------------------------------------------------------------------------------------------------- agreement
    def _agreement(
        self, case: Case, start: agreement.Start, row: dict[str, Any], find_history: FindHistory
    ) -> dict[str, Any]:
        reference = self._reference_start(case)
        if reference is None:
            return {"agreement": None, "agrees": None}
        history = unpack(row.get("history"))
        rows = None
        if _place(case) == REFERENCE:
            self._reference_rows[case.question] = rows = history
        else:
            rows = self._rows(case, find_history)
        deviation = agreement.deviation(start, history, reference, rows)
        return {"agreement": deviation, "agrees": int(agreement.agrees(deviation, case.dtype))}

    def _reference_start(self, case: Case) -> agreement.Start | None:
        """Value and gradient in NumPy float64, or None where NumPy cannot evaluate this problem."""
        key = problem_key(case)
        if key not in self._reference:
            try:
                self._reference[key] = self._worker(REFERENCE).start_of(case)
            except (WorkerError, RefusedError):
                self._reference[key] = None
        return self._reference[key]

    def _rows(self, case: Case, find_history: FindHistory) -> np.ndarray | None:
        """First rows in NumPy float64, or None where the solver does not run there (a peer of another library)."""
        if case.question not in self._reference_rows:
            rows = find_history(case)
            if rows is None and SOLVERS[case.solver.name].runs_on(REFERENCE[0]):
                try:
                    worker = self._worker(REFERENCE)
                    worker.start_of(case)
                    rows = worker.first_rows(case)
                except (WorkerError, RefusedError):
                    rows = None
            self._reference_rows[case.question] = rows
        return self._reference_rows[case.question]


def problem_key(case: Case) -> str:
    """Name of a problem with its options and seed."""
    return canonical([case.problem.json, case.seed])


def _place(case: Case) -> Place:
    return case.library, case.device, case.dtype


def _solver(case: Case) -> dict[str, Any]:
    return {
        "problem": problem_key(case),
        "name": case.solver.name,
        "options": case.solver.options,
        "stop": asdict(case.stop),
        "seed": case.seed,
    }
