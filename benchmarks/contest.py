"""Ours against each library's own way, side by side: what the comparisons of this package share.

Each target (``benchmarks/targets``) lives alone in a process with pinned threads. Samples go round robin over ours and
the others of all libraries; ratios are taken pair by pair. Before any is timed, values and gradients are compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmdl_bench.contracts import NmdlError
from nmdl_bench.measure.interleave import interleave
from nmdl_bench.measure.process import WorkerError
from nmdl_bench.measure.remote import RemoteTimer
from nmdl_bench.measure.stats import Ratio, paired_ratio
from nmdl_bench.measure.threads import choose_cpus

TARGETS = str(Path(__file__).with_name("targets"))
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
Answer = tuple[float, np.ndarray]
Target = tuple[str, dict[str, Any]]
"""``"module:factory"`` in ``benchmarks/targets``, and its options besides ``answer``."""


@dataclass(frozen=True)
class Row:
    """One backend in one case; seconds a call, bytes; ``reason`` where it could not be measured."""

    backend: str
    case: int | str
    dtype: str
    idiom: str = ""
    samples: tuple[float, ...] = ()
    """Ours, one by one."""
    ours: float = float("nan")
    theirs: float = float("nan")
    """Medians."""
    ratio: Ratio | None = None
    memory_ours: int = 0
    memory_theirs: int = 0
    reason: str = ""


class Contest:
    """Ours and others, each in its process; of the others, the fastest counts.

    Parameters
    ----------
    row : Row
        Names the backend, the case and the precision.
    targets : mapping
        From a name (``"ours"`` among them) to the target.
    """

    def __init__(self, row: Row, targets: Mapping[str, Target], threads: int, cpus: Sequence[int]) -> None:
        self.empty = row
        self.answers: dict[str, Answer] = {}
        self.timers: dict[str, RemoteTimer] = {}
        with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
            for name, (target, options) in targets.items():
                answer = Path(folder, f"{name}.npz")
                timer = RemoteTimer(
                    target, options | {"answer": str(answer)}, threads=threads, cpus=cpus, path=[TARGETS]
                )
                self.timers[name] = stack.enter_context(timer)
                if answer.exists():  # NumPy's bare products have no answer
                    with np.load(answer) as found:
                        self.answers[name] = float(found["value"]), found["gradient"]
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End the processes."""
        self._stack.close()

    def row(self, samples: dict[str, list[float]]) -> Row:
        """What the samples say, and the memory of one more call each."""
        best = min((name for name in self.timers if name != "ours"), key=lambda name: np.median(samples[name]))
        return Row(
            self.empty.backend,
            self.empty.case,
            self.empty.dtype,
            best,
            tuple(samples["ours"]),
            float(np.median(samples["ours"])),
            float(np.median(samples[best])),
            paired_ratio(samples["ours"], samples[best]),
            self.timers["ours"].memory(),
            self.timers[best].memory(),
        )


def deviation(answers: Sequence[Answer]) -> float:
    """Largest relative deviation of values and gradients from the first ones, in the maximum norm."""
    value, gradient = answers[0]
    scale = np.abs(gradient).max()
    each = [(abs(f - value) / abs(value), np.abs(g - gradient).max() / scale) for f, g in answers]
    return float(np.max(each))  # NaN where one is NaN


def hold(
    empty: Sequence[Row], targets: Callable[[str], Mapping[str, Target]], rounds: int, threads: int, what: str
) -> list[Row]:
    """Measure all backends of one case side by side; ``targets(backend)`` are a contest's.

    Raises
    ------
    RuntimeError
        Values or gradients differ: there is nothing to time then.
    """
    cpus = choose_cpus(threads)
    rows: dict[str, Row] = {}
    contests: dict[str, Contest] = {}
    with ExitStack() as stack:
        for row in empty:
            try:
                contest = Contest(row, targets(row.backend), threads, cpus)
            except (WorkerError, NmdlError) as error:
                rows[row.backend] = Row(row.backend, row.case, row.dtype, reason=f"not usable here: {error}")
                continue
            stack.callback(contest.close)
            contests[row.backend] = contest
        answers = [answer for contest in contests.values() for answer in contest.answers.values()]
        if answers and not deviation(answers) <= TOLERANCE[empty[0].dtype]:
            raise RuntimeError(f"values and gradients differ by {deviation(answers):.1e} {what}")
        timers = {(b, name): timer.seconds for b, c in contests.items() for name, timer in c.timers.items()}
        samples = interleave(timers, rounds, own_clock=True)
        for backend, contest in contests.items():
            rows[backend] = contest.row({name: samples[backend, name] for name in contest.timers})
    return [rows[row.backend] for row in empty]


def table(rows: Sequence[Row], case: str, idiom: str, words: Mapping[str, str]) -> str:
    """The rows as a Markdown table; ``case`` and ``idiom`` head their columns, ``words`` describe the idioms."""
    lines = [
        f"| backend | {case} | ours | {idiom} | ratio (95 %) | peak memory: ours, {idiom} | {idiom} |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        if row.ratio is None:
            lines.append(f"| {row.backend} | {row.case} | | | | | {row.reason} |")
            continue
        ratio = f"{row.ratio.value:.2f} ({row.ratio.low:.2f} to {row.ratio.high:.2f})"
        times = f"{row.ours * 1e3:.3g} ms | {row.theirs * 1e3:.3g} ms"
        memory = f"{row.memory_ours / 2**20:.1f} MiB, {row.memory_theirs / 2**20:.1f} MiB"
        lines.append(f"| {row.backend} | {row.case} | {times} | {ratio} | {memory} | {words[row.idiom]} |")
    return "\n".join(lines)


class Ratios:
    """What asv looks up in the rows of a ``setup_cache``: a ratio does not depend on how fast the machine is."""

    row: dict[str, Any]

    def setup(self, rows: Any, backend: str, case: Any) -> None:
        self.row = rows[backend, case]
        if self.row["reason"]:
            raise NotImplementedError(self.row["reason"])
