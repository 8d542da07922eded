"""Our value and gradient against each library's own idiom: ``python -m benchmarks.idioms`` prints the table."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common import BACKENDS, Samples, skipped
from benchmarks.contest import TOLERANCE, Ratios, Row, Target, hold, table
from nmdl_bench.backends import split_spec

WIDTHS = (4, 64, 256)
IDIOMS = {"numpy": ("products",), "torch": ("module",), "jax": ("unrolled", "scanned"), "cupy": ("products",)}
"""Factories in ``targets/for_LIBRARY.py``; where there are several, the fastest is the idiom."""
WORDS = {
    "products": "bare products and tanh",
    "module": "autograd on an `nn.Module`",
    "unrolled": "`jax.jit(jax.value_and_grad)`, layers unrolled",
    "scanned": "`jax.jit(jax.value_and_grad)`, `lax.scan` over layers",
}


def compare(
    backends: Sequence[str], width: int, dtype: str = "float64", rounds: int = 20, threads: int = 1
) -> list[Row]:
    """Measure the given backends at one width, side by side.

    Raises
    ------
    RuntimeError
        Values or gradients differ: there is nothing to time then.
    """

    def targets(backend: str) -> Mapping[str, Target]:
        library = split_spec(backend)[0]
        options = {"spec": backend, "dtype": dtype, "width": width}
        return {name: (f"for_{library}:{name}", options) for name in ("ours", *IDIOMS[library])}

    empty = [Row(backend, width, dtype) for backend in backends]
    return hold(empty, targets, rounds, threads, f"at width {width} in {dtype}")


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
    print(table(rows, "width", "its own idiom", WORDS), "\n\n", NOTE.format(**vars(given)), sep="")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


class Idioms(Ratios):
    """The same for asv, measured once a commit."""

    params = (BACKENDS, list(WIDTHS))
    param_names = ("backend", "width")
    skip_params = skipped(params)
    version = "1"

    def setup_cache(self) -> Any:
        return {(row.backend, row.case): asdict(row) for width in WIDTHS for row in compare(BACKENDS, width, rounds=9)}

    setup_cache.timeout = 600  # type: ignore[attr-defined]

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
