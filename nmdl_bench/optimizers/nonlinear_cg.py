"""Nonlinear conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, Objective, Scalar, unknown
from nmdl_bench.optimizers.descent import Direction, LineSearch, LineSearchMethod, Step, Turn
from nmdl_bench.optimizers.line_search import wolfe_search

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Products(NamedTuple):
    """Inner products of the last direction d, its gradient g, the new gradient G and ``y = G - g``."""

    gg: Scalar
    GG: Scalar
    yG: Scalar
    yy: Scalar
    dg: Scalar
    dG: Scalar
    dd: Scalar

    @property
    def dy(self) -> Scalar:
        """Curvature along the step."""
        return self.dG - self.dg


def fletcher_reeves(s: Any, p: Products) -> Scalar:
    """``G.G / g.g`` (Fletcher and Reeves 1964)."""
    return s.div(p.GG, p.gg)


def polak_ribiere(s: Any, p: Products) -> Scalar:
    """``max(y.G / g.g, 0)`` (Polak and Ribiere 1969; Gilbert and Nocedal 1992)."""
    return s.maximum(s.div(p.yG, p.gg), s.const(0.0))


def hestenes_stiefel(s: Any, p: Products) -> Scalar:
    """``y.G / d.y`` (Hestenes and Stiefel 1952)."""
    return s.div(p.yG, p.dy)


def dai_yuan(s: Any, p: Products) -> Scalar:
    """``G.G / d.y`` (Dai and Yuan 1999)."""
    return s.div(p.GG, p.dy)


def hager_zhang(s: Any, p: Products) -> Scalar:
    """``(y - 2 d y.y / d.y).G / d.y``, at least ``-1 / (|d| min(0.01, |g|))`` (Hager and Zhang 2005, section 1)."""
    beta = s.div(p.yG - 2 * s.div(p.yy, p.dy) * p.dG, p.dy)
    least = s.div(s.const(-1.0), s.sqrt(p.dd) * s.minimum(s.const(0.01), s.sqrt(p.gg)))
    return s.maximum(beta, least)


BETAS: dict[str, Callable[[Any, Products], Scalar]] = {
    "fletcher-reeves": fletcher_reeves,
    "polak-ribiere": polak_ribiere,
    "hestenes-stiefel": hestenes_stiefel,
    "dai-yuan": dai_yuan,
    "hager-zhang": hager_zhang,
}


@dataclass(frozen=True)
class Conjugate(Direction):
    """``d = -g_new + beta d``; steepest descent where that is no descent.

    The first trial is as long a step as the last one: ``t |d| / |d_new|``.
    """

    beta: str
    from_tape: ClassVar[bool] = False

    def init(self, xp: Backend, x: Array) -> Any:
        return ()

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        xp, s, G, g, d = objective.xp, objective.xp.s, step.g_new, step.g, step.d
        gg, GG, dd = xp.dot(g, g), xp.dot(G, G), xp.dot(d, d)
        dg, dG = step.slope, step.slope_new
        y = xp.aypx(-1.0, G, g)  # their difference first: in products it would cancel
        yG, yy = xp.dot(y, G), xp.dot(y, y)
        beta = BETAS[self.beta](s, Products(gg, GG, yG, yy, dg, dG, dd))
        beta = s.where(s.and_(s.isfinite(beta), beta * dG < GG), beta, s.const(0.0))
        d = xp.aypx(beta, -G, d)
        length = s.sqrt(s.div(dd, xp.dot(d, d)))
        return Turn((), d, step.t * length, step.counts)


@SOLVERS.register("nonlinear-cg", "nonlinear conjugate gradients with a Wolfe line search", kind="ours")
@dataclass(frozen=True)
class NonlinearCG(LineSearchMethod):
    """Nonlinear conjugate gradients (Nocedal and Wright 2006, section 5.2; Hager and Zhang 2006).

    Parameters
    ----------
    beta : str
        Name in :data:`BETAS`.
    c1, c2 : float
        Constants of the Wolfe conditions.
    max_trials : int
        Trials a search.
    search : str
        Name in :data:`~nmdl_bench.optimizers.line_search.WOLFE`.
    """

    beta: str = "polak-ribiere"
    c1: float = 1e-4
    c2: float = 0.1
    max_trials: int = 25
    search: str = "more-thuente"

    def __post_init__(self) -> None:
        if self.beta not in BETAS:
            raise unknown("beta", self.beta, BETAS)
        super().__post_init__()

    @cached_property
    def _search(self) -> LineSearch:
        return wolfe_search(self.search, self.c1, self.c2, self.max_trials)

    @cached_property
    def _direction(self) -> Conjugate:
        return Conjugate(self.beta)
