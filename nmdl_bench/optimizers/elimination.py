"""The convex problem in the last layer's weights: ``min_W E(Z W, C) + alpha/2 |W|^2`` for fixed features ``Z`` (n, p).

:func:`eliminate` gives its minimiser ``W`` (p, k) and what derivatives of ``W`` with respect to ``Z`` need. With
``G = grad E`` (n, k), ``H`` the loss's Hessian, and ``H_WW V = Z^T H(Z V) + alpha V``, the stationarity condition
``Z^T G + alpha W = 0`` gives along ``dZ``::

    dW = -H_WW^-1 (Z^T H(dZ W) + dZ^T G)

whose first part :func:`project` computes; Kaufman (1975) drops the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, ConfigurationError, Loss, Scalar, Tape

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

TOLERANCE = 1e-10
"""Of the first gradient's maximum norm in Newton's method; ten roundings where that is more. One more step follows."""
BLURRED = 1e-8
"""Share of the value below which rounding errors may hide a decrease; a thousand roundings where that is more."""
STEPS = 50
"""Steps of Newton's method at most."""
LARGEST = 4000
"""Weights that Newton's method takes: it factorises a matrix of that order."""


class Eliminated(NamedTuple):
    """A minimiser.

    ``W`` (p, k); ``f = E(Z W, C) + alpha/2 |W|^2``; the ``loss``'s tape at ``Z W``; ``g_norm``, the maximum norm of the
    gradient in ``W``; ``factors`` of the matrix; ``products``, how often Newton's method has passed over the samples.
    """

    W: Array
    f: Scalar
    loss: Tape
    g_norm: Scalar
    factors: Any
    products: Any


class Spectrum(NamedTuple):
    """``Z = U diag(s) Vt`` with U (n, r), s (r,), Vt (r, p), ``r = min(n, p)``, and the filters that solve with it.

    ``phi = s / (s^2 + n alpha)`` (r, 1) and ``psi = n / (s^2 + n alpha)`` (r, 1), where ``s`` counts as zero below
    rounding errors of the largest.
    """

    U: Array
    Vt: Array
    phi: Array
    psi: Array


def eliminate(xp: Backend, loss: Loss, Z: Array, C: Array, alpha: float, W: Array) -> Eliminated:
    """Minimise over the last layer's weights.

    Parameters
    ----------
    xp : Backend
        Where.
    loss : Loss
        ``E``, convex and smooth. Half mean squares are minimised by a singular value decomposition, others by Newton's
        method.
    Z, C : Array
        Features (n, p) and targets (n, k).
    alpha : float
        At least 0; where ``Z`` has not full rank and alpha is 0, least squares take the shortest minimiser.
    W : Array
        Where Newton's method starts (p, k).
    """
    if is_least_squares(loss):
        return _by_spectrum(xp, loss, Z, C, alpha)
    return _by_newton(xp, loss, Z, C, alpha, W)


def is_least_squares(loss: Loss) -> bool:
    """Whether it is the half mean square of the residual."""
    return getattr(loss, "name", "") == "least-squares"


def project(xp: Backend, loss: Loss, Z: Array, alpha: float, found: Eliminated, T: Array) -> Array:
    """``H_WW^-1 Z^T H T`` (p, k) for T (n, k)."""
    if isinstance(found.factors, Spectrum):
        U, Vt, phi, _ = found.factors
        return Vt.T @ (phi * (U.T @ T))
    return solve(xp, Z, alpha, found, Z.T @ loss.hessian(xp, found.loss, T))


def solve(xp: Backend, Z: Array, alpha: float, found: Eliminated, M: Array) -> Array:
    """``H_WW^-1 M`` (p, k) for M (p, k); by the pseudo-inverse where it has none."""
    if not isinstance(found.factors, Spectrum):
        L, (p, k) = found.factors, M.shape
        m = xp.solve_triangular(L, xp.reshape(M.T, (-1,)), lower=True)
        return xp.reshape(xp.solve_triangular(L.T, m), (k, p)).T
    _, Vt, _, psi = found.factors
    VtM = Vt @ M
    X = Vt.T @ (psi * VtM)
    if Vt.shape[0] < Vt.shape[1] and alpha:  # more weights than samples: features see only a part of M
        X = X + (M - Vt.T @ VtM) * (1 / alpha)
    return X


