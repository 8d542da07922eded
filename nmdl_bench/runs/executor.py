"""What an executor is: it measures groups of cases side by side and reports each repeat as it is done.

The local one is :mod:`nmdl_bench.runs.local`. Executors never touch the store: the sweep that drives them writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from nmdl_bench.runs.cases import Case

FINAL = frozenset({"diverged", "out_of_memory", "timeout", "unavailable", "error"})
"""Statuses after which a case's other repeats are not tried: they would end alike."""


@dataclass(frozen=True)
class Task:
    """A case with those of its repeats that are still to be measured."""

    case: Case
    repeats: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Tasks that are compared with one another: one problem, seed and dtype."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Started:
    """A repeat begins; ``prepared`` is false where it is preceded by building, compiling and warming up."""

    case: Case
    repeat: int
    prepared: bool


@dataclass(frozen=True)
class Measured:
    """A repeat is done: ``row`` holds columns of the store's ``results``, ``facts`` describe where it ran."""

    case: Case
    repeat: int
    row: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)


Event = Started | Measured
FindHistory = Callable[[Case], "np.ndarray | None"]
"""Looks up what NumPy in float64 recorded on the same problem with the same solver, in this sweep or an earlier one."""


class Executor(Protocol):
    """Measures groups; used as a context manager, which ends all its processes."""

    def measure(self, groups: Sequence[Group], find_history: FindHistory) -> Iterator[Event]:
        """Measure group by group, repeats round robin within each; a failure is a row, never an exception."""

    def __enter__(self) -> Executor: ...

    def __exit__(self, *error: object) -> None: ...
