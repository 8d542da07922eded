"""Peak memory of value and gradient against depth, for each way to keep states: ``python -m benchmarks.memory``.

Each measurement has a process of its own. What counts is the peak of resident memory during one call over what the
process held just before it (libraries, parameters, data; on a GPU, the peak of the library's allocator less parameters
and data), less the gradient that the call returns. Large arrays get pages of their own from the C library, so that
they count while they live and gaps of a heap do not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.common import BACKENDS, skipped
from nmdl_bench.contracts import NmdlError
from nmdl_bench.measure.process import WorkerError
from nmdl_bench.measure.remote import RemoteTimer
from nmdl_bench.measure.threads import choose_cpus

TARGETS = str(Path(__file__).with_name("targets"))
OUTPUT = Path(__file__).parents[1] / "reports" / "reference" / "memory"
MODES = ("all", "checkpoint", "reversible")
DEPTHS = (32, 64, 128, 256, 512, 1024)
SAMPLES, WIDTH, SLOTS = 16384, 8, 8
"""One state is of 1 MiB in float64; the parameters of 1,024 steps take 0.16 MiB."""
LIMIT = 0.10
"""What memory of the reversible network may grow by from the first depth to the last."""
_OWN_PAGES = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@dataclass(frozen=True)
class Row:
    """One measurement; bytes. ``reason`` where there is none."""

    backend: str
    mode: str
    depth: int
    slots: int
    state: int
    gradient: int = 0
    peak: int = 0
    """Net of parameters, data and gradient."""
    reason: str = ""


def measure(
    backend: str,
    mode: str,
    depth: int,
    *,
    slots: int = SLOTS,
    samples: int = SAMPLES,
    width: int = WIDTH,
    dtype: str = "float64",
    limit: float = 600.0,
) -> Row:
    """One call in a process of its own, held to one thread."""
    size = {"float64": 8, "float32": 4}[dtype]
    state, parameters = samples * width * size, depth * ((width // 2) ** 2 + width // 2) * size
    options = {"spec": backend, "dtype": dtype, "mode": mode, "depth": depth, "slots": slots}
    try:
        with RemoteTimer(
            "memory:value_and_gradient",
            options | {"samples": samples, "width": width},
            cpus=choose_cpus(1),
            path=[TARGETS],
            time_limit=limit,
            environment=_OWN_PAGES,
            warm=False,
        ) as timer:
            host, device = timer.call_memory()
    except (WorkerError, NmdlError) as error:
        return Row(backend, mode, depth, slots, state, parameters, reason=f"not usable here: {error}")
    peak = host if device is None else device - parameters - state
    return Row(backend, mode, depth, slots, state, parameters, peak - parameters)


def sweep(backends: Sequence[str], modes: Sequence[str] = MODES, depths: Sequence[int] = DEPTHS) -> Iterator[Row]:
    """Measure depth after depth; where the next would take more than half of the memory left, say so instead."""
    for backend in backends:
        for mode in modes:
            last: Row | None = None
            for depth in depths:
                wanted = last.peak * depth / last.depth if last and mode == "all" and not last.reason else 0
                if last and last.reason:
                    row = Row(backend, mode, depth, SLOTS, last.state, reason=last.reason)
                elif wanted > 0.5 * psutil.virtual_memory().available:
                    row = Row(backend, mode, depth, SLOTS, last.state if last else 0, reason="needs too much memory")
                else:
                    row = measure(backend, mode, depth)
                yield row
                last = row


def growth(rows: Sequence[Row]) -> float:
    """Peak at the greatest depth over that at the least, less one; the rows are of one backend and mode."""
    measured = sorted((row.depth, row.peak) for row in rows if not row.reason)
    return measured[-1][1] / measured[0][1] - 1 if measured else float("nan")


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line for each backend and mode, a column for each depth, and the growth."""
    depths = sorted({row.depth for row in rows})
    lines = [
        "| backend | memory | " + " | ".join(f"{d} steps" for d in depths) + " | growth |",
        "|---|---|" + "--:|" * (len(depths) + 1),
    ]
    for backend, mode in dict.fromkeys((row.backend, row.mode) for row in rows):
        own = {row.depth: row for row in rows if (row.backend, row.mode) == (backend, mode)}
        cells = ["-" if own[d].reason else f"{own[d].peak / 2**20:.1f} MiB" for d in depths]
        grown = growth([*own.values()])
        shown = "" if grown != grown else f"x {grown + 1:.0f}" if grown > 1 else f"{100 * grown:+.1f} %"
        lines.append(f"| {backend} | {words(mode)} | {' | '.join(cells)} | {shown} |")
    lines += [f"\n{backend}: {row.reason}" for backend, row in _unusable(rows).items()]
    return "\n".join(lines)


def words(mode: str) -> str:
    """A mode as figures and tables name it."""
    return f"{SLOTS} checkpoints" if mode == "checkpoint" else {"all": "all tapes"}.get(mode, mode)


def _unusable(rows: Sequence[Row]) -> dict[str, Row]:
    return {row.backend: row for row in rows if row.reason.startswith("not usable")}


def write(rows: Sequence[Row], folder: Path) -> None:
    """The rows as CSV, and the figure."""
    import pandas as pd

    from nmdl_bench.report.depths import draw_depths
    from nmdl_bench.report.style import save, styled

    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame([asdict(row) for row in rows])
    frame.to_csv(folder / "memory.csv", index=False, lineterminator="\n")
    shown = frame[frame.reason == ""].assign(label=lambda f: [words(mode) for mode in f["mode"]])
    if len(shown):
        for width in ("text", "column"):
            with styled():
                figure = draw_depths(shown, width)  # type: ignore[arg-type]
            save(figure, folder / ("memory" if width == "text" else "memory-column"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 1 where the reversible network's memory grows by more than the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), metavar="BACKEND", help="such as torch:cuda:0")
    parser.add_argument("--depths", nargs="+", type=int, default=list(DEPTHS), metavar="DEPTH")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER", help="CSV and figure go there")
    given = parser.parse_args(arguments)
    rows = []
    for row in sweep(given.backends, MODES, sorted(given.depths)):
        print(f"{row.backend} {row.mode} {row.depth}: {row.reason or row.peak}", file=sys.stderr, flush=True)
        rows.append(row)
    print(table(rows))
    write(rows, given.output)
    grown = {b: growth([r for r in rows if (r.backend, r.mode) == (b, "reversible")]) for b in given.backends}
    return int(any(value > LIMIT for value in grown.values()))


class Memory:
    """Peak of one call for asv, at a depth where the modes differ and keeping all is not dear."""

    params = (BACKENDS, list(MODES), [16, 128])
    param_names = ("backend", "memory", "depth")
    skip_params = skipped(params)
    timeout = 60
    version = "1"

    def track_peak(self, backend: str, mode: str, depth: int) -> float:
        row = measure(backend, mode, depth, samples=SAMPLES // 8)
        if row.reason:
            raise NotImplementedError(row.reason)
        return float(row.peak)


Memory.track_peak.unit = "bytes"  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
