"""The shape that all iterations share: a state and a step, reasons to stop, a history, and what comes out.

A method is a pair of pure functions: ``*_init`` makes its state, ``*_step`` turns one state into the next and donates
it. Every state has the fields

``x`` the iterate (or what :func:`iterate`'s ``finish`` makes it of); ``r_norm`` the norm of ``r = b - A x``; ``s_norm``
that of the normal equations' residual ``A^T r`` (NaN where the method does not know it); ``k`` the iterations so far;
``why`` zero while the method goes on, then the number in :data:`REASONS` of what stopped it.

A method is run in units of its data, see :func:`in_units`, so that squares of norms neither underflow nor overflow;
iterates and norms of solutions and histories are in the caller's.

Tolerances are in the state too, so that another tolerance is no other program. Operators are functions of flat
vectors, ``A(v)`` (m,) and ``At(w)`` (n,), that leave their argument alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError, Scalar

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

Product = Callable[[Array], Array]
"""``v -> A v``, of flat vectors or, for block methods, of matrices with a column for each right-hand side."""

GOING, SOLVED, LEAST_SQUARES, ILL_CONDITIONED, BREAKDOWN, NOT_FINITE, FLAT = range(7)
REASONS = (
    "max_iterations",
    "solved",
    "least_squares",
    "ill_conditioned",
    "breakdown",
    "not_finite",
    "flat",
)
"""Why a method stopped: all its iterations were used; the residual is small; that of the normal equations is small;
the estimated condition number passed its limit; a quantity that must be positive is not (the operator is not definite,
or the space is exhausted); something is not finite; the criterion that chooses a parameter changes no more."""

HISTORY = ("residual", "normal residual", "watched")
"""Columns of a history, whose row ``k`` belongs to iteration ``k``: ``r_norm``, ``s_norm``, and what was watched."""


class Solution(NamedTuple):
    """What a method found; ``history`` is a table of the backend's, read by :func:`history_of`, or ``()``."""

    x: Array
    k: Any
    why: Any
    r_norm: Scalar
    s_norm: Scalar
    history: Any = ()

    @property
    def reason(self) -> str:
        """The word in :data:`REASONS`; read on the host."""
        return REASONS[int(self.why)]


class _Run(NamedTuple):
    state: Any
    table: Any


def iterate(
    xp: Backend,
    start: Any,
    step: Callable[[Any], Any],
    max_iterations: int,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
    finish: Callable[[Any], Array] | None = None,
    watched: Callable[[Any], Array] | None = None,
    unit: Scalar | None = None,
) -> Solution:
    """Step from ``start`` until the state says why not, or ``max_iterations`` are used up.

    Parameters
    ----------
    xp : Backend
        Where.
    start : State
        Donated.
    step : callable
        State to state.
    max_iterations : int
        At most; the history has one row more.
    record : bool
        Whether norms are kept for every iteration.
    watch : callable, optional
        A scalar of each iterate, such as its error where the truth is known; recorded in the history's last column.
    finish : callable, optional
        Makes the iterate of a state, in the caller's units; by default its ``x``.
    watched : callable, optional
        Makes what is watched of a state, where that is not the iterate.
    unit : Scalar, optional
        What the state's ``x``, ``r_norm`` and ``s_norm`` are multiples of.

    Raises
    ------
    ConfigurationError
        ``max_iterations`` is negative.
    """
    return run(xp, start, step, max_iterations, record, watch, finish, watched, unit)[0]


def run(
    xp: Backend,
    start: Any,
    step: Callable[[Any], Any],
    max_iterations: int,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
    finish: Callable[[Any], Array] | None = None,
    watched: Callable[[Any], Array] | None = None,
    unit: Scalar | None = None,
) -> tuple[Solution, Any]:
    """:func:`iterate`, and the last state."""
    if max_iterations < 0:
        raise ConfigurationError(f"max_iterations must not be negative, not {max_iterations!r}")
    s, record = xp.s, record or watch is not None
    made = finish or (lambda state: state.x if unit is None else unit * state.x)
    shown = watched or made
    nothing = s.const(float("nan"))

    def norms(state: Any) -> tuple[Scalar, Scalar]:
        return (state.r_norm, state.s_norm) if unit is None else (unit * state.r_norm, unit * state.s_norm)

    def noted(state: Any, table: Any) -> _Run:
        if record:
            seen = nothing if watch is None else watch(shown(state))
            table = xp.record(table, state.k, (*norms(state), seen))
        return _Run(state, table)

    def going(at: _Run) -> Any:
        return s.and_(at.state.why == GOING, at.state.k < max_iterations)

    first = noted(start, xp.recorder(max_iterations + 1, len(HISTORY)) if record else ())
    last = xp.while_loop(going, lambda at: noted(step(at.state), at.table), first)
    state = last.state
    return Solution(made(state), state.k, state.why, *norms(state), last.table), state


