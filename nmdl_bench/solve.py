"""Drive any solver on any problem: the clock, the history, stopping, status, and what is recomputed afterwards.

Step-wise methods run in chunks: ``xp.while_loop`` (or a scan over an epoch's batches) advances the state, and only between chunks are the
clock read, metrics evaluated (off the clock) and limits looked at.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import (
    HISTORY_COLUMNS,
    Array,
    ConfigurationError,
    Counts,
    Objective,
    Optimizer,
    Problem,
    Result,
    Solver,
    State,
    Status,
    Stop,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

CHUNKS = 20
"""Chunks that a run over ``max_iterations`` is cut into, at least."""
CAPACITY = 64
"""Rows of the table that a chunk records into; one is spare."""
_NO_LIMIT = 2**31 - 1


def batches(seed: int, n: int, batch_size: int) -> Iterator[np.ndarray]:
    """Index matrices (n // batch_size, batch_size), an epoch each, without end; a short last batch is dropped.

    Drawn on the host, so that every backend sees the same order.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0x5EED])))
    count = max(n // batch_size, 1)
    while True:
        yield rng.permutation(n)[: count * batch_size].reshape(count, -1)


# --------------------------------------------------------------------------------------------------- compiled pieces
class Evaluation:
    """Value and gradient of an objective as compiled functions, shared by all solvers on it and by the harness.

    Has the attributes of the objective that ``Optimizer.init`` may use, and none that hold data in a closure.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective, self.xp, self.arrays = objective, objective.xp, objective.arrays
        self.x0, self.n_samples = objective.x0, objective.n_samples
        self._forward = compiled(
            ("forward",), objective, lambda bare: lambda arrays, x: bare.with_arrays(arrays).forward(x)
        )
        self._grad = compiled(
            ("grad",), objective, lambda bare: lambda arrays, tape: bare.with_arrays(arrays).grad(tape)
        )

    def forward(self, x: Array, batch: Array | None = None) -> Any:
        return self._forward(self.arrays, x)

    def grad(self, tape: Any) -> Array:
        return self._grad(self.arrays, tape)

    def at(self, x: Array) -> tuple[float, np.ndarray]:
        """Value and gradient on the host."""
        f, tape = self.forward(x)
        return float(f), self.xp.to_numpy(self.grad(tape))


_COMPILED: dict[Any, Callable[..., Any]] = {}


def compiled(
    key: tuple[Any, ...],
    objective: Objective,
    build: Callable[[Objective], Callable[..., Any]],
    donate: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """``xp.compile(build(objective without arrays))``, made once for each ``key``, backend and structure of objective."""
    key = (*key, objective.xp.key, type(objective), objective.static)
    if key not in _COMPILED:
        _COMPILED[key] = objective.xp.compile(build(objective.with_arrays(None)), donate=donate)
    return _COMPILED[key]


def structure(optimizer: Optimizer) -> tuple[Any, ...]:
    """What of an optimizer is text, not data: its class and all hyper-parameters but reals."""
    chosen = tuple((f.name, getattr(optimizer, f.name)) for f in fields(optimizer))  # type: ignore[arg-type]
    return type(optimizer), *(item for item in chosen if not isinstance(item[1], float))


# ------------------------------------------------------------------------------------------------------------ recorder
class Recorder:
    """Clock, history and metrics of one run; callable as :class:`nmdl_bench.contracts.Record`.

    Parameters
    ----------
    problem, evaluation
        What metrics and losses are computed with, off the clock.
    stop : Stop
        The time limit is looked at here.
    every : int
        Iterations between evaluations of the metrics.
    """

    def __init__(self, problem: Problem, evaluation: Evaluation, stop: Stop, every: int) -> None:
        self.problem, self.evaluation, self.stop, self.every = problem, evaluation, stop, every
        self.xp: Backend = evaluation.xp
        self.rows: list[tuple[float, ...]] = []
        self.metrics: list[dict[str, float]] = []
        self.seconds, self._since, self._next = 0.0, 0.0, 0
        self.good: Array | None = None
        """Copy of the last iterate that was finite where the clock was stopped."""

    def start(self) -> None:
        """Let the clock run."""
        self._since = time.perf_counter()

    def pause(self, tree: Any = None) -> None:
        """Wait for ``tree`` and stop the clock."""
        self.xp.synchronize(tree)
        self.seconds += time.perf_counter() - self._since

    def over_time(self) -> bool:
        """Whether the time limit is reached."""
        return self.stop.max_time is not None and self.seconds >= self.stop.max_time

    def row(self, iteration: int, counts: Counts, passes: float, loss: float, grad_norm: float, measured: bool) -> None:
        """Add a row of :data:`~nmdl_bench.contracts.HISTORY_COLUMNS` at the present time."""
        at = self.seconds
        self.rows.append((iteration, counts.forward, counts.gradient, passes, loss, grad_norm, at, float(measured)))

    def look(self, iteration: int, passes: float, x: Array) -> None:
        """Evaluate the metrics at ``x``; the clock must stand."""
        values = self.problem.metrics(self.xp, x)
        self.metrics.append({"iteration": iteration, "passes": passes, "time": self.seconds, **values})
        self._next = iteration + self.every

    def __call__(
        self,
        iteration: int,
        loss: float | None,
        *,
        x: Array,
        counts: Counts,
        grad_norm: float = float("nan"),
        passes: float | None = None,
    ) -> bool:
        self.pause(x)
        if loss is None:
            loss, g = self.evaluation.at(x)
            grad_norm = float(np.abs(g).max())
        loss = float(loss)
        passes = float(counts.forward) if passes is None else passes
        self.row(iteration, counts, passes, loss, float(grad_norm), measured=True)
        finite = bool(np.isfinite(loss))
        if finite and iteration >= self._next:
            self.look(iteration, passes, x)
        if finite:
            self.good = self.xp.copy(x)
        over = self.over_time() or not finite
        self.start()
        return over


# ------------------------------------------------------------------------------------------------- step-wise methods
class Stepwise:
    """A :class:`~nmdl_bench.contracts.Solver` from a step-wise :class:`~nmdl_bench.contracts.Optimizer`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def run(self, objective: Objective, x: Array, stop: Stop, record: Recorder, seed: int = 0) -> Result:
        optimizer, n = self.optimizer, objective.n_samples
        if optimizer.batch_size is not None and optimizer.batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, not {optimizer.batch_size!r}")
        if not optimizer.takes_batches:
            advance = _whole(optimizer, objective, stop)
        elif optimizer.batch_size is None or optimizer.batch_size >= n:
            advance = _full_batch(optimizer, objective, stop)
        else:
            advance = _epochs(optimizer, objective, stop, seed)
        state, counts, passes, status, reason = advance(record, x)
        k = int(state.k)
        if status == "diverged" and record.good is not None:
            return Result(record.good, status, reason, k, counts, passes)
        return Result(state.x, status, reason, k, counts, passes)


Outcome = tuple[State, Counts, float, Status, str]
Advance = Callable[[Recorder, Array], Outcome]


def _tolerance(stop: Stop, g0: float) -> float:
    return stop.gtol * max(1.0, g0)


def _chunk_length(stop: Stop) -> int:
    return min(max(-(-stop.max_iterations // CHUNKS), 1), CAPACITY - 1)


def _host_counts(counts: Counts) -> Counts:
    return Counts(*(int(c) for c in counts))


def _whole(optimizer: Optimizer, objective: Objective, stop: Stop) -> Advance:
    """Methods that use all samples: the state knows value and gradient norm, so the loop itself sees convergence."""
    xp = objective.xp

    def build(bare: Objective) -> Callable[..., Any]:
        def chunk(arrays: Any, state: State, table: Any, k_stop: Any, forward_stop: Any, g_stop: Any) -> Any:
            at, s, k0 = bare.with_arrays(arrays), xp.s, state.k + 0

            def going(carry: tuple[State, Any]) -> Any:
                state = carry[0]
                within = s.and_(state.k < k_stop, state.counts.forward < forward_stop, s.not_(state.stalled))
                return s.and_(within, s.isfinite(state.f), state.g_norm > g_stop)

            def body(carry: tuple[State, Any]) -> tuple[State, Any]:
                state, table = carry
                k = state.k + 0
                state = optimizer.step(at, state)
                row = s.where(state.k > k, k - k0, CAPACITY - 1)  # a rejected trial goes to the spare row
                counts = state.counts
                values = (s.real(state.k), s.real(counts.forward), s.real(counts.gradient), state.f, state.g_norm)
                return state, xp.record(table, row, values)

            return xp.while_loop(going, body, (state, table))

        return chunk

    chunk = compiled(("whole", structure(optimizer)), objective, build, donate=(1, 2))
    forward_stop = _NO_LIMIT if stop.max_evaluations is None else stop.max_evaluations

    def advance(record: Recorder, x: Array) -> Outcome:
        record.start()
        state = optimizer.init(Evaluation(objective), x)
        record.pause(state)
        g_stop = _tolerance(stop, float(state.g_norm))
        counts = _host_counts(state.counts)
        record.row(0, counts, counts.forward, float(state.f), float(state.g_norm), measured=True)
        record.look(0, counts.forward, state.x)
        while True:
            k, f, g_norm = int(state.k), float(state.f), float(state.g_norm)
            counts = _host_counts(state.counts)
            passes = float(counts.forward)
            if not (np.isfinite(f) and np.isfinite(g_norm)):
                return state, counts, passes, "diverged", f"value {f:g}, gradient norm {g_norm:g} at iteration {k}"
            record.good = xp.copy(state.x)
            if g_norm <= g_stop:
                return state, counts, passes, "converged", "gradient below the tolerance"
            if bool(state.stalled):
                return state, counts, passes, "stalled", "no decrease along steepest descent"
            if k >= stop.max_iterations or counts.forward >= forward_stop:
                what = f"{k} iterations" if k >= stop.max_iterations else f"{counts.forward} evaluations"
                return state, counts, passes, "max_iterations", what
            if record.over_time():
                return state, counts, passes, "max_time", f"{record.seconds:.3g} s"
            k_stop = min(k + _chunk_length(stop), stop.max_iterations)
            before = record.seconds
            record.start()
            table = xp.recorder(CAPACITY, 5)
            limits = (xp.s.int(k_stop), xp.s.int(forward_stop), xp.s.const(g_stop))
            state, table = chunk(objective.arrays, state, table, *limits)
            record.pause((state, table))
            _interpolate(record, xp.recorded(table)[: int(state.k) - k], before, counts.forward)
            if int(state.k) > k and np.isfinite(float(state.f)):
                record.look(int(state.k), float(int(state.counts.forward)), state.x)

    return advance


def _interpolate(record: Recorder, rows: np.ndarray, before: float, forwards: int) -> None:
    """Rows of a chunk: times between its edges in proportion to the forwards, marked as not measured but the last."""
    if not len(rows):
        return
    share = (rows[:, 1] - forwards) / (rows[-1, 1] - forwards)
    for row, at in zip(rows, before + share * (record.seconds - before)):
        k, forward, gradient, loss, g_norm = row
        record.rows.append((k, forward, gradient, forward, loss, g_norm, float(at), float(row is rows[-1])))
    record.rows[-1] = (*record.rows[-1][:-1], 1.0)


def _boundary(record: Recorder, state: State, passes: float, g_stop: float | None, stop: Stop) -> Any:
    """End of a chunk of a batch method: full loss and gradient off the clock; (g_stop, outcome or None)."""
    counts, k = _host_counts(state.counts), int(state.k)
    f, g = record.evaluation.at(state.x)
    g_norm = float(np.abs(g).max())
    record.row(k, counts, passes, f, g_norm, measured=True)
    if not (np.isfinite(f) and np.isfinite(g_norm)):
        outcome = (state, counts, passes, "diverged", f"value {f:g}, gradient norm {g_norm:g} at iteration {k}")
        return g_stop, outcome
    record.good = record.xp.copy(state.x)
    record.look(k, passes, state.x)
    g_stop = _tolerance(stop, g_norm) if g_stop is None else g_stop
    if g_norm <= g_stop:
        return g_stop, (state, counts, passes, "converged", "gradient below the tolerance")
    if bool(state.stalled):
        return g_stop, (state, counts, passes, "stalled", "the method cannot go on")
    if record.over_time():
        return g_stop, (state, counts, passes, "max_time", f"{record.seconds:.3g} s")
    return g_stop, None


def _full_batch(optimizer: Optimizer, objective: Objective, stop: Stop) -> Advance:
    """Batch methods on all samples at once: bounded by iterations."""
    xp = objective.xp

    def build(bare: Objective) -> Callable[..., Any]:
        def chunk(arrays: Any, state: State, k_stop: Any) -> State:
            at, s = bare.with_arrays(arrays), xp.s

            def going(state: State) -> Any:
                return s.and_(state.k < k_stop, s.not_(state.stalled))

            return xp.while_loop(going, lambda state: optimizer.step(at, state), state)

        return chunk

    chunk = compiled(("full batch", structure(optimizer)), objective, build, donate=(1,))

    def advance(record: Recorder, x: Array) -> Outcome:
        record.start()
        state = optimizer.init(objective, x)
        record.pause(state)
        g_stop, k = None, 0
        while True:
            g_stop, outcome = _boundary(record, state, float(int(state.counts.forward)), g_stop, stop)
            if outcome:
                return outcome
            k = int(state.k)
            if k >= stop.max_iterations:
                return state, _host_counts(state.counts), float(k), "max_iterations", f"{k} iterations"
            record.start()
            state = chunk(objective.arrays, state, xp.s.int(min(k + _chunk_length(stop), stop.max_iterations)))
            record.pause(state)

    return advance


def _epochs(optimizer: Optimizer, objective: Objective, stop: Stop, seed: int) -> Advance:
    """Mini-batch methods: one chunk an epoch, a scan over the epoch's index matrix."""
    xp, n = objective.xp, objective.n_samples
    size = optimizer.batch_size or n

    def build(bare: Objective) -> Callable[..., Any]:
        def chunk(arrays: Any, state: State, order: Array) -> State:
            at = bare.with_arrays(arrays)
            return xp.scan(lambda state, batch: (optimizer.step(at, state, batch), None), state, order)[0]

        return chunk

    chunk = compiled(("epoch", structure(optimizer)), objective, build, donate=(1,))

    def advance(record: Recorder, x: Array) -> Outcome:
        orders = batches(seed, n, size)
        record.start()
        state = optimizer.init(objective, x)
        record.pause(state)
        g_stop = None
        for epoch in range(stop.max_epochs + 1):
            passes = int(state.counts.forward) * size / n
            g_stop, outcome = _boundary(record, state, passes, g_stop, stop)
            if outcome:
                return outcome
            if epoch == stop.max_epochs:
                break
            order = xp.asarray(next(orders))
            record.start()
            state = chunk(objective.arrays, state, order)
            record.pause(state)
        return state, _host_counts(state.counts), passes, "max_iterations", f"{stop.max_epochs} epochs"

    return advance


# --------------------------------------------------------------------------------------------------------------- solve
_BOUND: weakref.WeakKeyDictionary[Any, dict[Any, Objective]] = weakref.WeakKeyDictionary()


def bind(problem: Problem, xp: Backend) -> Objective:
    """``problem.bind(xp)``, kept for as long as the problem lives."""
    try:
        bound = _BOUND.setdefault(problem, {})
    except TypeError:  # not hashable, or no weak references
        return problem.bind(xp)
    if xp.key not in bound:
        bound[xp.key] = problem.bind(xp)
    return bound[xp.key]


def solve(problem: Problem, solver: Solver | Optimizer, xp: Backend, stop: Stop | None = None, seed: int = 0) -> Result:
    """Minimise ``problem`` with ``solver`` on ``xp``.

    Parameters
    ----------
    problem : Problem
        From ``PROBLEMS.make(name, seed=..., ...)``.
    solver : Solver or Optimizer
        From ``SOLVERS.make(name, ...)``.
    xp : Backend
        From :func:`nmdl_bench.backends.get_backend`.
    stop : Stop, optional
        Limits and tolerance.
    seed : int
        Draws the batches.

    Returns
    -------
    Result
        With loss, gradient norm and metrics recomputed at ``x``, and ``x`` on the host. Its status is ``"converged"`` exactly where the
        recomputed gradient meets the tolerance; a solver that ends by another rule of its own has ``"stalled"``.

    Notes
    -----
    Called again with an equal problem and solver, it compiles nothing anew. NaN and Inf give the status ``"diverged"`` and the last finite
    iterate seen between chunks. Other exceptions of a solver propagate.
    """
    stop = Stop() if stop is None else stop
    runner: Solver = solver if isinstance(solver, Solver) else Stepwise(solver)
    with xp.scope():
        objective = bind(problem, xp)
        evaluation = Evaluation(objective)
        record = Recorder(problem, evaluation, stop, _chunk_length(stop))
        result = runner.run(objective, objective.x0, stop, record, seed=seed)
        return _finish(problem, evaluation, record, result, stop)


def _finish(problem: Problem, evaluation: Evaluation, record: Recorder, result: Result, stop: Stop) -> Result:
    """Recompute at the returned x what the status rests on, and complete the result."""
    xp = evaluation.xp
    if not np.all(np.isfinite(xp.to_numpy(result.x))) and record.good is not None:
        result = replace(result, x=record.good, status="diverged", reason="the iterate is not finite")
    loss, g = evaluation.at(result.x)
    _, g0 = evaluation.at(evaluation.x0)
    grad_norm = float(np.abs(g).max())
    status, reason = result.status, result.reason
    if status != "diverged":
        if not (np.isfinite(loss) and np.isfinite(grad_norm)):
            status, reason = "diverged", f"value {loss:g}, gradient norm {grad_norm:g} at the returned point"
        elif grad_norm <= _tolerance(stop, float(np.abs(g0).max())):
            status = "converged"
        elif status == "converged":
            status, reason = "stalled", f"stopped by its own rule ({reason}), gradient norm {grad_norm:.3g}"
    return replace(
        result,
        x=xp.to_numpy(result.x),
        status=status,
        reason=reason,
        loss=loss,
        grad_norm=grad_norm,
        time=record.seconds,
        metrics=problem.metrics(xp, result.x),
        history=np.array(record.rows, dtype=np.float64).reshape(-1, len(HISTORY_COLUMNS)),
        metric_history=record.metrics,
    )
