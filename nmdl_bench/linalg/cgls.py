"""Conjugate gradients for least squares, and steepest descent beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, Scalar
from nmdl_bench.linalg.iteration import (
    LEAST_SQUARES,
    NOT_FINITE,
    Product,
    Solution,
    corrected,
    finite,
    first_of,
    iterate,
    norm,
    ratio,
    real,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class CGLSState(NamedTuple):
    """Iterate ``x``, residual ``r = b - A x``, direction ``p``, ``gamma = |s|^2`` with ``s = A^T r - damp^2 x``.

    ``momentum`` is 1, or 0 where every direction is ``s`` itself: steepest descent.
    """

    x: Array
    r: Array
    p: Array
    gamma: Scalar
    r_norm: Scalar
    s_norm: Scalar
    limit: Scalar
    damp: Scalar
    momentum: Scalar
    k: Any
    why: Any


def cgls_init(
    xp: Backend,
    At: Product,
    b: Array,
    damp: float | Scalar = 0.0,
    rtol: float | Scalar = 1e-10,
    momentum: float | Scalar = 1.0,
) -> CGLSState:
    """State at 0; arguments as for :func:`cgls`."""
    r, p = xp.copy(b), xp.copy(At(b))
    gamma = xp.dot(p, p)
    s_norm = xp.s.sqrt(gamma)
    why = first_of(xp, (xp.s.not_(xp.s.isfinite(gamma)), NOT_FINITE), (s_norm <= 0, LEAST_SQUARES))
    return CGLSState(
        xp.zeros(tuple(p.shape)), r, p, gamma, norm(xp, b), s_norm, real(xp, rtol) * s_norm, real(xp, damp),
        real(xp, momentum), xp.s.int(0), why,
    )  # fmt: skip


def cgls_step(xp: Backend, A: Product, At: Product, state: CGLSState) -> CGLSState:
    """One step, Bjorck 1996, algorithm 7.4.1.

    ::

        q = A p,  alpha = gamma / (|q|^2 + damp^2 |p|^2),  x + alpha p,  r - alpha q,
        s = A^T r - damp^2 x,  beta = |s|^2 / gamma,  p = s + beta p

    For steepest descent the ``gamma`` in ``alpha`` is ``s.p = |s|^2`` as well.
    """
    s, (x, r, p, gamma), damp2 = xp.s, state[:4], state.damp * state.damp
    q = A(p)
    alpha = ratio(xp, gamma, xp.dot(q, q) + damp2 * xp.dot(p, p))
    x, r = xp.axpy(alpha, p, x), xp.axpy(-alpha, q, r)
    descent = xp.add_scaled(At(r), -damp2, x)
    gamma_new = xp.dot(descent, descent)
    p = xp.aypx(state.momentum * ratio(xp, gamma_new, gamma), descent, p)
    s_norm, r_norm = s.sqrt(gamma_new), norm(xp, r)
    why = first_of(
        xp, (s.not_(finite(xp, gamma_new, r_norm)), NOT_FINITE), (s_norm <= state.limit, LEAST_SQUARES)
    )  # fmt: skip
    return state._replace(x=x, r=r, p=p, gamma=gamma_new, r_norm=r_norm, s_norm=s_norm, k=state.k + 1, why=why)


def cgls(
    xp: Backend,
    A: Product,
    At: Product,
    b: Array,
    *,
    damp: float | Scalar = 0.0,
    rtol: float | Scalar = 1e-10,
    max_iterations: int = 100,
    x0: Array | None = None,
    right: tuple[Product, Product] | None = None,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Minimise ``|A x - b|^2 + damp^2 |x - x0|^2`` until ``|s| <= rtol |A^T (b - A x0)|``.

    Hestenes and Stiefel 1952, section 10, in the form of Bjorck 1996, section 7.4. The residual of the normal
    equations is ``s = A^T r - damp^2 (x - x0)``; ``beta`` is the ratio of its squares.

    Parameters
    ----------
    xp : Backend
        Where.
    A, At : callable
        ``A(v)`` (m,) for v (n,), and ``At(w)`` (n,) for w (m,).
    b : Array
        Right-hand side (m,).
    damp : float
        Tikhonov parameter's root; with ``right``, it damps ``R (x - x0)``.
    rtol : float
        Tolerance.
    x0 : Array, optional
        Start (n,); 0 where not given.
    right : pair of callables, optional
        Preconditioner, as for :func:`~nmdl_bench.linalg.iteration.corrected`.
    max_iterations, record, watch
        As for :func:`~nmdl_bench.linalg.iteration.iterate`.
    """
    problem = corrected(xp, A, At, b, x0, right)
    start = cgls_init(xp, problem.At, problem.b, damp, rtol)
    step = partial(cgls_step, xp, problem.A, problem.At)
    return iterate(xp, start, step, max_iterations, record, watch, problem.finish, unit=problem.unit)


def steepest_descent_ls(
    xp: Backend,
    A: Product,
    At: Product,
    b: Array,
    *,
    damp: float | Scalar = 0.0,
    rtol: float | Scalar = 1e-10,
    max_iterations: int = 100,
    x0: Array | None = None,
    record: bool = False,
    watch: Callable[[Array], Scalar] | None = None,
) -> Solution:
    """Minimise as :func:`cgls` does, by steepest descent with exact steps ``alpha = |s|^2 / (|A s|^2 + damp^2 |s|^2)``.

    Its error falls by ``(kappa - 1) / (kappa + 1)`` a step at worst, ``kappa = cond(A)^2`` (Kantorovich 1948).
    """
    problem = corrected(xp, A, At, b, x0, None)
    start = cgls_init(xp, problem.At, problem.b, damp, rtol, momentum=0.0)
    step = partial(cgls_step, xp, problem.A, problem.At)
    return iterate(xp, start, step, max_iterations, record, watch, problem.finish, unit=problem.unit)
