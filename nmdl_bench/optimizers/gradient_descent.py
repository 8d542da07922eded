"""Gradient descent: fixed steps, or those to the minimum of the quadratic model along the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Objective
from nmdl_bench.errors import unknown
from nmdl_bench.optimizers.descent import (
    DescentState,
    Direction,
    LineSearch,
    Step,
    Turn,
    line_search_init,
    line_search_step,
)
from nmdl_bench.optimizers.line_search import Armijo, Fixed

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

RULES = ("fixed", "exact")


@dataclass(frozen=True)
class FixedStep(Direction):
    """``d = -g``, and the step length of the last step."""

    from_tape: ClassVar[bool] = False

    def init(self, xp: Backend, x: Array) -> Any:
        return ()

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        return Turn((), -step.g_new, step.t, step.counts)


@dataclass(frozen=True)
class ExactStep(Direction):
    """``d = -g`` with the first trial ``t = g.g / g.Hg``, exact for quadratics; 1 where ``g.Hg <= 0`` (Cauchy 1847)."""

    from_tape: ClassVar[bool] = True

    def init(self, xp: Backend, x: Array) -> Any:
        return ()

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        xp, s, g = objective.xp, objective.xp.s, step.g_new
        curvature = xp.dot(g, objective.hessian(step.tape, g))
        t = s.where(curvature > 0, s.div(xp.dot(g, g), curvature), s.const(1.0))
        counts = step.counts._replace(hessian=step.counts.hessian + 1)
        return Turn((), -g, t, counts)


@SOLVERS.register("gradient-descent", "gradient descent with fixed steps, or exact ones for quadratics", kind="ours")
@dataclass(frozen=True)
class GradientDescent:
    """``x_{k+1} = x_k - t_k g_k`` (Nocedal and Wright 2006, section 3.3); "steepest-descent" has Armijo's rule.

    Parameters
    ----------
    step_size : float
        ``t`` of the rule "fixed", > 0: it converges below 2 / L, L being a bound of the Hessian's eigenvalues.
    rule : str
        ``"fixed"``; or ``"exact"``, ``t_k = g.g / g.Hg`` by one Hessian product an iteration, shortened by Armijo's
        rule where the function is not the quadratic that it looks like.
    """

    step_size: float = 0.1
    rule: str = "fixed"

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise unknown("rule", self.rule, RULES)
        if not 0 < self.step_size < float("inf"):
            raise ConfigurationError(f"step_size must be positive and finite, not {self.step_size!r}")

    @cached_property
    def _parts(self) -> tuple[LineSearch, Any]:
        return (Fixed(), FixedStep()) if self.rule == "fixed" else (Armijo(), ExactStep())

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> DescentState:
        state = line_search_init(objective, x, *self._parts)
        if self.rule == "fixed":
            state = state._replace(d=-state.g, search=state.search._replace(t=objective.xp.s.const(self.step_size)))
        return state

    def step(self, objective: Objective, state: DescentState, batch: Array | None = None) -> DescentState:
        return line_search_step(objective, state, *self._parts)
