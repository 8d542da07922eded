"""Variable projection: any line-search method on the reduced objective, with the whole ``x`` in its state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Counts, Objective, Scalar, unknown
from nmdl_bench.optimizers.descent import DescentState, Direction, Step, Turn, line_search_init, line_search_step
from nmdl_bench.optimizers.lbfgs import CompactInverse
from nmdl_bench.optimizers.line_search import Armijo, StrongWolfe
from nmdl_bench.optimizers.reduced import JACOBIANS, Reduced, ReducedTape
from nmdl_bench.optimizers.steepest_descent import Gradient

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

DIRECTIONS = ("gauss-newton", "newton", "lbfgs", "gradient")
C2 = 0.9
"""Constant of the curvature condition where the search is strong Wolfe's, with L-BFGS."""


class CurvatureState(NamedTuple):
    """Conjugate gradients for ``B d = -g``: ``d``, residual ``r``, direction ``p``, ``rho = |r|^2``; steps so far."""

    d: Array
    r: Array
    p: Array
    rho: Scalar
    k: Any
    going: Any


@dataclass(frozen=True)
class TruncatedNewton:
    """``d`` from ``B d = -g`` by conjugate gradients, ``B`` the Gauss-Newton matrix or the Hessian.

    They end once the residual is ``rtol |g|``, after ``max_cg`` steps, or where a direction has no positive curvature;
    if that is the first one, ``d = -g`` (Nocedal and Wright 2006, algorithm 7.1). The memory is ``rtol``.
    """

    matrix: str = "gauss_newton"
    rtol: float = 0.1
    max_cg: int = 50
    from_tape: ClassVar[bool] = True

    def init(self, xp: Backend, x: Array) -> Scalar:
        return xp.s.const(self.rtol)

    def update(self, objective: Objective, memory: Scalar, step: Step) -> Turn:
        xp, s, g = objective.xp, objective.xp.s, step.g_new
        product = getattr(objective, self.matrix)
        gg = xp.dot(g, g)
        limit = memory * memory * gg

        def going(state: CurvatureState) -> Any:
            return s.and_(state.going, state.rho > limit, state.k < self.max_cg)

        def body(state: CurvatureState) -> CurvatureState:
            Bp = product(step.tape, state.p)
            curvature = xp.dot(state.p, Bp)
            return xp.cond(curvature > xp.eps * xp.dot(state.p, state.p), advance, stop, state, Bp, curvature)

        def advance(state: CurvatureState, Bp: Array, curvature: Scalar) -> CurvatureState:
            d, r, p, rho, k, on = state
            t = s.div(rho, curvature)
            d, r = xp.axpy(t, p, d), xp.axpy(-t, Bp, r)
            rho_new = xp.dot(r, r)
            return CurvatureState(d, r, xp.aypx(s.div(rho_new, rho), r, p), rho_new, k + 1, on)

        def stop(state: CurvatureState, Bp: Array, curvature: Scalar) -> CurvatureState:
            d = xp.cond(state.k > 0, lambda d, g: d, lambda d, g: -g, state.d, g)
            return state._replace(d=d, k=state.k + 1, going=s.int(0) > 0)

        start = CurvatureState(xp.zeros(tuple(g.shape)), -g, -g, gg, s.int(0), s.int(0) == 0)
        last = xp.while_loop(going, body, start)
        counts = step.counts
        if self.matrix == "hessian":
            counts = counts._replace(hessian=counts.hessian + last.k)
        else:
            counts = counts._replace(jvp=counts.jvp + last.k, vjp=counts.vjp + last.k)
        return Turn(memory, last.d, s.const(1.0), counts)


class VarProState(NamedTuple):
    """The whole ``x = (theta, W(theta))``, the gradient's norm there, and the state of the method for ``theta``.

    ``products`` counts how often Newton's method for ``W`` has passed over the samples, the trials that were rejected
    included; :attr:`counts` has each as a Hessian product, though features and last layer are all that it touches.
    """

    x: Array
    g_norm: Scalar
    products: Any
    inner: DescentState

    @property
    def f(self) -> Scalar:
        return self.inner.f

    @property
    def k(self) -> Any:
        return self.inner.k

    @property
    def stalled(self) -> Any:
        return self.inner.stalled

    @property
    def counts(self) -> Counts:
        counts = self.inner.counts
        return counts._replace(hessian=counts.hessian + self.products)


