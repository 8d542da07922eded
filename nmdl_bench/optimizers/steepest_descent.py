"""Steepest descent with Armijo's line search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import SOLVERS, Array, Objective
from nmdl_bench.optimizers.descent import Direction, LineSearchMethod, Step, Turn
from nmdl_bench.optimizers.line_search import Armijo

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class Gradient(Direction):
    """``d = -g``, and a first trial that expects the first-order change of the step before.

    That is ``t |g_k|^2 / |g_{k+1}|^2`` (Nocedal and Wright 2006, section 3.5), at most 2 t. Where the gradient hardly
    changed along the step, ``g_k.g_{k+1} > 0.9 |g_k|^2``, the step was much too short: 2 t.
    """

    from_tape: ClassVar[bool] = False

    def init(self, xp: Backend, x: Array) -> Any:
        return ()

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        xp, s, g, g_new = objective.xp, objective.xp.s, step.g, step.g_new
        gg = xp.dot(g, g)
        ratio = s.minimum(s.div(gg, xp.dot(g_new, g_new)), s.const(2.0))
        growth = s.where(xp.dot(g, g_new) > 0.9 * gg, s.const(2.0), ratio)
        return Turn((), -g_new, step.t * growth, step.counts)


@SOLVERS.register("steepest-descent", "steepest descent with Armijo backtracking", kind="ours")
@dataclass(frozen=True)
class SteepestDescent(LineSearchMethod):
    """``x_{k+1} = x_k - t_k g_k`` with ``t_k`` by Armijo's rule (Nocedal and Wright 2006, section 3.1).

    Parameters
    ----------
    c1 : float
        Armijo's constant, in (0, 1).
    max_trials : int
        Trials a search.
    interpolation : str
        ``"quadratic"`` or ``"cubic"``; see :class:`~nmdl_bench.optimizers.line_search.Armijo`.
    """

    c1: float = 1e-4
    max_trials: int = 40
    interpolation: str = "quadratic"

    @cached_property
    def _search(self) -> Armijo:
        return Armijo(self.c1, self.max_trials, self.interpolation)

    @cached_property
    def _direction(self) -> Gradient:
        return Gradient()
