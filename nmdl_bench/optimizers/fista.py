"""FISTA: Nesterov's acceleration of the proximal gradient method, with backtracking and adaptive restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, Objective, Scalar, unknown
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

RESTARTS = ("gradient", "function", "none")


class Momentum(NamedTuple):
    """``t`` of the sequence that momentum follows, and what L is multiplied by at a restart."""

    t: Scalar
    shrink: Scalar


@dataclass(frozen=True)
class Acceleration:
    """``y_{k+1} = x_{k+1} + (t_k - 1) / t_{k+1} (x_{k+1} - x_k)``, ``t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2``.

    Beck and Teboulle (2009), eqs. 4.2 and 4.3. At a restart ``t = 1``, and there alone may L shrink: from then on the
    sequence is a new one, and their bound holds for it.
    """

    restart: str
    shrink: float

    def init(self, objective: Objective, x: Array, L: Scalar) -> Momentum:
        return Momentum(objective.xp.s.const(1.0), objective.xp.s.const(self.shrink))

    def trial(self, xp: Backend, memory: Momentum, x: Array, p: Array) -> Array:
        return p

    def turn(self, xp: Backend, memory: Momentum, step: Accepted) -> Next:
        s, one = xp.s, xp.s.const(1.0)
        forth = step.x_new - step.x
        t = 0.5 * (1.0 + s.sqrt(1.0 + 4.0 * memory.t * memory.t))
        c = s.div(memory.t - 1.0, t)
        again = s.or_(step.k == 0, self._turned(xp, step, forth))  # the first L was but a guess
        t, c = s.where(again, one, t), s.where(again, s.const(0.0), c)
        L = s.where(again, seen_or_smaller(xp, step, memory.shrink, step.k == 0), step.L)
        stalled = s.and_(step.fresh, step.still)
        return Next(xp.add_scaled(step.x_new, c, forth), s.not_(c > 0), L, Momentum(t, memory.shrink), stalled)

    def _turned(self, xp: Backend, step: Accepted, forth: Array) -> Any:
        if self.restart == "none":
            return xp.s.int(0) > 0
        if self.restart == "function":
            return step.F_new > step.F
        return xp.dot(step.y - step.x_new, forth) > 0

    def reset(self, xp: Backend, memory: Momentum) -> Momentum:
        return memory._replace(t=xp.s.const(1.0))


@SOLVERS.register("fista", "FISTA with backtracking and adaptive restart", kind="ours")
@dataclass(frozen=True)
class FISTA:
    """Accelerated proximal gradient (Beck and Teboulle 2009; for smooth problems Nesterov 1983).

    Restarts are those of O'Donoghue and Candes (2015): ``"function"`` where the value rises, ``"gradient"`` where
    ``(y_k - x_{k+1}).(x_{k+1} - x_k) > 0``, that is where momentum and the proximal step point apart.

    An iteration costs two forwards, one at ``y`` and one at the trial, each a step of its own; the value and the
    gradient recorded are those at ``x``.

    Parameters
    ----------
    restart : str
        One of :data:`RESTARTS`.
    growth : float
        What L is multiplied by, at least, where a trial is rejected; above 1.
    shrink : float
        What L is multiplied by, at most, at a restart; in (0, 1].
    max_trials : int
        Trials a step.
    """

    restart: str = "gradient"
    growth: float = 2.0
    shrink: float = 0.05
    max_trials: int = 60

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...]] = ("composite", "bounds")

    def __post_init__(self) -> None:
        check_steps(self.growth, self.shrink, self.max_trials)
        if self.restart not in RESTARTS:
            raise unknown("restart of FISTA", self.restart, RESTARTS)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> ProximalState:
        return proximal_init(objective, x, self._inertia, self.growth)

    def step(self, objective: Objective, state: ProximalState, batch: Array | None = None) -> ProximalState:
        return proximal_step(objective, state, self._inertia, self.max_trials)

    @property
    def _inertia(self) -> Acceleration:
        return Acceleration(self.restart, self.shrink)
