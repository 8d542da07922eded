"""The one step of projected methods for bounds: a trial on the projected arc, its acceptance, and the next direction.

With ``P`` the projection onto the bounds, the arc ``x(t) = P(x + t d)`` is followed back from the first trial until::

    f(x(t)) <= f_ref + c1 g.(x(t) - x)

(Bertsekas 1976, 1982). ``f_ref`` is ``f(x)``, or for non-monotone searches the largest of the last values (Grippo,
Lampariello and Lucidi 1986).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from nmdl_bench.backends.stationarity import measure, prox
from nmdl_bench.contracts import Array, ConfigurationError, Counts, Objective, Scalar
from nmdl_bench.optimizers.descent import Direction, Step, safe_scale


class ArcState(NamedTuple):
    """Iterate ``x`` with value ``f`` and gradient ``g``; direction ``d`` and trial ``t`` on its arc.

    ``last`` (values,) are the values at the last iterates, in ring order; ``fresh`` is true while ``d`` is what the
    direction's memory starts from. See :class:`nmdl_bench.contracts.Optimizer` for the others.
    """

    x: Array
    f: Scalar
    g: Array
    g_norm: Scalar
    d: Array
    t: Scalar
    c1: Scalar
    last: Array
    trials: Any
    memory: Any
    fresh: Any
    k: Any
    counts: Counts
    stalled: Any


@dataclass(frozen=True)
class Arc:
    """The search along the arc.

    Parameters
    ----------
    c1 : float
        Share of the predicted decrease that is asked for, in (0, 1).
    values : int
        How many of the last values a trial is compared with; 1 for a monotone search.
    max_trials : int
        Trials a search.
    """

    c1: float = 1e-4
    values: int = 1
    max_trials: int = 40

    def __post_init__(self) -> None:
        if not 0 < self.c1 < 1:
            raise ConfigurationError(f"c1 must lie in (0, 1), not {self.c1!r}")
        for name in ("values", "max_trials"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {getattr(self, name)!r}")


def first_move(objective: Objective, x: Array, g: Array) -> Scalar:
    """A trial along ``-g`` that moves by a length of at most one: ``min(1, 1 / |x - P(x - g)|)``."""
    xp, s = objective.xp, objective.xp.s
    move = x - prox(objective, x - g, s.const(1.0))
    c = safe_scale(xp, move)
    move = xp.scale(c, move)
    return s.minimum(s.const(1.0), c * s.div(s.const(1.0), s.sqrt(xp.dot(move, move))))


def arc_init(objective: Objective, x: Array, arc: Arc, direction: Direction) -> ArcState:
    """State at the projection of ``x``, about to try projected steepest descent."""
    xp, s = objective.xp, objective.xp.s
    x = xp.copy(prox(objective, x, s.const(0.0)))
    f, tape = objective.forward(x)
    g = objective.grad(tape)
    no, zero, c1, last = s.int(0) > 0, s.int(0), s.const(arc.c1), xp.zeros((arc.values,)) + f
    counts, t, memory = Counts.start(xp, forward=1, gradient=1), first_move(objective, x, g), direction.init(xp, x)
    return ArcState(x, f, g, measure(objective, x, g), -g, t, c1, last, zero, memory, s.not_(no), zero, counts, no)


def arc_step(objective: Objective, state: ArcState, arc: Arc, direction: Direction) -> ArcState:
    """One trial: accepted with a new direction, or rejected with a shorter ``t``.

    Where rounding errors may hide how values differ, slopes decide: ``g(x_t).(x_t - x) <= (2 c1 - 1) g.(x_t - x)``,
    which is the same for quadratics (Hager and Zhang 2005, eq. 4.1).

    A search that gives up starts again along ``-g``; where it came from there, the state is stalled.
    """
    xp, s = objective.xp, objective.xp.s
    x_t = prox(objective, xp.add_scaled(state.x, state.t, state.d), s.const(0.0))
    f_t, tape = objective.forward(x_t)
    state = state._replace(counts=state.counts._replace(forward=state.counts.forward + 1))
    move = x_t - state.x
    slope, slack = xp.dot(state.g, move), xp.eps ** (2 / 3) * s.abs(state.f)
    over = state.last - state.f  # the current value is among the last ones: the largest difference is not negative
    f_ref = state.f + xp.norm_inf(xp.where(over > 0, over, xp.zeros(over.shape)))

    bound = f_ref + state.c1 * slope

    def low(state: ArcState, x_t: Array) -> ArcState:
        g_t = objective.grad(tape)
        state = state._replace(counts=state.counts._replace(gradient=state.counts.gradient + 1))
        is_low = s.or_(f_t <= bound, xp.dot(g_t, move) <= (2.0 * state.c1 - 1.0) * slope)
        return xp.cond(is_low, accept, lambda state, *_: reject(state), state, x_t, g_t)

    def accept(state: ArcState, x_t: Array, g_t: Array) -> ArcState:
        step = Step(state.x, x_t, state.g, g_t, f_t, state.t, tape, state.counts)
        memory, d, t, counts = direction.update(objective, state.memory, step)
        k, e = state.k + 1, xp.one_hot(s.mod(state.k + 1, arc.values), arc.values)
        return ArcState(
            x_t, f_t, g_t, measure(objective, x_t, g_t), d, t, state.c1, state.last * (1 - e) + e * f_t, s.int(0),
            memory, s.int(0) > 0, k, counts, state.stalled,
        )  # fmt: skip

    def reject(state: ArcState) -> ArcState:
        share = s.div(-0.5 * slope, f_t - state.f - slope)  # the parabola's minimiser
        share = s.where(s.isfinite(share), s.minimum(s.maximum(share, s.const(0.1)), s.const(0.5)), s.const(0.1))
        return state._replace(t=state.t * share, trials=state.trials + 1)

    def restart(state: ArcState) -> ArcState:
        memory, t = direction.reset(xp, state.memory, state.x), first_move(objective, state.x, state.g)
        last = xp.zeros(state.last.shape) + state.f
        return state._replace(d=-state.g, t=t, last=last, trials=s.int(0), memory=memory, fresh=s.int(0) == 0)

    may_be_low = s.and_(slope < 0, f_t <= bound + slack)
    used_up = s.or_(state.trials + 1 >= arc.max_trials, s.not_(xp.dot(move, move) > 0), s.not_(s.isfinite(state.t)))
    k, fresh = state.k + 0, state.fresh
    state = xp.cond(may_be_low, low, lambda state, _: reject(state), state, x_t)
    failed = s.and_(state.k == k, used_up)
    state = state._replace(stalled=s.and_(failed, fresh))
    return xp.cond(s.and_(failed, s.not_(fresh)), restart, lambda state: state, state)
