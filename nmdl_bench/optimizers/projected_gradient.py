"""Projected gradient methods: along the projected arc, with steps by Armijo's rule or spectral ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import SOLVERS, Array, Objective
from nmdl_bench.optimizers.descent import Direction, Step, Turn
from nmdl_bench.optimizers.projected import Arc, ArcState, arc_init, arc_step
from nmdl_bench.optimizers.steepest_descent import Gradient

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

SAFE = 1e-10, 1e10
"""Least and largest spectral step (Birgin, Martinez and Raydan 2000 take far wider ones)."""


@dataclass(frozen=True)
class ArcGradient(Gradient):
    """``d = -g``, and a first trial as along a line, by the gradients' elements that the step has moved.

    Those at a bound do not change with the step, however long it is: with them, it would seem too short.
    """

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        xp = objective.xp
        moved = xp.where(xp.abs(step.x_new - step.x) > 0, xp.zeros(step.x.shape) + 1.0, xp.zeros(step.x.shape))
        turn = super().update(objective, memory, step._replace(g=moved * step.g, g_new=moved * step.g_new))
        return turn._replace(d=-step.g_new)


@dataclass(frozen=True)
class SpectralGradient(Direction):
    """``d = -g`` and the first trial ``s.s / s.y`` of Barzilai and Borwein (1988); twice the last where s.y <= 0."""

    from_tape: ClassVar[bool] = False

    def init(self, xp: Backend, x: Array) -> Any:
        return ()

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        xp, s = objective.xp, objective.xp.s
        g_new = step.g_new
        move, y = xp.aypx(-1.0, step.x_new, step.x), xp.aypx(-1.0, g_new, step.g)
        bent = xp.dot(move, y)
        spectral = s.minimum(s.maximum(s.div(xp.dot(move, move), bent), s.const(SAFE[0])), s.const(SAFE[1]))
        return Turn(memory, -g_new, s.where(bent > 0, spectral, step.t * 2.0), step.counts)


@SOLVERS.register(
    "projected-gradient", "projected gradient method for bounds, by Armijo's rule or spectral", kind="ours"
)
@dataclass(frozen=True)
class ProjectedGradient:
    """``x_{k+1} = P(x_k - t_k g_k)`` with ``t_k`` by Armijo's rule along the arc (Bertsekas 1976).

    With ``spectral`` it is the spectral projected gradient method (Birgin, Martinez and Raydan 2000, algorithm SPG1):
    Barzilai and Borwein's step first, and a value below the largest of the last ``values``.

    Parameters
    ----------
    spectral : bool
        Whether first trials are spectral steps.
    values : int
        Values that spectral steps are compared with, >= 1.
    c1 : float
        Armijo's constant, in (0, 1).
    max_trials : int
        Trials a search.
    """

    spectral: bool = False
    values: int = 10
    c1: float = 1e-4
    max_trials: int = 40

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("bounds",)

    def __post_init__(self) -> None:
        _ = self._arc

    @cached_property
    def _arc(self) -> Arc:
        return Arc(self.c1, self.values if self.spectral else 1, self.max_trials)

    @property
    def _direction(self) -> Direction:
        return SpectralGradient() if self.spectral else ArcGradient()

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> ArcState:
        return arc_init(objective, x, self._arc, self._direction)

    def step(self, objective: Objective, state: ArcState, batch: Array | None = None) -> ArcState:
        return arc_step(objective, state, self._arc, self._direction)
