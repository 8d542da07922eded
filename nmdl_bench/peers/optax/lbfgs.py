"""``optax.lbfgs`` with ``scale_by_zoom_linesearch``, value and gradient taken over from the line search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import optax

from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.jax_steps import Carry, counters, differentiable, run


@dataclass(frozen=True)
class OptaxLBFGS:
    """``optax.lbfgs`` with its zoom line search (Nocedal and Wright 2006, algorithms 3.5 and 3.6).

    Parameters
    ----------
    method : str
        Name in ``optax``.
    options : dict
        ``memory_size``, and ``max_trials`` of a search.
    """

    method: str
    options: dict[str, Any] = field(hash=False)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        memory, max_trials = self.options["memory_size"], self.options["max_trials"]
        search = optax.scale_by_zoom_linesearch(max_linesearch_steps=max_trials, initial_guess_strategy="one")
        transform = optax.lbfgs(memory_size=memory, linesearch=search)

        def start(objective: Objective, x: Array) -> Carry:
            f, tape = objective.forward(x)
            g = objective.grad(tape)
            # the line search's state carries value and gradient from one iteration to the next; they start here
            state = optax.tree.set(transform.init(x), value=f, grad=g)
            return Carry(x, state, f, jnp.max(jnp.abs(g)), *counters())

        def step(objective: Objective, carry: Carry) -> Carry:
            fun = differentiable(objective)
            f, g = optax.value_and_grad_from_state(fun)(carry.x, state=carry.state)
            updates, state = transform.update(g, carry.state, carry.x, value=f, grad=g, value_fn=fun)
            x = optax.apply_updates(carry.x, updates)
            moved = jnp.any(x != carry.x)
            trials = jnp.int32(optax.tree.get(state, "num_linesearch_steps"))
            f, g_norm = optax.tree.get(state, "value"), jnp.max(jnp.abs(optax.tree.get(state, "grad")))
            k = carry.k + moved.astype(jnp.int32)
            return Carry(x, state, f, g_norm, k, carry.forward + trials, carry.gradient + trials, ~moved, carry.idle)

        return run(("optax lbfgs", memory, max_trials), start, step, objective, x, stop, record)
