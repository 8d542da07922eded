"""Newton's method in a trust region, its steps by Lanczos' method beyond the edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nmdl_bench.contracts import SOLVERS, Array, Counts, Objective, Scalar, Tape
from nmdl_bench.optimizers.curvature import Forcing, counted, products
from nmdl_bench.optimizers.krylov import Krylov, lanczos, shifted, start, step_of, within
from nmdl_bench.optimizers.steihaug import TrustRegionNewton
from nmdl_bench.optimizers.trust_region import Outcome, Plan, Region, resize

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class GLTR:
    """The quadratic with ``matrix``, minimised within the region on a Krylov space of at most ``max_cg`` dimensions."""

    matrix: str
    max_cg: int
    reorthogonalise: bool | None

    def init(self, xp: Backend, x: Array, forcing: Forcing) -> Krylov:
        """Memory before the first basis."""
        return start(xp, self.max_cg, x.shape[0], forcing)

    def solve(
        self,
        objective: Objective,
        memory: Krylov,
        x: Array,
        f: Scalar,
        g: Array,
        tape: Tape,
        region: Region,
        counts: Counts,
    ) -> Plan:
        xp = objective.xp
        apply = products(objective, tape, self.matrix)
        zero = xp.s.const(0.0)
        krylov, j = lanczos(xp, apply, g, memory, zero, region.radius, self.reorthogonalise)

        def newton(T: Array, norm: Scalar, edge: Scalar) -> Array:
            return shifted(xp, T, norm, zero)

        def on_edge(T: Array, norm: Scalar, edge: Scalar) -> Array:
            return within(xp, T, norm, edge)

        edge = xp.s.div(region.radius, krylov.unit)
        h = xp.cond(krylov.inside, newton, on_edge, krylov.T, krylov.norm, edge)
        return Plan(krylov, *step_of(xp, krylov, h), region, counted(counts, self.matrix, j))

    def again(self, xp: Backend, memory: Krylov, g: Array, region: Region, counts: Counts) -> Plan:
        h = within(xp, memory.T, memory.norm, xp.s.div(region.radius, memory.unit))
        return Plan(memory, *step_of(xp, memory, h), region, counts)

    def resize(self, xp: Backend, region: Region, outcome: Outcome) -> Region:
        return resize(xp, region, outcome)


@SOLVERS.register("newton-gltr", "Newton in a trust region, steps by Lanczos (GLTR)", kind="ours")
@dataclass(frozen=True)
class NewtonGLTR(TrustRegionNewton):
    """``x_{k+1} = x_k + p_k``, p_k the minimiser of the model within ``|p| <= Delta_k`` over a Krylov space.

    Gould, Lucidi, Roma and Toint (1999): inside the region it is :class:`~nmdl_bench.optimizers.steihaug.NewtonTR`;
    where that ends at the edge, the Krylov space still grows until the minimiser on the edge is as accurate as the
    tolerance asks. In the hard case for the whole space it is the minimiser over the Krylov space, as in the paper's
    code. Basis and tridiagonal are kept, so that a rejected trial costs no product.

    Parameters
    ----------
    radius, max_radius, accept, eta_max, gamma, exponent, max_cg, matrix
        As for :class:`~nmdl_bench.optimizers.steihaug.NewtonTR`.
    reorthogonalise : bool, optional
        Whether a new vector of the basis is made orthogonal to all before, and not to two of them as in the paper; by
        default as there.
    """

    @cached_property
    def _model(self) -> Any:
        return GLTR(self.matrix, self.max_cg, self.reorthogonalise)
