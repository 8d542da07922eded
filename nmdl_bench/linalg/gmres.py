"""GMRES(m): least residual for square systems without symmetry, restarted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError, Scalar
from nmdl_bench.linalg.iteration import (
    BREAKDOWN,
    GOING,
    NOT_FINITE,
    SOLVED,
    Product,
    Solution,
    first_of,
    hypot,
    in_units,
    iterate,
    norm,
    normalised,
    ratio,
    real,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class GMRESState(NamedTuple):
    """``x`` where the cycle began, and the cycle: ``j`` steps, ``beta`` the residual's norm at its beginning.

    ``v`` (n,) is the newest Arnoldi vector, ``V`` (m + 1, n) holds them as rows, ``R`` (m, m) is the triangular factor
    of the Hessenberg matrix (the identity where no step was made yet), ``G`` (m + 1, m + 1) the product of all
    rotations, so that ``beta G e_1`` is the rotated right-hand side; ``done`` (m,) is 1 where a step was made.
    ``top`` is the largest ``|A v|`` of all cycles, which no entry of R exceeds.
    """

    x: Array
    v: Array
    V: Array
    R: Array
    G: Array
    done: Array
    beta: Scalar
    top: Scalar
    j: Any
    r_norm: Scalar
    s_norm: Scalar
    limit: Scalar
    last: Any
    k: Any
    why: Any


def gmres_init(
    xp: Backend,
    A: Product,
    b: Array,
    restart: int,
    M: Product | None = None,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    atol: float | Scalar = 0.0,
    max_iterations: int = 100,
) -> GMRESState:
    """State at ``x0``, or at 0; arguments as for :func:`gmres`."""
    s = xp.s
    x = xp.zeros(tuple(b.shape)) if x0 is None else xp.copy(x0)
    limit = s.maximum(real(xp, rtol) * norm(xp, b if M is None else M(b)), real(xp, atol))
    r = _residual(xp, A, M, b, None if x0 is None else x)
    cycle, beta = _cycle(xp, r, restart)
    why = first_of(xp, (s.not_(s.isfinite(beta)), NOT_FINITE), (beta <= limit, SOLVED))
    return GMRESState(
        x,
        *cycle,
        beta,
        s.const(0.0),
        s.int(0),
        beta,
        s.const(float("nan")),
        limit,
        s.int(max_iterations),
        s.int(0),
        why,
    )


def _residual(xp: Backend, A: Product, M: Product | None, b: Array, x: Array | None) -> Array:
    r = xp.copy(b) if x is None else xp.axpy(-1.0, A(x), xp.copy(b))
    return r if M is None else xp.copy(M(r))


def _cycle(xp: Backend, r: Array, m: int) -> tuple[tuple[Array, Array, Array, Array, Array], Scalar]:
    """``v, V, R, G, done`` at the beginning of a cycle, and ``|r|``; donates ``r``."""
    v, beta = normalised(xp, r)
    V = xp.set_row(xp.zeros((m + 1, v.shape[0])), 0, v)
    return (v, V, _identity(xp, m), _identity(xp, m + 1), xp.zeros((m,))), beta


def _identity(xp: Backend, n: int) -> Array:
    return xp.copy(xp.constant(np.eye(n)))


def gmres_iterate(xp: Backend, state: GMRESState) -> Array:
    """``x + V^T y`` with ``R y = beta G e_1``, over the steps that the cycle has made."""
    m = state.R.shape[0]
    y = xp.solve_triangular(state.R, (state.beta * state.G[:m, 0]) * state.done)
    return xp.axpy(1.0, state.V[:m, :].T @ y, xp.copy(state.x))


def gmres_step(xp: Backend, A: Product, M: Product | None, b: Array, state: GMRESState) -> GMRESState:
    """One step of Arnoldi and one Givens rotation; at the end of a cycle also the step to the new iterate.

    Saad and Schultz 1986, algorithms 2 and 4. Orthogonalisation is classical Gram-Schmidt done twice, two products
    with ``V`` each: as good as the modified one (Giraud, Langou and Rozloznik 2005).

    With ``rho`` the new diagonal element of R and ``R u = rho e_j``, ``u_j = 1``, the least singular value of R is at
    most ``rho / |u|``. Where that is round-off against the largest ``|A v|``, A is singular on the space: what the new
    direction takes from the residual, the rounding errors of a step along ``u`` bring back, and it is left out.
    """
    s, m, one = xp.s, state.R.shape[0], xp.s.const(1.0)
    zero = one - one
    w = A(state.v) if M is None else M(A(state.v))
    top = s.maximum(state.top, norm(xp, w))
    tiny = 10 * xp.eps * top
    h = state.V @ w
    w = w - state.V.T @ h
    again = state.V @ w
    w, h = xp.axpy(-1.0, state.V.T @ again, w), xp.axpy(1.0, again, h)
    h_next = norm(xp, w)
    h_next = s.where(h_next <= tiny, zero, h_next)  # what is left is round-off: A v lies in the space
    v = xp.scale(ratio(xp, one, h_next), w)
    e, e_next = xp.one_hot(state.j, m + 1), xp.one_hot(state.j + 1, m + 1)
    # the new column, rotated as those before it; then its own rotation of rows j and j + 1
    r = state.G @ xp.axpy(h_next, e_next, h)
    a, d = xp.dot(r, e), xp.dot(r, e_next)
    rho = hypot(xp, a, d)
    above = (r - a * e - d * e_next)[:m]
    at_j = xp.one_hot(state.j, m)
    R = xp.set_column(state.R, state.j, above + at_j)
    singular = rho <= tiny * norm(xp, xp.solve_triangular(R, at_j))
    c, sn = s.where(singular, one, s.div(a, rho)), s.where(singular, zero, s.div(d, rho))
    row, row_next = e @ state.G, e_next @ state.G
    G = xp.set_row(xp.set_row(state.G, state.j, c * row + sn * row_next), state.j + 1, c * row_next - sn * row)
    R = xp.set_column(R, state.j, above + s.where(singular, one, rho) * at_j)
    made = s.where(singular, zero, one)
    r_norm = s.where(singular, state.r_norm, s.abs(state.beta * xp.dot(G[:, 0], e_next)))
    why = first_of(
        xp, (s.not_(s.isfinite(r_norm)), NOT_FINITE), (r_norm <= state.limit, SOLVED),
        (s.or_(singular, h_next == 0), BREAKDOWN),
    )  # fmt: skip
    state = state._replace(
        v=v, V=xp.set_row(state.V, state.j + 1, v), R=R, G=G,
        done=xp.axpy(made, at_j, state.done), j=state.j + 1, r_norm=r_norm, k=state.k + 1, why=why, top=top,
    )  # fmt: skip
    over = s.or_(state.j == m, state.k == state.last, why != GOING)
    return xp.cond(over, partial(_restart, xp, A, M, b), lambda state: state, state)


def _restart(xp: Backend, A: Product, M: Product | None, b: Array, state: GMRESState) -> GMRESState:
    """The new iterate with its true residual, and an empty cycle there; what is not solved after all goes on."""
    s = xp.s
    x = gmres_iterate(xp, state)
    cycle, beta = _cycle(xp, _residual(xp, A, M, b, x), state.R.shape[0])
    lost = s.or_(state.why == BREAKDOWN, s.not_(s.isfinite(state.r_norm)))
    why = first_of(
        xp, (s.not_(s.isfinite(beta)), NOT_FINITE), (beta <= state.limit, SOLVED), (lost, BREAKDOWN)
    )  # fmt: skip
    return GMRESState(
        x, *cycle, beta, state.top, state.j - state.j, beta, state.s_norm, state.limit, state.last, state.k, why
    )  # fmt: skip


def gmres(
    xp: Backend,
    A: Product,
    b: Array,
    *,
    restart: int = 30,
    M: Product | None = None,
    x0: Array | None = None,
    rtol: float | Scalar = 1e-10,
    atol: float | Scalar = 0.0,
    max_iterations: int = 100,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Minimise ``|M (b - A x)|`` over Krylov spaces of at most ``restart`` dimensions, one after the other.

    Saad and Schultz 1986. Stops where ``|M r| <= max(rtol |M b|, atol)``; at the end of a cycle the residual is
    computed anew, and a small estimate that does not hold is not taken for a solution.

    Parameters
    ----------
    xp : Backend
        Where.
    A : callable
        ``A(v)`` (n,) for v (n,).
    b : Array
        Right-hand side (n,).
    restart : int
        Length m of a cycle, >= 1; no more than n are used.
    M : callable, optional
        Preconditioner from the left, ``M(r)`` near ``A^-1 r``.
    x0 : Array, optional
        Start (n,); 0 where not given.
    rtol, atol : float
        Tolerances.
    max_iterations : int
        Products with A in all cycles together; those for true residuals come on top.
    record, watch
        As for :func:`~nmdl_bench.linalg.iteration.iterate`; a watched iterate costs ``restart n`` operations.

    Raises
    ------
    ConfigurationError
        ``restart`` is less than 1.
    """
    if restart < 1:
        raise ConfigurationError(f"restart must be at least 1, not {restart!r}")
    restart = min(restart, b.shape[0])
    unit, b, x0 = in_units(xp, b, x0)
    start = gmres_init(xp, A, b, restart, M, x0, rtol, xp.s.div(real(xp, atol), unit), max_iterations)
    step = partial(gmres_step, xp, A, M, b)

    def watched(state: GMRESState) -> Array:
        return unit * gmres_iterate(xp, state)

    return iterate(xp, start, step, max_iterations, record, watch, watched=watched, unit=unit)
