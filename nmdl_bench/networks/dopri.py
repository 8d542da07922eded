"""Adaptive integration of an :class:`~nmdl_bench.networks.evolution.Evolution`'s differential equation.

The pair of orders 5 and 4 of Dormand and Prince (1980, table 2), with the step control of Hairer, Nørsett and Wanner
(1993, section II.4). It evaluates a trained network at another accuracy, and tells what steps of a fixed size lose.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Scalar
from nmdl_bench.networks.checks import check_positive, check_sizes
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.imex import Imex
from nmdl_bench.networks.reversible import Leapfrog

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

A = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
"""The last row holds the weights of order 5: its stage is the first one of the next step."""
E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Weights of order 5 less those of order 4: the error's estimate."""
C = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0
"""``h_new = h * min(GROW, max(SHRINK, SAFETY * err^(-1/5)))`` (section II.4, eq. 4.13)."""


class Solution(NamedTuple):
    """State at the final time, numbers of accepted and refused steps, and whether the final time was reached."""

    Y: Array
    steps: Any
    rejected: Any
    finished: Any


class _State(NamedTuple):
    """State and its derivative at the time ``t`` within the controls' interval ``i``, the next step, counters."""

    Y: Array
    F: Array
    t: Scalar
    h: Scalar
    i: Any
    steps: Any
    rejected: Any


class _Trial(NamedTuple):
    """A step that was tried: its end, the derivative there, its error, the step tried and whether the interval ends."""

    Y: Array
    F: Array
    err: Scalar
    h: Scalar
    ends: Any


def integrate(
    xp: Backend,
    evolution: Evolution,
    theta: Blocks,
    Y: Array,
    rtol: float = 1e-6,
    atol: float = 1e-6,
    max_steps: int = 10_000,
) -> tuple[Array, int, int]:
    """Integrate ``dY/dt = f(Y, theta(t))`` over the evolution's time, whatever its own integrator and depth.

    Parameters
    ----------
    xp : Backend
        Where.
    evolution : Evolution
        Gives ``f``, the final time and the controls' grid. One with leapfrog stands for ``d^2 Y/dt^2 = f(Y)`` at rest
        at first; one with :class:`~nmdl_bench.networks.imex.Imex` for ``dY/dt = f(Y) - L^T L Y``.
    theta : dict
        Its blocks, each with a leading axis over the controls.
    Y : Array
        Features at time 0.
    rtol, atol : float
        A step is accepted where the root mean square of ``e / (atol + rtol max(|Y|, |Y_new|))`` is at most 1, for the
        error's estimate ``e``.
    max_steps : int
        Accepted and refused steps at most.

    Returns
    -------
    Array, int, int
        Features at the final time, accepted steps, refused steps.

    Raises
    ------
    ConfigurationError
        ``max_steps`` do not do, or a tolerance cannot work.

    Notes
    -----
    Steps end where the controls jump or have a kink, so that the order is kept. On JAX it is compiled once for each
    evolution and shape; a compiled function calls :func:`dopri`.
    """
    check_positive(rtol=rtol, atol=atol)
    check_sizes(max_steps=max_steps)
    s, names = xp.s, tuple(evolution.shapes())
    run = _compiled(xp, evolution)
    found = run({name: theta[name] for name in names}, Y, s.const(rtol), s.const(atol), s.int(max_steps))
    if not bool(found.finished):
        raise ConfigurationError(
            f"max_steps = {max_steps} do not reach the final time {evolution.time} at rtol = {rtol}, atol = {atol}; "
            "allow more steps or larger errors"
        )
    return found.Y, int(found.steps), int(found.rejected)


@lru_cache(maxsize=32)
def _compiled(xp: Backend, evolution: Evolution) -> Any:
    return xp.compile(lambda theta, Y, rtol, atol, most: dopri(xp, evolution, theta, Y, rtol, atol, most))


def dopri(
    xp: Backend, evolution: Evolution, theta: Blocks, Y: Array, rtol: Scalar, atol: Scalar, max_steps: Any
) -> Solution:
    """As :func:`integrate`, but with scalars of the backend and a flag in place of an exception."""
    s, intervals = xp.s, _intervals(evolution)
    length = s.const(evolution.time / intervals)
    state = _enter(xp, evolution, Y)
    F = _derivative(xp, evolution, _controls(xp, evolution, theta, s.int(0), s.const(0.0)), state)
    h = s.minimum(_first_step(xp, evolution, theta, state, F, rtol, atol, length), length)

    def going(state: _State) -> Any:
        return s.and_(state.i < intervals, state.steps + state.rejected < max_steps)

    def step(state: _State) -> _State:
        trial = _try(xp, evolution, theta, state, rtol, atol, length)
        return xp.cond(trial.err <= 1, accept, refuse, state, trial)  # NaN is refused

    def accept(state: _State, trial: _Trial) -> _State:
        # err = 0 makes the power infinite; what was cut at an interval's end says nothing against the step before it
        grown = trial.h * s.minimum(GROW, s.maximum(SHRINK, SAFETY * s.pow(trial.err, s.const(-0.2))))
        h = s.where(trial.ends, s.maximum(grown, state.h), grown)
        new = state._replace(Y=trial.Y, F=trial.F, h=h, t=state.t + trial.h, steps=state.steps + 1)
        return xp.cond(trial.ends, turn, lambda state: state, new)

    def turn(state: _State) -> _State:
        state = state._replace(t=s.const(0.0), i=state.i + 1)
        if evolution.controls == "linear":
            return state
        return xp.cond(state.i < intervals, renew, lambda state: state, state)

    def renew(state: _State) -> _State:
        """After a jump of the controls the last stage is not the next step's first."""
        controls = _controls(xp, evolution, theta, state.i, state.t)
        return state._replace(F=_derivative(xp, evolution, controls, state.Y))

    def refuse(state: _State, trial: _Trial) -> _State:
        shrunk = s.maximum(SHRINK, SAFETY * s.pow(trial.err, s.const(-0.2)))
        factor = s.where(s.isfinite(trial.err), s.minimum(s.const(SAFETY), shrunk), s.const(SHRINK))
        return state._replace(h=trial.h * factor, rejected=state.rejected + 1)

    start = _State(state, F, s.const(0.0), h, s.int(0), s.int(0), s.int(0))
    last = xp.while_loop(going, step, start)
    return Solution(_leave(evolution, last.Y), last.steps, last.rejected, last.i >= intervals)


