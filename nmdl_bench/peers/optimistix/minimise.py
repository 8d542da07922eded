"""Optimistix's gradient methods, one ``solver.step`` a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import optimistix

from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.jax_steps import Carry, counters, differentiable, run


class Stepper:
    """One of Optimistix's solvers on a function; its state is split, since a compiled loop carries only arrays.

    Parameters
    ----------
    solver : optimistix solver
        Its own tolerances are never looked at.
    fun : callable
        Of the flat vector alone.
    x : Array
        A point, for the shapes.
    """

    def __init__(self, solver: Any, fun: Callable[[Array], Any], x: Array) -> None:
        self.solver, self.fun = solver, lambda y, args: (fun(y), None)
        self._struct = jax.eval_shape(fun, x)

    def init(self, x: Array) -> Any:
        """The state before the first step, which evaluates at ``x`` and accepts it."""
        return self.solver.init(self.fun, x, None, {}, self._struct, None, frozenset())

    def step(self, x: Array, state: Any) -> tuple[Array, Any]:
        """One trial, from a whole state to a whole state."""
        y, state, _ = self.solver.step(self.fun, x, None, {}, state, frozenset())
        return y, state

    def whole(self, x: Array, arrays: Any) -> Any:
        """The state with these arrays."""
        structs = equinox.filter_eval_shape(self.init, x)
        return equinox.combine(arrays, equinox.filter(structs, _is_struct, inverse=True))


def _is_struct(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def arrays_of(state: Any) -> Any:
    """What of a state a loop carries."""
    return equinox.filter(state, equinox.is_array)


def failed(state: Any) -> Any:
    """Whether the step's linear algebra or search failed."""
    return state.result != optimistix.RESULTS.successful


@dataclass(frozen=True)
class OptimistixMinimiser:
    """``optimistix.BFGS`` and its kin.

    A step evaluates the value at one trial point, and the gradient too where it is accepted.

    Parameters
    ----------
    method : str
        Name in ``optimistix``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(hash=False)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        key = ("optimistix", self.method, tuple(self.options.items()))
        return run(key, self._start, self._step, objective, x, stop, record)

    def _stepper(self, objective: Objective, x: Array) -> Stepper:
        options = dict(self.options)
        if "method" in options:
            options["method"] = getattr(optimistix, options["method"])
        solver = getattr(optimistix, self.method)(rtol=0.0, atol=0.0, **options)
        return Stepper(solver, differentiable(objective), x)

    def _start(self, objective: Objective, x: Array) -> Carry:
        stepper = self._stepper(objective, x)
        x, state = stepper.step(x, stepper.init(x))
        return Carry(x, arrays_of(state), state.f_info.f, jnp.max(jnp.abs(state.f_info.grad)), *counters())

    def _step(self, objective: Objective, carry: Carry) -> Carry:
        stepper = self._stepper(objective, carry.x)
        x, state = stepper.step(carry.x, stepper.whole(carry.x, carry.state))
        accepted = jnp.any(x != carry.x).astype(jnp.int32)
        g_norm = jnp.max(jnp.abs(state.f_info.grad))
        counts = carry.forward + 1, carry.gradient + accepted
        return Carry(
            x, arrays_of(state), state.f_info.f, g_norm, carry.k + accepted, *counts, failed(state), carry.idle
        )
