"""Stochastic gradient descent with heavy-ball or Nesterov momentum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Counts, Objective, Scalar
from nmdl_bench.optimizers.schedules import Schedule


class MomentumState(NamedTuple):
    """Iterate and velocity; see :class:`nmdl_bench.contracts.Optimizer` for the other fields."""

    x: Array
    v: Array
    f: Scalar
    g_norm: Scalar
    k: Any
    counts: Counts
    stalled: Any
    schedule: tuple[Scalar, Scalar, Scalar]
    mu: Scalar


@dataclass(frozen=True)
class _Momentum:
    step_size: float = 0.1
    momentum: float = 0.9
    batch_size: int | None = None
    schedule: str = "constant"
    horizon: int = 1000
    final: float = 0.01

    takes_batches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ConfigurationError(f"momentum must lie in [0, 1), not {self.momentum!r}")
        _ = self._schedule

    @cached_property
    def _schedule(self) -> Schedule:
        return Schedule(self.step_size, self.schedule, self.horizon, self.final)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> MomentumState:
        xp, s = objective.xp, objective.xp.s
        unknown = (s.const(float("nan")), s.const(float("nan")))
        start = (xp.copy(x), xp.zeros(x.shape), *unknown, s.int(0), Counts.start(xp), s.int(0) > 0)
        return MomentumState(*start, self._schedule.init(xp), s.const(self.momentum))

    def _next(self, objective: Objective, state: MomentumState, batch: Array | None) -> tuple[MomentumState, Array]:
        """The state with value, velocity and counts of this step, and the gradient; ``x`` is still to be moved."""
        f, tape = objective.forward(state.x, batch)
        g = objective.grad(tape)
        counts = state.counts._replace(forward=state.counts.forward + 1, gradient=state.counts.gradient + 1)
        v = objective.xp.aypx(state.mu, g, state.v)
        return state._replace(v=v, f=f, k=state.k + 1, counts=counts), g


@SOLVERS.register("sgd", "stochastic gradient descent with heavy-ball momentum", kind="ours")
@dataclass(frozen=True)
class SGD(_Momentum):
    """``v_{k+1} = mu v_k + g_k``, ``x_{k+1} = x_k - t_k v_{k+1}`` (Polyak 1964, in the scaling that PyTorch uses).

    Parameters
    ----------
    step_size : float
        ``t_0``, > 0.
    momentum : float
        ``mu`` in [0, 1); 0 gives plain SGD (Robbins and Monro 1951).
    batch_size : int, optional
        Samples a step; all of them where None.
    schedule, horizon, final
        How the step size decreases; see :class:`~nmdl_bench.optimizers.schedules.Schedule`.
    """

    forgets_value: ClassVar[bool] = True

    def step(self, objective: Objective, state: MomentumState, batch: Array | None = None) -> MomentumState:
        xp = objective.xp
        t = self._schedule.at(xp, state.schedule, state.k)
        state, _ = self._next(objective, state, batch)
        return state._replace(x=xp.axpy(-t, state.v, state.x))
