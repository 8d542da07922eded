"""The strong Wolfe search of More and Thuente."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import ConfigurationError, Scalar
from nmdl_bench.optimizers.line_search.base import Search, accept, begin, check_constants, or_best

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Stage(NamedTuple):
    """What the search remembers beside its bracket.

    ``first`` is true in the first stage; ``df_hi`` the slope at ``hi``; ``width, width_before`` lengths of the last two
    brackets; trials lie in ``[t_min, t_max]``, never beyond ``bound``; at ``wall`` the value was not finite (infinite
    while there was none); ``xtol`` is the relative length of a bracket that is not worth narrowing.
    """

    first: Any
    df_hi: Scalar
    width: Scalar
    width_before: Scalar
    t_min: Scalar
    t_max: Scalar
    bound: Scalar
    wall: Scalar
    xtol: Scalar


class Point(NamedTuple):
    """A step length with value and slope there."""

    t: Scalar
    f: Scalar
    df: Scalar


@dataclass(frozen=True)
class MoreThuente:
    """``phi(t) <= phi(0) + c1 t phi'(0)`` and ``|phi'(t)| <= c2 |phi'(0)|`` by safeguarded cubic interpolation.

    More and Thuente (1994), with the constants of MINPACK-2's ``dcsrch`` (Averick, Carter and More 1993). In the first
    stage interpolation is of ``psi(t) = phi(t) - phi(0) - c1 t phi'(0)``, until a trial has ``psi <= 0`` and
    ``phi' >= 0``. ``lo, hi`` are the paper's ``alpha_l, alpha_u``. Where the bracket has shrunk to nothing, or its
    trials have reached its ends, the last trial is ``lo``: it is accepted with the decrease that it has, as is one
    close to where values are not finite.

    Parameters
    ----------
    c1, c2 : float
        Constants of the conditions, 0 < c1 < c2 < 1 (the paper's mu and eta).
    max_trials : int
        Trials after which the search gives up.
    t_max : float
        Longest trial, > 0.
    xtol : float
        Relative length of a bracket at which the search ends, >= 0.
    """

    needs_descent: ClassVar[bool] = True

    c1: float = 1e-4
    c2: float = 0.9
    max_trials: int = 25
    t_max: float = 1e10
    xtol: float = 1e-14

    def __post_init__(self) -> None:
        check_constants(self.c1, self.c2, self.max_trials)
        for name, least in (("t_max", 1e-300), ("xtol", 0.0)):
            if not getattr(self, name) >= least:
                raise ConfigurationError(
                    f"{name} of a line search must be at least {least}, not {getattr(self, name)!r}"
                )

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        s = xp.s
        if old is None:
            bound, xtol = s.const(self.t_max), s.const(self.xtol)
        else:
            bound, xtol = old.memory.bound, old.memory.xtol
        stage = Stage(s.int(0) == 0, df0, bound, 2 * bound, s.const(0.0), 5 * t, bound, s.const(float("inf")), xtol)
        return begin(xp, self.c1, self.c2, s.minimum(t, bound), f0, df0, old, stage)

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any:
        """Whether the value is finite: the slope of every trial is used."""
        return xp.s.isfinite(f_t)

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search:
        """Go back to a tenth, or half the way to the best point where there is one."""
        s, lo = xp.s, search.lo
        share = s.where(lo > 0, s.const(0.5), s.const(0.1))
        walled = search._replace(memory=search.memory._replace(wall=search.t))
        return _end(xp, walled, self.max_trials, lo + share * (search.t - lo), s.int(0) > 0)

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        """Accept, or narrow the bracket and interpolate."""
        s, stage, t = xp.s, search.memory, search.t
        slack = 4 * xp.eps * s.abs(search.f0)  # values are no more exact
        slope = search.c1 * search.df0
        decreased = f_t <= search.f0 + t * slope + slack
        flat = s.abs(df_t) <= -search.c2 * search.df0
        at_end = s.or_(t <= stage.t_min, t >= stage.t_max, stage.t_max - stage.t_min <= stage.xtol * stage.t_max)
        at_bound = s.and_(decreased, df_t <= slope, s.or_(t >= stage.bound, stage.wall - t <= 0.1 * t))
        over = s.or_(s.and_(s.isfinite(search.hi), at_end), at_bound, s.not_(s.isfinite(df_t)))
        accepted = s.or_(s.and_(decreased, s.or_(flat, over), t > 0), search.last)

        def go_on(search: Search, f_t: Scalar, df_t: Scalar) -> Search:
            narrowed, trial = _narrow(xp, search, Point(search.t, f_t, df_t))
            return _end(xp, narrowed, self.max_trials, trial, over)

        return xp.cond(accepted, partial(accept, xp), go_on, search, f_t, df_t)


def _end(xp: Backend, search: Search, max_trials: int, t: Scalar, over: Any) -> Search:
    """``t`` is next, unless trials are used up or the search is ``over``: then the best point, or nothing."""
    s, trials = xp.s, search.trials + 1
    failed = s.or_(over, trials >= max_trials, s.not_(t > 0), s.not_(s.isfinite(t)))
    return or_best(xp, search._replace(t=t, trials=trials, failed=failed))


def _narrow(xp: Backend, search: Search, p: Point) -> tuple[Search, Scalar]:
    """The search with its bracket updated by the trial ``p``, and the next trial."""
    s, stage = xp.s, search.memory
    slope = search.c1 * search.df0
    above = p.f > search.f0 + p.t * slope
    first = s.and_(stage.first, s.or_(above, p.df < 0))
    # the auxiliary function, where the trial is better than the best but not low enough
    tilt = s.where(s.and_(first, p.f <= search.f_lo, above), slope, s.const(0.0))
    x, y = Point(search.lo, search.f_lo, search.df_lo), Point(search.hi, search.f_hi, stage.df_hi)
    x, y, q = (Point(e.t, e.f - e.t * tilt, e.df - tilt) for e in (x, y, p))
    t = _trial(xp, x, y, q, stage.t_min, stage.t_max)
    rose, turned = q.f > x.f, q.df * x.df < 0
    best = Point(*(s.where(rose, a, b) for a, b in zip(x, q)))
    other = Point(*(s.where(rose, b, s.where(turned, a, c)) for a, b, c in zip(x, q, y)))

    bracketed, width = s.isfinite(other.t), s.abs(other.t - best.t)
    slow = s.and_(bracketed, width >= 0.66 * stage.width_before)
    t = s.where(slow, best.t + 0.5 * (other.t - best.t), t)
    t_min = s.where(bracketed, s.minimum(best.t, other.t), t + 1.1 * (t - best.t))
    t_max = s.where(bracketed, s.maximum(best.t, other.t), t + 4.0 * (t - best.t))
    t = s.minimum(s.maximum(t, s.const(0.0)), s.minimum(stage.bound, 0.5 * (best.t + stage.wall)))
    spent = s.and_(bracketed, s.or_(t <= t_min, t >= t_max, t_max - t_min <= stage.xtol * t_max))
    stage = Stage(
        first,
        other.df + tilt,
        s.where(bracketed, width, stage.width),
        s.where(bracketed, stage.width, stage.width_before),
        t_min,
        t_max,
        stage.bound,
        stage.wall,
        stage.xtol,
    )
    narrowed = search._replace(
        lo=best.t,
        f_lo=best.f + best.t * tilt,
        df_lo=best.df + tilt,
        hi=other.t,
        f_hi=s.where(bracketed, other.f + other.t * tilt, other.f),
        memory=stage,
    )
    return narrowed, s.where(spent, best.t, t)


def _trial(xp: Backend, x: Point, y: Point, p: Point, t_min: Scalar, t_max: Scalar) -> Scalar:
    """The next trial from the best end ``x``, the other end ``y`` and the trial ``p``; section 4's four cases."""
    s = xp.s
    bracketed = s.isfinite(y.t)
    rose, turned, slower = p.f > x.f, p.df * x.df < 0, s.abs(p.df) < s.abs(x.df)
    near = s.or_(rose, turned, slower)
    # minimiser c of the cubic through a and b, from a
    a = Point(*(s.where(rose, u, v) for u, v in zip(x, p)))
    b = Point(*(s.where(rose, v, s.where(near, u, w)) for u, v, w in zip(x, p, y)))
    theta = 3 * s.div(a.f - b.f, b.t - a.t) + a.df + b.df
    scale = s.maximum(s.maximum(s.abs(theta), s.abs(a.df)), s.abs(b.df))
    theta_s, root = s.div(theta, scale), s.div(a.df, scale) * s.div(b.df, scale)
    gamma = scale * s.sqrt(s.maximum(theta_s * theta_s - root, s.const(0.0)))
    gamma = s.where(b.t < a.t, -gamma, gamma)
    r = s.div(gamma - a.df + theta, gamma - a.df + gamma + b.df)
    c = a.t + r * (b.t - a.t)
    # of the parabola through x.f, x.df, p.f, and of the one through x.df, p.df
    step = p.t - x.t
    q_values = x.t + 0.5 * s.div(x.df, s.div(x.f - p.f, step) + x.df) * step
    q_slopes = p.t + s.div(p.df, p.df - x.df) * (x.t - p.t)

    far_end = s.where(p.t > x.t, t_max, t_min)
    case1 = s.where(s.abs(c - x.t) < s.abs(q_values - x.t), c, c + 0.5 * (q_values - c))
    case2 = s.where(s.abs(c - p.t) > s.abs(q_slopes - p.t), c, q_slopes)
    c3 = s.where(s.and_(r < 0, s.not_(gamma == 0)), c, far_end)  # else the cubic has no minimum beyond p
    closer = s.abs(c3 - p.t) < s.abs(q_slopes - p.t)
    inner, limit = s.where(closer, c3, q_slopes), p.t + 0.66 * (y.t - p.t)
    inner = s.where(p.t > x.t, s.minimum(limit, inner), s.maximum(limit, inner))
    outer = s.where(s.abs(c3 - p.t) > s.abs(q_slopes - p.t), c3, q_slopes)
    case3 = s.where(bracketed, inner, s.maximum(s.minimum(outer, t_max), t_min))
    case4 = s.where(bracketed, c, far_end)
    return s.where(rose, case1, s.where(turned, case2, s.where(slower, case3, case4)))
