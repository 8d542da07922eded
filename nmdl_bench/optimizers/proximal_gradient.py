"""The proximal gradient method with backtracking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, Objective, Scalar
from nmdl_bench.optimizers.proximal import (
    Accepted,
    Next,
    ProximalState,
    check_steps,
    proximal_init,
    proximal_step,
    seen_or_smaller,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Still(NamedTuple):
    """What L is multiplied by after a step."""

    shrink: Scalar


@dataclass(frozen=True)
class NoInertia:
    """The next trial starts from the point reached."""

    shrink: float

    def init(self, objective: Objective, x: Array, L: Scalar) -> Still:
        return Still(objective.xp.s.const(self.shrink))

    def trial(self, xp: Backend, memory: Still, x: Array, p: Array) -> Array:
        return p

    def turn(self, xp: Backend, memory: Still, step: Accepted) -> Next:
        L = seen_or_smaller(xp, step, memory.shrink, step.k == 0)
        return Next(xp.copy(step.x_new), xp.s.int(0) == 0, L, memory, step.still)

    def reset(self, xp: Backend, memory: Still) -> Still:
        return memory


@SOLVERS.register("proximal-gradient", "proximal gradient method with backtracking", kind="ours")
@dataclass(frozen=True)
class ProximalGradient:
    """``x_{k+1} = prox_{h/L}(x_k - grad f(x_k) / L)`` (Beck and Teboulle 2009, ISTA with backtracking).

    Beck and Teboulle let L grow only, here it may shrink again, which their bound
    ``F(x_k) - F* <= L |x_0 - x*|^2 / 2k`` with the largest L allows for. For smooth problems it is gradient descent.

    Parameters
    ----------
    growth : float
        What L is multiplied by, at least, where a trial is rejected; above 1.
    shrink : float
        What L is multiplied by, at most, after a step; in (0, 1].
    max_trials : int
        Trials a step.
    """

    growth: float = 2.0
    shrink: float = 0.9
    max_trials: int = 60

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...]] = ("composite", "bounds")

    def __post_init__(self) -> None:
        check_steps(self.growth, self.shrink, self.max_trials)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> ProximalState:
        return proximal_init(objective, x, NoInertia(self.shrink), self.growth)

    def step(self, objective: Objective, state: ProximalState, batch: Array | None = None) -> ProximalState:
        return proximal_step(objective, state, NoInertia(self.shrink), self.max_trials)
