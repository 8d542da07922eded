"""Stochastic gradient descent with Nesterov momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nmdl_bench.contracts import SOLVERS, Array, Objective
from nmdl_bench.optimizers.sgd import MomentumState, _Momentum


@SOLVERS.register("nesterov", "stochastic gradient descent with Nesterov momentum", kind="ours")
@dataclass(frozen=True)
class Nesterov(_Momentum):
    """``v_{k+1} = mu v_k + g_k``, ``x_{k+1} = x_k - t_k (g_k + mu v_{k+1})``.

    Nesterov (1983) after the change of variables of Sutskever et al. (2013) that lets the gradient be taken at
    ``x_k``; the scaling is PyTorch's.

    Parameters
    ----------
    step_size, momentum, batch_size, schedule, horizon, final
        As for :class:`~nmdl_bench.optimizers.sgd.SGD`.
    """

    forgets_value: ClassVar[bool] = True

    def step(self, objective: Objective, state: MomentumState, batch: Array | None = None) -> MomentumState:
        xp = objective.xp
        t = self._schedule.at(xp, state.schedule, state.k)
        state, g = self._next(objective, state, batch)
        return state._replace(x=xp.axpy(-t, xp.axpy(state.mu, state.v, g), state.x))
