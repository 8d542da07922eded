"""Adam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Counts, Objective, Scalar
from nmdl_bench.optimizers.schedules import Schedule


class AdamState(NamedTuple):
    """Iterate and moments; see :class:`nmdl_bench.contracts.Optimizer` for the other fields."""

    x: Array
    m: Array
    v: Array
    f: Scalar
    g_norm: Scalar
    k: Any
    counts: Counts
    stalled: Any
    schedule: tuple[Scalar, Scalar, Scalar]
    beta1: Scalar
    beta2: Scalar
    epsilon: Scalar


@SOLVERS.register("adam", "Adam, adaptive moment estimation", kind="ours")
@dataclass(frozen=True)
class Adam:
    """Adaptive moment estimation (Kingma and Ba 2015, algorithm 1, in the order of section 2).

    With ``k`` counted from 1::

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        x <- x - t (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + epsilon)
           = x - t c2 / c1 m / (sqrt(v) + c2 epsilon),    c1 = 1 - beta1^k,  c2 = sqrt(1 - beta2^k)

    Parameters
    ----------
    step_size : float
        ``t``, > 0.
    beta1, beta2 : float
        Decay of the moments, in [0, 1).
    epsilon : float
        Guards the division, > 0.
    batch_size : int, optional
        Samples a step; all of them where None.
    schedule, horizon, final
        How the step size decreases; see :class:`~nmdl_bench.optimizers.schedules.Schedule`.
    """

    step_size: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    batch_size: int | None = None
    schedule: str = "constant"
    horizon: int = 1000
    final: float = 0.01

    takes_batches: ClassVar[bool] = True
    forgets_value: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must lie in [0, 1), not {getattr(self, name)!r}")
        if not self.epsilon > 0:
            raise ConfigurationError(f"epsilon must be positive, not {self.epsilon!r}")
        _ = self._schedule

    @cached_property
    def _schedule(self) -> Schedule:
        return Schedule(self.step_size, self.schedule, self.horizon, self.final)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> AdamState:
        xp, s = objective.xp, objective.xp.s
        m, v = xp.zeros(x.shape), xp.zeros(x.shape)
        unknown = (s.const(float("nan")), s.const(float("nan")))
        start = (xp.copy(x), m, v, *unknown, s.int(0), Counts.start(xp), s.int(0) > 0)
        numbers = (s.const(self.beta1), s.const(self.beta2), s.const(self.epsilon))
        return AdamState(*start, self._schedule.init(xp), *numbers)

    def step(self, objective: Objective, state: AdamState, batch: Array | None = None) -> AdamState:
        xp, s = objective.xp, objective.xp.s
        b1, b2 = state.beta1, state.beta2
        t = self._schedule.at(xp, state.schedule, state.k)
        f, tape = objective.forward(state.x, batch)
        g = objective.grad(tape)
        k = state.k + 1
        m = xp.axpby(1 - b1, g, b1, state.m)
        v = xp.axpby(1 - b2, g * g, b2, state.v)
        c1, c2 = 1 - s.pow(b1, s.real(k)), s.sqrt(1 - s.pow(b2, s.real(k)))
        x = xp.axpy(-t * s.div(c2, c1), m / (xp.sqrt(v) + c2 * state.epsilon), state.x)
        counts = state.counts._replace(forward=state.counts.forward + 1, gradient=state.counts.gradient + 1)
        return state._replace(x=x, m=m, v=v, f=f, k=k, counts=counts)
