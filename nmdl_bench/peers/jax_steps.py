"""Step-wise solvers of JAX libraries: whole chunks of steps inside one ``jax.jit``, as their users would write them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nmdl_bench.backends.compiled import Evaluation, compiled
from nmdl_bench.contracts import CAPACITY, ROW, Array, Counts, Objective, Record, Result, Status, Stop

IDLE = 100
"""Steps in a row without an iteration after which a method has stalled; searches and rejected trials are shorter."""


SETTLED = 3
"""The same where a method shows no value: one that takes whole steps stays where it is for good."""


class Carry(NamedTuple):
    """What every method tells, and the state that the library keeps."""

    x: Array
    state: Any
    f: Any
    """Value at ``x``; None where the method does not know it, and the harness evaluates off the clock."""
    g_norm: Any
    k: Any
    """Iterations: accepted steps."""
    forward: Any
    gradient: Any
    failed: Any
    """Whether the method cannot go on."""
    idle: Any
    """Steps since the last iteration."""


def counters() -> tuple[Any, Any, Any, Any, Any]:
    """``k``, ``forward``, ``gradient``, ``failed`` and ``idle`` at the start, after one evaluation of each kind."""
    return jnp.int32(0), jnp.int32(1), jnp.int32(1), jnp.array(False), jnp.int32(0)


def settle(state: Any, update: Callable[[Any], Any]) -> Any:
    """The first state in the types that an update gives it, as a compiled loop needs it."""
    settled = jax.eval_shape(update, state)
    return jax.tree.map(lambda leaf, kind: jnp.asarray(leaf, kind.dtype), state, settled)


def differentiable(objective: Objective) -> Callable[[Any], Any]:
    """The objective as a function whose reverse mode is our adjoint."""

    @jax.custom_vjp
    def fun(x: Any) -> Any:
        return objective.forward(x)[0]

    fun.defvjp(objective.forward, lambda tape, w: (w * objective.grad(tape),))
    return fun


def differentiable_residual(objective: Any) -> Callable[[Any], Any]:
    """The residual as a function whose forward mode is a product with our Jacobian; reverse mode is its transpose."""

    @jax.custom_jvp
    def fun(x: Any) -> Any:
        return objective.residual(objective.forward(x)[1])

    @fun.defjvp
    def _(points: Any, tangents: Any) -> Any:
        _, tape = objective.forward(points[0])
        return objective.residual(tape), objective.jacobian(tape) @ tangents[0]

    return fun


def run(
    key: tuple[Any, ...],
    start: Callable[[Objective, Array], Carry],
    step: Callable[[Objective, Carry], Carry],
    objective: Objective,
    x: Array,
    stop: Stop,
    record: Record,
) -> Result:
    """Drive a step-wise method.

    A method that knows no value of its iterates runs every chunk twice: off the clock, where each iterate is kept and
    evaluated, and then on it, up to the first one that meets the tolerance or is not finite.

    The arguments are those of :meth:`nmdl_bench.contracts.Solver.run`, and those below.

    Parameters
    ----------
    key : tuple
        Hashable: what ``start`` and ``step`` close over.
    start : callable
        ``start(objective, x)``, traced, is the carry before the first step.
    step : callable
        ``step(objective, carry)``, traced, is the carry after one step.
    """
    begin = compiled((*key, "start"), objective, lambda bare: _start(bare, start))
    chunk = compiled((*key, "chunk"), objective, lambda bare: _chunk(bare, step), donate=(1,))
    trial = compiled((*key, "trial"), objective, lambda bare: _chunk(bare, step, keep=True))
    evaluation = Evaluation(objective)
    limit = 2**31 - 1 if stop.max_evaluations is None else stop.max_evaluations
    record.begin()
    carry = begin(objective.arrays, x)
    over = record(0, carry.f, x=carry.x, counts=_counts(carry), grad_norm=carry.g_norm)
    status: Status = "max_iterations"
    reason = f"{stop.max_iterations} iterations"
    while not over and int(carry.k) < stop.max_iterations:
        k, forwards = int(carry.k), int(carry.forward)
        if forwards >= limit:
            reason = f"{forwards} forwards"
            break
        if bool(carry.failed) or int(carry.idle) >= _patience(carry):
            status = "stalled"
            reason = "its step failed" if bool(carry.failed) else f"{int(carry.idle)} steps without an iteration"
            break
        k_stop = min(k + stop.chunk, stop.max_iterations)
        if carry.f is None:
            seen, kept = trial(objective.arrays, carry, k_stop, limit, record.g_stop)
            rows = _evaluated(evaluation, seen, kept, k, record.g_stop)
            k_stop = int(rows[-1, 0]) if rows[-1, 0] < int(seen.k) else k_stop
            record.begin()  # what came before was off the clock
            carry, _ = chunk(objective.arrays, carry, k_stop, limit, record.g_stop)
            over = record.chunk(partial(np.array, rows), carry.x)
        else:
            carry, table = chunk(objective.arrays, carry, k_stop, limit, record.g_stop)
            over = record.chunk(partial(_rows, table, carry, k), carry.x)
    if over:
        status, reason = record.why()
    counts = _counts(carry)
    return Result(carry.x, status, reason, int(carry.k), counts, float(counts.passes))


def _patience(carry: Carry) -> int:
    return SETTLED if carry.f is None else IDLE


def _counts(carry: Carry) -> Counts:
    return Counts(int(carry.forward), int(carry.gradient))


def _start(bare: Objective, start: Callable[..., Carry]) -> Callable[..., Carry]:
    def begin(arrays: Any, x: Any) -> Carry:
        return start(bare.with_arrays(arrays), jnp.array(x, copy=True))

    return begin


def _chunk(bare: Objective, step: Callable[..., Carry], keep: bool = False) -> Callable[..., Any]:
    """Steps up to an iteration, with their table; ``keep`` the iterates of a method that knows no value in it."""

    def chunk(arrays: Any, carry: Carry, k_stop: Any, limit: Any, g_stop: Any) -> Any:
        objective = bare.with_arrays(arrays)
        k_start = carry.k

        def body(loop: Any) -> Any:
            carry, table = loop
            new = step(objective, carry)
            new = new._replace(k=jnp.where(new.failed, carry.k, new.k))  # a step that failed is no iteration
            moved = new.k > carry.k
            new = new._replace(idle=jnp.where(moved, jnp.int32(0), carry.idle + 1))
            if new.f is None and not keep:
                return new, table
            row = jnp.where(moved, new.k - 1 - k_start, CAPACITY - 1)  # what is no iteration goes to the spare row
            if keep:
                return new, (table[0].at[row].set(jnp.stack(_row(new)[:3])), table[1].at[row].set(new.x))
            return new, table.at[row].set(jnp.stack([v.astype(table.dtype) for v in _row(new)]))

        def going(loop: Any) -> Any:
            carry, _ = loop
            within = (carry.k < k_stop) & (carry.forward < limit) & ~carry.failed & (carry.idle < _patience(carry))
            return within if carry.f is None else within & ~(carry.g_norm <= g_stop) & jnp.isfinite(carry.f)

        table: Any = jnp.full((CAPACITY, len(ROW)), jnp.nan, carry.x.dtype)
        if keep:
            table = jnp.zeros((CAPACITY, 3), jnp.int32), jnp.zeros((CAPACITY, carry.x.size), carry.x.dtype)
        return lax.while_loop(going, body, (carry, table))

    return chunk


def _row(carry: Carry) -> tuple[Any, ...]:
    """:data:`~nmdl_bench.contracts.ROW` of an iteration; a forward with its gradient is a pass."""
    return carry.k, carry.forward, carry.gradient, carry.forward, carry.f, carry.g_norm


def _evaluated(evaluation: Evaluation, carry: Carry, table: tuple[Any, Any], k_start: int, g_stop: float) -> np.ndarray:
    """Rows of the iterates kept, up to the first that meets the tolerance or is not finite; of the last if none is."""
    rows: list[tuple[Any, ...]] = []
    for (k, forward, gradient), x in zip(np.array(table[0])[: int(carry.k) - k_start], table[1]):
        rows.append((k, forward, gradient, forward, *evaluation.norms(x)))
        if rows[-1][-1] <= g_stop or not np.isfinite(rows[-1][-2]):
            break
    if not rows:
        rows.append((*map(int, _row(carry)[:4]), *evaluation.norms(carry.x)))
    return np.array(rows, np.float64)


def _rows(table: Any, carry: Carry, k_start: int) -> np.ndarray:
    """The iterations that a chunk recorded; one row of where it stands if there were none."""
    rows = np.array(table, np.float64)[: int(carry.k) - k_start]
    return rows if len(rows) else np.array([[float(v) for v in _row(carry)]])
