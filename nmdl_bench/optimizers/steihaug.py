"""Newton's method in a trust region, its steps by Steihaug's and Toint's conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, Counts, Objective, Scalar, Structure, Tape
from nmdl_bench.optimizers.curvature import (
    Forcing,
    check_forcing,
    check_matrix,
    check_max_cg,
    counted,
    products,
    rows,
    unit_of,
)
from nmdl_bench.optimizers.newton_cg import curvature_along, orthogonal
from nmdl_bench.optimizers.trust_region import (
    Outcome,
    Plan,
    Region,
    TrustState,
    check_region,
    resize,
    trust_region_init,
    trust_region_step,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Path(NamedTuple):
    """The directions of conjugate gradients as rows of ``D`` (m, n), and five numbers of each as rows of ``T`` (m, 5).

    For direction ``d`` from iterate ``z``: ``rho = |r|^2``, ``d.B d`` (0 where round-off alone makes it positive),
    ``|z|^2``, ``z.d`` and ``|d|^2``; of the rows of D only the first ``used`` count, and T is zero behind them. All is
    in units of ``unit``, the gradient's maximum norm.
    """

    D: Array
    T: Array
    unit: Scalar
    forcing: Forcing
    used: Any


class _Inner(NamedTuple):
    """Path so far, residual ``r``, direction ``d``, and the numbers of the row to come; ``zz, zd, dd`` as there.

    ``top`` is the largest ``d.B d / |d|^2``, ``j`` the number of products, ``inside`` false once the path left the
    region or curvature ended. ``R`` has the residuals, normalised, as rows; None where they are not kept.
    """

    D: Array
    T: Array
    r: Array
    d: Array
    rho: Scalar
    zz: Scalar
    zd: Scalar
    dd: Scalar
    top: Scalar
    j: Any
    inside: Any
    R: Array | None


def follow(
    xp: Backend,
    apply: Callable[[Array], Array],
    g: Array,
    path: Path,
    radius: Scalar,
    reorthogonalise: bool | None = None,
) -> tuple[Path, Any]:
    """Conjugate gradients from 0 until ``|B z + g| <= eta |g|``, the region's edge, or an end of positive curvature.

    Steihaug (1983), Toint (1981); the norms by recurrences (Conn, Gould and Toint 2000, section 7.5.1). What curvature
    is not positive beyond round-off against the largest one seen is taken for zero: the path then leaves the region.

    Parameters
    ----------
    xp, apply, g, reorthogonalise
        As for :func:`~nmdl_bench.optimizers.newton_cg.truncated_cg`.
    path : Path
        The last one, with room for as many products as it has rows; donated.
    radius : Scalar
        Of the region, in units of x.

    Returns
    -------
    Path, int
        And the number of products.
    """
    s, m = xp.s, path.D.shape[0]
    unit = unit_of(xp, g)
    r = g * s.div(s.const(-1.0), unit)
    rho_0 = xp.dot(r, r)
    forcing = path.forcing.tighten(xp, unit * s.sqrt(rho_0))
    limit, edge = forcing.eta * forcing.eta * rho_0, s.div(radius, unit)
    e = [xp.one_hot(i, 5) for i in range(5)]

    def going(now: _Inner) -> Any:
        return s.and_(now.rho > limit, now.j < m, now.inside)

    def step(now: _Inner) -> _Inner:
        D, T, r, d, rho, zz, zd, dd, top, j, _, R = now
        R = None if R is None else xp.set_row(R, j, r * s.div(s.const(1.0), s.sqrt(rho)))
        Bd, curvature, curved, top = curvature_along(xp, apply, d, dd, top)
        curvature = s.where(curved, curvature, s.minimum(curvature, s.const(0.0)))
        row = rho * e[0] + curvature * e[1] + zz * e[2] + zd * e[3] + dd * e[4]
        D, T = xp.set_row(D, j, d), xp.set_row(T, j, row)
        alpha = s.where(curved, s.div(rho, curvature), s.const(0.0))
        zz = zz + 2 * alpha * zd + alpha * alpha * dd
        inside = s.and_(curved, zz < edge * edge)
        r = orthogonal(xp, R, j + 1, xp.axpy(-alpha, Bd, r))
        rho_new = xp.dot(r, r)
        beta = s.div(rho_new, rho)
        zd, dd = beta * (zd + alpha * dd), rho_new + beta * beta * dd
        return _Inner(D, T, r, xp.aypx(beta, r, d), rho_new, zz, zd, dd, top, j + 1, inside, R)

    R = rows(xp, reorthogonalise, *path.D.shape)
    zero, yes = s.const(0.0), s.int(0) == 0
    start = _Inner(path.D, xp.zeros((m, 5)), r, xp.copy(r), rho_0, zero, zero, rho_0, zero, s.int(0), yes, R)
    last = xp.while_loop(going, step, start)
    return Path(last.D, last.T, unit, forcing, last.j), last.j


def walk(xp: Backend, path: Path, radius: Scalar) -> tuple[Array, Scalar, Scalar]:
    """Step, predicted decrease and length where the path ends, or leaves a region no larger than that it was made in.

    The norms of the iterates grow along the path (Steihaug 1983, theorem 2.1): the steps ``alpha = rho / d.B d`` before
    the edge are taken whole, one is cut by the edge, and those behind are left out. No loop is needed.

    Parameters
    ----------
    xp : Backend
        Where.
    path : Path
        Made within this radius or a larger one; stays as it is.
    radius : Scalar
        Of the region, in units of x.

    Returns
    -------
    Array, Scalar, Scalar
        ``p`` (n,), the decrease of the quadratic along it, and ``|p|``.
    """
    s, (D, T, unit, _, used) = xp.s, path
    edge = s.div(radius, unit)
    rho, curvature, zz, zd, dd = (T[:, i] for i in range(5))
    zero, one = xp.zeros(rho.shape), xp.zeros(rho.shape) + 1
    alpha = xp.where(curvature > 0, rho / xp.where(curvature > 0, curvature, one), zero)
    room = -(zz - edge * edge)
    left = room - alpha * (2 * zd + alpha * dd)
    root = xp.sqrt(zd * zd + dd * xp.where(room > 0, room, zero)) + zd
    cut = xp.where(room > 0, room / xp.where(root > 0, root, one), zero)
    w = xp.where(rho > 0, xp.where(curvature > 0, xp.where(left > 0, alpha, cut), cut), zero)
    predicted = xp.total(w * (rho - 0.5 * (w * curvature)))
    # w is zero behind the rows in use
    p = xp.head(w, used) @ xp.head(D, used)
    length = unit * s.sqrt(xp.dot(p, p))
    return xp.scale(unit, p), unit * (unit * predicted), length


@dataclass(frozen=True)
class Steihaug:
    """The quadratic with ``matrix``, minimised along a path of conjugate gradients, of ``max_cg`` products at most."""

    matrix: str
    max_cg: int
    reorthogonalise: bool | None

    def init(self, xp: Backend, x: Array, forcing: Forcing) -> Path:
        """Memory before the first path."""
        n = x.shape[0]
        m = min(self.max_cg, n)
        return Path(xp.zeros((m, n)), xp.zeros((m, 5)), xp.s.const(1.0), forcing, xp.s.int(0))

    def solve(
        self,
        objective: Objective,
        memory: Path,
        x: Array,
        f: Scalar,
        g: Array,
        tape: Tape,
        region: Region,
        counts: Counts,
    ) -> Plan:
        xp = objective.xp
        path, j = follow(xp, products(objective, tape, self.matrix), g, memory, region.radius, self.reorthogonalise)
        return Plan(path, *walk(xp, path, region.radius), region, counted(counts, self.matrix, j))

    def again(self, xp: Backend, memory: Path, g: Array, region: Region, counts: Counts) -> Plan:
        return Plan(memory, *walk(xp, memory, region.radius), region, counts)

    def resize(self, xp: Backend, region: Region, outcome: Outcome) -> Region:
        return resize(xp, region, outcome)


@dataclass(frozen=True)
class TrustRegionNewton:
    """What Newton's methods in a trust region share; a subclass has the model of ``matrix`` with its step.

    Parameters
    ----------
    radius, max_radius, accept, eta_max, gamma, exponent, max_cg, matrix, reorthogonalise
        As for :class:`NewtonTR`.
    """

    radius: float = 1.0
    max_radius: float = 1e10
    accept: float = 0.1
    eta_max: float = 0.3
    gamma: float = 0.9
    exponent: float = 1.25
    max_cg: int = 100
    matrix: str = "hessian"
    reorthogonalise: bool | None = None

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    needs: ClassVar[tuple[Structure, ...]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", check_matrix(self.matrix))  # of this one, not of the class
        check_region(self.radius, self.max_radius, self.accept)
        check_forcing(self.eta_max, self.gamma, self.exponent)
        check_max_cg(self.max_cg)

    @cached_property
    def _model(self) -> Any:
        raise NotImplementedError

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> TrustState:
        xp = objective.xp
        forcing = Forcing.start(xp, self.eta_max, self.gamma, self.exponent)
        region = Region.start(xp, self.radius, self.max_radius, self.accept)
        return trust_region_init(objective, x, self._model, self._model.init(xp, x, forcing), region)

    def step(self, objective: Objective, state: TrustState, batch: Array | None = None) -> TrustState:
        return trust_region_step(objective, state, self._model)


@SOLVERS.register("newton-tr", "Newton in a trust region, steps by Steihaug's CG", kind="ours")
@dataclass(frozen=True)
class NewtonTR(TrustRegionNewton):
    """``x_{k+1} = x_k + p_k``, p_k by conjugate gradients within ``|p| <= Delta_k`` (Steihaug 1983; Toint 1981).

    Conn, Gould and Toint (2000), algorithms 6.1.1 and 7.5.1, with the tolerances of Eisenstat and Walker (1996). The
    path of conjugate gradients is kept, so that a rejected trial costs no product; it takes ``min(max_cg, n)`` vectors.

    Parameters
    ----------
    radius, max_radius : float
        First and largest radius, > 0.
    accept : float
        Ratio of actual to predicted decrease above which a step is taken, in [0, 0.25).
    eta_max, gamma, exponent : float
        Tolerances of the steps; see :class:`~nmdl_bench.optimizers.newton_cg.NewtonCG`.
    max_cg : int
        Products a step, >= 1; of these n at most.
    matrix : str
        ``"hessian"`` or ``"gauss-newton"``.
    reorthogonalise : bool, optional
        Whether residuals of the inner iterations are made orthogonal, which takes as many vectors more; by default
        as for :class:`~nmdl_bench.optimizers.newton_cg.NewtonCG`.
    """

    @cached_property
    def _model(self) -> Any:
        return Steihaug(self.matrix, self.max_cg, self.reorthogonalise)
