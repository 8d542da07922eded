"""JAXopt's least-squares methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax.numpy as jnp
import jaxopt

from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.jax_steps import Carry, counters, differentiable_residual, run, settle


@dataclass(frozen=True)
class JaxoptLevenbergMarquardt:
    """``jaxopt.LevenbergMarquardt`` with a dense Jacobian (Madsen and Nielsen 2010).

    Each step evaluates the residual and its Jacobian at the trial point, accepted or not; the Jacobian counts as a
    gradient.

    Parameters
    ----------
    method : str
        Name in ``jaxopt``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(hash=False)

    needs: ClassVar[tuple[str, ...]] = ("residual",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        key = ("jaxopt", self.method, tuple(self.options.items()))
        return run(key, self._start, self._step, objective, x, stop, record)

    def _solver(self, objective: Objective) -> Any:
        return jaxopt.LevenbergMarquardt(
            differentiable_residual(objective), materialize_jac=True, implicit_diff=False, tol=0.0, **self.options
        )

    def _start(self, objective: Objective, x: Array) -> Carry:
        solver = self._solver(objective)
        state = settle(solver.init_state(x), lambda state: solver.update(x, state).state)
        return Carry(x, state, state.value, jnp.max(jnp.abs(state.gradient)), *counters())

    def _step(self, objective: Objective, carry: Carry) -> Carry:
        x, state = self._solver(objective).update(carry.x, carry.state)
        k = carry.k + jnp.any(x != carry.x).astype(jnp.int32)
        g_norm, counts = jnp.max(jnp.abs(state.gradient)), (carry.forward + 1, carry.gradient + 1)
        return Carry(x, state, state.value, g_norm, k, *counts, carry.failed, carry.idle)


@dataclass(frozen=True)
class JaxoptGaussNewton:
    """``jaxopt.GaussNewton``: whole steps, by CG on the normal equations.

    Each step evaluates residual and Jacobian once, where it starts; products with the Jacobian are not counted, since
    it is a matrix here, and what JAXopt evaluates again for each of them the compiler can take out of CG's loop. It
    knows nothing of the point that it ends at: the harness evaluates there, off the clock.

    Parameters
    ----------
    method : str
        Name in ``jaxopt``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    needs: ClassVar[tuple[str, ...]] = ("residual",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        return run(("jaxopt", self.method), self._start, self._step, objective, x, stop, record)

    def _solver(self, objective: Objective) -> Any:
        return jaxopt.GaussNewton(differentiable_residual(objective), implicit_diff=False, tol=0.0, **self.options)

    def _start(self, objective: Objective, x: Array) -> Carry:
        solver = self._solver(objective)
        state = settle(solver.init_state(x), lambda state: solver.update(x, state).state)
        return Carry(x, state, None, None, *counters())

    def _step(self, objective: Objective, carry: Carry) -> Carry:
        x, state = self._solver(objective).update(carry.x, carry.state)
        k = carry.k + jnp.any(x != carry.x).astype(jnp.int32)
        counts = (carry.forward + 1, carry.gradient + 1)
        return Carry(x, state, None, None, k, *counts, carry.failed, carry.idle)
