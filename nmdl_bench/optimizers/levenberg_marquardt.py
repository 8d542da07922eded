"""Levenberg's and Marquardt's method for small dense residuals, in the form that More gave it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Counts, Objective, Scalar, Structure, Tape, unknown
from nmdl_bench.optimizers.dense_residuals import (
    diagonal,
    is_regular,
    on_diagonal,
    residual_and_jacobian,
    triangularise,
)
from nmdl_bench.optimizers.trust_region import (
    Outcome,
    Plan,
    Region,
    TrustState,
    resize,
    trust_region_init,
    trust_region_step,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

SCALINGS = ("none", "jacobian")


class Factored(NamedTuple):
    """``R`` (n, n) and ``b = Q^T r`` (n,) of ``J = Q R``, the scaling ``D`` (n,), the last ``lam``.

    ``D`` is zero before the first Jacobian; only scaling by the Jacobian looks back at it. ``lam`` was found for
    ``radius``; ``factor`` makes the first one.
    """

    R: Array
    b: Array
    D: Array
    lam: Scalar
    radius: Scalar
    factor: Scalar


class _Search(NamedTuple):
    """Shift ``lam`` with its step ``p``, ``phi = |D p| - Delta``, bounds of the shift, and whether it is found."""

    lam: Scalar
    p: Array
    phi: Scalar
    lower: Scalar
    upper: Scalar
    k: Any
    found: Any


def damped_step(xp: Backend, R: Array, b: Array, D: Array, lam: Scalar, radius: Scalar) -> tuple[Scalar, Array, Scalar]:
    """The ``p`` that minimises ``|R p + b|^2 + lam |D p|^2``, ``lam`` such that ``|D p|`` is within 10 % of ``radius``.

    Without a shift where ``R`` has full rank and the step fits; else the root of ``phi(lam) = |D p(lam)| - radius`` by
    Hebden's iteration between bounds (More 1978, section 5)::

        lam <- lam - (phi + radius) / radius * phi / phi',    phi' = -|R_lam^-T D^2 p|^2 / |D p|

    with ``R_lam`` from a QR factorisation of R on top of ``sqrt(lam) D``.

    Parameters
    ----------
    xp : Backend
        Where.
    R, b, D : Array
        Upper triangular (n, n), right-hand side (n,), positive scaling (n,).
    lam : Scalar
        Where to start, such as the shift of the step before; 0 where there is none.
    radius : Scalar
        > 0.

    Returns
    -------
    Scalar, Array, Scalar
        ``lam``, ``p`` (n,) and ``|D p|``.
    """
    s, n = xp.s, b.shape[0]
    zero = s.const(0.0)
    tolerance = 0.1 * radius
    regular = is_regular(xp, diagonal(xp, R) * (1 / D), n * xp.eps)
    scaling = xp.where(on_diagonal(xp, n), D + xp.zeros((n, n)), xp.zeros((n, n)))

    def length(p: Array) -> Scalar:
        Dp = D * p
        return s.sqrt(xp.dot(Dp, Dp))

    def newton(R: Array, p: Array, size: Scalar) -> Scalar:
        """``-phi / (radius phi')``, ``lam``'s correction but for a factor ``|D p|``."""
        w = xp.solve_triangular(R.T, D * (D * p) * s.div(s.const(1.0), size), lower=True)
        return s.div(size - radius, radius * xp.dot(w, w))

    def whole(R: Array, b: Array) -> Array:
        return xp.solve_triangular(R, -b)

    def shifted(lam: Scalar) -> tuple[Array, Array]:
        J, r = xp.concat([R, scaling * s.sqrt(lam)], axis=0), xp.concat([b, xp.zeros((n,))])
        R_lam, c = triangularise(xp, J, r)
        return xp.solve_triangular(R_lam, -c), R_lam

    p = xp.cond(regular, whole, lambda R, b: xp.zeros((n,)), R, b)
    size = length(p)
    fits = s.and_(regular, size - radius <= tolerance)
    lower = xp.cond(s.and_(regular, s.not_(fits)), newton, lambda *_: zero, R, p, size)
    scaled = (b @ R) * (1 / D)
    steepest = s.sqrt(xp.dot(scaled, scaled))
    upper = s.div(steepest, radius)
    lam = s.minimum(s.maximum(s.where(lam > 0, lam, s.div(steepest, size)), lower), upper)

    def going(now: _Search) -> Any:
        return s.and_(s.not_(now.found), now.k < 10)

    def step(now: _Search) -> _Search:
        lam = s.where(now.lam > 0, now.lam, 1e-3 * now.upper)
        p, R_lam = shifted(lam)
        size = length(p)
        phi = size - radius
        fits = s.abs(phi) <= tolerance
        # with a singular R the step may stay short for every shift
        short = s.and_(s.not_(regular), phi <= now.phi, now.phi < 0, now.k > 0)
        lower = s.where(phi > 0, s.maximum(now.lower, lam), now.lower)
        upper = s.where(phi < 0, s.minimum(now.upper, lam), now.upper)
        following = s.maximum(lower, lam + newton(R_lam, p, size))
        found = s.or_(fits, short)
        kept = s.or_(found, now.k + 1 >= 10)
        return _Search(s.where(kept, lam, following), p, phi, lower, upper, now.k + 1, found)

    at_end = s.or_(fits, s.not_(upper > 0))
    begin = _Search(s.where(fits, zero, lam), p, size - radius, lower, upper, s.int(0), at_end)
    last = xp.while_loop(going, step, begin)
    return last.lam, last.p, length(last.p)


@dataclass(frozen=True)
class DampedLeastSquares:
    """``|J p + r|^2 / 2`` within ``|D p| <= Delta``, D = I or the largest norms so far of the columns of J."""

    scaling: str = "none"

    def init(self, xp: Backend, x: Array, factor: float) -> Factored:
        """Memory before the first Jacobian."""
        n, zero = x.shape[0], xp.s.const(0.0)
        return Factored(xp.zeros((n, n)), xp.zeros((n,)), xp.zeros((n,)), zero, zero, xp.s.const(factor))

    def solve(
        self,
        objective: Objective,
        memory: Factored,
        x: Array,
        f: Scalar,
        g: Array,
        tape: Tape,
        region: Region,
        counts: Counts,
    ) -> Plan:
        xp, s, n = objective.xp, objective.xp.s, x.shape[0]
        r, J = residual_and_jacobian(objective, tape)
        if J.shape[0] < n:  # rows of zeros: R is square then, and singular
            r = xp.concat([r, xp.zeros((n - J.shape[0],))])
            J = xp.concat([J, xp.zeros((n - J.shape[0], n))], axis=0)
        R, b = triangularise(xp, J, r)
        D = xp.zeros((n,)) + 1
        if self.scaling == "jacobian":
            norms = xp.sqrt(xp.sum(J * J, axis=0))
            norms = xp.where(norms > memory.D, norms, memory.D)
            D = xp.where(norms > 0, norms, D)
        Dx = D * x
        size = s.sqrt(xp.dot(Dx, Dx))
        is_first = s.not_(region.radius > 0)
        radius = s.where(is_first, memory.factor * s.where(size > 0, size, s.const(1.0)), region.radius)
        memory = memory._replace(R=R, b=b, D=D, radius=s.where(is_first, radius, memory.radius))
        plan = self.again(xp, memory, g, region._replace(radius=radius), counts._replace(jvp=counts.jvp + n))
        radius = s.where(is_first, s.minimum(radius, plan.length), radius)
        return plan._replace(region=region._replace(radius=radius))

    def again(self, xp: Backend, memory: Factored, g: Array, region: Region, counts: Counts) -> Plan:
        R, b, D, lam, radius, _ = memory
        lam = lam * xp.s.div(radius, region.radius)
        lam, p, length = damped_step(xp, R, b, D, lam, region.radius)
        Rp = R @ p
        predicted = 0.5 * xp.dot(Rp, Rp) + lam * length * length
        return Plan(memory._replace(lam=lam, radius=region.radius), p, predicted, length, region, counts)

    def resize(self, xp: Backend, region: Region, outcome: Outcome) -> Region:
        """As MINPACK's: a good step, or one inside the region, is half the next radius."""
        s, double = xp.s, region.growth * outcome.length
        good = s.and_(outcome.ratio >= 0.25, s.or_(outcome.ratio >= 0.75, outcome.length < 0.9 * region.radius))
        return region._replace(radius=s.where(good, double, resize(xp, region, outcome).radius))


@SOLVERS.register("levenberg-marquardt", "Levenberg-Marquardt for dense residuals by QR, scaled or not", kind="ours")
@dataclass(frozen=True)
class LevenbergMarquardt:
    """``x_{k+1} = x_k + p_k``, p_k the minimiser of ``|J p + r|^2`` within ``|D p| <= Delta_k``.

    More (1978), as in MINPACK's ``lmder``: the shift by Hebden's iteration, the radius by the ratio of decreases. When
    to end is left to the harness. A Jacobian counts as n products with it.

    Parameters
    ----------
    scaling : {"none", "jacobian"}
        D: the identity (Levenberg 1944), or the largest norms so far of the columns of J, by which the steps do not
        depend on the variables' units. With the latter and a factor of 100 these are MINPACK's choices.
    factor : float
        First radius in units of ``|D x_0|``, > 0.
    accept : float
        Ratio of actual to predicted decrease above which a step is taken, in [0, 0.25).
    """

    scaling: str = "none"
    factor: float = 1.0
    accept: float = 1e-4

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    needs: ClassVar[tuple[Structure, ...]] = ("residual",)

    def __post_init__(self) -> None:
        if self.scaling not in SCALINGS:
            raise unknown("scaling", self.scaling, SCALINGS)
        if not 0 < self.factor < float("inf"):
            raise ConfigurationError(f"factor must be positive and finite, not {self.factor!r}")
        if not 0 <= self.accept < 0.25:
            raise ConfigurationError(f"accept must lie in [0, 0.25), not {self.accept!r}")

    @cached_property
    def _model(self) -> DampedLeastSquares:
        return DampedLeastSquares(self.scaling)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> TrustState:
        xp = objective.xp
        region = Region.start(xp, 0.0, float("inf"), self.accept)
        return trust_region_init(objective, x, self._model, self._model.init(xp, x, self.factor), region)

    def step(self, objective: Objective, state: TrustState, batch: Array | None = None) -> TrustState:
        return trust_region_step(objective, state, self._model)
