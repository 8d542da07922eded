"""Gradient descent: fixed steps, or those to the minimum of the quadratic model along the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Counts, Objective, Scalar, unknown
from nmdl_bench.optimizers.descent import DescentState, Direction, Step, Turn, line_search_init, line_search_step
from nmdl_bench.optimizers.line_search import Armijo

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

RULES = ("fixed", "exact")


class GradientState(NamedTuple):
    """Iterate ``x`` with value and gradient, and the step size; see :class:`nmdl_bench.contracts.Optimizer`."""

    x: Array
    f: Scalar
    g: Array
    g_norm: Scalar
    t: Scalar
    k: Any
    counts: Counts
    stalled: Any


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


_EXACT = Armijo(), ExactStep()


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

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> GradientState | DescentState:
        if self.rule == "exact":
            return line_search_init(objective, x, *_EXACT)
        xp, s = objective.xp, objective.xp.s
        x = xp.copy(x)
        f, tape = objective.forward(x)
        g = objective.grad(tape)
        counts = Counts.start(xp, forward=1, gradient=1)
        return GradientState(x, f, g, xp.norm_inf(g), s.const(self.step_size), s.int(0), counts, s.int(0) > 0)

    def step(self, objective: Objective, state: Any, batch: Array | None = None) -> GradientState | DescentState:
        if self.rule == "exact":
            return line_search_step(objective, state, *_EXACT)
        xp = objective.xp
        x = xp.axpy(-state.t, state.g, state.x)
        f, tape = objective.forward(x)
        g = objective.grad(tape)
        counts = state.counts._replace(forward=state.counts.forward + 1, gradient=state.counts.gradient + 1)
        return GradientState(x, f, g, xp.norm_inf(g), state.t, state.k + 1, counts, state.stalled)
