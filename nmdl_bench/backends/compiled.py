"""Compiled functions of objectives, made once for each structure: arrays reach them as arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmdl_bench.backends import stationarity
from nmdl_bench.contracts import Array, Objective

WHOLE, PART = 2000, 500
"""Samples up to which the full objective is evaluated at once; samples of a part beyond."""
KEPT = 1024
"""Compiled functions that are kept; the one unused for longest goes first: a user's function may never come back."""
_COMPILED: dict[Any, Callable[..., Any]] = {}


def compiled(
    key: tuple[Any, ...],
    objective: Objective,
    build: Callable[[Objective], Callable[..., Any]],
    donate: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """``xp.compile(build(bare))`` for the objective without its arrays, made once for each key, backend and structure.

    Parameters
    ----------
    key : tuple
        Hashable; names the function and what it closes over beside the objective.
    objective : Objective
        Its ``static`` description, not its data, is part of the key.
    build : callable
        ``build(bare)`` returns a function that takes the arrays as an argument and uses ``bare.with_arrays(arrays)``.
    donate : tuple of int
        Positions of arguments that are dead after a call.
    """
    key = (*key, objective.xp.key, type(objective.xp), type(objective), objective.static)
    if key not in _COMPILED:
        if len(_COMPILED) >= KEPT:
            del _COMPILED[next(iter(_COMPILED))]
        _COMPILED[key] = objective.xp.compile(build(objective.with_arrays(None)), donate=donate)
    _COMPILED[key] = function = _COMPILED.pop(key)  # now the last one used
    return function


def call(objective: Objective, key: tuple[Any, ...], fn: Callable[..., Any], *args: Any) -> Any:
    """``fn(objective, *args)``, compiled once for each key where the backend compiles; see :func:`compiled`."""
    if objective.xp.eager:
        return fn(objective, *args)

    def build(bare: Objective) -> Callable[..., Any]:
        return lambda arrays, *args: fn(bare.with_arrays(arrays), *args)

    return compiled(key, objective, build)(objective.arrays, *args)


class Evaluation:
    """An objective whose value and gradient are compiled functions, shared by all who evaluate it one point at a time.

    It stands in for the objective in ``Optimizer.init``.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective, self.xp, self.arrays = objective, objective.xp, objective.arrays
        self.x0, self.n_samples, self.static = objective.x0, objective.n_samples, objective.static
        self._bound = objective
        self._forward = compiled(("forward",), objective, _forward)
        self._grad = compiled(("grad",), objective, _grad)
        self._both = compiled(("value and grad",), objective, _value_and_grad)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def take(self, arrays: Any) -> None:
        """Evaluate over these arrays from now on."""
        if arrays is not self.arrays:
            self.arrays, self._bound = arrays, self.objective.with_arrays(arrays)

    def forward(self, x: Array, batch: Array | None = None) -> Any:
        return self._bound.forward(x, batch) if self.xp.eager else self._forward(self.arrays, x, batch)

    def grad(self, tape: Any) -> Array:
        return self._bound.grad(tape) if self.xp.eager else self._grad(self.arrays, tape)

    def norms(self, x: Array) -> tuple[float, float]:
        """Value and the gradient's maximum norm, on the host; of composite objectives those of all that is minimised.

        Over more than :data:`WHOLE` samples it is the weighted mean over parts of about :data:`PART`: the whole would
        need hundreds of times a batch's memory, and find nothing in the cache. (Batch normalisation sees the parts.)
        """
        n = self.n_samples
        if n <= WHOLE:
            f, tape = self.forward(x)
            return self._norms(x, f, self.grad(tape))
        value, g = 0.0, None
        for part in np.array_split(np.arange(n), -(-n // PART)):
            f, g_part = self.value_and_grad(x, self.xp.asarray(part))
            share = len(part) / n
            value += share * float(f)
            g = self.xp.scale(share, g_part) if g is None else self.xp.axpy(share, g_part, g)
        return self._norms(x, value, g)

    def _norms(self, x: Array, f: Any, g: Array) -> tuple[float, float]:
        total, measure = stationarity.total(self.objective, x, f), stationarity.measure(self.objective, x, g)
        return float(total), float(measure)

    def value_and_grad(self, x: Array, batch: Array | None = None) -> Any:
        """Value and gradient, as the backend's scalar and array."""
        if not self.xp.eager:
            return self._both(self.arrays, x, batch)
        f, tape = self._bound.forward(x, batch)
        return f, self._bound.grad(tape)


def _forward(bare: Objective) -> Callable[..., Any]:
    return lambda arrays, x, batch: bare.with_arrays(arrays).forward(x, batch)


def _grad(bare: Objective) -> Callable[..., Any]:
    return lambda arrays, tape: bare.with_arrays(arrays).grad(tape)


def _value_and_grad(bare: Objective) -> Callable[..., Any]:
    def value_and_grad(arrays: Any, x: Array, batch: Array | None) -> Any:
        at = bare.with_arrays(arrays)
        f, tape = at.forward(x, batch)
        return f, at.grad(tape)

    return value_and_grad
