"""Optimistix's least-squares methods, one ``solver.step`` a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax.numpy as jnp
import optimistix

from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.jax_steps import Carry, counters, differentiable_residual, run
from nmdl_bench.peers.optimistix.minimise import Stepper, arrays_of, failed


@dataclass(frozen=True)
class OptimistixLeastSquares:
    """``optimistix.LevenbergMarquardt``, ``GaussNewton`` or ``Dogleg``.

    A step evaluates residual and Jacobian at one trial point, accepted or not; the Jacobian counts as a gradient.

    Parameters
    ----------
    method : str
        Name in ``optimistix``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    needs: ClassVar[tuple[str, ...]] = ("residual",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        key = ("optimistix", self.method, tuple(self.options.items()))
        return run(key, self._start, self._step, objective, x, stop, record)

    def _stepper(self, objective: Objective, x: Array) -> Stepper:
        solver = getattr(optimistix, self.method)(rtol=0.0, atol=0.0, **self.options)
        return Stepper(solver, differentiable_residual(objective), x)

    def _start(self, objective: Objective, x: Array) -> Carry:
        stepper = self._stepper(objective, x)
        x, state = stepper.step(x, stepper.init(x))
        return Carry(x, arrays_of(state), *_known(state), *counters())

    def _step(self, objective: Objective, carry: Carry) -> Carry:
        stepper = self._stepper(objective, carry.x)
        x, state = stepper.step(carry.x, stepper.whole(carry.x, carry.state))
        no = failed(state)  # what a singular system gave is no point
        before = carry.x, carry.f, carry.g_norm
        x, f, g_norm = (jnp.where(no, old, new) for old, new in zip(before, (x, *_known(state))))
        k = carry.k + jnp.any(x != carry.x).astype(jnp.int32)
        counts = carry.forward + 1, carry.gradient + 1
        return Carry(x, arrays_of(state), f, g_norm, k, *counts, no, carry.idle)


def _known(state: Any) -> tuple[Any, Any]:
    """Value and the gradient's maximum norm at the iterate."""
    r = state.f_info.residual
    return 0.5 * jnp.dot(r, r), jnp.max(jnp.abs(state.f_info.compute_grad()))
