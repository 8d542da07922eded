"""Newton's and the Gauss-Newton method with inexact directions from conjugate gradients, and a line search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, Objective, Scalar, Structure, unknown
from nmdl_bench.optimizers.curvature import Forcing, check_forcing, check_max_cg, counted, products, rows, unit_of
from nmdl_bench.optimizers.descent import Direction, LineSearch, LineSearchMethod, Step, Turn
from nmdl_bench.optimizers.line_search import WOLFE, Armijo, Fixed

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class _Inner(NamedTuple):
    """Iterate ``z``, residual ``r = -g - B z``, direction ``d``; ``rho = |r|^2``, ``dd = |d|^2``.

    ``top`` is the largest ``d.B d / |d|^2`` so far, ``j`` the number of products, and ``curved`` false once a direction
    had no positive curvature. ``R`` has the residuals, normalised, as rows; None where they are not kept.
    """

    z: Array
    r: Array
    d: Array
    rho: Scalar
    dd: Scalar
    top: Scalar
    j: Any
    curved: Any
    R: Array | None


def orthogonal(xp: Backend, R: Array | None, j: Any, r: Array) -> Array:
    """``r`` without its parts along the first ``j`` rows of ``R``, orthonormal before rows of zeros; donates ``r``."""
    if R is None:
        return r
    used = xp.head(R, j)
    return xp.axpy(-1.0, (used @ r) @ used, r)


def curvature_along(
    xp: Backend, apply: Callable[[Array], Array], d: Array, dd: Scalar, top: Scalar
) -> tuple[Array, Scalar, Any, Scalar]:
    """``B d``, ``d.B d``, whether that is positive beyond round-off, and the largest ``d.B d / |d|^2`` so far."""
    Bd = apply(d)
    curvature = xp.dot(d, Bd)
    top = xp.s.maximum(top, xp.s.div(curvature, dd))
    return Bd, curvature, curvature > xp.eps * top * dd, top


def truncated_cg(
    xp: Backend,
    apply: Callable[[Array], Array],
    g: Array,
    forcing: Forcing,
    max_cg: int,
    reorthogonalise: bool | None = None,
) -> tuple[Array, Forcing, Any]:
    """Direction ``z`` with ``|B z + g| <= eta |g|``, or what conjugate gradients reach before curvature ends.

    Nocedal and Wright (2006), algorithm 7.1: where ``d.B d`` is not positive, ``z`` so far is the direction, and at the
    first product ``-g``. What is not positive beyond round-off against the largest curvature seen is taken for zero,
    so that a singular matrix does not make ``z`` long along its null space.

    Residuals that are kept orthogonal save products where they would lose that, and round-off then does not grow into
    another direction on every library.

    Parameters
    ----------
    xp : Backend
        Where.
    apply : callable
        ``v -> B v``, a fresh array (n,) for v (n,).
    g : Array
        Gradient (n,).
    forcing : Forcing
        What ``eta`` follows from, as the last direction left it.
    max_cg : int
        Products at most, >= 1; where residuals are kept also ``n``.
    reorthogonalise : bool, optional
        Whether residuals are kept, which takes ``min(max_cg, n)`` vectors; by default where these are
        :data:`~nmdl_bench.optimizers.curvature.ORTHOGONAL` numbers at most.

    Returns
    -------
    Array, Forcing, int
        ``z`` (n,), the forcing with this ``eta``, and the number of products.
    """
    s = xp.s
    unit = unit_of(xp, g)
    r = g * s.div(s.const(-1.0), unit)
    rho_0 = xp.dot(r, r)
    forcing = forcing.tighten(xp, unit * s.sqrt(rho_0))
    limit = forcing.eta * forcing.eta * rho_0

    def going(now: _Inner) -> Any:
        return s.and_(now.rho > limit, now.j < max_cg, now.curved)

    def step(now: _Inner) -> _Inner:
        z, r, d, rho, dd, top, j, _, R = now
        R = None if R is None else xp.set_row(R, j, r * s.div(s.const(1.0), s.sqrt(rho)))
        Bd, curvature, curved, top = curvature_along(xp, apply, d, dd, top)
        first = s.where(j == 0, s.const(1.0), s.const(0.0))
        alpha = s.where(curved, s.div(rho, curvature), first)
        z, r = xp.axpy(alpha, d, z), orthogonal(xp, R, j + 1, xp.axpy(-alpha, Bd, r))
        rho_new = xp.dot(r, r)
        beta = s.div(rho_new, rho)
        return _Inner(z, r, xp.aypx(beta, r, d), rho_new, rho_new + beta * beta * dd, top, j + 1, curved, R)

    n = g.shape[0]
    R = rows(xp, reorthogonalise, max_cg, n)
    if R is not None:
        max_cg = min(max_cg, n)  # orthogonal residuals end there
    zero, yes = s.const(0.0), s.int(0) == 0
    start = _Inner(xp.zeros((n,)), r, xp.copy(r), rho_0, rho_0, zero, s.int(0), yes, R)
    last = xp.while_loop(going, step, start)
    return xp.scale(unit, last.z), forcing, last.j


SEARCHES: dict[str, Callable[[float, float, int], LineSearch]] = {
    "armijo": lambda c1, c2, max_trials: Armijo(c1, max_trials),
    **WOLFE,
    "none": lambda c1, c2, max_trials: Fixed(),
}
"""Searches that methods with a natural step length of one take, from (c1, c2, max_trials): Armijo's, those in
:data:`~nmdl_bench.optimizers.line_search.WOLFE`, and none, by which every step is taken whole."""


def newton_search(name: str, c1: float, c2: float, max_trials: int) -> LineSearch:
    """The named search; an UnknownNameError where there is none, a ConfigurationError where constants cannot work."""
    if name not in SEARCHES:
        raise unknown("line search", name, SEARCHES)
    return SEARCHES[name](c1, c2, max_trials)


@dataclass(frozen=True)
class TruncatedNewton(Direction):
    """The direction of :func:`truncated_cg` at the trial's tape; the first trial is the whole step.

    Parameters
    ----------
    matrix : str
        ``"hessian"`` or ``"gauss-newton"``.
    max_cg : int
        Products a direction.
    reorthogonalise : bool or None
        Whether their residuals are kept orthogonal; None as for :class:`NewtonCG`.
    eta_max, gamma, exponent : float
        Where the memory starts; they are data, and no part of what makes two directions equal.
    """

    matrix: str
    max_cg: int
    reorthogonalise: bool | None
    eta_max: float = field(default=0.3, compare=False)
    gamma: float = field(default=0.9, compare=False)
    exponent: float = field(default=1.25, compare=False)

    from_tape: ClassVar[bool] = True

    def init(self, xp: Backend, x: Array) -> Forcing:
        return Forcing.start(xp, self.eta_max, self.gamma, self.exponent)

    def reset(self, xp: Backend, memory: Forcing, x: Array) -> Forcing:
        """The memory itself: what follows from a point alone has no past to forget."""
        return memory

    def update(self, objective: Objective, memory: Forcing, step: Step) -> Turn:
        xp = objective.xp
        apply = products(objective, step.tape, self.matrix)
        d, memory, j = truncated_cg(xp, apply, step.g_new, memory, self.max_cg, self.reorthogonalise)
        return Turn(memory, d, xp.s.const(1.0), counted(step.counts, self.matrix, j))


@dataclass(frozen=True)
class _TruncatedNewtonMethod(LineSearchMethod):
    eta_max: float = 0.3
    gamma: float = 0.9
    exponent: float = 1.25
    max_cg: int = 100
    reorthogonalise: bool | None = None
    search: str = "armijo"
    c1: float = 1e-4
    c2: float = 0.9
    max_trials: int = 40

    matrix: ClassVar[str] = "hessian"

    def __post_init__(self) -> None:
        check_forcing(self.eta_max, self.gamma, self.exponent)
        check_max_cg(self.max_cg)
        super().__post_init__()

    @cached_property
    def _search(self) -> LineSearch:
        return newton_search(self.search, self.c1, self.c2, self.max_trials)

    @cached_property
    def _direction(self) -> TruncatedNewton:
        return TruncatedNewton(self.matrix, self.max_cg, self.reorthogonalise, self.eta_max, self.gamma, self.exponent)


@SOLVERS.register("newton-cg", "Newton with inexact directions by CG and a line search", kind="ours")
@dataclass(frozen=True)
class NewtonCG(_TruncatedNewtonMethod):
    """``x_{k+1} = x_k + t_k p_k`` with ``|H_k p_k + g_k| <= eta_k |g_k|`` by conjugate gradients.

    Nocedal and Wright (2006), algorithm 7.1, with exact Hessian products, a line search from a step of one, and
    the tolerances of Eisenstat and Walker (1996), choice 2.

    Parameters
    ----------
    eta_max : float
        First and largest tolerance, in (0, 1).
    gamma, exponent : float
        Constants of the tolerances, in (0, 1] and (1, 2]; see :meth:`~nmdl_bench.optimizers.curvature.Forcing.tighten`.
        The exponent is the order of convergence.
    max_cg : int
        Products a direction, >= 1; where residuals are kept n at most.
    reorthogonalise : bool, optional
        Whether residuals of the inner iterations are kept and made orthogonal, which takes ``min(max_cg, n)``
        vectors. By default where these are :data:`~nmdl_bench.optimizers.curvature.ORTHOGONAL` numbers at most.
    search : str
        Name in :data:`SEARCHES`; ``"none"`` takes steps of one, and does not look at the numbers below.
    c1, c2 : float
        Constants of Armijo's and (where the search looks at it) the curvature condition, 0 < c1 < c2 < 1.
    max_trials : int
        Trials a search.
    """


@SOLVERS.register("gauss-newton-cg", "Gauss-Newton with inexact directions by CG and a line search", kind="ours")
@dataclass(frozen=True)
class GaussNewtonCG(_TruncatedNewtonMethod):
    """``x_{k+1} = x_k + t_k p_k`` with ``|G_k p_k + g_k| <= eta_k |g_k|`` for the Gauss-Newton matrix ``G = J^T H J``.

    As :class:`NewtonCG` (Nocedal and Wright 2006, section 10.3; for losses other than squares Schraudolph 2002). ``G``
    has no negative eigenvalue where the loss is convex; for a network that is linear in its parameters it is the
    Hessian.

    Parameters
    ----------
    eta_max, gamma, exponent, max_cg, reorthogonalise, search, c1, c2, max_trials
        As for :class:`NewtonCG`.
    """

    matrix: ClassVar[str] = "gauss-newton"
    needs: ClassVar[tuple[Structure, ...]] = ("gauss-newton",)
