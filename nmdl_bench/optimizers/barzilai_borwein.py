"""The method of Barzilai and Borwein, made to converge by a non-monotone search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import SOLVERS, Array, Objective, unknown
from nmdl_bench.optimizers.descent import Direction, LineSearch, LineSearchMethod, Step, Turn
from nmdl_bench.optimizers.line_search import Grippo, ZhangHager

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

RULES = ("long", "short", "alternating", "adaptive")
SEARCHES = ("grippo", "zhang-hager")
RATIO, M = 0.5, 5
"""Of the adaptive rule: short steps are taken below this ratio of short to long, the least of this many."""


@dataclass(frozen=True)
class SpectralStep(Direction):
    """``d = -g``, and as first trial the inverse of a Rayleigh quotient of the mean Hessian along the last step.

    With ``s = x_new - x``, ``y = g_new - g`` (Barzilai and Borwein 1988, eqs. 5 and 6)::

        long:  t = s.s / s.y          short:  t = s.y / y.y          alternating:  the one and the other in turn

    adaptive: the long one, unless ``short / long < 1/2``; then the least of the last five short ones (Frassoldati,
    Zanni and Zanghirati 2008, section 3, with other constants). That ratio is the squared cosine between s and y; where
    it is small, s is no eigenvector, and a short step makes later ones fit.

    Where ``s.y <= 0`` there is no such step: ``t = 1 / |g|``, between 1 and 1e5 (Raydan 1997, section 3).
    """

    rule: str
    from_tape: ClassVar[bool] = False

    def init(self, xp: Backend, x: Array) -> Any:
        """Whether the next step is a short one; or the last short steps, infinite where there were none."""
        return (xp.s.const(float("inf")),) * M if self.rule == "adaptive" else xp.s.int(0) > 0

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        xp, sc, g = objective.xp, objective.xp.s, step.g_new
        s, y = xp.aypx(-1.0, step.x_new, step.x), xp.aypx(-1.0, g, step.g)
        sy = xp.dot(s, y)
        long, short = sc.div(xp.dot(s, s), sy), sc.div(sy, xp.dot(y, y))
        if self.rule == "adaptive":
            memory = (sc.where(sy > 0, short, sc.const(float("inf"))), *memory[:-1])
            t = sc.where(short < RATIO * long, reduce(sc.minimum, memory), long)
        elif self.rule == "alternating":
            t, memory = sc.where(memory, short, long), sc.not_(memory)
        else:
            t = long if self.rule == "long" else short
        length = sc.div(sc.const(1.0), sc.sqrt(xp.dot(g, g)))
        without = sc.minimum(sc.maximum(length, sc.const(1.0)), sc.const(1e5))
        return Turn(memory, -g, sc.where(sc.and_(sy > 0, sc.isfinite(t)), t, without), step.counts)


@SOLVERS.register("barzilai-borwein", "Barzilai-Borwein steps with a non-monotone line search", kind="ours")
@dataclass(frozen=True)
class BarzilaiBorwein(LineSearchMethod):
    """Gradient steps of spectral length (Barzilai and Borwein 1988), globalised as by Raydan (1997).

    Parameters
    ----------
    rule : str
        ``"long"``, ``"short"``, ``"alternating"`` or ``"adaptive"``; see :class:`SpectralStep`.
    search : str
        ``"grippo"``: the decrease is one from the largest of the last ten values; ``"zhang-hager"``: from their mean.
    c1 : float
        Armijo's constant, in (0, 1).
    max_trials : int
        Trials a search.
    """

    rule: str = "adaptive"
    search: str = "zhang-hager"
    c1: float = 1e-4
    max_trials: int = 40

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise unknown("rule", self.rule, RULES)
        if self.search not in SEARCHES:
            raise unknown("line search", self.search, SEARCHES)
        super().__post_init__()

    @cached_property
    def _search(self) -> LineSearch:
        if self.search == "grippo":
            return Grippo(self.c1, max_trials=self.max_trials)
        return ZhangHager(self.c1, max_trials=self.max_trials)

    @cached_property
    def _direction(self) -> SpectralStep:
        return SpectralStep(self.rule)