# ------------------------------------------------------------------------------------------------------ least squares
def _by_spectrum(xp: Backend, loss: Loss, Z: Array, C: Array, alpha: float) -> Eliminated:
    """``W = V diag(phi) U^T C``, with Tikhonov's filter (Hansen 1998)."""
    n, p = Z.shape
    U, s, Vt = xp.svd(Z)
    r = s.shape[0]
    s, zeros = xp.reshape(s, (r, 1)), xp.zeros((r, 1))
    rounding = max(n, p) * xp.eps * xp.norm_inf(xp.reshape(s, (-1,)))
    seen = s > zeros + rounding
    d = xp.where(seen, s * s, zeros) + n * alpha
    d = xp.where(d > 0, d, zeros + 1.0)
    # NaN features have to show: what is not seen may be NaN
    phi = xp.where(seen, s / d, zeros * s)
    psi = n / d if alpha else xp.where(seen, n / d, zeros * s)
    W = Vt.T @ (phi * (U.T @ C))
    f, tape = loss.forward(xp, Z @ W, C)
    w = xp.reshape(W, (-1,))
    g = xp.axpy(alpha, w, xp.reshape(Z.T @ loss.grad(xp, tape), (-1,)))
    f = f + 0.5 * alpha * xp.dot(w, w)
    return Eliminated(W, f, tape, xp.norm_inf(g), Spectrum(U, Vt, phi, psi), xp.s.int(0))


# ------------------------------------------------------------------------------------------------------ Newton's method
class NewtonState(NamedTuple):
    """Iterate ``W`` with its output ``S = Z W``, value ``f``, gradient ``g`` (k p,) and Cholesky factor ``L``.

    Vectors hold ``W^T`` row by row. ``t`` is the next trial's length; ``steps`` counts trials, and ``products``
    linearisations too; ``going`` is false at the end.
    """

    W: Array
    S: Array
    f: Scalar
    g: Array
    L: Array
    t: Scalar
    products: Any
    steps: Any
    going: Any


