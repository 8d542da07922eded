"""What the peers share: the objective's evaluations counted, and the plan of a first-order method's steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.backends.compiled import Evaluation, call
from nmdl_bench.contracts import Array, ConfigurationError, Counts, Objective, Scalar, Stop
from nmdl_bench.data.batches import batches, redraw

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class OursError(Exception):
    """What a function of ours raised inside another library's solver, which shall neither take it nor explain it.

    Not among the exceptions that a library raises or catches. The solver's runner raises ``error`` in its stead.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


def ours(fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(*args)`` for a library that calls it; what it raises reaches the runner as :class:`OursError`."""
    try:
        return fn(*args)
    except Exception as error:
        raise OursError(error) from error


def evaluate(objective: Objective, name: str, *args: Any) -> Any:
    """The objective's method ``name``, compiled once where the backend compiles."""
    return call(objective, ("method", name), lambda bare, *args: getattr(bare, name)(*args), *args)


def on_host(xp: Backend, a: Array) -> np.ndarray:
    """A copy as float64."""
    return xp.to_numpy(a).astype(np.float64, copy=False)  # what to_numpy gives is a copy already


class Counted:
    """Value and gradient of an objective, compiled where the backend compiles; counts its calls."""

    def __init__(self, objective: Objective) -> None:
        self.xp: Backend = objective.xp
        self.calls = 0
        self._evaluation = Evaluation(objective)

    def take(self, arrays: Any) -> None:
        """Evaluate over these arrays from now on."""
        self._evaluation.take(arrays)

    def __call__(self, x: Array, batch: Array | None = None) -> tuple[Scalar, Array]:
        """Value and gradient at ``x``, over all samples or those of ``batch``."""
        self.calls += 1
        return self._evaluation.value_and_grad(x, batch)

    @property
    def counts(self) -> Counts:
        """Evaluations so far: each call is one forward and one gradient."""
        return Counts(self.calls, self.calls)


def chunks(
    objective: Objective, batch_size: int | None, stop: Stop, seed: int
) -> Iterator[tuple[Any, Any, int, float]]:
    """Steps between two looks at the full loss, as (arrays, batches, number of steps, passes).

    ``arrays`` are the data drawn for an epoch, and ``batches`` is its index matrix, on the device; the objective's own
    and None where each step takes all samples.
    """
    n, limit = objective.n_samples, stop.max_evaluations or 2**31 - 1
    if batch_size is not None and batch_size < 1:
        raise ConfigurationError(f"batch_size must be at least 1, not {batch_size!r}")
    if batch_size is None or batch_size >= n:
        last = min(stop.max_iterations, limit)
        for start in range(0, last, stop.chunk):
            steps = min(stop.chunk, last - start)
            yield objective.arrays, None, steps, float(steps)
        return
    for epoch, order in zip(range(stop.max_epochs), batches(seed, n, batch_size)):
        if epoch * len(order) >= limit:
            return
        yield redraw(objective, epoch, seed), objective.xp.asarray(order), len(order), order.size / n
