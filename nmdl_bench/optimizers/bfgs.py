"""BFGS with the inverse of its matrix kept dense."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Objective, Scalar, unknown
from nmdl_bench.optimizers.descent import DescentState, Direction, LineSearch, LineSearchMethod, Step, Turn
from nmdl_bench.optimizers.line_search import wolfe_search

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

SCALINGS = ("initial", "self")
LARGEST = 20_000
"""Parameters that a dense matrix is kept for: 3 GB in double precision."""


class Inverse(NamedTuple):
    """``H = theta (I + N)`` with N (n, n); ``theta`` is known from the first pair on, ``empty`` is true until then."""

    N: Array
    theta: Scalar
    empty: Any


@dataclass(frozen=True)
class DenseInverse(Direction):
    """The BFGS direction ``d = -H g``.

    With ``s = x_new - x, y = g_new - g`` (Nocedal and Wright 2006, eq. 6.17)::

        H <- (I - rho s y^T) H (I - rho y s^T) + rho s s^T,        rho = 1 / y.s

    That is ``H + theta (s u^T + u s^T)`` with ``theta u = (rho + rho^2 y.Hy) s / 2 - rho H y``: a product of (n, 2) and
    (2, n), beside one that gives ``H y`` and ``H g``. A pair without curvature is skipped, so that H stays positive
    definite.

    Factors of H are factors of ``theta`` and cost no pass over the matrix. Before the first update H is
    ``(y.s / y.y) I`` (eq. 6.20). Where ``scaling`` is ``"self"``, H is multiplied before each later one by
    ``max(1, s.Bs / y.s)``, ``B = H^-1``: curvatures that B has too large are what BFGS itself corrects slowly (Al-Baali
    1998). It takes no product, since ``Bs = -t g``.
    """

    scaling: str
    from_tape: ClassVar[bool] = False

    def init(self, xp: Backend, x: Array) -> Inverse:
        n = x.shape[0]
        return Inverse(xp.zeros((n, n)), xp.s.const(1.0), xp.s.int(0) == 0)

    def update(self, objective: Objective, memory: Inverse, step: Step) -> Turn:
        xp, sc, N, g = objective.xp, objective.xp.s, memory.N, step.g_new
        sBs = -step.t * step.t * step.slope
        s, y = xp.aypx(-1.0, step.x_new, step.x), xp.aypx(-1.0, g, step.g)
        ys, yy = xp.dot(y, s), xp.dot(y, y)
        curved = ys > xp.eps * sc.sqrt(xp.dot(s, s)) * sc.sqrt(yy)
        scaled = memory.theta
        if self.scaling == "self":
            scaled = scaled * sc.maximum(sc.div(sBs, ys), sc.const(1.0))
        theta = sc.where(curved, sc.where(memory.empty, sc.div(ys, yy), scaled), memory.theta)
        rho = sc.where(curved, sc.div(sc.const(1.0), ys), sc.const(0.0))
        products = xp.stack([y, g]) @ N  # N is symmetric, but for round-off
        Hy, Hg = y + products[0, ...], g + products[1, ...]  # over theta, as u is
        u = xp.axpby(0.5 * (sc.div(rho, theta) + rho * rho * xp.dot(y, Hy)), s, -rho, Hy)
        d = xp.axpby(-theta * xp.dot(u, g), s, -theta, xp.axpy(xp.dot(s, g), u, Hg))
        N = xp.addmm(N, xp.stack([s, u]).T, xp.stack([u, s]))
        return Turn(Inverse(N, theta, sc.and_(memory.empty, sc.not_(curved))), d, sc.const(1.0), step.counts)


@SOLVERS.register("bfgs", "BFGS with a dense inverse and a Wolfe line search", kind="ours")
@dataclass(frozen=True)
class BFGS(LineSearchMethod):
    """BFGS with a dense inverse matrix of n^2 numbers (Nocedal and Wright 2006, algorithm 6.1).

    Parameters
    ----------
    scaling : str
        ``"initial"``: of the first matrix alone; ``"self"``: of every one that has curvatures too large.
    c1, c2 : float
        Constants of the Wolfe conditions.
    max_trials : int
        Trials a search.
    search : str
        Name in :data:`~nmdl_bench.optimizers.line_search.WOLFE`.

    Raises
    ------
    ConfigurationError
        From ``init``: more parameters than :data:`LARGEST`.
    """

    scaling: str = "self"
    c1: float = 1e-4
    c2: float = 0.9
    max_trials: int = 25
    search: str = "more-thuente"

    def __post_init__(self) -> None:
        if self.scaling not in SCALINGS:
            raise unknown("scaling", self.scaling, SCALINGS)
        super().__post_init__()

    @cached_property
    def _search(self) -> LineSearch:
        return wolfe_search(self.search, self.c1, self.c2, self.max_trials)

    @cached_property
    def _direction(self) -> DenseInverse:
        return DenseInverse(self.scaling)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> DescentState:
        n = x.shape[0]
        if n > LARGEST:
            raise ConfigurationError(f"bfgs keeps a matrix of n^2 numbers, too many for n = {n} parameters; use lbfgs")
        return super().init(objective, x, batch)
