"""What an epoch draws on the host, so that every backend and every peer sees the same: batches, random data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nmdl_bench.contracts import Objective

_STREAM = 0x5EED  # keeps the batches' random stream apart from those of data and weights


def batches(seed: int, n: int, batch_size: int) -> Iterator[np.ndarray]:
    """Index matrices (n // batch_size, batch_size), one an epoch, without end.

    Parameters
    ----------
    seed : int
        Equal seeds give equal orders.
    n : int
        Number of samples.
    batch_size : int
        Rows a batch; with more than ``n`` an epoch is one batch of all samples. A short last batch is dropped, so that
        all batches have one shape and a compiled loop serves them.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(_STREAM,))))
    count = max(n // batch_size, 1)
    while True:
        yield rng.permutation(n)[: count * batch_size].reshape(count, -1)


def redraw(objective: Objective, epoch: int, seed: int) -> Any:
    """``objective.redraw(epoch, seed)``: the data's arrays for one epoch; ``objective.arrays`` where it has none."""
    draw = getattr(objective, "redraw", None)
    return objective.arrays if draw is None else draw(epoch, seed)
