"""How strongly to regularise: cross-validation, the discrepancy principle, the L-curve.

All of them look at Tikhonov's solution ``x_alpha``, which minimises ``1/2 |A x - b|^2 + alpha/2 |x|^2``, through the
singular values alone. With ``phi_i = alpha / (sigma_i^2 + alpha)`` and ``c_i = u_i.b``::

    |b - A x_alpha|^2 = sum phi_i^2 c_i^2 + rest,    |x_alpha|^2 = sum ((1 - phi_i) c_i / sigma_i)^2,
    trace(I - A A_alpha) = m - k + sum phi_i

Parameters are sought on a logarithmic scale, ever finer between the neighbours of the best so far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError, Scalar
from nmdl_bench.linalg.iteration import Product, real
from nmdl_bench.linalg.lanczos import golub_kahan
from nmdl_bench.linalg.svd import SVD

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

POINTS = 65
"""Parameters that are looked at in one round."""
ROUNDS = 5
"""Each round leaves one 32nd of the interval, so that 5 settle a logarithm of any range to 1e-6."""


class Spectrum(NamedTuple):
    """``sigma`` (k,), ``c = U^T b`` (k,), ``rest = |b - U c|^2``, and the number ``m`` of data, as a real."""

    sigma: Array
    c: Array
    rest: Scalar
    m: Scalar


def spectrum(xp: Backend, svd: SVD, b: Array) -> Spectrum:
    """What parameter choice needs of a singular value decomposition and the data."""
    c = svd.U.T @ b
    r = xp.axpy(-1.0, svd.U @ c, xp.copy(b))
    return Spectrum(svd.sigma, c, xp.dot(r, r), xp.s.const(float(b.shape[0])))


def projected_spectrum(xp: Backend, A: Product, At: Product, b: Array, steps: int) -> Spectrum:
    """The same of the problem projected by ``steps`` of Golub and Kahan; exact once they exhaust the space."""
    found = golub_kahan(xp, A, At, b, steps)
    U, sigma, _ = xp.svd(found.B)
    c = found.beta_1 * U[0, :]
    rest = xp.s.maximum(found.beta_1 * found.beta_1 - xp.dot(c, c), xp.s.const(0.0))
    return Spectrum(sigma, c, rest, xp.s.const(float(b.shape[0])))


# ------------------------------------------------------------------------------------------------------- functions
def _filters(xp: Backend, sigma: Array, alphas: Array) -> Array:
    """``alpha / (sigma_i^2 + alpha)`` (p, k), a row for each parameter."""
    column = xp.reshape(alphas, (-1, 1))
    return column / (column + xp.reshape(sigma * sigma, (1, -1)))


def residual_squares(xp: Backend, at: Spectrum, alphas: Array) -> Array:
    """``|b - A x_alpha|^2`` (p,) for parameters (p,)."""
    phi = _filters(xp, at.sigma, alphas)
    return (phi * phi) @ (at.c * at.c) + at.rest


def solution_squares(xp: Backend, at: Spectrum, alphas: Array) -> Array:
    """``|x_alpha|^2`` (p,) for parameters (p,)."""
    squares, column = at.sigma * at.sigma, xp.reshape(alphas, (-1, 1))
    shrunk = xp.reshape(at.sigma, (1, -1)) / (column + xp.reshape(squares, (1, -1)))
    return (shrunk * shrunk) @ (at.c * at.c)


def gcv(xp: Backend, at: Spectrum, alphas: Array) -> Array:
    """``m |b - A x_alpha|^2 / trace(I - A A_alpha)^2`` (p,) (Golub, Heath and Wahba 1979, eq. 1.4)."""
    trace = xp.sum(_filters(xp, at.sigma, alphas), axis=1) + (at.m - float(at.sigma.shape[0]))
    return at.m * (residual_squares(xp, at, alphas) / (trace * trace))


def curvature(xp: Backend, at: Spectrum, alphas: Array) -> Array:
    """Curvature (p,) of the L-curve ``(log |r|, log |x|)``, positive at its corner.

    Along ``t = log alpha``, with ``R = |r|^2``, ``X = |x|^2`` and dots for d/dt: ``dR = -alpha dX``, since ``x_alpha``
    minimises ``R + alpha X``. Then for ``p = log R / 2`` and ``q = log X / 2`` the curvature is
    ``(dp ddq - ddp dq) / (dp^2 + dq^2)^(3/2)`` (Hansen and O'Leary 1993).
    """
    phi, squares = _filters(xp, at.sigma, alphas), at.c * at.c
    R, X = (phi * phi) @ squares + at.rest, solution_squares(xp, at, alphas)
    # d phi / dt = phi (1 - phi), and X = sum (1 - phi)^2 c^2 / sigma^2 = sum phi (1 - phi) c^2 / alpha
    dX = -2.0 * ((phi * phi * (1.0 - phi)) @ squares) / alphas
    ddX = -2.0 * ((phi * phi * (1.0 - phi) * (1.0 - 3.0 * phi)) @ squares) / alphas
    dR = -alphas * dX
    ddR = -alphas * (dX + ddX)
    dp, dq = 0.5 * dR / R, 0.5 * dX / X
    ddp, ddq = 0.5 * (ddR / R - (dR / R) * (dR / R)), 0.5 * (ddX / X - (dX / X) * (dX / X))
    speed = dp * dp + dq * dq
    return (dp * ddq - ddp * dq) / (speed * xp.sqrt(speed))


# ----------------------------------------------------------------------------------------------------------- search
def _zoom(
    xp: Backend, best: Callable[[Array, Array], Scalar], low: Scalar, high: Scalar, points: int = POINTS
) -> Scalar:
    """Logarithm of a parameter: ``best`` says which of the parameters is, by its place in [0, 1]."""
    s = xp.s
    places = xp.constant(np.linspace(0.0, 1.0, points))

    def narrow(carry: Any, row: tuple[Any, ...]) -> Any:
        low, high, _ = carry
        width = high - low
        at = low + width * best(xp.exp(low + width * places), places)
        step = width * (1.0 / (points - 1))
        return s.maximum(at - step, low), s.minimum(at + step, high), at

    return xp.loop(narrow, (low, high, low), np.zeros((ROUNDS, 1), int))[2]


def greatest(xp: Backend, merit: Array, places: Array) -> Scalar:
    """Place of the greatest of the positive merits, the first of equals; what is not finite counts for nothing."""
    usable = xp.where((merit > 0) & (merit < float(np.finfo(xp.dtype_name).max)), merit, 0.0 * places)
    at_best = xp.where(usable - xp.norm_inf(usable) >= 0, 1.0 - places, 0.0 * places)
    return 1.0 - xp.norm_inf(at_best)


def _range(xp: Backend, sigma: Array, smallest: float) -> tuple[Scalar, Scalar, Scalar]:
    """The largest singular value squared (1 for a matrix of zeros), and logarithms relative to it to search between."""
    s, top = xp.s, xp.norm_inf(sigma)
    scale = s.where(top > 0, top * top, s.const(1.0))
    return scale, s.const(float(np.log(smallest))), s.const(float(np.log(10.0)))


def choose_gcv(xp: Backend, at: Spectrum) -> Scalar:
    """The alpha in ``[eps^2, 10] sigma_1^2`` that minimises :func:`gcv`; of a flat part, the smallest."""
    scale, low, high = _range(xp, at.sigma, xp.eps**2)

    def best(alphas: Array, places: Array) -> Scalar:
        return greatest(xp, 1.0 / gcv(xp, at, scale * alphas), places)

    return scale * xp.s.exp(_zoom(xp, best, low, high))


def choose_discrepancy(xp: Backend, at: Spectrum, noise: float | Scalar, tau: float | Scalar = 1.0) -> Scalar:
    """The largest alpha in ``[eps^2, 1 / eps] sigma_1^2`` with ``|b - A x_alpha| <= tau noise`` (Morozov 1966).

    ``noise`` is the norm of the data's error. Where even the smallest leaves a larger residual, it is the smallest.
    """
    scale, low, _ = _range(xp, at.sigma, xp.eps**2)
    limit = real(xp, tau) * real(xp, noise)
    limit = limit * limit

    def best(alphas: Array, places: Array) -> Scalar:
        return xp.norm_inf(xp.where(residual_squares(xp, at, scale * alphas) - limit <= 0, places, 0.0 * places))

    return scale * xp.s.exp(_zoom(xp, best, low, xp.s.const(-float(np.log(xp.eps)))))


def choose_l_curve(xp: Backend, at: Spectrum) -> Scalar:
    """The alpha between the squares of the largest and the smallest singular value where the L-curve bends most.

    Singular values below ``16 eps sigma_1`` are taken for that (Hansen and O'Leary 1993).
    """
    s, k = xp.s, at.sigma.shape[0]
    scale, low, _ = _range(xp, at.sigma, (16 * xp.eps) ** 2)
    last = xp.dot(at.sigma, xp.one_hot(k - 1, k))
    floor = s.maximum(s.div(last * last, scale), s.exp(low))

    def best(alphas: Array, places: Array) -> Scalar:
        inside = xp.where(alphas - floor >= 0, 1.0 + 0.0 * places, 0.0 * places)
        return greatest(xp, inside * curvature(xp, at, scale * alphas), places)

    return scale * s.exp(_zoom(xp, best, low, s.const(0.0), 4 * POINTS))


# ------------------------------------------------------------------------------------------------- stochastic trace
class TraceEstimate(NamedTuple):
    """Projected problems of the data and of random vectors ``z`` (a row of ``sigma, c`` each, and of ``rest``)."""

    data: Spectrum
    sigma: Array
    c2: Array
    rest: Array


def stochastic_traces(
    xp: Backend, A: Product, At: Product, b: Array, steps: int, probes: int = 1, seed: int = 0
) -> TraceEstimate:
    """What GCV needs without a singular value decomposition: ``probes + 1`` bidiagonalisations.

    ``trace(I - A A_alpha)`` is the mean of ``z^T (I - A A_alpha) z`` over vectors of random signs (Hutchinson 1990),
    each found for all alpha at once by ``steps`` of Golub and Kahan (Golub and von Matt 1997).

    Parameters
    ----------
    xp : Backend
        Where.
    A, At : callable
        ``A(v)`` (m,) for v (n,), and ``At(w)`` (n,) for w (m,).
    b : Array
        Data (m,).
    steps, probes : int
        Of each bidiagonalisation, and random vectors, >= 1.
    seed : int
        Draws the signs, on the host.

    Raises
    ------
    ConfigurationError
        ``steps`` or ``probes`` is less than 1.
    """
    if probes < 1:
        raise ConfigurationError(f"probes must be at least 1, not {probes!r}")
    m = b.shape[0]
    rng = np.random.Generator(np.random.Philox(seed))
    Z = xp.asarray(np.where(rng.random((probes, m)) < 0.5, -1.0, 1.0))

    def probe(carry: Any, row: tuple[Any, ...]) -> Any:
        (i,), (sigma, c2, rest) = row, carry
        found = projected_spectrum(xp, A, At, Z[i, ...], steps)
        rest = xp.axpy(found.rest, xp.one_hot(i, probes), rest)
        return xp.set_row(sigma, i, found.sigma), xp.set_row(c2, i, found.c * found.c), rest

    start = xp.zeros((probes, steps)), xp.zeros((probes, steps)), xp.zeros((probes,))
    data = projected_spectrum(xp, A, At, b, steps)
    return TraceEstimate(data, *xp.loop(probe, start, np.arange(probes)[:, None]))


def stochastic_gcv(xp: Backend, at: TraceEstimate, alphas: Array) -> Array:
    """:func:`gcv` (p,) with the trace estimated."""
    probes = at.rest.shape[0]
    flat = _filters(xp, xp.reshape(at.sigma, (-1,)), alphas)
    trace = (flat @ xp.reshape(at.c2, (-1,)) + xp.total(at.rest)) * (1.0 / probes)
    return at.data.m * (residual_squares(xp, at.data, alphas) / (trace * trace))


def choose_stochastic_gcv(xp: Backend, at: TraceEstimate) -> Scalar:
    """The alpha in ``[eps^2, 10] sigma_1^2`` that minimises :func:`stochastic_gcv`."""
    scale, low, high = _range(xp, at.data.sigma, xp.eps**2)

    def best(alphas: Array, places: Array) -> Scalar:
        return greatest(xp, 1.0 / stochastic_gcv(xp, at, scale * alphas), places)

    return scale * xp.s.exp(_zoom(xp, best, low, high))
