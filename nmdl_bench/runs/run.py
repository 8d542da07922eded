"""The sweep: expand an experiment, skip what the store has, measure the rest, commit each repeat at once."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nmdl_bench.contracts import ConfigurationError, NmdlError
from nmdl_bench.runs import experiment
from nmdl_bench.runs.cases import REFERENCE, Case, canonical, expand
from nmdl_bench.runs.executor import FINAL, Executor, Group, Measured, Task
from nmdl_bench.runs.plugins import load_all
from nmdl_bench.runs.progress import Progress

if TYPE_CHECKING:
    from nmdl_bench.runs.store import Store

RETRIED = ("out_of_memory", "timeout", "unavailable", "error")
"""Statuses that may be an accident of the day: ``--retry`` measures them again."""


@dataclass(frozen=True)
class Plan:
    """An experiment expanded: its cases, and the id of the run that measures them.

    The id hashes name, cases and repeats: the same file over the same code is the same run, which a later start
    resumes.
    """

    file: experiment.ExperimentFile
    cases: tuple[Case, ...]
    run_id: str


@dataclass
class Sweep:
    """What one start of a run did."""

    run_id: str
    experiment: str
    measured: int = 0
    stored: int = 0
    """Repeats that the store had already."""
    left: int = 0
    """Repeats not measured: those that ``only`` left out."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Last status of every case of the run that has one."""

    @property
    def failed(self) -> int:
        """Cases that ended in a status that ``--retry`` would measure again, the unavailable ones left out."""
        return sum(self.statuses[status] for status in RETRIED if status != "unavailable")


def plan(path: Path, plugins: Sequence[Path] = ()) -> Plan:
    """Read and expand an experiment file; see :func:`nmdl_bench.runs.experiment.load` for what can be wrong with it."""
    import nmdl_bench.catalogue  # noqa: F401

    file = experiment.load(path, plugins)
    hashes = load_all(file.plugins)
    try:
        cases = expand(file.spec, hashes, str(path))
    except NmdlError as error:
        text = str(error)
        raise (error if str(path) in text else type(error)(f"{path}: {text}")) from None
    identity = canonical([file.spec.name, file.spec.repeats, [case.key for case in cases]])
    return Plan(file, tuple(cases), hashlib.sha256(identity.encode()).hexdigest()[:12])


def run(
    planned: Plan,
    store: Store,
    *,
    progress: Progress,
    only: str = "",
    retry: bool = False,
    executor: Executor | None = None,
    committed: Callable[[str, int], Any] | None = None,
) -> Sweep:
    """Measure what the store lacks of an experiment.

    Parameters
    ----------
    planned : Plan
        From :func:`plan`.
    store : Store
        Open for writing.
    progress : Progress
        Told of every repeat.
    only : str
        Measure only cases whose title (problem, solver, backend, dtype, seed) contains this text, case ignored.
    retry : bool
        Measure again what ended in one of :data:`RETRIED`.
    executor : Executor, optional
        Default: the local one.
    committed : callable, optional
        Called with key and repeat after each commit.

    Raises
    ------
    StoreError
        The store cannot be written; what was committed before stays.
    ConfigurationError
        ``only`` leaves nothing.
    KeyboardInterrupt
        Ctrl-C; all workers are ended, and the same call resumes.
    """
    from nmdl_bench.measure.environment import provenance

    spec, cases = planned.file.spec, planned.cases
    chosen = [case for case in cases if only.lower() in case.title.lower()]
    if not chosen:
        raise ConfigurationError(f"--only {only!r} matches none of {len(cases)} cases, such as {cases[0].title!r}")
    facts = provenance() | {"limits": msgspec.to_builtins(spec.limits)}
    provenance_id = store.add_provenance(facts)
    store.begin_run(planned.run_id, spec.name, planned.file.text, cases, provenance_id)
    if retry:
        store.drop((case.key for case in chosen), RETRIED)
    done = store.repeats(planned.run_id)
    tasks = [task for case in chosen if (task := _task(case, spec.repeats, done.get(case.key, {}))).repeats]
    sweep = Sweep(planned.run_id, spec.name, stored=sum(len(repeats) for repeats in done.values()))
    by_question = {case.question: case.key for case in cases if (case.library, case.device, case.dtype) == REFERENCE}

    def find_history(case: Case) -> Any:
        key = by_question.get(case.question)
        return store.history(key) if key is not None else None

    if executor is None:
        from nmdl_bench.runs.local import LocalExecutor

        executor = LocalExecutor(spec.limits, planned.file.plugins)
    known: dict[str, str] = {}
    with executor, progress:
        progress.begin(tasks, sweep.stored)
        for event in executor.measure(_groups(tasks), find_history):
            if isinstance(event, Measured):
                if (worker := canonical(event.facts)) not in known:
                    known[worker] = store.add_provenance(facts | {"worker": event.facts})
                store.add(_row(event, known[worker]))
                sweep.measured += 1
                if committed is not None:
                    committed(event.case.key, event.repeat)
            progress.event(event)
    done = store.repeats(planned.run_id)
    sweep.left = sum(len(_task(case, spec.repeats, done.get(case.key, {})).repeats) for case in cases)
    sweep.statuses = Counter(done[case.key][max(done[case.key])] for case in cases if case.key in done)
    if not sweep.left:
        store.finish_run(planned.run_id)
    return sweep


def _task(case: Case, repeats: int, done: Mapping[int, str]) -> Task:
    """What is left of a case: nothing where a repeat of it ended for good."""
    if any(status in FINAL for status in done.values()):
        return Task(case, ())
    return Task(case, tuple(r for r in range(repeats) if r not in done))


def _groups(tasks: Sequence[Task]) -> list[Group]:
    """Tasks that are compared: those of one problem, seed and dtype."""
    groups: dict[tuple[str, int, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.case.problem.label, task.case.seed, task.case.dtype), []).append(task)
    return [Group(tuple(members)) for members in groups.values()]


def _row(event: Measured, provenance_id: str) -> dict[str, Any]:
    return {"reason": "", **event.row} | {
        "key": event.case.key,
        "repeat": event.repeat,
        "created": time.time(),
        "provenance_id": provenance_id,
    }