class _Watched:
    """A reduced objective that keeps the tapes of its forwards: one a step, outside of all branches and loops."""

    def __init__(self, reduced: Any) -> None:
        self.reduced = reduced
        self.tapes: list[ReducedTape] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reduced, name)

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, ReducedTape]:
        f, tape = self.reduced.forward(x, batch)
        self.tapes.append(tape)
        return f, tape


@SOLVERS.register(
    "varpro", "variable projection: the last layer always optimal, Gauss-Newton for the rest", kind="ours"
)
@dataclass(frozen=True)
class VarPro:
    """Minimise ``F(theta) = min_W f(theta, W)`` (Golub and Pereyra 1973; O'Leary and Rust 2013).

    For cross-entropy, with ``W(theta)`` by Newton's method, after Newman, Ruthotto, Hart and van Bloemen Waanders
    (2021). ``x`` and ``f`` are those of the whole objective, at ``(theta, W(theta))`` from the start on: the last layer
    of the given start serves only for Newton's method to begin with.

    Parameters
    ----------
    direction : str
        For ``theta``: ``"gauss-newton"`` or ``"newton"`` (exact Hessian) by truncated conjugate gradients, ``"lbfgs"``
        (10 pairs), or ``"gradient"``: steepest descent.
    jacobian : str
        ``"kaufman"`` or ``"golub-pereyra"``; see :class:`~nmdl_bench.optimizers.reduced.Reduced`.
    rtol : float
        Residual at which conjugate gradients end, relative to the gradient.
    max_cg : int
        Conjugate gradient steps at most.
    c1 : float
        Armijo's constant, in (0, 1).
    max_trials : int
        Trials a search.
    """

    direction: str = "gauss-newton"
    jacobian: str = "kaufman"
    rtol: float = 0.1
    max_cg: int = 50
    c1: float = 1e-4
    max_trials: int = 40

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("separable",)

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise unknown("direction of variable projection", self.direction, DIRECTIONS)
        if self.jacobian not in JACOBIANS:
            raise unknown("Jacobian of variable projection", self.jacobian, JACOBIANS)
        if not 0 < self.rtol < 1:
            raise ConfigurationError(f"rtol must lie in (0, 1), not {self.rtol!r}")
        if self.max_cg < 1:
            raise ConfigurationError(f"max_cg must be at least 1, not {self.max_cg!r}")
        _ = self._search

    @cached_property
    def _search(self) -> Armijo | StrongWolfe:
        if self.direction == "lbfgs":
            return StrongWolfe(self.c1, C2, self.max_trials)
        return Armijo(self.c1, self.max_trials)

    @cached_property
    def _direction(self) -> Direction:
        if self.direction == "lbfgs":
            return CompactInverse(10)
        if self.direction == "gradient":
            return Gradient()
        matrix = {"gauss-newton": "gauss_newton", "newton": "hessian"}[self.direction]
        return TruncatedNewton(matrix, self.rtol, self.max_cg)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> VarProState:
        s = objective.xp.s
        reduced = Reduced.of(objective, x, self.jacobian)
        watched = _Watched(Evaluation(cast(Objective, reduced)))
        theta = x[: reduced.parts.split]
        inner = line_search_init(cast(Objective, watched), theta, self._search, self._direction)
        (tape,) = watched.tapes
        g_norm = s.maximum(inner.g_norm, tape.found.g_norm)
        return VarProState(reduced.full(tape), g_norm, tape.found.products, inner)

    def step(self, objective: Objective, state: VarProState, batch: Array | None = None) -> VarProState:
        xp, s = objective.xp, objective.xp.s
        reduced, before = Reduced.of(objective, state.x, self.jacobian), state.inner.k
        watched = _Watched(reduced)
        inner = line_search_step(cast(Objective, watched), state.inner, self._search, self._direction)
        (tape,) = watched.tapes
        moved = inner.k > before
        x = xp.cond(moved, lambda x: reduced.full(tape), lambda x: x, state.x)
        g_norm = s.where(moved, s.maximum(inner.g_norm, tape.found.g_norm), state.g_norm)
        return VarProState(x, g_norm, state.products + tape.found.products, inner)
