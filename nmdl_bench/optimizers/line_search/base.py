"""Where a search stands, and what all searches share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import ConfigurationError, Scalar

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Search(NamedTuple):
    """Where a search stands.

    ``t`` is the trial; ``f0, df0`` value and slope at 0; ``lo`` the best end of the bracket with ``f_lo, df_lo``;
    ``hi`` its other end (infinite while there is none) with ``f_hi``; ``trials`` so far; ``accepted`` and ``failed``
    how the last trial ended; ``last`` is true where the trial is ``lo`` once more, to be accepted; ``c1, c2`` the
    constants of the Wolfe conditions; ``memory`` what a search needs besides.
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
    last: Any
    c1: Scalar
    c2: Scalar
    memory: Any = ()


def check_constants(c1: float, c2: float | None, max_trials: int) -> None:
    """Refuse constants that no search can work with; ``c2`` is None where a search looks at no slope."""
    if c2 is None:
        if not 0 < c1 < 1:
            raise ConfigurationError(f"a line search for a decrease needs 0 < c1 < 1, not c1 = {c1!r}")
    elif not 0 < c1 < c2 < 1:
        raise ConfigurationError(
            f"a line search for the Wolfe conditions needs 0 < c1 < c2 < 1, not c1 = {c1!r}, c2 = {c2!r}"
        )
    if max_trials < 1:
        raise ConfigurationError(f"max_trials must be at least 1, not {max_trials!r}")


def begin(
    xp: Backend, c1: float, c2: float, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None, memory: Any = ()
) -> Search:
    """A new search with first trial ``t``; the constants are kept from ``old``, so that they stay data, not text."""
    s, zero = xp.s, xp.s.const(0.0)
    c1, c2 = (s.const(c1), s.const(c2)) if old is None else (old.c1, old.c2)
    infinity = s.const(float("inf"))
    no = s.int(0) > 0
    return Search(t, f0, df0, zero, f0, df0, infinity, infinity, s.int(0), no, no, no, c1, c2, memory)


def sufficient(xp: Backend, search: Search, f_t: Scalar, reference: Scalar | None = None) -> Any:
    """Armijo's condition, with the slack of a few rounding errors of ``f0`` that Hager and Zhang (2005) grant.

    The decrease is one from ``reference``, or from ``f0`` where there is none.
    """
    slack = 4 * xp.eps * xp.s.abs(search.f0)
    return f_t <= (search.f0 if reference is None else reference) + search.c1 * search.t * search.df0 + slack


def proceed(xp: Backend, search: Search, max_trials: int, accepted: Any, t: Scalar) -> Search:
    """Keep an accepted trial; else try ``t``, or give up where trials or the bracket are used up."""
    s, trials = xp.s, search.trials + 1
    used_up = s.or_(trials >= max_trials, s.not_(s.abs(t - search.lo) > 0), s.not_(s.isfinite(t)))
    failed = s.and_(s.not_(accepted), used_up)
    return search._replace(t=s.where(accepted, search.t, t), trials=trials, accepted=accepted, failed=failed)


def or_best(xp: Backend, search: Search) -> Search:
    """A search that gives up takes its best point ``lo`` where that has a decrease that is no rounding error.

    ``lo`` is the next trial then, one beyond those allowed, and the last one.
    """
    s, decrease = xp.s, search.f0 - search.f_lo
    enough = s.and_(decrease >= -search.c1 * search.lo * search.df0, decrease > 4 * xp.eps * s.abs(search.f0))
    last = s.and_(search.failed, search.lo > 0, enough, s.isfinite(search.df_lo))
    t = s.where(last, search.lo, search.t)
    return search._replace(t=t, last=last, failed=s.and_(search.failed, s.not_(last)))


def accept(xp: Backend, search: Search, *trial: Scalar) -> Search:
    """The search ended by its last trial; for ``xp.cond``, since what accepts needs no next trial."""
    return search._replace(accepted=xp.s.int(0) == 0, trials=search.trials + 1)


def parabola(xp: Backend, search: Search) -> Scalar:
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
