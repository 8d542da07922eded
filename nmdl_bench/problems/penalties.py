"""Convex functions ``h`` of the parameters that need not be smooth, with the proximal operators that handle them.

``prox(v, t)`` is the x that minimises ``h(x) + |x - v|^2 / 2t``; with ``t = 0`` it is the projection of ``v`` onto the
points where ``h`` is finite. Parikh and Boyd (2014), section 6, derive those below.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError, Scalar

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Penalty(Protocol):
    """A convex function; hashable, since it is part of an objective's ``static``."""

    def value(self, xp: Backend, x: Array) -> Scalar:
        """``h(x)`` for ``x`` (size,)."""

    def prox(self, xp: Backend, v: Array, t: Scalar) -> Array:
        """``prox_{t h}(v)`` (size,) for t >= 0; a fresh array."""


def _check_weight(name: str, weight: float) -> None:
    if not 0 <= weight < inf:
        raise ConfigurationError(f"{name} of a penalty must be non-negative and finite, not {weight!r}")


def _clip(xp: Backend, v: Array, edge: Scalar) -> Array:
    """``v`` between ``-edge`` and ``edge``."""
    E = xp.zeros(v.shape) + edge
    return project(xp, v, -E, E)


@dataclass(frozen=True)
class L1:
    """``h(x) = weight |x|_1``; prox: soft thresholding, ``sign(v) max(|v| - t weight, 0)`` (Donoho 1995).

    It is computed as ``v`` minus its projection onto ``[-t weight, t weight]``, the prox of the conjugate (Moreau's
    decomposition), which is exactly zero where it should be.

    Parameters
    ----------
    weight : float
        At least 0.
    """

    weight: float

    def __post_init__(self) -> None:
        _check_weight("weight", self.weight)

    def value(self, xp: Backend, x: Array) -> Scalar:
        return self.weight * xp.total(xp.abs(x))

    def prox(self, xp: Backend, v: Array, t: Scalar) -> Array:
        return v - _clip(xp, v, t * self.weight)


@dataclass(frozen=True)
class ElasticNet:
    """``h(x) = l1 |x|_1 + l2/2 |x|^2``; prox: soft thresholding by ``t l1``, divided by ``1 + t l2``.

    Zou and Hastie (2005).

    Parameters
    ----------
    l1, l2 : float
        Weights, at least 0.
    """

    l1: float
    l2: float

    def __post_init__(self) -> None:
        _check_weight("l1", self.l1)
        _check_weight("l2", self.l2)

    def value(self, xp: Backend, x: Array) -> Scalar:
        return self.l1 * xp.total(xp.abs(x)) + 0.5 * self.l2 * xp.dot(x, x)

    def prox(self, xp: Backend, v: Array, t: Scalar) -> Array:
        shrink = xp.s.div(xp.s.const(1.0), 1.0 + t * self.l2)
        return xp.scale(shrink, v - _clip(xp, v, t * self.l1))


@dataclass(frozen=True)
class GroupL21:
    """``h(x) = weight sum_g |x_g|_2`` over groups of ``size`` neighbours; prox: ``max(1 - t weight / |v_g|, 0) v_g``.

    The group lasso of Yuan and Lin (2006). Rows of a dense kernel (features, classes) are groups of size ``classes``:
    with them all weights of a feature vanish together.

    Parameters
    ----------
    weight : float
        At least 0.
    size : int
        Elements a group, at least 1; the length of x is a multiple of it.
    """

    weight: float
    size: int

    def __post_init__(self) -> None:
        _check_weight("weight", self.weight)
        if self.size < 1:
            raise ConfigurationError(f"groups need a size of at least 1, not {self.size!r}")

    def value(self, xp: Backend, x: Array) -> Scalar:
        return self.weight * xp.total(self._norms(xp, xp.reshape(x, (-1, self.size))))

    def prox(self, xp: Backend, v: Array, t: Scalar) -> Array:
        V = xp.reshape(v, (-1, self.size))
        norms, zeros = self._norms(xp, V), xp.zeros((V.shape[0], 1))
        edge = zeros + t * self.weight
        kept = norms > edge
        shares = xp.where(kept, 1 - edge / xp.where(kept, norms, zeros + 1.0), zeros)
        return xp.reshape(V * shares, v.shape)

    @staticmethod
    def _norms(xp: Backend, V: Array) -> Array:
        return xp.sqrt(xp.sum(V * V, axis=1, keepdims=True))


