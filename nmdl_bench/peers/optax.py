"""Optax's solvers, whole chunks of steps inside one ``jax.jit``, as its users would write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from nmdl_bench.backends.compiled import compiled
from nmdl_bench.contracts import CAPACITY, ROW, Array, Counts, Objective, Record, Result, Status, Stop
from nmdl_bench.peers.base import chunks


@dataclass(frozen=True)
class OptaxFirstOrder:
    """``optax.sgd`` or ``optax.adam``.

    Parameters
    ----------
    method : str
        Name in ``optax``.
    batch_size : int or None
        Samples a step; all of them where None.
    options : dict
        Passed to the function.
    """

    method: str
    batch_size: int | None
    options: dict[str, Any] = field(hash=False)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        transform = getattr(optax, self.method)(**self.options)
        key = ("optax", self.method, tuple(self.options.items()))
        epoch = compiled((*key, "epoch"), objective, lambda bare: _epoch(bare, transform), donate=(1,))
        whole = compiled((*key, "whole"), objective, lambda bare: _whole(bare, transform), donate=(1,))
        carry = (jnp.array(x, copy=True), transform.init(x))
        record.begin()
        k, passes, over = 0, 0.0, record(0, None, x=carry[0], counts=Counts())
        for arrays, order, steps, share in chunks(objective, self.batch_size, stop, seed):
            if over:
                break
            step = whole(arrays, carry, steps) if order is None else epoch(arrays, carry, order)
            carry, k, passes = step, k + steps, passes + share
            over = record(k, None, x=carry[0], counts=Counts(k, k), passes=passes)
        status, reason = record.why() if over else ("max_iterations", f"{k} steps")
        return Result(carry[0], status, reason, k, Counts(k, k), passes)


def _step(objective: Objective, transform: Any, carry: tuple[Any, Any], batch: Array | None) -> tuple[Any, Any]:
    x, state = carry
    _, tape = objective.forward(x, batch)
    updates, state = transform.update(objective.grad(tape), state, x)
    return optax.apply_updates(x, updates), state


def _epoch(bare: Objective, transform: Any) -> Callable[..., Any]:
    def epoch(arrays: Any, carry: Any, order: Array) -> Any:
        objective = bare.with_arrays(arrays)
        return lax.scan(lambda carry, batch: (_step(objective, transform, carry, batch), None), carry, order)[0]

    return epoch


def _whole(bare: Objective, transform: Any) -> Callable[..., Any]:
    def whole(arrays: Any, carry: Any, steps: Any) -> Any:
        objective = bare.with_arrays(arrays)
        return lax.fori_loop(0, steps, lambda _, carry: _step(objective, transform, carry, None), carry)

    return whole


@dataclass(frozen=True)
class OptaxLBFGS:
    """``optax.lbfgs`` with ``scale_by_zoom_linesearch``, value and gradient taken over from the line search.

    Parameters
    ----------
    memory : int
        Number of correction pairs.
    max_trials : int
        Steps of its line search.
    """

    memory: int = 10
    max_trials: int = 20

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        search = optax.scale_by_zoom_linesearch(max_linesearch_steps=self.max_trials, initial_guess_strategy="one")
        transform = optax.lbfgs(memory_size=self.memory, linesearch=search)
        key = ("optax lbfgs", self.memory, self.max_trials)
        start = compiled((*key, "start"), objective, lambda bare: _lbfgs_start(bare, transform))
        chunk = compiled((*key, "chunk"), objective, lambda bare: _lbfgs_chunk(bare, transform), donate=(1,))
        record.begin()
        carry = start(objective.arrays, x)
        status: Status = "max_iterations"
        over = record(0, carry.f, x=carry.x, counts=Counts(1, 1), grad_norm=carry.g_norm)
        limit = 2**31 - 1 if stop.max_evaluations is None else stop.max_evaluations
        k, evaluations, reason = 0, 1, f"{stop.max_iterations} iterations"
        while not over and k < stop.max_iterations and evaluations < limit:
            k_stop = min(k + stop.chunk, stop.max_iterations)
            carry, table = chunk(objective.arrays, carry, k_stop, limit, record.g_stop)
            over = record.chunk(partial(_rows, table, carry, k), carry.x)
            if int(carry.k) == k:
                status, reason = "stalled", "its line search made no step"
                break
            k, evaluations = int(carry.k), int(carry.evaluations)
        if over:
            status, reason = record.why()
        elif evaluations >= limit:
            reason = f"{evaluations} forwards"
        return Result(carry.x, status, reason, k, Counts(evaluations, evaluations), float(evaluations))


class _Carry(NamedTuple):
    x: Any
    state: Any
    f: Any
    g_norm: Any
    k: Any
    evaluations: Any


def _rows(table: Any, carry: _Carry, k_start: int) -> np.ndarray:
    """The iterations that a chunk recorded; one row of where it stands if its line search made no step."""
    rows = np.array(table, np.float64)[: int(carry.k) - k_start]
    return rows if len(rows) else np.array([[float(v) for v in _row(carry)]])


def _row(carry: _Carry) -> tuple[Any, ...]:
    """:data:`~nmdl_bench.contracts.ROW` of an iteration; its evaluations are a forward, a gradient and a pass each."""
    return carry.k, carry.evaluations, carry.evaluations, carry.evaluations, carry.f, carry.g_norm


def _differentiable(objective: Objective) -> Callable[[Any], Any]:
    """The objective as a function whose reverse mode is our adjoint."""

    @jax.custom_vjp
    def fun(x: Any) -> Any:
        return objective.forward(x)[0]

    fun.defvjp(objective.forward, lambda tape, w: (w * objective.grad(tape),))
    return fun


def _lbfgs_start(bare: Objective, transform: Any) -> Callable[..., _Carry]:
    def start(arrays: Any, x: Any) -> _Carry:
        objective = bare.with_arrays(arrays)
        f, tape = objective.forward(x)
        g = objective.grad(tape)
        # the line search's state carries value and gradient from one iteration to the next; they start here
        state = optax.tree.set(transform.init(x), value=f, grad=g)
        return _Carry(jnp.array(x, copy=True), state, f, jnp.max(jnp.abs(g)), jnp.int32(0), jnp.int32(1))

    return start


def _lbfgs_chunk(bare: Objective, transform: Any) -> Callable[..., Any]:
    def chunk(arrays: Any, carry: _Carry, k_stop: Any, limit: Any, g_stop: Any) -> Any:
        fun = _differentiable(bare.with_arrays(arrays))
        value_and_grad = optax.value_and_grad_from_state(fun)
        k_start = carry.k

        def body(loop: Any) -> Any:
            carry, table, _ = loop
            f, g = value_and_grad(carry.x, state=carry.state)
            updates, state = transform.update(g, carry.state, carry.x, value=f, grad=g, value_fn=fun)
            x = optax.apply_updates(carry.x, updates)
            moved = jnp.any(x != carry.x)
            evaluations = carry.evaluations + jnp.int32(optax.tree.get(state, "num_linesearch_steps"))
            f, g_norm = optax.tree.get(state, "value"), jnp.max(jnp.abs(optax.tree.get(state, "grad")))
            new = _Carry(x, state, f, g_norm, carry.k + moved.astype(jnp.int32), evaluations)
            row = jnp.stack([v.astype(table.dtype) for v in _row(new)])
            return new, table.at[carry.k - k_start].set(row), moved

        def going(loop: Any) -> Any:
            carry, _, moved = loop
            return moved & (carry.k < k_stop) & (carry.evaluations < limit) & (carry.g_norm > g_stop)

        table = jnp.full((CAPACITY, len(ROW)), jnp.nan, carry.x.dtype)
        carry, table, _ = lax.while_loop(going, body, (carry, table, jnp.array(True)))
        return carry, table

    return chunk
