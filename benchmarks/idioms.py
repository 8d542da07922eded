"""Our value and gradient against each library's own idiom: ``python -m benchmarks.idioms`` prints the table.

Each target (``benchmarks/targets``) lives alone in a process with pinned threads. Samples go round robin over ours and
the idioms of all libraries; ratios are taken pair by pair. Before any is timed, values and gradients are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import BACKENDS, Samples, skipped
from nmdl_bench.backends import split_spec
from nmdl_bench.contracts import NmdlError
from nmdl_bench.measure.interleave import interleave
from nmdl_bench.measure.process import WorkerError
from nmdl_bench.measure.remote import RemoteTimer
from nmdl_bench.measure.stats import Ratio, paired_ratio
from nmdl_bench.measure.threads import choose_cpus

TARGETS = str(Path(__file__).with_name("targets"))
WIDTHS = (4, 64, 256)
IDIOMS = {"numpy": ("products",), "torch": ("module",), "jax": ("unrolled", "scanned"), "cupy": ("products",)}
"""Factories in ``targets/for_LIBRARY.py``; where there are several, the fastest is the idiom."""
WORDS = {
    "products": "bare products and tanh",
    "module": "autograd on an `nn.Module`",
    "unrolled": "`jax.jit(jax.value_and_grad)`, layers unrolled",
    "scanned": "`jax.jit(jax.value_and_grad)`, `lax.scan` over layers",
}
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
Answer = tuple[float, np.ndarray]


@dataclass(frozen=True)
class Row:
    """One backend at one width; seconds a call, bytes; ``reason`` where it could not be measured."""

    backend: str
    width: int
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
    """Ours and the idioms of one backend at one width, each in its process."""

    def __init__(self, backend: str, width: int, dtype: str, threads: int, cpus: Sequence[int]) -> None:
        self.backend, self.width, self.dtype = backend, width, dtype
        self.answers: dict[str, Answer] = {}
        self.timers: dict[str, RemoteTimer] = {}
        library = split_spec(backend)[0]
        with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
            for name in ("ours", *IDIOMS[library]):
                answer = Path(folder, f"{name}.npz")
                options = {"spec": backend, "dtype": dtype, "width": width, "answer": str(answer)}
                target = f"for_{library}:{name}"
                timer = RemoteTimer(target, options, threads=threads, cpus=cpus, path=[TARGETS])
                self.timers[name] = stack.enter_context(timer)
                if answer.exists():  # the bare products have no answer
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
            self.backend,
            self.width,
            self.dtype,
            WORDS[best],
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


def compare(
    backends: Sequence[str], width: int, dtype: str = "float64", rounds: int = 20, threads: int = 1
) -> list[Row]:
    """Measure the given backends at one width, side by side.

    Raises
    ------
    RuntimeError
        Values or gradients differ: there is nothing to time then.
    """
    cpus = choose_cpus(threads)
    rows: dict[str, Row] = {}
    contests: list[Contest] = []
    with ExitStack() as stack:
        for backend in backends:
            try:
                contest = Contest(backend, width, dtype, threads, cpus)
            except (WorkerError, NmdlError) as error:
                rows[backend] = Row(backend, width, dtype, reason=f"not usable here: {error}")
                continue
            stack.callback(contest.close)
            contests.append(contest)
        answers = [answer for contest in contests for answer in contest.answers.values()]
        if answers and not deviation(answers) <= TOLERANCE[dtype]:
            raise RuntimeError(f"values and gradients differ by {deviation(answers):.1e} at width {width} in {dtype}")
        timers = {(c.backend, name): timer.seconds for c in contests for name, timer in c.timers.items()}
        samples = interleave(timers, rounds, own_clock=True)
        for contest in contests:
            rows[contest.backend] = contest.row({name: samples[contest.backend, name] for name in contest.timers})
    return [rows[backend] for backend in backends]


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| backend | width | ours | its own idiom | ours / idiom (95 %) | peak memory: ours, idiom | idiom |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        if row.ratio is None:
            lines.append(f"| {row.backend} | {row.width} | | | | | {row.reason} |")
            continue
        ratio = f"{row.ratio.value:.2f} ({row.ratio.low:.2f} to {row.ratio.high:.2f})"
        times = f"{row.ours * 1e3:.3g} ms | {row.theirs * 1e3:.3g} ms"
        memory = f"{row.memory_ours / 2**20:.1f} MiB, {row.memory_theirs / 2**20:.1f} MiB"
        lines.append(f"| {row.backend} | {row.width} | {times} | {ratio} | {memory} | {row.idiom} |")
    return "\n".join(lines)


NOTE = """\
One value and gradient of a residual network (1,000 samples of peaks, 8 Euler steps, tanh, cross-entropy, {dtype}),
ours against the library's own idiom: medians of {rounds} samples taken in turn, one process each, {threads} thread(s);
ratios are medians of pairs with bootstrap intervals. Peak memory is the resident peak of the process during a call,
less what was resident after its imports. Freed memory stays with the process (MALLOC_TRIM_THRESHOLD_), for ours and
idioms alike."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idioms", description=__doc__)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), metavar="BACKEND", help="such as torch:cuda:0")
    parser.add_argument("--widths", nargs="+", type=int, default=list(WIDTHS), metavar="N")
    parser.add_argument("--dtype", choices=sorted(TOLERANCE), default="float64")
    parser.add_argument("--rounds", type=int, default=20, help="samples of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    for width in given.widths:
        print(f"width {width} ...", file=sys.stderr, flush=True)
        rows += compare(given.backends, width, given.dtype, given.rounds, given.threads)
    rows.sort(key=lambda row: given.backends.index(row.backend))
    print(table(rows), "\n\n", NOTE.format(**vars(given)), sep="")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


class Idioms:
    """The same for asv, measured once a commit; the ratio does not depend on how fast the machine is."""

    params = (BACKENDS, list(WIDTHS))
    param_names = ("backend", "width")
    skip_params = skipped(params)
    version = "1"

    def setup_cache(self) -> Any:
        return {(row.backend, row.width): asdict(row) for width in WIDTHS for row in compare(BACKENDS, width, rounds=9)}

    setup_cache.timeout = 600  # type: ignore[attr-defined]

    def setup(self, rows: Any, backend: str, width: int) -> None:
        self.row = rows[backend, width]
        if self.row["reason"]:
            raise NotImplementedError(self.row["reason"])

    def track_ratio(self, rows: Any, backend: str, width: int) -> float:
        return round(self.row["ratio"]["value"], 3)

    def track_time(self, rows: Any, backend: str, width: int) -> Samples:
        return {"samples": self.row["samples"], "number": 1}

    def track_memory(self, rows: Any, backend: str, width: int) -> int:
        return self.row["memory_ours"]


Idioms.track_ratio.unit = "ours / idiom"  # type: ignore[attr-defined]
Idioms.track_time.unit = "seconds"  # type: ignore[attr-defined]
Idioms.track_memory.unit = "bytes"  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
