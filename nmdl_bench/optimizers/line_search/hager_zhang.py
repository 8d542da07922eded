"""The search of Hager and Zhang, which goes by slopes where values differ by rounding errors only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import ConfigurationError, Scalar
from nmdl_bench.optimizers.line_search.base import Search, accept, begin, check_constants, or_best, proceed

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

# the constants of Hager and Zhang (2006), section 5, by their names there
EPSILON, OMEGA, DELTA, RHO, GAMMA, THETA = 1e-6, 1e-3, 0.7, 5.0, 0.66, 0.5
BRACKETING, FIRST, SECOND, MIDDLE = 0.0, 1.0, 2.0, 3.0
"""What the trial is for: a bracket, the two secant steps, a bisection."""


class Interval(NamedTuple):
    """What the search remembers beside its bracket ``[lo, hi]``, the paper's ``[a, b]``.

    ``df_hi`` slope at ``hi``; ``task`` what the trial is for; ``halving`` true while U3 bisects ``[lo, far]``, where
    the value at ``far`` is too high and its slope negative. The bracket with its slopes at the beginning of the double
    secant step is ``[a, b]``, ``df_a, df_b``. ``C, Q`` are the mean of past ``|f|`` and its weight, ``approximate`` is
    true once the approximate Wolfe conditions count.
    """

    df_hi: Scalar
    task: Scalar
    halving: Any
    far: Scalar
    a: Scalar
    df_a: Scalar
    b: Scalar
    df_b: Scalar
    C: Scalar
    Q: Scalar
    approximate: Any


@dataclass(frozen=True)
class HagerZhang:
    """Wolfe's conditions or, near a minimum, the approximate ones, by the double secant step (Hager and Zhang 2005).

    A trial is accepted (their T1 and T2) with::

        phi(t) <= phi(0) + c1 t phi'(0)    and    phi'(t) >= c2 phi'(0),    or
        phi(t) <= phi(0) + eps_k           and    (2 c1 - 1) phi'(0) >= phi'(t) >= c2 phi'(0)

    where ``eps_k = 1e-6 C_k`` and ``C_k`` is a mean of the ``|f(x_i)|`` so far. The second counts once
    ``|f(x_{k+1}) - f(x_k)| <= 1e-3 C_k``. In exact arithmetic it is the first for a quadratic; values do not cancel
    in it, hence it sees a minimum to round-off where the first sees its square root. A bracket has ``phi'(lo) < 0``,
    ``phi(lo) <= phi(0) + eps_k`` and ``phi'(hi) >= 0``. In bracketing, U3 starts from the best point and not from 0.

    Parameters
    ----------
    c1, c2 : float
        Constants of the conditions, 0 < c1 < c2 < 1, c1 < 1/2 (the paper's delta and sigma).
    max_trials : int
        Trials after which the search gives up.
    """

    needs_descent: ClassVar[bool] = True

    c1: float = 0.1
    c2: float = 0.9
    max_trials: int = 50

    def __post_init__(self) -> None:
        check_constants(self.c1, self.c2, self.max_trials)
        if self.c1 >= 0.5:
            raise ConfigurationError(f"the search of Hager and Zhang needs c1 < 1/2, not {self.c1!r}")

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        s, size, zero, no = xp.s, xp.s.abs(f0), xp.s.const(0.0), xp.s.int(0) > 0
        if old is None:
            C, Q, approximate = size, s.const(1.0), no
        else:
            past, moved = old.memory, old.accepted  # else a search starts again from the same point
            Q = s.where(moved, 1.0 + DELTA * past.Q, past.Q)
            C = s.where(moved, past.C + s.div(size - past.C, Q), past.C)
            small = s.abs(f0 - old.f0) <= OMEGA * C
            approximate = s.or_(past.approximate, s.and_(moved, small))
        interval = Interval(zero, s.const(BRACKETING), no, zero, zero, zero, zero, zero, C, Q, approximate)
        return begin(xp, self.c1, self.c2, t, f0, df0, old, interval)

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any:
        """Whether the value is finite: the slope of every trial is used."""
        return xp.s.isfinite(f_t)

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search:
        """Bisect below where values are not finite; the first time, a tenth of the way."""
        s, lo, memory = xp.s, search.lo, search.memory
        share = s.where(memory.halving, s.const(THETA), s.const(0.1))
        walled = memory._replace(halving=s.int(0) == 0, far=search.t)
        tried = search._replace(memory=walled)
        return or_best(xp, proceed(xp, tried, self.max_trials, search.t < 0, lo + share * (search.t - lo)))

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        """Accept, or update the bracket and choose the next trial."""
        s, t, f0, df0, memory = xp.s, search.t, search.f0, search.df0, search.memory
        c1, c2 = search.c1, search.c2
        below = f_t <= f0 + EPSILON * memory.C
        steep = df_t < c2 * df0
        wolfe = f_t <= f0 + c1 * t * df0
        approximate = s.and_(memory.approximate, below, df_t <= (2 * c1 - 1) * df0)
        accepted = s.and_(s.or_(wolfe, approximate), s.not_(steep), t > 0, s.isfinite(df_t))
        accepted = s.or_(accepted, search.last)

        def go_on(search: Search, f_t: Scalar, df_t: Scalar) -> Search:
            updated = _update(xp, search, f_t, df_t)
            tried, trial = _next_trial(xp, search, updated)
            return or_best(xp, proceed(xp, tried, self.max_trials, t < 0, trial))

        return xp.cond(accepted, partial(accept, xp), go_on, search, f_t, df_t)


def _update(xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
    """Steps U1 to U3: the trial is the new ``hi``, the new ``lo``, or what U3 bisects towards."""
    s, t, memory = xp.s, search.t, search.memory
    up = df_t >= 0
    below = f_t <= search.f0 + EPSILON * memory.C
    advance = s.and_(s.not_(up), below)
    retreat = s.not_(s.or_(up, below))
    halving = s.and_(s.not_(up), s.or_(memory.halving, retreat))
    memory = memory._replace(
        df_hi=s.where(up, df_t, memory.df_hi), halving=halving, far=s.where(retreat, t, memory.far)
    )
    return search._replace(
        lo=s.where(advance, t, search.lo),
        f_lo=s.where(advance, f_t, search.f_lo),
        df_lo=s.where(advance, df_t, search.df_lo),
        hi=s.where(up, t, search.hi),
        f_hi=s.where(up, f_t, search.f_hi),
        memory=memory,
    )


def _secant(xp: Backend, a: Scalar, df_a: Scalar, b: Scalar, df_b: Scalar) -> Scalar:
    """Where the line through the slopes at a and b is zero."""
    return xp.s.div(a * df_b - b * df_a, df_b - df_a)


def _next_trial(xp: Backend, before: Search, after: Search) -> tuple[Search, Scalar]:
    """Steps B3, U3, S2 to S4, L2 and S1, the first of them that applies, and the trial that it asks for."""
    s, memory, c = xp.s, after.memory, before.t
    lo, df_lo, hi, df_hi = after.lo, after.df_lo, after.hi, memory.df_hi
    task, width = memory.task, memory.b - memory.a

    def inside(t: Scalar) -> Any:
        return s.and_(t > lo, t < hi)

    expand = s.not_(s.or_(s.isfinite(hi), memory.halving))
    first = s.and_(task == FIRST, s.not_(before.memory.halving))
    # S2, S3: a second secant from the old and the new place of the end that the first one has moved
    moved_hi = c == hi
    second = s.where(
        moved_hi, _secant(xp, memory.b, memory.df_b, hi, df_hi), _secant(xp, memory.a, memory.df_a, lo, df_lo)
    )
    do_second = s.and_(first, inside(second))
    # L2: the secant steps have not shortened the bracket enough
    in_secants = s.or_(task == FIRST, task == SECOND)
    middle = 0.5 * (lo + hi)
    do_middle = s.and_(in_secants, hi - lo > GAMMA * width)
    secant = _secant(xp, lo, df_lo, hi, df_hi)
    do_first = inside(secant)

    trial, task_then = s.where(do_first, secant, middle), s.where(do_first, s.const(FIRST), s.const(MIDDLE))
    anew = s.not_(s.or_(expand, memory.halving, do_second, do_middle))  # a new double secant step, or its L2
    trial, task_then = s.where(do_middle, middle, trial), s.where(do_middle, s.const(MIDDLE), task_then)
    trial, task_then = s.where(do_second, second, trial), s.where(do_second, s.const(SECOND), task_then)
    trial = s.where(memory.halving, lo + THETA * (memory.far - lo), trial)
    trial = s.where(expand, RHO * c, trial)
    stay = s.or_(memory.halving, expand)
    memory = memory._replace(
        task=s.where(stay, task, task_then),
        a=s.where(anew, lo, memory.a),
        df_a=s.where(anew, df_lo, memory.df_a),
        b=s.where(anew, hi, memory.b),
        df_b=s.where(anew, df_hi, memory.df_b),
    )
    return after._replace(memory=memory), trial
