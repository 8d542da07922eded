"""Levenberg's and Marquardt's method without matrices, for residuals and networks of any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Counts, Objective, Scalar, Structure, Tape
from nmdl_bench.optimizers.curvature import Forcing, check_forcing, check_max_cg, counted, products, unit_of
from nmdl_bench.optimizers.krylov import Krylov, lanczos, shifted, start, step_of
from nmdl_bench.optimizers.trust_region import (
    Outcome,
    Plan,
    Region,
    TrustState,
    trust_region_init,
    trust_region_step,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Damping(NamedTuple):
    """The Krylov space, and the share of the curvature along the first gradient that the first damping is."""

    krylov: Krylov
    share: Scalar


@dataclass(frozen=True)
class DampedGaussNewton:
    """``g.p + p.(G + lam I) p / 2`` with ``G = J^T H J``, over a Krylov space of dimension ``max_cg`` at most.

    The region's ``radius`` is ``1 / lam`` here, and its ``growth`` Nielsen's ``nu``. The Krylov space is the same for
    every ``lam``, so that a rejected trial costs no product. The region's ``limit`` is ``1 / (eps c)`` with
    ``c`` the tridiagonal's largest entry: less damping would be lost in the rounding errors of G.
    """

    max_cg: int
    reorthogonalise: bool | None

    def init(self, xp: Backend, x: Array, forcing: Forcing, share: float) -> Damping:
        """Memory before the first basis."""
        return Damping(start(xp, self.max_cg, x.shape[0], forcing), xp.s.const(share))

    def solve(
        self,
        objective: Objective,
        memory: Damping,
        x: Array,
        f: Scalar,
        g: Array,
        tape: Tape,
        region: Region,
        counts: Counts,
    ) -> Plan:
        xp, s = objective.xp, objective.xp.s
        apply = products(objective, tape, "gauss-newton")

        def first(region: Region) -> tuple[Region, Counts]:
            v = g * s.div(s.const(1.0), unit_of(xp, g))
            curvature = s.div(xp.dot(v, apply(v)), xp.dot(v, v))
            lam = memory.share * s.where(curvature > 0, curvature, s.const(1.0))
            return region._replace(radius=s.div(s.const(1.0), lam)), counted(counts, "gauss-newton", 1)

        region, counts = xp.cond(region.radius > 0, lambda region: (region, counts), first, region)
        lam = s.div(s.const(1.0), region.radius)
        krylov, j = lanczos(xp, apply, g, memory.krylov, lam, reorthogonalise=self.reorthogonalise)
        limit = s.div(s.const(1.0), xp.eps * krylov.top)
        usable = s.and_(limit > 0, s.isfinite(limit))
        region = region._replace(limit=s.where(usable, limit, region.limit))
        return self.again(xp, memory._replace(krylov=krylov), g, region, counted(counts, "gauss-newton", j))

    def again(self, xp: Backend, memory: Damping, g: Array, region: Region, counts: Counts) -> Plan:
        krylov = memory.krylov
        h = shifted(xp, krylov.T, krylov.norm, xp.s.div(xp.s.const(1.0), region.radius))
        return Plan(memory, *step_of(xp, krylov, h), region, counts)

    def resize(self, xp: Backend, region: Region, outcome: Outcome) -> Region:
        """Nielsen (1999): ``lam`` times ``max(1/3, 1 - (2 ratio - 1)^3)``, or times ``nu``, which doubles then.

        The radius ends at the limit: from infinity no rejections would lead back.
        """
        s, two, better = xp.s, xp.s.const(2.0), outcome.ratio > region.accept
        q = 2 * outcome.ratio - 1
        shrink = s.maximum(s.const(1 / 3), 1 - q * q * q)
        factor = s.where(better, shrink, region.growth)
        radius = s.minimum(s.div(region.radius, factor), region.limit)
        return region._replace(radius=radius, growth=s.where(better, two, 2 * region.growth))


@SOLVERS.register("levenberg-marquardt-cg", "Levenberg-Marquardt without matrices, by CG", kind="ours")
@dataclass(frozen=True)
class LevenbergMarquardtCG:
    """``x_{k+1} = x_k + p_k`` with ``(J^T H J + lam_k I) p_k = -g_k``, the damping by Nielsen's rule (1999).

    For losses other than squares ``H`` is the loss's Hessian. The system is solved by Lanczos' form of conjugate
    gradients, with the tolerances of Eisenstat and Walker (1996); the basis is kept and takes ``max_cg`` vectors.

    Parameters
    ----------
    damping : float
        First ``lam`` in units of the curvature along the first gradient, > 0.
    eta_max, gamma, exponent, max_cg
        As for :class:`~nmdl_bench.optimizers.newton_cg.NewtonCG`.
    reorthogonalise : bool, optional
        Whether a new vector of the basis is made orthogonal to all before, and not to two of them; by default as there.
    """

    damping: float = 1e-3
    eta_max: float = 0.3
    gamma: float = 0.9
    exponent: float = 1.25
    max_cg: int = 100
    reorthogonalise: bool | None = None

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    needs: ClassVar[tuple[Structure, ...]] = ("gauss-newton",)

    def __post_init__(self) -> None:
        if not 0 < self.damping < float("inf"):
            raise ConfigurationError(f"damping must be positive and finite, not {self.damping!r}")
        check_forcing(self.eta_max, self.gamma, self.exponent)
        check_max_cg(self.max_cg)

    @cached_property
    def _model(self) -> DampedGaussNewton:
        return DampedGaussNewton(self.max_cg, self.reorthogonalise)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> TrustState:
        xp = objective.xp
        forcing = Forcing.start(xp, self.eta_max, self.gamma, self.exponent)
        memory = self._model.init(xp, x, forcing, self.damping)
        return trust_region_init(objective, x, self._model, memory, Region.start(xp, 0.0, float("inf"), 1e-4))

    def step(self, objective: Objective, state: TrustState, batch: Array | None = None) -> TrustState:
        return trust_region_step(objective, state, self._model)
