"""The quadratic ``g.p + p.B p / 2`` on a Krylov space: Lanczos' basis, and minimisers within a radius or with a shift.

On the basis ``Q`` (rows, orthonormal where they are kept so, else as far as round-off lets the recurrence; the first
one along g) B is the tridiagonal ``T``. Minimisers
of the quadratic within ``|p| <= Delta`` and of ``q(p) + lam |p|^2 / 2`` alike are ``p = Q^T h`` with
``(T + lam I) h = -|g| e_1``. All is in units of the gradient's maximum norm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, Scalar
from nmdl_bench.linalg.lanczos import orthogonal_to
from nmdl_bench.optimizers.curvature import Forcing, rows, unit_of

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Krylov(NamedTuple):
    """Basis ``Q`` (m, n) and tridiagonal ``T`` (m, m), ``norm = |g|_2`` in units of ``unit = |g|_inf``.

    Only the first ``used`` rows count; behind them T is diagonal, above its spectrum. ``top`` is the largest modulus of
    an entry in the rows in use. ``inside`` is whether ``-|g| T^-1 e_1`` is the minimiser within the region that the
    basis was made for.
    """

    Q: Array
    T: Array
    norm: Scalar
    unit: Scalar
    top: Scalar
    inside: Any
    forcing: Forcing
    used: Any


class _Inner(NamedTuple):
    """Lanczos' vector ``q_j``, the one ``before`` it, and what conjugate gradients would know with it.

    ``delta`` and ``gamma`` are the diagonal of T and what is beside it, ``coupling`` the paper's ``gamma_j`` of ``q``.
    ``alpha`` is the last step length, the inverse of the last pivot of ``T + shift I``, ``u`` the last component of the
    solution; ``rho`` is ``|r|^2``, and with iterate ``z`` and direction ``d`` ``zz, zd, dd`` are ``|z|^2, z.d, |d|^2``;
    ``residual`` is the norm of the step's so far, ``top`` the largest entry of T. ``inside`` is false once the solution
    left the region or T is not positive definite. ``before`` is None where the basis is made orthogonal.
    """

    Q: Array
    delta: Array
    gamma: Array
    q: Array
    coupling: Scalar
    alpha: Scalar
    u: Scalar
    rho: Scalar
    zz: Scalar
    zd: Scalar
    dd: Scalar
    top: Scalar
    residual: Scalar
    inside: Any
    j: Any
    before: Array | None


def start(xp: Backend, m: int, n: int, forcing: Forcing) -> Krylov:
    """Memory for ``m`` rows of ``n``, before the first basis."""
    m, one = min(m, n), xp.s.const(1.0)
    return Krylov(xp.zeros((m, n)), xp.zeros((m, m)), one, one, one, xp.s.int(0) == 0, forcing, xp.s.int(0))


def lanczos(
    xp: Backend,
    apply: Callable[[Array], Array],
    g: Array,
    old: Krylov,
    shift: Scalar,
    radius: Scalar | None = None,
    reorthogonalise: bool | None = None,
) -> tuple[Krylov, Any]:
    """A basis on which ``|(B + lam I) p + g| <= eta |g|`` at the minimiser, or with as many rows as there is room for.

    Gould, Lucidi, Roma and Toint (1999), algorithm 5.1. While T is positive definite and the solution inside, norms and
    residual come from the recurrences of conjugate gradients; from the edge on T is solved at every row.

    Parameters
    ----------
    xp, apply, g
        Backend, ``v -> B v``, gradient.
    old : Krylov
        Memory; donated.
    shift : Scalar
        ``lam``, where it is given.
    radius : Scalar, optional
        Where instead a radius is given and ``lam`` follows from it; the shift is zero then.
    reorthogonalise : bool, optional
        Whether new vectors are made orthogonal to all before, twice, and not to two of them as in the paper; by default
        where the basis is small, see :data:`~nmdl_bench.optimizers.curvature.ORTHOGONAL`.

    Returns
    -------
    Krylov, int
        And the number of products.
    """
    s, m = xp.s, old.Q.shape[0]
    unit = unit_of(xp, g)
    q = g * s.div(s.const(1.0), unit)
    gg = xp.dot(q, q)
    norm = s.sqrt(gg)
    forcing = old.forcing.tighten(xp, unit * norm)
    limit = forcing.eta * norm
    edge = s.div(radius, unit) if radius is not None else s.const(float("inf"))

    def going(now: _Inner) -> Any:
        more = s.and_(now.residual > limit, now.coupling > 10 * xp.eps * now.top, now.j < m)
        return s.and_(more, now.inside) if radius is None else more

    def step(now: _Inner) -> _Inner:
        j = now.j
        Q = xp.set_row(now.Q, j, now.q)
        Bq = apply(now.q)
        entry = xp.dot(now.q, Bq)
        if now.before is None:
            Bq = orthogonal_to(xp, xp.head(Q, j + 1), Bq)
        else:
            Bq = xp.axpy(-now.coupling, now.before, xp.axpy(-entry, now.q, Bq))
        coupling = s.sqrt(xp.dot(Bq, Bq))
        at_j = xp.one_hot(j, m)
        delta, gamma = now.delta + entry * at_j, now.gamma + now.coupling * at_j
        top = s.maximum(now.top, s.maximum(s.abs(entry), coupling))
        # conjugate gradients: pivot of T + shift I, last component, and the norms along them
        off = s.where(j > 0, now.coupling, s.const(0.0))
        pivot = entry + shift - off * off * now.alpha
        curved = pivot > xp.eps * top
        alpha = s.where(curved, s.div(s.const(1.0), pivot), s.const(0.0))
        rho = s.where(j > 0, off * off * now.u * now.u, gg)
        beta = s.where(j > 0, s.div(rho, now.rho), s.const(0.0))
        zd = beta * (now.zd + now.alpha * now.dd)
        dd = rho + beta * beta * now.dd
        zz = now.zz + 2 * alpha * zd + alpha * alpha * dd
        u = -s.where(j > 0, off * now.u, norm) * alpha
        inside = s.and_(now.inside, curved, zz < edge * edge)
        residual = coupling * s.abs(u)
        if radius is not None:

            def outside(delta: Array, gamma: Array, j: Any, residual: Scalar) -> Scalar:
                h = within(xp, _tridiagonal(xp, delta, gamma, j), norm, edge)
                return coupling * s.abs(xp.dot(at_j, h))

            residual = xp.cond(inside, lambda *given: given[-1], outside, delta, gamma, j + 1, residual)
        q = xp.scale(s.div(s.const(1.0), s.where(coupling > 0, coupling, s.const(1.0))), Bq)
        before = None if now.before is None else now.q
        return _Inner(Q, delta, gamma, q, coupling, alpha, u, rho, zz, zd, dd, top, residual, inside, j + 1, before)

    zero, one = s.const(0.0), s.const(1.0)
    q = xp.scale(s.div(one, s.where(norm > 0, norm, one)), q)
    scalars = (norm, zero, zero, gg, zero, zero, zero, zero, norm)
    # rows of the last basis would take part in the orthogonalisation
    fresh = rows(xp, reorthogonalise, *old.Q.shape)
    Q, before = (old.Q, xp.zeros((old.Q.shape[1],))) if fresh is None else (fresh, None)
    begin = _Inner(Q, xp.zeros((m,)), xp.zeros((m,)), q, *scalars, s.int(0) == 0, s.int(0), before)
    last = xp.while_loop(going, step, begin)
    T = _tridiagonal(xp, last.delta, last.gamma, last.j)
    return Krylov(last.Q, T, norm, unit, last.top, last.inside, forcing, last.j), last.j


def _tridiagonal(xp: Backend, delta: Array, gamma: Array, j: Any) -> Array:
    """T, with what is above its spectrum on the diagonal behind the leading ``j`` rows."""
    s, m = xp.s, delta.shape[0]
    row = xp.constant(np.arange(m, dtype=float))
    behind = row - s.real(j) > -0.5
    above = 4 * s.maximum(xp.norm_inf(delta), xp.norm_inf(gamma)) + 1
    off = xp.where(behind, xp.zeros((m,)), gamma)
    diagonal = xp.where(behind, xp.zeros((m,)) + above, delta)
    distance = xp.reshape(row, (m, 1)) - row
    none = xp.zeros((m, m))
    L = xp.where(xp.abs(distance - 1) < 0.5, xp.reshape(off, (m, 1)) + none, none)
    return xp.where(xp.abs(distance) < 0.5, diagonal + none, none) + L + L.T


def shifted(xp: Backend, T: Array, norm: Scalar, lam: Scalar) -> Array:
    """The ``h`` with ``(T + lam I) h = -norm e_1``."""
    m = T.shape[0]
    row = xp.constant(np.arange(m, dtype=float))
    none = xp.zeros((m, m))
    diagonal = xp.where(xp.abs(xp.reshape(row, (m, 1)) - row) < 0.5, none + lam, none)
    return xp.solve(T + diagonal, -norm * xp.one_hot(0, m))


def within(xp: Backend, T: Array, norm: Scalar, edge: Scalar) -> Array:
    """The ``h`` that minimises ``norm h_1 + h.T h / 2`` within ``|h| <= edge``, by the eigenvalues of T."""
    w, V = xp.eigh(T)
    return V @ secular(xp, w, V[0, :] * norm, edge)


def secular(xp: Backend, w: Array, a: Array, edge: Scalar) -> Array:
    """The ``c`` that minimises ``a.c + w.c^2 / 2`` within ``|c| <= edge``; ``w`` increases.

    With ``lam = mu - w_1`` it is ``c_i = -a_i / (w_i - w_1 + mu)``, inside with ``lam = 0`` where that fits, else on
    the edge. There ``mu`` is the root of ``1 / |c(mu)| = 1 / edge``: Newton's method from below, where ``|c| >= edge``,
    rises to it without safeguards (Conn, Gould and Toint 2000, section 7.3.3). In the hard case (section 7.3.1.3),
    ``a_1 = 0`` with ``|c(0)| < edge``, ``a_1`` is put to a rounding error of ``a``, and ``c_1`` fills what is left.
    """
    s, m = xp.s, w.shape[0]
    e = xp.one_hot(0, m)
    w_1, a_1 = xp.dot(e, w), xp.dot(e, a)
    tiny = xp.eps * xp.norm_inf(a)
    a = a + s.where(s.abs(a_1) < tiny, tiny - a_1, s.const(0.0)) * e
    gap = w - w_1
    below = xp.abs(a) * s.div(s.const(1.0), edge) - gap
    mu = s.maximum(xp.norm_inf(xp.where(below > 0, below, xp.zeros((m,)))), w_1)

    def at(mu: Scalar) -> tuple[Array, Scalar]:
        c = -a / (gap + mu)
        return c, xp.dot(c, c)

    def going(now: tuple[Scalar, Scalar, Scalar, Any]) -> Any:
        _, change, size, k = now
        return s.and_(size > edge * (1 + 8 * xp.eps), change > 0, k < 100)

    def step(now: tuple[Scalar, Scalar, Scalar, Any]) -> tuple[Scalar, Scalar, Scalar, Any]:
        mu, _, size, k = now
        c, cc = at(mu)
        change = s.div(cc, xp.total(c * c / (gap + mu))) * s.div(size - edge, edge)
        raised = mu + change
        return raised, raised - mu, s.sqrt(at(raised)[1]), k + 1

    mu, *_ = xp.while_loop(going, step, (mu, s.const(1.0), s.sqrt(at(mu)[1]), s.int(0)))
    return at(mu)[0]


def step_of(xp: Backend, krylov: Krylov, h: Array) -> tuple[Array, Scalar, Scalar]:
    """The step ``p = Q^T h``, the decrease of the quadratic along it, and its length."""
    unit = krylov.unit
    predicted = -xp.dot(h, krylov.norm * xp.one_hot(0, h.shape[0]) + 0.5 * (krylov.T @ h))
    # h is zero behind the rows in use
    p = xp.head(h, krylov.used) @ xp.head(krylov.Q, krylov.used)
    length = unit * xp.s.sqrt(xp.dot(p, p))
    return xp.scale(unit, p), unit * (unit * predicted), length
