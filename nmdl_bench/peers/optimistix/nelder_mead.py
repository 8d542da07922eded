"""Optimistix's Nelder-Mead, one ``solver.step`` a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import optimistix

from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.jax_steps import Carry, counters, run
from nmdl_bench.peers.optimistix.minimise import Stepper, arrays_of


@dataclass(frozen=True)
class OptimistixNelderMead:
    """``optimistix.NelderMead``.

    A step evaluates two points, and all n + 1 vertices besides where it shrinks the simplex. An iteration is a step,
    of which it shows the best vertex; the harness evaluates there, off the clock.

    Parameters
    ----------
    method : str
        Name in ``optimistix``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        return run(("optimistix", self.method), self._start, self._step, objective, x, stop, record)

    def _stepper(self, objective: Objective, x: Array) -> Stepper:
        solver = getattr(optimistix, self.method)(rtol=0.0, atol=0.0, **self.options)
        return Stepper(solver, lambda y: objective.forward(y)[0], x)

    def _start(self, objective: Objective, x: Array) -> Carry:
        stepper = self._stepper(objective, x)
        _, state = stepper.step(x, stepper.init(x))
        k, _, _, failed, idle = counters()
        return Carry(x, arrays_of(state), None, None, k, jnp.int32(x.shape[0] + 1), jnp.int32(0), failed, idle)

    def _step(self, objective: Objective, carry: Carry) -> Carry:
        stepper = self._stepper(objective, carry.x)
        before = stepper.whole(carry.x, carry.state)
        x, state = stepper.step(carry.x, before)
        shrinks = (state.stats.n_shrink - before.stats.n_shrink).astype(jnp.int32)
        forward = carry.forward + 2 + shrinks * (x.shape[0] + 1)
        return Carry(x, arrays_of(state), None, None, carry.k + 1, forward, carry.gradient, carry.failed, carry.idle)
