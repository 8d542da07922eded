"""JAXopt's minimisers whose state holds value and gradient at the iterate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax.numpy as jnp
import jaxopt

from nmdl_bench.backends import stationarity
from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.jax_steps import Carry, counters, run, settle


def value_and_grad(objective: Objective) -> Any:
    """Value and gradient by our adjoint, in the form that JAXopt takes as ``value_and_grad=True``."""

    def fun(x: Array) -> tuple[Any, Array]:
        f, tape = objective.forward(x)
        return f, objective.grad(tape)

    return fun


@dataclass(frozen=True)
class JaxoptMinimiser:
    """``jaxopt.LBFGS``, ``BFGS`` or ``NonlinearCG``; evaluations are those that its state counts.

    Parameters
    ----------
    method : str
        Name in ``jaxopt``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(hash=False)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        key = ("jaxopt", self.method, tuple(self.options.items()))
        return run(key, self._start, self._step, objective, x, stop, record)

    def _solver(self, objective: Objective) -> Any:
        return getattr(jaxopt, self.method)(
            value_and_grad(objective), value_and_grad=True, implicit_diff=False, tol=0.0, **self.options
        )

    def _bounds(self, objective: Objective) -> tuple[Any, ...]:
        """What ``init_state`` and ``update`` take besides."""
        return ()

    def _start(self, objective: Objective, x: Array) -> Carry:
        solver, bounds = self._solver(objective), self._bounds(objective)
        state = settle(solver.init_state(x, *bounds), lambda state: solver.update(x, state, *bounds).state)
        return Carry(x, state, state.value, stationarity.measure(objective, x, state.grad), *counters())

    def _step(self, objective: Objective, carry: Carry) -> Carry:
        x, state = self._solver(objective).update(carry.x, carry.state, *self._bounds(objective))
        moved = jnp.any(x != carry.x)
        measure = stationarity.measure(objective, x, state.grad)
        counts = state.num_fun_eval.astype(jnp.int32), state.num_grad_eval.astype(jnp.int32)
        k = carry.k + moved.astype(jnp.int32)
        failed = getattr(state, "failed_linesearch", carry.failed) & ~moved
        return Carry(x, state, state.value, measure, k, *counts, failed, carry.idle)


class JaxoptBounded(JaxoptMinimiser):
    """``jaxopt.LBFGSB``."""

    needs: ClassVar[tuple[str, ...]] = ("bounds",)

    def _bounds(self, objective: Any) -> tuple[Any, ...]:
        return ((objective.lower, objective.upper),)
