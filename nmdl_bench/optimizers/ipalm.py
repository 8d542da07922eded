"""iPALM: inertial proximal alternating linearised minimisation over blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Objective, Scalar
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


class Blocks(NamedTuple):
    """``owner`` (n,) numbers each element's block; the next trial moves block ``i``.

    ``x_old`` holds each block as it was before its last step, ``L`` (blocks,) their Lipschitz estimates; ``beta`` is
    the inertia, ``shrink`` what an estimate is multiplied by after a step. The last ``still`` steps have moved nothing.
    """

    owner: Array
    x_old: Array
    L: Array
    i: Any
    beta: Scalar
    shrink: Scalar
    still: Scalar


@dataclass(frozen=True)
class Alternation:
    """``y`` is ``x`` with the next block moved on by ``beta`` times its last step.

    A block that is at a fixed point may move again once another has: the end is where none does, one after another.
    """

    blocks: int
    inertia: float
    shrink: float

    def init(self, objective: Objective, x: Array, L: Scalar) -> Blocks:
        xp, s = objective.xp, objective.xp.s
        owner = np.zeros(x.shape[0])
        for number, block in enumerate(cast(Any, objective).blocks):
            owner[block] = number
        beta, shrink = s.const(self.inertia), s.const(self.shrink)
        owner, Ls = xp.copy(xp.asarray(owner)), xp.zeros((self.blocks,)) + L
        return Blocks(owner, xp.copy(x), Ls, s.int(0), beta, shrink, s.const(0.0))

    def trial(self, xp: Backend, memory: Blocks, x: Array, p: Array) -> Array:
        return xp.where(self._mine(xp, memory, memory.i), p, x)

    def turn(self, xp: Backend, memory: Blocks, step: Accepted) -> Next:
        s, (owner, x_old, Ls, i, beta, shrink, still) = xp.s, memory
        move = step.x_new - step.x
        still = s.where(s.and_(step.still, xp.norm_inf(move) <= 0), still + 1.0, s.const(0.0))
        x_old = xp.where(self._mine(xp, memory, i), step.x, x_old)
        e = xp.one_hot(i, self.blocks)
        Ls = Ls * (1 - e) + e * seen_or_smaller(xp, step, shrink, step.k < self.blocks)
        i = s.mod(i + 1, self.blocks)
        c = s.where(step.k + 1 < self.blocks, s.const(0.0), beta)  # a block that has not moved has no inertia
        last = xp.where(self._mine(xp, memory, i), step.x_new - x_old, xp.zeros(x_old.shape))
        L = xp.dot(xp.one_hot(i, self.blocks), Ls)
        y, memory = xp.add_scaled(step.x_new, c, last), Blocks(owner, x_old, Ls, i, beta, shrink, still)
        return Next(y, s.not_(c > 0), L, memory, still >= self.blocks)

    def reset(self, xp: Backend, memory: Blocks) -> Blocks:
        return memory

    def _mine(self, xp: Backend, memory: Blocks, i: Any) -> Array:
        return xp.abs(memory.owner - xp.s.real(i)) < 0.5


@SOLVERS.register("ipalm", "inertial proximal alternating linearised minimisation (iPALM)", kind="ours")
@dataclass(frozen=True)
class IPALM:
    """``x_i <- prox_{h_i/L_i}(y_i - grad_i f(y) / L_i)`` for one block after another (Pock and Sabach 2016).

    With ``y_i = x_i + beta (x_i - x_i^old)`` and the other blocks as they are: their algorithm with ``alpha = beta``.
    Without inertia it is PALM (Bolte, Sabach and Teboulle 2014). The Lipschitz constants of the partial gradients are
    found by backtracking. ``h`` is a sum over the blocks.

    An iteration is a step of one block. It costs two forwards, one at ``y`` and one at the trial, each a step of its
    own; without inertia one.

    Parameters
    ----------
    inertia : float
        ``beta``, in [0, 1); see the notes.
    growth : float
        What L is multiplied by, at least, where a trial is rejected; above 1.
    shrink : float
        What L is multiplied by, at most, after a step of its block; in (0, 1].
    max_trials : int
        Trials a step.

    Notes
    -----
    The prox gives ``F(x^+) <= F(x) + L beta^2/2 |x - x^old|^2 - L/2 |x^+ - x|^2`` where ``f`` is convex in the block,
    as in factorisations; else the middle term doubles. So ``F + sum_i L_i/2 |x_i - x_i^old|^2`` falls for ``beta < 1``,
    and else for ``beta < 0.7``, where no L grows by more than ``1/beta^2`` or ``1/(2 beta^2)`` from step to step.
    """

    inertia: float = 0.4
    growth: float = 2.0
    shrink: float = 0.9
    max_trials: int = 60

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("blocks",)
    accepts: ClassVar[tuple[str, ...]] = ("composite", "bounds")

    def __post_init__(self) -> None:
        check_steps(self.growth, self.shrink, self.max_trials)
        if not 0 <= self.inertia < 1:
            raise ConfigurationError(f"inertia must lie in [0, 1), not {self.inertia!r}")

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> ProximalState:
        return proximal_init(objective, x, self._inertia(objective), self.growth)

    def step(self, objective: Objective, state: ProximalState, batch: Array | None = None) -> ProximalState:
        return proximal_step(objective, state, self._inertia(objective), self.max_trials)

    def _inertia(self, objective: Objective) -> Alternation:
        return Alternation(len(cast(Any, objective).blocks), self.inertia, self.shrink)
