"""The Gauss-Newton method for small dense residuals, with a line search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import SOLVERS, Array, Objective, Structure
from nmdl_bench.optimizers.dense_residuals import diagonal, is_regular, residual_and_jacobian, triangularise
from nmdl_bench.optimizers.descent import Direction, LineSearch, LineSearchMethod, Step, Turn
from nmdl_bench.optimizers.newton_cg import newton_search

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class LeastSquaresStep(Direction):
    """``p = -J^+ r``, of all ``p`` with the least ``|J p + r|`` the shortest.

    Where J has no more columns than rows, the solution with the triangle R of ``[J r]`` is taken if R is well
    conditioned as far as is seen: by its diagonal, and by ``|R| |p| / |b|``, a lower bound of its condition. Else
    singular values follow; those below ``max(m, n)`` rounding errors of the largest are taken for zero (Golub and Van
    Loan 2013, sections 3.5.4 and 5.4.1). The first trial is the whole step.
    """

    from_tape: ClassVar[bool] = True

    def init(self, xp: Backend, x: Array) -> Any:
        return ()

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        xp = objective.xp
        r, J = residual_and_jacobian(objective, step.tape)
        m, n = J.shape

        def shortest(R: Array, b: Array, *_: Array) -> Array:
            U, sigma, Vt = xp.svd(R)
            kept = sigma - max(m, n) * xp.eps * xp.norm_inf(sigma) > 0
            one, zero = xp.zeros(sigma.shape) + 1, xp.zeros(sigma.shape)
            return -(xp.where(kept, (b @ U) / xp.where(kept, sigma, one), zero) @ Vt)

        if m < n:
            d = shortest(J, r)
        else:
            R, b = triangularise(xp, J, r)
            d, least = xp.solve_triangular(R, -b), xp.eps**0.5
            bounded = least * (xp.norm_inf(R) * xp.norm_inf(d)) <= xp.norm_inf(b)
            sound = xp.s.and_(is_regular(xp, diagonal(xp, R), least), bounded)
            d = xp.cond(sound, lambda *given: given[-1], shortest, R, b, d)
        counts = step.counts._replace(jvp=step.counts.jvp + n)
        return Turn((), d, xp.s.const(1.0), counts)


@SOLVERS.register("gauss-newton", "Gauss-Newton for dense residuals, with a line search", kind="ours")
@dataclass(frozen=True)
class GaussNewton(LineSearchMethod):
    """``x_{k+1} = x_k - t_k J^+ r`` with ``t_k`` by a line search from 1 (Nocedal and Wright 2006, section 10.3).

    Where J lacks rank, the step is the shortest of those that minimise the linearised residual. A Jacobian counts as n
    products with it.

    Parameters
    ----------
    search, c1, c2, max_trials
        As for :class:`~nmdl_bench.optimizers.newton_cg.NewtonCG`.
    """

    search: str = "armijo"
    c1: float = 1e-4
    c2: float = 0.9
    max_trials: int = 40

    needs: ClassVar[tuple[Structure, ...]] = ("residual",)

    @cached_property
    def _search(self) -> LineSearch:
        return newton_search(self.search, self.c1, self.c2, self.max_trials)

    @cached_property
    def _direction(self) -> LeastSquaresStep:
        return LeastSquaresStep()
