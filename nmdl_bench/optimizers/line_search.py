"""Line searches as state machines: one trial step length an update, so that one compiled step serves every search.

Along ``phi(t) = f(x + t d)`` with ``phi'(0) = g.d < 0``. A search sees the value of a trial first. Where that is low
enough (``is_low``), the slope is computed and ``low`` accepts the trial or asks for another; else ``high`` asks for
another, and the trial has cost one forward. A search gives up (``failed``) when its trials or its bracket are used
up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import ConfigurationError, Scalar

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Search(NamedTuple):
    """Where a search stands.

    ``t`` is the trial; ``f0, df0`` value and slope at 0; ``lo`` the best end of the bracket with ``f_lo, df_lo``;
    ``hi`` its other end (infinite while there is none) with ``f_hi``; ``trials`` so far; ``accepted`` and ``failed``
    how the last trial ended; ``c1, c2`` the constants of the Wolfe conditions; ``memory`` what a search needs besides.
    """

    t: Scalar
    f0: Scalar
    df0: Scalar
    lo: Scalar
    f_lo: Scalar
    df_lo: Scalar
    hi: Scalar
    f_hi: Scalar
    trials: Any
    accepted: Any
    failed: Any
    c1: Scalar
    c2: Scalar
    memory: Any = ()


def _parabola(xp: Backend, search: Search) -> Scalar:
    """Minimiser of the parabola through ``f_lo, df_lo, f_hi``, kept 10 % of the bracket away from its ends.

    Nocedal and Wright 2006, section 3.5. Where ``f_hi`` is not finite, a tenth of the bracket.
    """
    s, (lo, f_lo, df_lo, hi, f_hi) = xp.s, (search.lo, search.f_lo, search.df_lo, search.hi, search.f_hi)
    width = hi - lo
    curvature = f_hi - f_lo - df_lo * width
    inner = s.div(-df_lo * width, curvature + curvature)  # as a share of the bracket
    usable = s.and_(s.isfinite(inner), curvature > 0)
    share = s.where(usable, s.minimum(s.maximum(inner, s.const(0.1)), s.const(0.9)), s.const(0.1))
    return lo + share * width


@dataclass(frozen=True)
class Armijo:
    """Backtracking until ``phi(t) <= phi(0) + c1 t phi'(0)`` (Armijo 1966).

    The next trial minimises the parabola through ``phi(0), phi'(0), phi(t)``, between 0.1 t and 0.9 t.

    Parameters
    ----------
    c1 : float
        Share of the predicted decrease that is asked for, in (0, 1).
    max_trials : int
        Trials after which the search gives up.
    """

    c1: float = 1e-4
    max_trials: int = 40

    def __post_init__(self) -> None:
        _check_constants(self.c1, 1.0, self.max_trials)

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        return _start(xp, self.c1, 0.0, t, f0, df0, old)

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any:
        return _sufficient(xp, search, f_t)

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        """Accept: the value is all that Armijo's rule asks for."""
        return _next(xp, search, self.max_trials, search.t > 0, search.t)

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search:
        """Shorten the step."""
        tried = search._replace(hi=search.t, f_hi=f_t)
        return _next(xp, tried, self.max_trials, search.t < 0, _parabola(xp, tried))


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

    c1: float = 1e-4
    c2: float = 0.9
    max_trials: int = 25

    def __post_init__(self) -> None:
        _check_constants(self.c1, self.c2, self.max_trials)

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        return _start(xp, self.c1, self.c2, t, f0, df0, old)

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any:
        s = xp.s
        return s.and_(_sufficient(xp, search, f_t), s.or_(search.trials == 0, f_t <= search.f_lo))

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search:
        """Narrow the bracket to [lo, t]."""
        tried = search._replace(hi=search.t, f_hi=f_t)
        return _next(xp, tried, self.max_trials, search.t < 0, _parabola(xp, tried))

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        """Accept by the slope, or move the bracket's best end to the trial."""
        s, t = xp.s, search.t
        accepted = s.abs(df_t) <= -search.c2 * search.df0
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
        trial = s.where(s.isfinite(moved.hi), _parabola(xp, moved), beyond)
        return _next(xp, moved, self.max_trials, accepted, trial)


def _check_constants(c1: float, c2: float, max_trials: int) -> None:
    if not 0 < c1 < c2 <= 1:
        raise ConfigurationError(f"a line search needs 0 < c1 < c2 <= 1, not c1 = {c1!r}, c2 = {c2!r}")
    if max_trials < 1:
        raise ConfigurationError(f"max_trials must be at least 1, not {max_trials!r}")


def _start(xp: Backend, c1: float, c2: float, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None) -> Search:
    """A new search with first trial ``t``; the constants are kept from ``old``, so that they stay data, not text."""
    s, zero = xp.s, xp.s.const(0.0)
    c1, c2 = (s.const(c1), s.const(c2)) if old is None else (old.c1, old.c2)
    infinity = s.const(float("inf"))
    no = s.int(0) > 0
    return Search(t, f0, df0, zero, f0, df0, infinity, infinity, s.int(0), no, no, c1, c2)


def _sufficient(xp: Backend, search: Search, f_t: Scalar) -> Any:
    """Armijo's condition, with the slack of a few rounding errors of ``f0`` that Hager and Zhang (2005) grant."""
    slack = 4 * xp.eps * xp.s.abs(search.f0)
    return f_t <= search.f0 + search.c1 * search.t * search.df0 + slack


def _next(xp: Backend, search: Search, max_trials: int, accepted: Any, t: Scalar) -> Search:
    """Keep an accepted trial; else try ``t``, or give up where trials or the bracket are used up."""
    s, trials = xp.s, search.trials + 1
    used_up = s.or_(trials >= max_trials, s.not_(s.abs(t - search.lo) > 0), s.not_(s.isfinite(t)))
    failed = s.and_(s.not_(accepted), used_up)
    return search._replace(t=s.where(accepted, search.t, t), trials=trials, accepted=accepted, failed=failed)
