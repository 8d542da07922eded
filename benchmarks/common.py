"""What the suite's modules share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from nmdl_bench.backends import installed

BACKENDS = ["numpy", "torch", "jax", "cupy"]
Samples = dict[str, Any]
"""``{"samples": [...], "number": 1}`` from a ``track_*``: asv keeps their statistics, as for a timing."""
ABSENT = [backend for backend in BACKENDS if backend not in installed()]


def skipped(params: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Combinations whose backend, the first parameter, is not installed: skipped without a process each."""
    return [combination for combination in itertools.product(*params) if combination[0] in ABSENT]
