"""Progress of a sweep: a bar with an estimate on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from nmdl_bench.runs.cases import Case
    from nmdl_bench.runs.executor import Event, Task


class Progress(Protocol):
    """Told what happens in a sweep; used as a context manager."""

    def begin(self, tasks: Sequence[Task], stored: int) -> None:
        """The sweep starts: what is left to measure, and how many repeats the store has already."""

    def event(self, event: Event) -> None:
        """A repeat begins, or is done and committed."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *error: object) -> None: ...


class Estimate:
    """Time left, from the durations of what was measured so far.

    A repeat is expected to take as long as earlier repeats of its case; where there is none, as long as those of the
    same solver on other problems or backends; else, as the mean of all. First repeats, which include building and
    compiling, are kept apart from warm ones.
    """

    def __init__(self) -> None:
        self._left: dict[str, list[int]] = {}
        self._cases: dict[str, Case] = {}
        self._seen: dict[Any, list[float]] = {}
        self._began = 0.0
        self._warm = True
        self._now: Case | None = None

    def begin(self, tasks: Sequence[Task]) -> None:
        """Take note of all that is left."""
        self._left = {task.case.key: list(task.repeats) for task in tasks}
        self._cases = {task.case.key: task.case for task in tasks}

    def event(self, event: Event) -> None:
        """Learn from an event."""
        from nmdl_bench.runs.executor import FINAL, Started

        key = event.case.key
        if isinstance(event, Started):
            self._began, self._warm, self._now = time.monotonic(), event.prepared, event.case
            return
        self._now = None
        left = self._left.get(key, [])
        if event.repeat in left:
            left.remove(event.repeat)
        if event.row["status"] in FINAL:
            left.clear()
        self._learn(event.case, self._warm, time.monotonic() - self._began)
        if not self._warm and event.row.get("wall"):  # the part of it that a later repeat takes again
            self._learn(event.case, True, event.row["wall"])

    def _learn(self, case: Case, warm: bool, seconds: float) -> None:
        for group in self._groups(case, warm):
            self._seen.setdefault(group, []).append(seconds)

    @staticmethod
    def _groups(case: Case, warm: bool) -> list[Any]:
        """What a duration says something about, the nearest first."""
        return [
            (warm, case.key),
            (warm, case.problem.label, case.solver.label),
            (warm, case.problem.label, case.backend),
            (warm, case.problem.label),
            (warm,),
            (),
        ]

    def _expected(self, case: Case, warm: bool) -> float | None:
        for group in self._groups(case, warm):
            if seen := self._seen.get(group):
                return sum(seen) / len(seen)
        return None

    def left(self) -> float | None:
        """Seconds left, or None before anything was measured."""
        total = 0.0
        for key, repeats in self._left.items():
            case = self._cases[key]
            for i, _ in enumerate(repeats):
                warm = i > 0 or (False, key) in self._seen
                expected = self._expected(case, warm)
                if expected is None:
                    return None
                total += expected
        if self._now is not None:
            running = self._expected(self._now, self._warm) or 0.0
            total -= min(time.monotonic() - self._began, running)
        return max(total, 0.0)

    @property
    def count(self) -> int:
        """Repeats that are left."""
        return sum(len(repeats) for repeats in self._left.values())


def duration(seconds: float | None) -> str:
    """Such as ``"1 h 05 min"``, ``"3 min 20 s"``, ``"12 s"``; ``"?"`` where unknown."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def describe(event: Event) -> str:
    """One line about an event."""
    from nmdl_bench.runs.executor import Measured

    line = f"{event.case.title} | repeat {event.repeat + 1}"
    if isinstance(event, Measured):
        line += f": {event.row['status']}"
        if seconds := event.row.get("time"):
            line += f" in {seconds:.3g} s"
        if "time" not in event.row and event.row.get("reason"):
            line += f" ({event.row['reason']})"
    return line


class PlainProgress:
    """Lines for a log: each failure, and otherwise at most one in ``interval`` seconds."""

    def __init__(self, stream: TextIO | None = None, interval: float = 5.0) -> None:
        self._stream = stream or sys.stderr
        self._interval = interval
        self._said = -float("inf")
        self._total = 0
        self._estimate = Estimate()

    def begin(self, tasks: Sequence[Task], stored: int) -> None:
        self._estimate.begin(tasks)
        self._total = self._estimate.count
        self._say(f"{self._total} repeats to measure, {stored} in the store already")

    def event(self, event: Event) -> None:
        from nmdl_bench.runs.executor import Measured

        self._estimate.event(event)
        if not isinstance(event, Measured):
            return
        failed = "time" not in event.row
        if failed or time.monotonic() - self._said >= self._interval:
            left = duration(self._estimate.left())
            done = self._total - self._estimate.count
            self._say(f"[{done}/{self._total}, about {left} left] {describe(event)}")

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        print(line, file=self._stream, flush=True)

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *error: object) -> None:
        return None


class RichProgress:
    """A bar with an estimate of the time left, and below it what is running; failures stay above as lines."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._estimate = Estimate()
        self._console = console or Console(stderr=True)
        left = TextColumn("{task.fields[left]}", markup=False)
        columns = (SpinnerColumn(), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), left)
        self._bar = Progress(*columns, console=self._console)
        self._task: Any = None
        self._running = ""
        self._live = Live(get_renderable=self._lines, console=self._console, refresh_per_second=8, transient=True)

    def begin(self, tasks: Sequence[Task], stored: int) -> None:
        self._estimate.begin(tasks)
        if stored:
            self._console.print(f"{stored} repeats are in the store already", highlight=False)
        self._task = self._bar.add_task("", total=self._estimate.count, left="")

    def event(self, event: Event) -> None:
        from nmdl_bench.runs.executor import FINAL, Measured

        self._estimate.event(event)
        self._running = describe(event)
        if isinstance(event, Measured) and event.row["status"] in FINAL:
            self._console.print(describe(event), style="yellow", highlight=False, markup=False)
        total = self._bar.tasks[0].total or 0
        self._bar.update(self._task, completed=total - self._estimate.count)

    def _lines(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        if self._task is not None:
            left = self._estimate.left()
            text = "estimating the time left" if left is None else f"about {duration(left)} left"
            self._bar.update(self._task, left=text)
        return Group(self._bar.get_renderable(), Text(self._running, no_wrap=True, overflow="ellipsis"))

    def __enter__(self) -> RichProgress:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()


def make_progress() -> Progress:
    """A bar where stderr is a terminal, lines elsewhere."""
    return RichProgress() if sys.stderr.isatty() else PlainProgress()
