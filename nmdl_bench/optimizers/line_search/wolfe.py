"""The strong Wolfe search of the textbook."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import Scalar
from nmdl_bench.optimizers.line_search.base import (
    Search,
    accept,
    begin,
    check_constants,
    or_best,
    parabola,
    proceed,
    sufficient,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class StrongWolfe:
    """Bracketing and zoom for ``phi(t) <= phi(0) + c1 t phi'(0)`` and ``|phi'(t)| <= c2 |phi'(0)|``.

    Nocedal and Wright 2006, algorithms 3.5 and 3.6, as one rule: with an infinite ``hi``, bracketing is zoom. A trial
    that is not low enough becomes ``hi`` (its slope is not needed); one that is becomes ``lo``, and the old ``lo``
    becomes ``hi`` where the slope at the trial points away from ``hi``. Between ``lo`` and ``hi`` the next trial is
    the parabola's, beyond ``lo`` the secant's of the slopes.

    Parameters
    ----------
    c1, c2 : float
        Constants of the conditions, 0 < c1 < c2 < 1.
    max_trials : int
        Trials after which the search gives up.
    """

    needs_descent: ClassVar[bool] = True

    c1: float = 1e-4
    c2: float = 0.9
    max_trials: int = 25

    def __post_init__(self) -> None:
        check_constants(self.c1, self.c2, self.max_trials)

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        return begin(xp, self.c1, self.c2, t, f0, df0, old)

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any:
        s = xp.s
        return s.or_(search.last, s.and_(sufficient(xp, search, f_t), s.or_(search.trials == 0, f_t <= search.f_lo)))

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search:
        """Narrow the bracket to [lo, t]."""
        tried = search._replace(hi=search.t, f_hi=f_t)
        return or_best(xp, proceed(xp, tried, self.max_trials, search.t < 0, parabola(xp, tried)))

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        """Accept by the slope, or move the bracket's best end to the trial.

        The last trial is accepted as it is: its value is low enough, and where the function falls for ever there is no
        better one.
        """
        s = xp.s
        last = s.and_(search.trials + 1 >= self.max_trials, s.isfinite(df_t))
        accepted = s.or_(s.abs(df_t) <= -search.c2 * search.df0, last)
        return xp.cond(accepted, partial(accept, xp), partial(self._go_on, xp), search, f_t, df_t)

    def _go_on(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        s, t = xp.s, search.t
        turned = df_t * (search.hi - search.lo) >= 0
        moved = search._replace(
            lo=t,
            f_lo=f_t,
            df_lo=df_t,
            hi=s.where(turned, search.lo, search.hi),
            f_hi=s.where(turned, search.f_lo, search.f_hi),
        )
        step = t - search.lo
        secant = s.div(df_t * step, search.df_lo - df_t)
        beyond = t + s.where(secant > 0, s.minimum(s.maximum(secant, step), step * 9.0), step * 9.0)
        trial = s.where(s.isfinite(moved.hi), parabola(xp, moved), beyond)
        return or_best(xp, proceed(xp, moved, self.max_trials, t < 0, trial))
