"""Armijo's backtracking search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import Scalar, unknown
from nmdl_bench.optimizers.line_search.base import Search, begin, check_constants, parabola, proceed, sufficient

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

INTERPOLATIONS = ("quadratic", "cubic")


@dataclass(frozen=True)
class Armijo:
    """Backtracking until ``phi(t) <= phi(0) + c1 t phi'(0)`` (Armijo 1966).

    The next trial minimises the parabola through ``phi(0), phi'(0), phi(t)``, between 0.1 t and 0.9 t. With cubic
    interpolation it minimises, from the second on, the cubic through these and the value of the trial before, between
    0.1 t and 0.5 t (Dennis and Schnabel 1996, algorithm A6.3.1).

    Parameters
    ----------
    c1 : float
        Share of the predicted decrease that is asked for, in (0, 1).
    max_trials : int
        Trials after which the search gives up.
    interpolation : str
        ``"quadratic"`` or ``"cubic"``.
    """

    needs_descent: ClassVar[bool] = True

    c1: float = 1e-4
    max_trials: int = 40
    interpolation: str = "quadratic"

    def __post_init__(self) -> None:
        check_constants(self.c1, None, self.max_trials)
        if self.interpolation not in INTERPOLATIONS:
            raise unknown("interpolation", self.interpolation, INTERPOLATIONS)

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        return begin(xp, self.c1, 0.0, t, f0, df0, old)

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any:
        return sufficient(xp, search, f_t)

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        """Accept: the value is all that Armijo's rule asks for."""
        return proceed(xp, search, self.max_trials, search.t > 0, search.t)

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search:
        """Shorten the step."""
        shortened = search._replace(hi=search.t, f_hi=f_t)
        t = parabola(xp, shortened)
        if self.interpolation == "cubic":
            t = _cubic(xp, search, f_t, t)
        return proceed(xp, shortened, self.max_trials, search.t < 0, t)


def _cubic(xp: Backend, search: Search, f_t: Scalar, otherwise: Scalar) -> Scalar:
    """Minimiser of ``a t^3 + b t^2 + phi'(0) t + phi(0)`` through the trial and the one before, which ``hi`` is.

    ``otherwise`` where there was none, where one of the values is not finite, or where the cubic has no minimum.
    """
    s, t, t_old, f0, df0 = xp.s, search.t, search.hi, search.f0, search.df0
    e, e_old = s.div(f_t - f0 - t * df0, t * t), s.div(search.f_hi - f0 - t_old * df0, t_old * t_old)
    a, b = s.div(e - e_old, t - t_old), s.div(t * e_old - t_old * e, t - t_old)
    inner = s.div(-df0, b + s.sqrt(b * b - 3 * a * df0))  # the root without cancellation, right for a = 0 too
    usable = s.and_(s.isfinite(inner), inner > 0)
    return s.where(usable, s.minimum(s.maximum(inner, 0.1 * t), 0.5 * t), otherwise)
