"""The one step of all trust-region methods: a trial, the ratio of actual to predicted decrease, the next trial.

A model is solved within a radius at each new point; where the trial fails, it is solved again within a smaller one from
what its memory holds, so that a rejected trial costs one forward and nothing else. The tape of a point is used up when
its model is solved: a state that kept it would hold ``x`` and the data twice, and could not be donated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nmdl_bench.backends.compiled import call
from nmdl_bench.contracts import Array, ConfigurationError, Counts, Objective, Scalar, Tape

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


NOISE = 100
"""Rounding errors that a value is taken to have: the terms of a loss may be many times their sum."""


class Region(NamedTuple):
    """The radius, and the numbers that rule it.

    ``limit`` is the largest radius, ``accept`` the ratio above which a trial is accepted, ``growth`` how many times the
    length of a good step the next radius is at least (or what a damping rule keeps).
    """

    radius: Scalar
    limit: Scalar
    accept: Scalar
    growth: Scalar

    @classmethod
    def start(cls, xp: Backend, radius: float, limit: float, accept: float, growth: float = 2.0) -> Region:
        """The numbers as data."""
        return cls(*map(xp.s.const, (radius, limit, accept, growth)))


def check_region(radius: float, limit: float, accept: float) -> None:
    """Raise a ConfigurationError where a radius is not positive or ``accept`` no ratio."""
    if not 0 < radius <= limit:
        raise ConfigurationError(f"a trust region needs 0 < radius <= max_radius, not {radius!r} and {limit!r}")
    if not 0 <= accept < 0.25:
        raise ConfigurationError(f"accept must lie in [0, 0.25), not {accept!r}")


class Plan(NamedTuple):
    """A step ``p`` with its ``length`` in the model's norm and the decrease that the model predicts.

    ``region`` is that of the step: a model may choose the first radius. ``counts`` have what the step has cost.
    """

    memory: Any
    p: Array
    predicted: Scalar
    length: Scalar
    region: Region
    counts: Counts


class Outcome(NamedTuple):
    """A trial: ``ratio`` (NaN where the value is no number), ``actual`` decrease, ``slope = g.p``, ``length`` of p."""

    ratio: Scalar
    actual: Scalar
    slope: Scalar
    length: Scalar


class Model(Protocol):
    """What approximates the objective around a point. It is hashable, and holds no reals: these are in its memory."""

    def solve(
        self,
        objective: Objective,
        memory: Any,
        x: Array,
        f: Scalar,
        g: Array,
        tape: Tape,
        region: Region,
        counts: Counts,
    ) -> Plan:
        """The step within the region around a new point ``x``; donates the memory, and nothing else."""

    def again(self, xp: Backend, memory: Any, g: Array, region: Region, counts: Counts) -> Plan:
        """The step from the same point within a smaller region; donates the memory."""

    def resize(self, xp: Backend, region: Region, outcome: Outcome) -> Region:
        """The region after a trial; smaller than its step where that was not accepted."""


class TrustState(NamedTuple):
    """Iterate ``x`` with value ``f`` and gradient ``g``; the step ``p`` to be tried next, with what its model predicts.

    ``length`` is the model's of ``p``; see :class:`nmdl_bench.contracts.Optimizer` for the other fields.
    """

    x: Array
    f: Scalar
    g: Array
    g_norm: Scalar
    p: Array
    predicted: Scalar
    length: Scalar
    region: Region
    memory: Any
    k: Any
    counts: Counts
    stalled: Any


def resize(xp: Backend, region: Region, outcome: Outcome) -> Region:
    """The radius after a trial (Conn, Gould and Toint 2000, section 17.1; Nocedal and Wright 2006, algorithm 4.1).

    With a ratio below 1/4 it is the step's length times a half to a tenth: the minimiser ``slope / (2 (slope +
    actual))`` of the parabola along the step, where the value did not fall (More 1978, section 6). With a ratio of at
    least 3/4 it is at least ``growth`` steps.
    """
    s, (radius, limit, _, growth) = xp.s, region
    half, tenth = s.const(0.5), s.const(0.1)
    inner = s.where(outcome.actual >= 0, half, 0.5 * s.div(outcome.slope, outcome.slope + outcome.actual))
    factor = s.where(s.isfinite(inner), s.minimum(s.maximum(inner, tenth), half), tenth)
    shorter = factor * s.minimum(radius, outcome.length)
    longer = s.minimum(s.maximum(radius, growth * outcome.length), limit)
    radius = s.where(outcome.ratio >= 0.25, s.where(outcome.ratio >= 0.75, longer, radius), shorter)
    return region._replace(radius=radius)


def trust_region_init(objective: Objective, x: Array, model: Model, memory: Any, region: Region) -> TrustState:
    """State at ``x`` (copied), about to try the first step of the model."""
    xp, s = objective.xp, objective.xp.s
    x = xp.copy(x)
    f, tape = objective.forward(x)
    g = objective.grad(tape)
    counts = Counts.start(xp, forward=1, gradient=1)
    plan = call(objective, ("first", model), model.solve, memory, x, f, g, tape, region, counts)
    no = s.int(0) > 0
    step = (plan.p, plan.predicted, plan.length, plan.region, plan.memory)
    return TrustState(x, f, g, xp.norm_inf(g), *step, s.int(0), plan.counts, no)


def trust_region_step(objective: Objective, state: TrustState, model: Model) -> TrustState:
    """One trial ``x + p``: accepted with a new step from its tape, or rejected with a shorter step.

    The ratio is that of Conn, Gould and Toint (2000, section 17.4.2): both decreases plus some rounding errors of the
    value, so that it tends to one where both drown in them. The state is stalled where the model predicts no decrease,
    or the step is below the resolution of every component of ``x``.
    """
    xp, s = objective.xp, objective.xp.s
    x_t = xp.add_scaled(state.x, s.const(1.0), state.p)
    f_t, tape = objective.forward(x_t)
    counts = state.counts._replace(forward=state.counts.forward + 1)
    noise, actual = NOISE * xp.eps * s.abs(state.f), state.f - f_t
    ratio = s.div(actual + noise, state.predicted + noise)
    outcome = Outcome(ratio, actual, xp.dot(state.g, state.p), state.length)
    accepted = s.and_(ratio > state.region.accept, s.isfinite(f_t))
    state = state._replace(region=model.resize(xp, state.region, outcome), counts=counts)

    def accept(state: TrustState, x_t: Array, f_t: Scalar) -> TrustState:
        g = objective.grad(tape)
        counts = state.counts._replace(gradient=state.counts.gradient + 1)
        plan = model.solve(objective, state.memory, x_t, f_t, g, tape, state.region, counts)
        return _planned(xp, TrustState(x_t, f_t, g, xp.norm_inf(g), *state[4:]), plan)._replace(k=state.k + 1)

    def reject(state: TrustState, x_t: Array, f_t: Scalar) -> TrustState:
        plan = model.again(xp, state.memory, state.g, state.region, state.counts)
        return _planned(xp, state, plan)

    return xp.cond(accepted, accept, reject, state, x_t, f_t)


def _planned(xp: Backend, state: TrustState, plan: Plan) -> TrustState:
    """The state with the planned step; stalled where that is none."""
    s, beyond = xp.s, xp.abs(plan.p) - 0.5 * xp.eps * xp.abs(state.x)
    moves = s.and_(plan.predicted > 0, xp.norm_inf(xp.where(beyond > 0, beyond, xp.zeros(beyond.shape))) > 0)
    return state._replace(
        p=plan.p,
        predicted=plan.predicted,
        length=plan.length,
        region=plan.region,
        memory=plan.memory,
        counts=plan.counts,
        stalled=s.not_(moves),
    )