def _try(
    xp: Backend, evolution: Evolution, theta: Blocks, state: _State, rtol: Scalar, atol: Scalar, length: Scalar
) -> _Trial:
    """One step from ``state``, cut at the end of the interval."""
    s = xp.s
    left = length - state.t
    # a remainder of less than a tenth would be a step of its own
    ends = 1.1 * state.h >= left
    h = s.where(ends, left, state.h)
    F = [state.F]
    for a, c in zip(A[1:], C[1:]):
        U = _combine(xp, state.Y, h, a, F)
        at = _controls(xp, evolution, theta, state.i, s.div(state.t + c * h, length))
        F.append(_derivative(xp, evolution, at, U))
    error = _combine(xp, None, h, E, F)
    return _Trial(U, F[-1], _size(xp, error, state.Y, U, rtol, atol), h, ends)


def _combine(xp: Backend, Y: Array | None, h: Scalar, weights: tuple[float, ...], F: list[Array]) -> Array:
    """``Y + h sum of weights F``; without Y the sum alone."""
    for a, F_j in zip(weights, F):
        if a:
            Y = (h * a) * F_j if Y is None else xp.add_scaled(Y, h * a, F_j)
    return Y


def _size(xp: Backend, e: Array, Y: Array, Z: Array, rtol: Scalar, atol: Scalar) -> Scalar:
    """Root mean square of ``e / (atol + rtol max(|Y|, |Z|))`` (section II.4, eq. 4.11)."""
    Y, Z = xp.abs(Y), xp.abs(Z)
    scaled = e / (rtol * xp.where(Y > Z, Y, Z) + atol)
    flat = xp.reshape(scaled, (-1,))
    return xp.s.sqrt(xp.dot(flat, flat) * (1 / flat.shape[0]))


def _first_step(
    xp: Backend,
    evolution: Evolution,
    theta: Blocks,
    Y: Array,
    F: Array,
    rtol: Scalar,
    atol: Scalar,
    length: Scalar,
) -> Scalar:
    """From the sizes of Y, of its derivative and of that one's change (section II.4, 'starting step size')."""
    s = xp.s
    d0, d1 = _size(xp, Y, Y, Y, rtol, atol), _size(xp, F, Y, Y, rtol, atol)
    small = s.or_(d0 < 1e-5, d1 < 1e-5)
    h0 = s.minimum(s.where(small, s.const(1e-6), 0.01 * s.div(d0, s.where(small, s.const(1.0), d1))), length)
    controls = _controls(xp, evolution, theta, s.int(0), s.div(h0, length))
    later = _derivative(xp, evolution, controls, xp.add_scaled(Y, h0, F))
    d2 = s.div(_size(xp, later - F, Y, Y, rtol, atol), h0)
    largest = s.maximum(d1, d2)
    flat = largest <= 1e-15
    power = s.pow(s.div(s.const(0.01), s.where(flat, s.const(1.0), largest)), s.const(0.2))
    return s.minimum(100 * h0, s.where(flat, s.maximum(s.const(1e-6), 1e-3 * h0), power))


# ------------------------------------------------------------------------------------------------ controls, equations
def _intervals(evolution: Evolution) -> int:
    """Intervals of time on which the controls are smooth."""
    return evolution.grid.number - (evolution.controls == "linear")


def _controls(xp: Backend, evolution: Evolution, theta: Blocks, i: Any, part: Scalar) -> Blocks:
    """The controls in interval ``i`` at the fraction ``part`` of it."""
    number = evolution.grid.number
    weights = xp.one_hot(i, number)
    if evolution.controls == "linear":
        weights = xp.axpby(part, xp.one_hot(i + 1, number), 1 - part, weights)
    return {
        name: xp.reshape(weights @ xp.reshape(block, (number, -1)), tuple(block.shape[1:]))
        for name, block in theta.items()
    }


def _enter(xp: Backend, evolution: Evolution, Y: Array) -> Array:
    """The equation's state, an array of its own: a second-order one has the velocity beside the features."""
    if isinstance(evolution.integrator, Leapfrog):
        return xp.concat([Y, xp.zeros(tuple(Y.shape))], axis=1)
    return xp.copy(Y)


def _leave(evolution: Evolution, Y: Array) -> Array:
    return Y[:, : Y.shape[1] // 2, ...] if isinstance(evolution.integrator, Leapfrog) else Y


def _derivative(xp: Backend, evolution: Evolution, theta: Blocks, Y: Array) -> Array:
    """The time derivative of the equation's state."""
    method = evolution.integrator
    if isinstance(method, Leapfrog):
        half = Y.shape[1] // 2
        return xp.concat([Y[:, half:, ...], evolution.rhs.forward(xp, theta, Y[:, :half, ...])[0]], axis=1)
    F = evolution.rhs.forward(xp, theta, Y)[0]
    if isinstance(method, Imex):
        return xp.add_scaled(F, -1.0, method.diffusion(xp, theta, Y))
    return F
