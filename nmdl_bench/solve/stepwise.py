"""Step-wise methods as solvers: chunks of steps in ``xp.while_loop``, or an epoch's batches in ``xp.scan``.

Only between chunks are the clock read and limits looked at. The length of a chunk is an argument, so that one compiled
function serves every length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, cast

import numpy as np

from nmdl_bench.backends.compiled import Evaluation, compiled
from nmdl_bench.contracts import (
    CAPACITY,
    ROW,
    Array,
    ConfigurationError,
    Objective,
    Optimizer,
    Record,
    Result,
    State,
    Status,
    Stop,
)
from nmdl_bench.data.batches import batches, redraw

NO_LIMIT = 2**31 - 1


def structure(optimizer: Optimizer) -> tuple[Any, ...]:
    """What of an optimizer is text, not data: its class and all hyper-parameters but reals.

    Other data, such as the seed of a draw, are fields with ``metadata={"data": True}``.
    """
    text = (f for f in fields(cast(Any, optimizer)) if not f.metadata.get("data"))
    chosen = tuple((f.name, getattr(optimizer, f.name)) for f in text)
    return type(optimizer), *(item for item in chosen if not isinstance(item[1], float))


class Stepwise:
    """A :class:`~nmdl_bench.contracts.Solver` from a step-wise :class:`~nmdl_bench.contracts.Optimizer`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        size = self.optimizer.batch_size
        if size is not None and size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, not {size!r}")
        if not self.optimizer.takes_batches:
            return self._whole(objective, x, stop, record)
        if size is None or size >= objective.n_samples:
            return self._full_batch(objective, x, stop, record)
        return self._epochs(objective, x, stop, record, seed, size)

    def _whole(self, objective: Objective, x: Array, stop: Stop, record: Record) -> Result:
        """Methods that use all samples: value and gradient norm are in the state, the loop itself sees convergence."""
        xp = objective.xp
        chunk = compiled(("whole", structure(self.optimizer)), objective, self._build_whole, donate=(1,))
        forward_stop = min(stop.max_evaluations or NO_LIMIT, NO_LIMIT)
        record.begin()
        state = self.optimizer.init(cast(Objective, Evaluation(objective)), x)
        passes = float(_passes(state))
        over = record(0, state.f, x=state.x, counts=state.counts, grad_norm=state.g_norm, passes=passes)
        while not over:
            k, forwards = int(state.k), int(state.counts.forward)
            if bool(state.stalled):
                return _result(state, "stalled", "no step that the method makes lowers the value")
            if k >= stop.max_iterations or forwards >= forward_stop:
                return _result(
                    state, "max_iterations", f"{k} iterations" if forwards < forward_stop else f"{forwards} forwards"
                )
            k_stop = min(k + stop.chunk, stop.max_iterations)
            state, table = chunk(objective.arrays, state, k_stop, forward_stop, record.g_stop)
            rows = _Rows(xp, table, state, k)
            over = record.chunk(rows, state.x)
            if not over and int(state.counts.forward) == forwards and int(state.k) == k:
                return _result(state, "stalled", "a step made no evaluation and no progress")
        return _result(state, *record.why())

    def _build_whole(self, bare: Objective) -> Callable[..., Any]:
        xp, s, step = bare.xp, bare.xp.s, self.optimizer.step

        def chunk(arrays: Any, state: State, k_stop: Any, forward_stop: Any, g_stop: Any) -> Any:
            objective, k_start = bare.with_arrays(arrays), state.k + 0

            def going(carry: tuple[State, Any]) -> Any:
                state, _ = carry
                within = s.and_(state.k < k_stop, state.counts.forward < forward_stop, s.not_(state.stalled))
                return s.and_(within, s.isfinite(state.f), s.not_(state.g_norm <= g_stop))

            def body(carry: tuple[State, Any]) -> tuple[State, Any]:
                state, table = carry
                k = state.k + 0
                state = step(objective, state)
                row = s.where(state.k > k, k - k_start, CAPACITY - 1)  # a rejected trial goes to the spare row
                counts = (state.k, state.counts.forward, state.counts.gradient)
                reals = (*map(s.real, counts), s.real(_passes(state)), state.f, state.g_norm)
                return state, xp.record(table, row, reals)

            return xp.while_loop(going, body, (state, xp.recorder(CAPACITY, len(ROW))))

        return chunk

    def _full_batch(self, objective: Objective, x: Array, stop: Stop, record: Record) -> Result:
        """Batch methods on all samples at once: bounded by iterations, of one forward each."""
        last = min(stop.max_iterations, stop.max_evaluations or NO_LIMIT)
        chunk = compiled(("full batch", structure(self.optimizer)), objective, self._build_full_batch, donate=(1,))
        record.begin()
        state = self.optimizer.init(objective, x)
        over = record(0, None, x=state.x, counts=state.counts)
        while not over:
            k = int(state.k)
            if bool(state.stalled):
                return _result(state, "stalled", "the method cannot go on")
            if k >= last:
                return _result(state, "max_iterations", f"{k} iterations")
            state = chunk(objective.arrays, state, min(k + stop.chunk, last))
            over = record(int(state.k), None, x=state.x, counts=state.counts)
        return _result(state, *record.why())

    def _build_full_batch(self, bare: Objective) -> Callable[..., Any]:
        xp, s = bare.xp, bare.xp.s

        def chunk(arrays: Any, state: State, k_stop: Any) -> State:
            objective = bare.with_arrays(arrays)
            return xp.while_loop(
                lambda state: s.and_(state.k < k_stop, s.not_(state.stalled)),
                lambda state: self._batch_step(objective, state, None),
                state,
            )

        return chunk

    def _epochs(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int, size: int) -> Result:
        """Mini-batch methods: a chunk is an epoch, a scan over its index matrix, on data drawn for that epoch.

        The draws are work that any user of the method pays for: they are on the clock.
        """
        xp, n = objective.xp, objective.n_samples
        chunk = compiled(("epoch", structure(self.optimizer)), objective, self._build_epoch, donate=(1,))
        orders = batches(seed, n, size)
        record.begin()
        state = self.optimizer.init(objective, x)
        over, passes = record(0, None, x=state.x, counts=state.counts), 0.0
        for epoch in range(stop.max_epochs):
            if over:
                return _result(state, *record.why(), passes=passes)
            if bool(state.stalled):
                return _result(state, "stalled", "the method cannot go on", passes=passes)
            if int(state.counts.forward) >= (stop.max_evaluations or NO_LIMIT):
                return _result(state, "max_iterations", f"{int(state.counts.forward)} forwards", passes=passes)
            state = chunk(redraw(objective, epoch, seed), state, xp.asarray(next(orders)))
            passes = int(state.counts.forward) * size / n
            over = record(int(state.k), None, x=state.x, counts=state.counts, passes=passes)
        why = record.why() if over else ("max_iterations", f"{stop.max_epochs} epochs")
        return _result(state, *cast(tuple[Status, str], why), passes=passes)

    def _build_epoch(self, bare: Objective) -> Callable[..., Any]:
        xp = bare.xp

        def chunk(arrays: Any, state: State, order: Array) -> State:
            objective = bare.with_arrays(arrays)
            state, _ = xp.scan(lambda state, batch: (self._batch_step(objective, state, batch), None), state, order)
            return state

        return chunk

    def _batch_step(self, objective: Objective, state: State, batch: Array | None) -> State:
        """A step, without the batch's value where nobody reads it: what is compiled then does not compute it."""
        new = self.optimizer.step(objective, state, batch)
        # a subclass may read the value: each class says for itself that it does not
        return new._replace(f=state.f) if vars(type(self.optimizer)).get("forgets_value", False) else new


class _Rows:
    """Rows that a chunk recorded, fetched when asked for."""

    def __init__(self, xp: Any, table: Any, state: State, k_start: int) -> None:
        self._fetch = lambda: xp.recorded(table)[: int(state.k) - k_start]
        self._state = state

    def __call__(self) -> np.ndarray:
        rows = self._fetch()
        if len(rows):
            return rows
        # a chunk of rejected trials only: one row, so that the evaluations are seen
        state = self._state
        row = (state.k, state.counts.forward, state.counts.gradient, _passes(state), state.f, state.g_norm)
        return np.array([[float(value) for value in row]])


def _passes(state: State) -> Any:
    """Passes over the samples: those of the counts, unless the method counts parts of one."""
    return getattr(state, "passes", state.counts.passes)


def _result(state: State, status: Status, reason: str, passes: float | None = None) -> Result:
    counts = type(state.counts)(*(int(c) for c in state.counts))
    return Result(state.x, status, reason, int(state.k), counts, float(_passes(state)) if passes is None else passes)
