"""The one step of all line-search methods: a trial, its acceptance, and the next direction from the trial's tape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from nmdl_bench.backends.compiled import call
from nmdl_bench.contracts import Array, Counts, Objective, Scalar, Tape
from nmdl_bench.optimizers.curvature import unit_of
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


class Step(NamedTuple):
    """An accepted step from ``x`` to ``x_new``, ``t`` times its direction ``d``; the tape is that of ``x_new``.

    ``slope`` and ``slope_new`` are ``g.d`` and ``g_new.d``, where the step is along a line.
    """

    x: Array
    x_new: Array
    g: Array
    g_new: Array
    f_new: Scalar
    t: Scalar
    tape: Tape
    counts: Counts
    d: Array = None
    slope: Scalar = None
    slope_new: Scalar = None


class Turn(NamedTuple):
    """What follows a step: the memory, the direction with its first trial, and the counts with what these have cost."""

    memory: Any
    d: Array
    t: Scalar
    counts: Counts


class Direction(Protocol):
    """How a line-search method chooses its direction: a frozen dataclass of what selects code, and compared by it.

    Numbers that it is tuned by live in its memory.
    """

    from_tape: ClassVar[bool]
    """Whether a direction follows from a point alone: :meth:`update` then gives the first one too, and not ``-g``."""

    def init(self, xp: Backend, x: Array) -> Any:
        """Memory that leads to steepest descent, or (``from_tape``) that of the start."""

    def reset(self, xp: Backend, memory: Any, x: Array) -> Any:
        """The memory after a search has given up at ``x``: that of the start, but its numbers are kept."""
        return self.init(xp, x)

    def update(self, objective: Objective, memory: Any, step: Step) -> Turn:
        """Memory, direction and first trial at ``step.x_new``; donates the memory, and the step's ``x, g, d``."""


class LineSearch(Protocol):
    """See :mod:`nmdl_bench.optimizers.line_search`."""

    needs_descent: ClassVar[bool]
    """Whether there is nothing to search along an ascent: steepest descent follows then."""

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search: ...

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any: ...

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search: ...

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search: ...


class LineSearchMethod:
    """An optimizer that is a direction with a line search: a frozen dataclass of their options has both."""

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    _search: Any
    _direction: Any

    def __post_init__(self) -> None:
        _ = self._search, self._direction  # says now what cannot work

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> DescentState:
        return line_search_init(objective, x, self._search, self._direction)

    def step(self, objective: Objective, state: DescentState, batch: Array | None = None) -> DescentState:
        return line_search_step(objective, state, self._search, self._direction)


def safe_scale(xp: Backend, v: Array) -> Scalar:
    """``c`` with a finite ``|c v|^2``: 1, or ``1 / |v|_inf`` where ``1e8 |v|^2`` overflows and v is finite.

    The factor is for products that a search makes of slopes.
    """
    s, one = xp.s, xp.s.const(1.0)
    return s.where(s.isfinite(1e8 * xp.dot(v, v)), one, s.div(one, unit_of(xp, v)))


def steepest_descent(xp: Backend, g: Array) -> tuple[Array, Scalar]:
    """``d = -c g``, see :func:`safe_scale`, and a trial of length at most one: ``min(1, 1 / |d|)``."""
    d = -safe_scale(xp, g) * g
    return d, xp.s.minimum(xp.s.const(1.0), xp.s.div(xp.s.const(1.0), xp.s.sqrt(xp.dot(d, d))))


def line_search_init(objective: Objective, x: Array, search: LineSearch, direction: Direction) -> DescentState:
    """State at ``x`` (copied), about to try the direction's first, or steepest descent."""
    xp, s = objective.xp, objective.xp.s
    x = xp.copy(x)
    f, tape = objective.forward(x)
    g = objective.grad(tape)
    no, counts, g_norm = s.int(0) > 0, Counts.start(xp, forward=1, gradient=1), xp.norm_inf(g)
    memory, (d, t) = direction.init(xp, x), steepest_descent(xp, g)
    if direction.from_tape:
        still = Step(xp.copy(x), x, xp.copy(g), g, f, s.const(0.0), tape, counts)
        memory, d, t, counts = call(objective, ("first", direction), direction.update, memory, still)
    start = search.start(xp, t, f, xp.dot(g, d))
    fresh = no if direction.from_tape else s.not_(no)
    return DescentState(x, f, g, g_norm, d, start, memory, fresh, s.int(0), counts, no)


def line_search_step(
    objective: Objective, state: DescentState, search: LineSearch, direction: Direction
) -> DescentState:
    """One trial ``x + t d``: accepted with a new direction, or rejected with a new ``t``.

    The value decides first; the gradient of a trial is computed only where the value is low enough. A search that
    gives up starts again along steepest descent; where it came from there, the state is stalled. Where a search has
    taken its best point in the end, the next one starts again too.
    """
    xp, s = objective.xp, objective.xp.s
    x_t = xp.add_scaled(state.x, state.search.t, state.d)
    f_t, tape = objective.forward(x_t)
    state = state._replace(counts=state.counts._replace(forward=state.counts.forward + 1))

    def accept(state: DescentState, x_t: Array, f_t: Scalar, g_t: Array, df_t: Scalar) -> DescentState:
        old = state.search
        step = Step(state.x, x_t, state.g, g_t, f_t, old.t, tape, state.counts, state.d, old.df0, df_t)
        memory, d, t, counts = direction.update(objective, state.memory, step)
        df = xp.dot(g_t, d)
        # no search along an ascent or with a slope that overflows, nor with a memory whose directions lead to searches
        # that give up
        begin = search.start(xp, t, f_t, df, old)
        if search.needs_descent:
            begin = begin._replace(failed=s.or_(old.last, s.not_(df <= 0), s.not_(s.isfinite(df))))
        g_norm, k, fresh = xp.norm_inf(g_t), state.k + 1, s.int(0) > 0
        return DescentState(x_t, f_t, g_t, g_norm, d, begin, memory, fresh, k, counts, state.stalled)

    def low(state: DescentState, x_t: Array, f_t: Scalar) -> DescentState:
        g_t = objective.grad(tape)
        counts = state.counts._replace(gradient=state.counts.gradient + 1)
        df_t = xp.dot(g_t, state.d)
        tried = search.low(xp, state.search, f_t, df_t)
        state = state._replace(search=tried, counts=counts)
        return xp.cond(tried.accepted, accept, lambda state, *_: state, state, x_t, f_t, g_t, df_t)

    def high(state: DescentState, x_t: Array, f_t: Scalar) -> DescentState:
        return state._replace(search=search.high(xp, state.search, f_t))

    state = xp.cond(search.is_low(xp, state.search, f_t), low, high, state, x_t, f_t)
    failed, fresh, x, f, g = state.search.failed, state.fresh, state.x, state.f, state.g

    def restart(d: Array, old: Search, memory: Any) -> tuple[Array, Search, Any]:
        d, t = steepest_descent(xp, g)
        return d, search.start(xp, t, f, xp.dot(g, d), old), direction.reset(xp, memory, x)

    # what stays as it is takes no part: a compiled branch copies what it hands through
    again = s.and_(failed, s.not_(fresh))
    d, begin, memory = xp.cond(again, restart, lambda *kept: kept, state.d, state.search, state.memory)
    return state._replace(d=d, search=begin, memory=memory, fresh=s.or_(fresh, again), stalled=s.and_(failed, fresh))
