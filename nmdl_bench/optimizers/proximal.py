"""The one step of proximal gradient methods: with or without momentum, on all of x or on one block after another.

For ``f + h`` with ``f`` smooth and ``h`` convex. From a point ``y`` with ``f(y)`` and ``g = grad f(y)`` the trial is::

    x_t = prox_{h/L}(y - g / L),    accepted where  f(x_t) <= f(y) + g.(x_t - y) + L/2 |x_t - y|^2,

else L grows (Beck and Teboulle 2009, eqs. 2.6 and 4.2). The next ``y`` is ``x_t``, or lies beyond it by the method's
inertia; then its value and gradient need an evaluation of their own, which is a step without an iteration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nmdl_bench.backends.stationarity import measure, prox, total
from nmdl_bench.contracts import Array, ConfigurationError, Counts, Objective, Scalar

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class ProximalState(NamedTuple):
    """Iterate ``x`` with total value ``f``; the point ``y`` that the next trial starts from.

    ``f_y, g_y`` are value and gradient of the smooth part at ``y`` once ``ready``; ``fresh`` while ``y`` equals ``x``.
    ``L`` estimates the gradient's Lipschitz constant; it has grown, each time by ``growth`` at least, for ``trials``
    rejected trials. See :class:`nmdl_bench.contracts.Optimizer` for the others.
    """

    x: Array
    f: Scalar
    g_norm: Scalar
    y: Array
    f_y: Scalar
    g_y: Array
    L: Scalar
    growth: Scalar
    ready: Any
    fresh: Any
    trials: Any
    memory: Any
    k: Any
    counts: Counts
    stalled: Any


class Accepted(NamedTuple):
    """A step from ``x`` by way of ``y`` to ``x_new``.

    ``F, F_new`` are total values at the ends, ``curvature`` is ``d.(g_new - g_y) / d.d`` along ``d = x_new - y``,
    ``still`` where ``d`` is zero to the last digit, ``fresh`` where ``y`` was ``x``, and ``k`` counts the steps before.
    """

    x: Array
    y: Array
    x_new: Array
    F: Scalar
    F_new: Scalar
    L: Scalar
    curvature: Scalar
    still: Any
    fresh: Any
    k: Any


class Next(NamedTuple):
    """Where the next trial starts: ``y``, whether it is ``x_new`` itself (``fresh``), with which ``L``.

    ``stalled`` where no further trial would move.
    """

    y: Array
    fresh: Any
    L: Scalar
    memory: Any
    stalled: Any


class Inertia(Protocol):
    """How a proximal method goes on after a step. Numbers that it is tuned by live in its memory."""

    def init(self, objective: Objective, x: Array, L: Scalar) -> Any:
        """Memory at the start."""

    def trial(self, xp: Backend, memory: Any, x: Array, p: Array) -> Array:
        """The trial that the proximal point ``p`` stands for; donates ``p``."""

    def turn(self, xp: Backend, memory: Any, step: Accepted) -> Next:
        """Where to go on from; donates the memory, and ``x`` and ``y`` of the step."""

    def reset(self, xp: Backend, memory: Any) -> Any:
        """Memory without momentum."""


def proximal_init(objective: Objective, x: Array, inertia: Inertia, growth: float) -> ProximalState:
    """State at the projection of ``x`` onto the domain of ``h``, about to try a step of length at most one."""
    xp, s = objective.xp, objective.xp.s
    x = xp.copy(prox(objective, x, s.const(0.0)))
    f_y, tape = objective.forward(x)
    g = objective.grad(tape)
    f, g_norm, counts = total(objective, x, f_y), measure(objective, x, g), Counts.start(xp, forward=1, gradient=1)
    L = s.maximum(s.const(1.0), s.sqrt(xp.dot(g, g)))
    memory, y, no = inertia.init(objective, x, L), xp.copy(x), s.int(0) > 0
    yes, zero = s.not_(no), s.int(0)
    return ProximalState(x, f, g_norm, y, f_y, g, L, s.const(growth), yes, yes, zero, memory, zero, counts, no)


def proximal_step(objective: Objective, state: ProximalState, inertia: Inertia, max_trials: int) -> ProximalState:
    """One evaluation: of a trial, then accepted or rejected, or at a ``y`` that momentum has led to.

    Where rounding errors may hide how values differ, slopes decide: ``d.(grad f(x_t) - g) <= L |d|^2`` (Becker, Candes
    and Grant 2011, section 5.3, there for relative differences below 1e-10). A ``y`` whose value is not finite is given
    up for ``x``.
    """
    xp, s = objective.xp, objective.xp.s
    yes = s.int(0) == 0

    def propose(state: ProximalState) -> Array:
        t = s.div(s.const(1.0), state.L)
        p = prox(objective, xp.add_scaled(state.y, -t, state.g_y), t)
        return inertia.trial(xp, state.memory, state.x, p)

    x_t = xp.cond(state.ready, propose, lambda state: state.y, state)
    f_t, tape = objective.forward(x_t)
    state = state._replace(counts=state.counts._replace(forward=state.counts.forward + 1))

    def with_gradient(state: ProximalState) -> tuple[ProximalState, Array]:
        counts = state.counts._replace(gradient=state.counts.gradient + 1)
        return state._replace(counts=counts), objective.grad(tape)

    # --------------------------------------------------------------------------------------------- an evaluation at y
    def hold(state: ProximalState) -> ProximalState:
        state, g_y = with_gradient(state)
        return state._replace(f_y=f_t, g_y=g_y, ready=yes)

    def fall_back(state: ProximalState) -> ProximalState:
        memory = inertia.reset(xp, state.memory)
        return state._replace(y=xp.copy(state.x), memory=memory, fresh=yes, stalled=state.fresh)

    def arrive(state: ProximalState, x_t: Array) -> ProximalState:
        return xp.cond(s.isfinite(f_t), hold, fall_back, state)

    # --------------------------------------------------------------------------------------------- a trial
    def judge(state: ProximalState, x_t: Array) -> ProximalState:
        d = x_t - state.y
        dd = xp.dot(d, d)
        bend = f_t - state.f_y - xp.dot(state.g_y, d)  # L/2 |d|^2 bounds it where L is large enough
        excess, slack = bend - 0.5 * state.L * dd, xp.eps ** (2 / 3) * s.abs(state.f_y)

        def low(state: ProximalState, x_t: Array) -> ProximalState:
            state, g_t = with_gradient(state)
            slope = xp.dot(g_t - state.g_y, d)
            is_short = s.or_(excess <= -slack, slope <= state.L * dd)
            return xp.cond(is_short, accept, lambda state, *_: reject(state, slope), state, x_t, g_t, slope)

        def accept(state: ProximalState, x_t: Array, g_t: Array, slope: Scalar) -> ProximalState:
            F_t, g_norm = total(objective, x_t, f_t), measure(objective, x_t, g_t)
            curvature, still = s.div(slope, dd), dd <= 0
            step = Accepted(state.x, state.y, x_t, state.f, F_t, state.L, curvature, still, state.fresh, state.k)
            y, fresh, L, memory, stalled = inertia.turn(xp, state.memory, step)
            return ProximalState(
                x_t, F_t, g_norm, y, f_t, g_t, L, state.growth, fresh, fresh, s.int(0), memory, state.k + 1,
                state.counts, stalled,
            )  # fmt: skip

        def reject(state: ProximalState, bent: Scalar) -> ProximalState:
            seen, L, trials = s.div(bent, dd), state.L, state.trials + 1
            wanted = s.where(s.isfinite(seen), s.minimum(seen, L * 100.0), L * 10.0)
            L = s.maximum(L * state.growth, wanted)
            stalled = s.or_(trials >= max_trials, s.not_(s.isfinite(L)))
            return state._replace(L=L, trials=trials, stalled=stalled)

        return xp.cond(excess <= slack, low, lambda state, _: reject(state, 2.0 * bend), state, x_t)

    return xp.cond(state.ready, judge, arrive, state, x_t)


def seen_or_smaller(xp: Backend, step: Accepted, shrink: Scalar, first: Any) -> Scalar:
    """The next estimate: ``shrink L``, but not below the curvature just seen; that curvature on a ``first`` step."""
    s, seen = xp.s, step.curvature
    is_first = s.and_(first, seen > 0, s.isfinite(seen))
    return s.where(is_first, seen, s.where(seen > step.L * shrink, s.minimum(seen, step.L), step.L * shrink))


def check_steps(growth: float, shrink: float, max_trials: int) -> None:
    """A :class:`ConfigurationError` where a proximal method's numbers cannot work."""
    if not 1 < growth < float("inf"):
        raise ConfigurationError(f"growth must be finite and above 1, not {growth!r}")
    if not 0 < shrink <= 1:
        raise ConfigurationError(f"shrink must lie in (0, 1], not {shrink!r}")
    if max_trials < 1:
        raise ConfigurationError(f"max_trials must be at least 1, not {max_trials!r}")
