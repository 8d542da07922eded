"""Our convolution and its adjoints against each library's own: ``python -m benchmarks.convolutions`` prints the table.

NumPy and CuPy have no convolution of images: there, PyTorch's on the same device is what ours is held against.
"""

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

DTYPES = tuple(sorted(TOLERANCE))
WORDS = {
    "autograd": "PyTorch's autograd through `conv2d`",
    "autodiff": "`jax.jit(jax.value_and_grad)` through `lax.conv_general_dilated`",
}
LIMITS = {"numpy": 3.0, "torch": 1.1, "jax": 1.1}
"""What the ratio is to stay below, at least in float32 on one thread."""


def compare(backends: Sequence[str], dtype: str, rounds: int = 20, threads: int = 1) -> list[Row]:
    """Measure the given backends in one precision, side by side.

    Raises
    ------
    RuntimeError
        Values or gradients differ: there is nothing to time then.
    """

    def targets(backend: str) -> Mapping[str, Target]:
        library, device = split_spec(backend)
        if library == "jax":
            module, spec = "convolution_jax:autodiff", backend
        else:
            module, spec = "convolution_torch:autograd", f"torch:{device}"
        return {
            "ours": (f"convolution_{library}:ours", {"spec": backend, "dtype": dtype}),
            module.partition(":")[2]: (module, {"spec": spec, "dtype": dtype}),
        }

    return hold([Row(backend, dtype, dtype) for backend in backends], targets, rounds, threads, f"in {dtype}")


NOTE = """\
Half the squared norm of a convolution of 16 images with 16 channels and 32 x 32 pixels (3 x 3 kernel, 16 channels to
16, padding 1), with its gradients in kernel and images: medians of {rounds} samples taken in turn, one process each,
{threads} thread(s); ratios are medians of pairs with bootstrap intervals. Limits: {limits}."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convolutions", description=__doc__)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), metavar="BACKEND", help="such as torch:cuda:0")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--rounds", type=int, default=40, help="samples of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    for dtype in given.dtypes:
        print(f"{dtype} ...", file=sys.stderr, flush=True)
        rows += compare(given.backends, dtype, given.rounds, given.threads)
    rows.sort(key=lambda row: given.backends.index(row.backend))
    limits = ", ".join(f"{library} {limit}" for library, limit in LIMITS.items())
    print(table(rows, "dtype", "library's own", WORDS), "\n\n", NOTE.format(**vars(given), limits=limits), sep="")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


class Convolutions(Ratios):
    """The same for asv, measured once a commit."""

    params = (BACKENDS, list(DTYPES))
    param_names = ("backend", "dtype")
    skip_params = skipped(params)
    version = "1"

    def setup_cache(self) -> Any:
        return {(row.backend, row.case): asdict(row) for dtype in DTYPES for row in compare(BACKENDS, dtype, rounds=15)}

    setup_cache.timeout = 600  # type: ignore[attr-defined]

    def track_ratio(self, rows: Any, backend: str, dtype: str) -> float:
        return round(self.row["ratio"]["value"], 3)

    def track_time(self, rows: Any, backend: str, dtype: str) -> Samples:
        return {"samples": self.row["samples"], "number": 1}

    def track_memory(self, rows: Any, backend: str, dtype: str) -> int:
        return self.row["memory_ours"]


Convolutions.track_ratio.unit = "ours / library's own"  # type: ignore[attr-defined]
Convolutions.track_time.unit = "seconds"  # type: ignore[attr-defined]
Convolutions.track_memory.unit = "bytes"  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
