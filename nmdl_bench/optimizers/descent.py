"""The one step of all line-search methods: a trial, its acceptance, and the next direction from the trial's tape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nmdl_bench.contracts import Array, Counts, Objective, Scalar, Tape
from nmdl_bench.optimizers.line_search import Search

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class DescentState(NamedTuple):
    """Iterate ``x`` with value ``f`` and gradient ``g``, direction ``d``, where its search and its memory stand.

    ``fresh`` is true while ``d`` is the steepest descent that the memory starts from; see
    :class:`nmdl_bench.contracts.Optimizer` for the others.
    """

    x: Array
    f: Scalar
    g: Array
    g_norm: Scalar
    d: Array
    search: Search
    memory: Any
    fresh: Any
    k: Any
    counts: Counts
    stalled: Any


class Direction(Protocol):
    """How a line-search method chooses its direction."""

    def init(self, xp: Backend, x: Array) -> Any:
        """Memory that leads to steepest descent."""

    def update(
        self, xp: Backend, memory: Any, x: Array, x_new: Array, g: Array, g_new: Array, t: Scalar
    ) -> tuple[Any, Array, Scalar]:
        """Memory, direction and first trial at ``x_new``, a step of length ``t`` away; donates memory, ``x``, ``g``."""


class LineSearch(Protocol):
    """See :mod:`nmdl_bench.optimizers.line_search`."""

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search: ...

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any: ...

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search: ...

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search: ...


def first_trial(xp: Backend, g: Array) -> Scalar:
    """A step of length at most one along ``-g``: ``min(1, 1 / |g|)``."""
    return xp.s.minimum(xp.s.const(1.0), xp.s.div(xp.s.const(1.0), xp.s.sqrt(xp.dot(g, g))))


def line_search_init(objective: Objective, x: Array, search: LineSearch, direction: Direction) -> DescentState:
    """State at ``x`` (copied), about to try steepest descent."""
    xp = objective.xp
    x = xp.copy(x)
    f, tape = objective.forward(x)
    g = objective.grad(tape)
    no, counts = xp.s.int(0) > 0, Counts.start(xp, forward=1, gradient=1)
    start = search.start(xp, first_trial(xp, g), f, -xp.dot(g, g))
    memory = direction.init(xp, x)
    return DescentState(x, f, g, xp.norm_inf(g), -g, start, memory, xp.s.not_(no), xp.s.int(0), counts, no)


def line_search_step(
    objective: Objective, state: DescentState, search: LineSearch, direction: Direction
) -> DescentState:
    """One trial ``x + t d``: accepted with a new direction, or rejected with a new ``t``.

    The value decides first; the gradient of a trial is computed only where the value is low enough. A search that
    gives up starts again along steepest descent; where it came from there, the state is stalled.
    """
    xp, s = objective.xp, objective.xp.s
    x_t = xp.add_scaled(state.x, state.search.t, state.d)
    f_t, tape = objective.forward(x_t)
    state = state._replace(counts=state.counts._replace(forward=state.counts.forward + 1))

    def accept(state: DescentState, x_t: Array, f_t: Scalar, g_t: Array) -> DescentState:
        old = state.search
        memory, d, t = direction.update(xp, state.memory, state.x, x_t, state.g, g_t, old.t)
        df = xp.dot(g_t, d)
        begin = search.start(xp, t, f_t, df, old)._replace(failed=s.not_(df <= 0))  # no search along an ascent
        g_norm, k, fresh = xp.norm_inf(g_t), state.k + 1, s.int(0) > 0
        return DescentState(x_t, f_t, g_t, g_norm, d, begin, memory, fresh, k, state.counts, state.stalled)

    def low(state: DescentState, x_t: Array, f_t: Scalar, tape: Tape) -> DescentState:
        g_t = objective.grad(tape)
        counts = state.counts._replace(gradient=state.counts.gradient + 1)
        tried = search.low(xp, state.search, f_t, xp.dot(g_t, state.d))
        state = state._replace(search=tried, counts=counts)
        return xp.cond(tried.accepted, accept, lambda state, *_: state, state, x_t, f_t, g_t)

    def high(state: DescentState, x_t: Array, f_t: Scalar, tape: Tape) -> DescentState:
        return state._replace(search=search.high(xp, state.search, f_t))

    def restart(state: DescentState) -> DescentState:
        begin = search.start(xp, first_trial(xp, state.g), state.f, -xp.dot(state.g, state.g), state.search)
        return state._replace(d=-state.g, search=begin, memory=direction.init(xp, state.x), fresh=s.int(0) == 0)

    state = xp.cond(search.is_low(xp, state.search, f_t), low, high, state, x_t, f_t, tape)
    failed, fresh = state.search.failed, state.fresh
    state = state._replace(stalled=s.and_(failed, fresh))
    return xp.cond(s.and_(failed, s.not_(fresh)), restart, lambda state: state, state)