def _by_newton(xp: Backend, loss: Loss, Z: Array, C: Array, alpha: float, W: Array) -> Eliminated:
    """``W <- W - t H_WW^-1 g`` with ``t`` halved until Armijo's condition holds (Nocedal and Wright 2006, section 3.1).

    The last step starts within the tolerance, and is not judged; or rounding errors let the gradient fall no further,
    as from a start that is the minimiser. It makes ``W`` exact to rounding errors, so that ``W(theta)`` hardly depends
    on where the iteration started, nor differs between libraries. Where the decrease that
    is asked for is small against ``f``, whose rounding errors may hide it, the slope decides: the trial's may be half
    the start's in modulus (Hager and Zhang 2005, approximate Wolfe condition, delta = 1/4).

    With little regularisation the matrix is singular to working precision, since the softmax does not see a number
    that is added to all outputs of a sample; :func:`_factorise` shifts it. Where a direction is not finite all the
    same, the iteration ends.
    """
    s, (p, k) = xp.s, W.shape
    if p * k > LARGEST:
        raise ConfigurationError(
            f"the last layer's {p} x {k} weights are more than Newton's method eliminates, {LARGEST}; use fewer "
            "features, or the loss 'least-squares'"
        )

    def value(S: Array, W: Array) -> tuple[Scalar, Tape]:
        f, tape = loss.forward(xp, S, C)
        w = xp.reshape(W, (-1,))
        return f + 0.5 * alpha * xp.dot(w, w), tape

    def linearise(S: Array, W: Array) -> tuple[Array, Array]:
        _, tape = loss.forward(xp, S, C)
        G = Z.T @ loss.grad(xp, tape) + alpha * W
        return xp.reshape(G.T, (-1,)), _factorise(xp, loss, Z, tape, alpha, k)

    def step(state: NewtonState) -> NewtonState:
        W, S, f, g, L, t, products, steps, _ = state
        d = -xp.solve_triangular(L.T, xp.solve_triangular(L, g, lower=True))
        slope = xp.dot(g, d)
        D = xp.reshape(d, (k, p)).T
        ZD = Z @ D
        W_t, S_t = W + t * D, S + t * ZD
        f_t, tape = value(S_t, W_t)
        slope_t = xp.total(loss.grad(xp, tape) * ZD) + alpha * xp.total(W_t * D)
        small = -slope <= max(BLURRED, 1000 * xp.eps) * s.abs(f)

        def accept() -> NewtonState:
            g_t, L_t = linearise(S_t, W_t)
            before, after = xp.norm_inf(g), xp.norm_inf(g_t)
            more = s.and_(before > tolerance, s.or_(s.not_(small), after + after < before))
            return NewtonState(W_t, S_t, f_t, g_t, L_t, s.const(1.0), products + 2, steps + 1, more)

        def reject() -> NewtonState:
            more = s.and_(t > 1e-10, s.isfinite(slope))
            return NewtonState(W, S, f, g, L, 0.5 * t, products + 1, steps + 1, more)

        low = s.or_(f_t <= f + 1e-4 * t * slope, s.and_(small, slope_t <= -0.5 * slope))
        return xp.cond(s.and_(s.isfinite(slope), s.or_(low, xp.norm_inf(g) <= tolerance)), accept, reject)

    W = xp.copy(W)
    S = Z @ W
    f, _ = value(S, W)
    g, L = linearise(S, W)
    # relative to the gradient at W = 0, which knows the scale of the features and not where the iteration starts
    at_zero = loss.grad(xp, loss.forward(xp, xp.zeros((Z.shape[0], k)), C)[1])
    tolerance = xp.norm_inf(xp.reshape(Z.T @ at_zero, (-1,))) * max(TOLERANCE, 10 * xp.eps)
    start = NewtonState(W, S, f, g, L, s.const(1.0), s.int(1), s.int(0), s.int(0) == 0)

    def going(state: NewtonState) -> Any:
        return s.and_(state.going, state.steps < STEPS, s.isfinite(state.f))

    last = xp.while_loop(going, step, start)
    _, tape = loss.forward(xp, last.S, C)
    return Eliminated(last.W, last.f, tape, xp.norm_inf(last.g), last.L, last.products)


def _factorise(xp: Backend, loss: Loss, Z: Array, tape: Tape, alpha: float, k: int) -> Array:
    """Cholesky factor of ``H_WW`` (k p, k p): block (c, d) is ``Z^T diag(H_cd) Z + alpha [c = d]``.

    Blocks below the diagonal are computed, and half of those on it; the rest is their transpose. To the diagonal
    ``eps tr(H_WW)`` is added, and ten times as much, at most the trace, until the factor is finite.
    """
    n, p = Z.shape
    columns, index = [], xp.constant(range(k))
    for d in range(k):
        e = xp.where(index == d, xp.zeros((k,)) + 1.0, xp.zeros((k,)))
        Hd = loss.hessian(xp, tape, xp.zeros((n, k)) + e)  # column d of each sample's Hessian
        rows = xp.concat([0.5 * Hd[:, d : d + 1], Hd[:, d + 1 :]], axis=1)
        weighted = xp.reshape(xp.reshape(rows, (n, k - d, 1)) * xp.reshape(Z, (n, 1, p)), (n, (k - d) * p))
        columns.append(xp.concat([xp.zeros((d * p, p)), weighted.T @ Z], axis=0))
    H = xp.concat(columns, axis=1)
    H = H + H.T
    s, identity = xp.s, xp.eye(k * p)
    trace = xp.total(H * identity)

    def shifted(state: tuple[Array, Scalar, Any]) -> tuple[Array, Scalar, Any]:
        _, shift, _ = state
        L = xp.cholesky(H + (alpha + shift) * identity)
        # a shift that underflowed to zero would stay there
        return L, 10.0 * shift, s.and_(s.not_(s.isfinite(xp.total(L))), shift > 0, shift < trace)

    L, _, _ = xp.while_loop(lambda state: state[2], shifted, (xp.zeros((k * p, k * p)), xp.eps * trace, s.int(0) == 0))
    return L
