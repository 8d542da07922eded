"""JAXopt's gradient methods, whose state does not hold the value at the iterate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jaxopt

from nmdl_bench.backends.stationarity import is_composite
from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.jax_steps import Carry, counters, run, settle
from nmdl_bench.peers.jaxopt.minimise import value_and_grad


@dataclass(frozen=True)
class JaxoptProximal:
    """``jaxopt.GradientDescent`` with a backtracking line search, accelerated or not.

    In JAXopt it is ``ProximalGradient`` with the identity as proximal step, and so is what follows below.

    Each step evaluates value and gradient once, and with a line search the value once for every trial point, that is
    for every proximal step: those are counted as they are taken.

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

    def _solver(self, objective: Any, trials: Any) -> Any:
        def prox(v: Array, _: Any, t: Any = 1.0) -> Array:
            trials[...] = trials[...] + 1
            return objective.prox(v, t) if is_composite(objective) else v

        return jaxopt.ProximalGradient(
            value_and_grad(objective), prox, value_and_grad=True, implicit_diff=False, tol=0.0, **self.options
        )

    def _start(self, objective: Objective, x: Array) -> Carry:
        def update(state: Any) -> Any:
            return self._solver(objective, jax.new_ref(jnp.int32(0))).update(x, state, None).state

        state = settle(self._solver(objective, None).init_state(x, None), update)
        k, _, _, failed, idle = counters()
        return Carry(x, state, None, None, k, jnp.int32(0), jnp.int32(0), failed, idle)

    def _step(self, objective: Objective, carry: Carry) -> Carry:
        trials = jax.new_ref(jnp.int32(0))
        x, state = self._solver(objective, trials).update(carry.x, carry.state, None)
        k, forward = carry.k + jnp.any(x != carry.x).astype(jnp.int32), carry.forward + 1
        if self.options["stepsize"] <= 0:
            forward = forward + trials[...]
        return carry._replace(x=x, state=state, k=k, forward=forward, gradient=carry.gradient + 1)


class JaxoptProjected(JaxoptProximal):
    """``jaxopt.ProjectedGradient``: the proximal step is a projection."""

    needs: ClassVar[tuple[str, ...]] = ("bounds",)


class JaxoptComposite(JaxoptProximal):
    """``jaxopt.ProximalGradient``, which with its acceleration is FISTA (Beck and Teboulle 2009)."""

    needs: ClassVar[tuple[str, ...]] = ("composite",)