@dataclass(frozen=True)
class Box:
    """The indicator of ``lower <= x <= upper``: 0 there, else infinite; prox: the projection.

    Parameters
    ----------
    lower, upper : float or tuple of float
        Bounds of all elements, or of each; infinite where there is none.
    """

    lower: float | tuple[float, ...] = -inf
    upper: float | tuple[float, ...] = inf

    def __post_init__(self) -> None:
        lower, upper = np.broadcast_arrays(self.lower, self.upper)
        if not np.all(lower <= upper) or np.any(lower == inf) or np.any(upper == -inf):
            at = np.argmin((lower <= upper) & (lower < inf) & (upper > -inf))
            low, high = lower.flat[at], upper.flat[at]
            raise ConfigurationError(f"bounds need lower <= upper with a finite point between, not [{low:g}, {high:g}]")

    def bounds(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound of each element, on the host (size,)."""
        lower, upper = (np.broadcast_to(np.asarray(b, np.float64), (size,)).copy() for b in (self.lower, self.upper))
        return lower, upper

    def value(self, xp: Backend, x: Array) -> Scalar:
        return indicator(xp, x, *self._on_device(xp, x))

    def prox(self, xp: Backend, v: Array, t: Scalar) -> Array:
        return project(xp, v, *self._on_device(xp, v))

    def _on_device(self, xp: Backend, x: Array) -> tuple[Array, Array]:
        if isinstance(self.lower, tuple) or isinstance(self.upper, tuple):
            lower, upper = self.bounds(x.shape[0])
            return xp.constant(lower), xp.constant(upper)
        zeros = xp.zeros(x.shape)
        return zeros + self.lower, zeros + self.upper


@dataclass(frozen=True)
class Parts:
    """A sum of penalties of parts of x that do not overlap; nothing where there is no part.

    Parameters
    ----------
    parts : tuple of (int, int, Penalty)
        First index and last index + 1 of each part, and its penalty; in order.
    """

    parts: tuple[tuple[int, int, Penalty], ...]

    def __post_init__(self) -> None:
        ends = [0, *(end for _, end, _ in self.parts)]
        if not self.parts or any(not last <= start < end for last, (start, end, _) in zip(ends, self.parts)):
            raise ConfigurationError(f"parts must be in order, not empty and not overlapping: {self.parts!r}")

    def value(self, xp: Backend, x: Array) -> Scalar:
        first, *rest = (h.value(xp, x[start:end]) for start, end, h in self.parts)
        return sum(rest, start=first)

    def prox(self, xp: Backend, v: Array, t: Scalar) -> Array:
        pieces, done = [], 0
        for start, end, h in self.parts:
            pieces += [v[done:start], h.prox(xp, v[start:end], t)]
            done = end
        return xp.concat([piece for piece in (*pieces, v[done:]) if piece.shape[0]])


def project(xp: Backend, v: Array, lower: Array, upper: Array) -> Array:
    """The point between the bounds that is nearest to ``v``, element by element; NaN stays NaN."""
    return xp.where(v < lower, lower, xp.where(v > upper, upper, v))


def indicator(xp: Backend, x: Array, lower: Array, upper: Array) -> Scalar:
    """0 between the bounds, infinite outside; 0 at NaN, which the smooth part's value tells."""
    off = xp.norm_inf(x - project(xp, x, lower, upper))
    return xp.s.where(off > 0, xp.s.const(inf), xp.s.const(0.0))


class WithinBounds:
    """What an objective has besides whose ``arrays`` hold bounds, ``lower <= x <= upper``: ``h`` is their indicator.

    Unlike those of a :class:`Box`, they are data on the device: a compiled step serves all of their values.
    """

    arrays: Any

    @property
    def lower(self) -> Array:
        return self.arrays.lower

    @property
    def upper(self) -> Array:
        return self.arrays.upper

    def penalty(self: Any, x: Array) -> Scalar:
        return indicator(self.xp, x, self.lower, self.upper)

    def prox(self: Any, v: Array, t: Scalar) -> Array:
        """The projection, for all ``t``."""
        return project(self.xp, v, self.lower, self.upper)
