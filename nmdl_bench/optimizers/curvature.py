"""Products with the curvature at a tape's point, what they cost, and how exactly a step from them is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from nmdl_bench.contracts import Array, ConfigurationError, Counts, Objective, Scalar, Structure, Tape, unknown

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

MATRICES: dict[str, tuple[Structure, ...]] = {"hessian": (), "gauss-newton": ("gauss-newton",)}
"""The matrices that a quadratic model may have, and the structure that each needs."""


def check_matrix(name: str) -> tuple[Structure, ...]:
    """The structure that the named matrix needs; an UnknownNameError where there is none of that name."""
    if name not in MATRICES:
        raise unknown("matrix", name, MATRICES)
    return MATRICES[name]


def products(objective: Objective, tape: Tape, matrix: str) -> Callable[[Array], Array]:
    """``v -> B v`` as a fresh array, with the Hessian or the Gauss-Newton matrix at the tape's point."""
    if matrix == "hessian":
        return lambda v: objective.hessian(tape, v)
    return lambda v: objective.gauss_newton(tape, v)


def counted(counts: Counts, matrix: str, number: int) -> Counts:
    """The counts after ``number`` products more; one with the Gauss-Newton matrix is one jvp and one vjp."""
    if matrix == "hessian":
        return counts._replace(hessian=counts.hessian + number)
    return counts._replace(jvp=counts.jvp + number, vjp=counts.vjp + number)


class Forcing(NamedTuple):
    """The last tolerance ``eta`` and gradient norm ``|g|_2`` (0 where there was none), and the rule's constants."""

    eta: Scalar
    norm: Scalar
    eta_max: Scalar
    gamma: Scalar
    exponent: Scalar

    @classmethod
    def start(cls, xp: Backend, eta_max: float, gamma: float, exponent: float) -> Forcing:
        """Before the first step.

        Raises
        ------
        ConfigurationError
            A constant out of its range: ``eta_max`` in (0, 1), ``gamma`` in (0, 1], ``exponent`` in (1, 2].
        """
        check_forcing(eta_max, gamma, exponent)
        const = xp.s.const
        return cls(const(eta_max), const(0.0), const(eta_max), const(gamma), const(exponent))

    def tighten(self, xp: Backend, norm: Scalar) -> Forcing:
        """Tolerance for ``|B p + g| <= eta |g|`` at a point whose gradient has the given norm.

        Eisenstat and Walker (1996), choice 2, with their safeguard against a tolerance that falls too soon::

            eta_k = gamma (|g_k| / |g_{k-1}|)^alpha, at least gamma eta_{k-1}^alpha where that exceeds 1/10,

        and at most ``eta_max``, which is also the first one. Products in finite precision attain no less than a few
        hundred rounding errors.
        """
        s = xp.s
        chosen = self.gamma * s.pow(s.div(norm, self.norm), self.exponent)
        held = self.gamma * s.pow(self.eta, self.exponent)
        eta = s.minimum(s.where(held > 0.1, s.maximum(chosen, held), chosen), self.eta_max)
        eta = s.where(self.norm > 0, s.maximum(eta, s.const(200 * xp.eps)), self.eta_max)
        return self._replace(eta=eta, norm=norm)


def check_forcing(eta_max: float, gamma: float, exponent: float) -> None:
    """Raise a ConfigurationError where a constant of :class:`Forcing` is out of its range."""
    if not 0 < eta_max < 1:
        raise ConfigurationError(f"eta_max must lie in (0, 1), not {eta_max!r}")
    if not 0 < gamma <= 1:
        raise ConfigurationError(f"gamma must lie in (0, 1], not {gamma!r}")
    if not 1 < exponent <= 2:
        raise ConfigurationError(f"exponent must lie in (1, 2], not {exponent!r}")


ORTHOGONAL = 2**23
"""Numbers (64 MB in double precision) that the vectors of a step take at most, where they are kept orthogonal unasked.

Beyond, their products cost more than those with the curvature that they save.
"""


def rows(xp: Backend, reorthogonalise: bool | None, max_cg: int, n: int) -> Array | None:
    """Zeros (m, n), ``m = min(max_cg, n)``, for vectors that inner iterations are to keep orthogonal; else None.

    Whether they are is said by ``reorthogonalise``, or where that is None by their size: see :data:`ORTHOGONAL`.
    """
    m = min(max_cg, n)
    kept = m * n <= ORTHOGONAL if reorthogonalise is None else reorthogonalise
    return xp.zeros((m, n)) if kept else None


def check_max_cg(max_cg: int) -> None:
    """Raise a ConfigurationError where no product is allowed."""
    if max_cg < 1:
        raise ConfigurationError(f"max_cg must be at least 1, not {max_cg!r}")


def unit_of(xp: Backend, g: Array) -> Scalar:
    """``|g|_inf``, or 1 where that is zero or not finite: in units of it squares neither under- nor overflow."""
    size = xp.norm_inf(g)
    return xp.s.where(xp.s.and_(size > 0, xp.s.isfinite(size)), size, xp.s.const(1.0))