def history_of(xp: Backend, solution: Solution) -> np.ndarray:
    """The history on the host, (iterations + 1, 3), its columns :data:`HISTORY`.

    Raises
    ------
    ConfigurationError
        None was recorded.
    """
    if isinstance(solution.history, tuple):
        raise ConfigurationError("no history was recorded; call the method with record=True")
    return xp.recorded(solution.history)[: int(solution.k) + 1]


# ------------------------------------------------------------------------------------------------------------ scalars
def real(xp: Backend, v: Any) -> Scalar:
    """A number of the host as the backend's; the backend's own as they are."""
    return xp.s.const(v) if isinstance(v, int | float) else v


def norm(xp: Backend, x: Array) -> Scalar:
    """Euclidean norm of a vector."""
    return xp.s.sqrt(xp.dot(x, x))


def hypot(xp: Backend, a: Scalar, b: Scalar) -> Scalar:
    """``sqrt(a^2 + b^2)``."""
    return xp.s.sqrt(a * a + b * b)


def ratio(xp: Backend, a: Scalar, b: Scalar) -> Scalar:
    """``a / b``, and 0 where b is 0: what multiplies a vector that is zero, or has to leave another alone."""
    s, zero = xp.s, xp.s.const(0.0)
    return s.where(b == 0, zero, s.div(a, b))


def in_units(xp: Backend, b: Array, x0: Array | None = None) -> tuple[Scalar, Array, Array | None]:
    """The largest modulus ``u`` in ``b`` and ``x0``, and the two in units of it.

    It is 1 where u lies between eps and 1 / eps, whose squares are safe, since a division would only round; and where u
    has no inverse.
    """
    s, one = xp.s, xp.s.const(1.0)
    sizes = [xp.norm_inf(xp.reshape(v, (-1,))) for v in (b, x0) if v is not None]
    unit = sizes[0] if x0 is None else s.maximum(*sizes)
    inverse = s.div(one, unit)
    far = s.or_(unit < xp.eps, inverse < xp.eps)
    usable = s.and_(far, unit > 0, inverse > 0, s.isfinite(inverse))
    unit, inverse = s.where(usable, unit, one), s.where(usable, inverse, one)
    return unit, b * inverse, None if x0 is None else x0 * inverse


def normalised(xp: Backend, x: Array) -> tuple[Array, Scalar]:
    """``x / |x|`` and ``|x|``; a vector of zeros stays one. Donates ``x``."""
    size = norm(xp, x)
    return xp.scale(ratio(xp, xp.s.const(1.0), size), x), size


def first_of(xp: Backend, *cases: tuple[Any, int]) -> Any:
    """Number of the first of the ``(condition, number)`` that holds, else :data:`GOING`."""
    why = xp.s.int(GOING)
    for condition, number in reversed(cases):
        why = xp.s.where(condition, xp.s.int(number), why)
    return why


def finite(xp: Backend, *values: Scalar) -> Any:
    """Whether all are finite."""
    s = xp.s
    found = [s.isfinite(v) for v in values]
    return s.and_(found[0], *found[1:]) if len(found) > 1 else found[0]


# --------------------------------------------------------------------------------- least squares from elsewhere, scaled
class LeastSquares(NamedTuple):
    """``min |A y - b|`` for the correction ``y`` in ``x = x0 + u R^-1 y``; ``u`` is ``unit``."""

    A: Product
    At: Product
    b: Array
    unit: Scalar
    finish: Callable[[Any], Array]


def corrected(
    xp: Backend, A: Product, At: Product, b: Array, x0: Array | None, right: tuple[Product, Product] | None
) -> LeastSquares:
    """The problem of the correction to ``x0``, preconditioned from the right by ``R``.

    ``right`` is the pair of ``v -> R^-1 v`` and ``w -> R^-T w``; the operator that a method sees is ``A R^-1``.
    """
    if x0 is not None:
        b = xp.axpy(-1.0, A(x0), xp.copy(b))
    unit, b, _ = in_units(xp, b)

    def finish(state: Any) -> Array:
        y = unit * (state.x if right is None else right[0](state.x))
        return y if x0 is None else xp.axpy(1.0, x0, y)

    if right is None:
        return LeastSquares(A, At, b, unit, finish)
    solve, solve_t = right
    return LeastSquares(lambda v: A(solve(v)), lambda w: solve_t(At(w)), b, unit, finish)
