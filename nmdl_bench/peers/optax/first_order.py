"""First-order methods of Optax, whole chunks of steps inside one ``jax.jit``, as its users would write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import optax
from jax import lax

from nmdl_bench.backends.compiled import compiled
from nmdl_bench.contracts import Array, Counts, Objective, Record, Result, Stop
from nmdl_bench.peers.base import chunks


@dataclass(frozen=True)
class OptaxFirstOrder:
    """``optax.sgd``, ``optax.adam`` and their kin: one value and gradient a step, of all samples or of a batch.

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
        options = {**self.options, "key": seed} if self.method == "noisy_sgd" else self.options
        transform = optax.with_extra_args_support(getattr(optax, self.method)(**options))
        # the seed is in the state that the transform starts from, and so no part of what is compiled
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
    f, tape = objective.forward(x, batch)
    updates, state = transform.update(objective.grad(tape), state, x, value=f)
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
