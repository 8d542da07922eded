"""Separable objectives: a network whose last layer is affine, and what solvers that eliminate this layer may ask.

The structure ``"separable"``: the parameters are ``x = (theta, W)``, and

    f(theta, W) = E(Z(theta) W, C) + alpha/2 |W|^2 + R(theta)

with features ``Z`` (n, p), weights ``W`` (p, k), a convex loss ``E`` with targets ``C`` (n, k), ``alpha >= 0``, and a
smooth ``R`` that does not depend on ``W``. For fixed ``theta`` the problem in ``W`` is convex; variable projection
(Golub and Pereyra 1973) minimises it exactly and is left with a function of ``theta`` alone.

An objective with this structure has an attribute ``separable``, a :class:`Separable`. One of your own needs no network:
sums of exponentials with unknown rates and amplitudes are separable too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import Array, ConfigurationError, Loss, Regulariser, Scalar, Tape
from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.parts import Affine, Chain
from nmdl_bench.networks.regularisers import BlockRegulariser, HalfSquares

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend
    from nmdl_bench.problems.objective import LearningObjective


class Separable(Protocol):
    """What a separable objective tells of its parts. No argument is donated; what is returned is fresh.

    Attributes
    ----------
    split : int
        ``x[:split]`` is ``theta``, ``x[split:]`` is ``W``, row by row.
    shape : (int, int)
        ``(p, k)`` of ``W``.
    alpha : float
        Weight of ``1/2 |W|^2``, >= 0.
    alpha_theta : float or None
        ``R(theta) = alpha_theta/2 |theta|^2`` where it is that and nothing else; None where it is not.
    loss : Loss
        ``E``.
    targets : Array
        ``C`` (n, k).
    """

    split: int
    shape: tuple[int, int]
    alpha: float
    alpha_theta: float | None
    loss: Loss
    targets: Array

    def features(self, theta: Array) -> tuple[Array, Tape]:
        """``Z(theta)`` (n, p), and a tape for the derivatives. A bias is the weight of a last column of ones."""

    def features_jvp(self, tape: Tape, v: Array, keep: bool = False) -> tuple[Array, Tape]:
        """``dZ = Z'(theta) v`` (n, p), and where ``keep``, what :meth:`features_dvjp` needs of it."""

    def features_vjp(self, tape: Tape, M: Array) -> Array:
        """``Z'(theta)^T M`` (split,) for M (n, p)."""

    def features_dvjp(self, tape: Tape, dtape: Tape, v: Array, M: Array, dM: Array) -> Array:
        """Derivative of ``features_vjp(theta, M)`` along ``(v, dM)``: (split,)."""

    def outer(self, theta: Array) -> Scalar:
        """``R(theta)``."""

    def outer_grad(self, theta: Array) -> Array:
        """Gradient of ``R`` (split,)."""

    def outer_hessian(self, theta: Array, v: Array) -> Array:
        """Hessian of ``R``, times ``v`` (split,)."""


class FeaturesTape(NamedTuple):
    """``theta``, and what the layers before the last kept there."""

    theta: Array
    layers: tuple[Tape, ...]


class Partition(NamedTuple):
    """How a network's objective separates; hashable."""

    inner: Network
    """All layers but the last."""
    split: int
    rows: int
    columns: int
    bias: bool
    alpha: float
    alpha_theta: float | None


def last_layer(network: Network) -> Affine | None:
    """The affine map that a network ends with, where it has weights before it; None where it does not."""
    last = network.layers[-1]
    parts = last.parts if isinstance(last, Chain) else (last,)
    affine = parts[0] if len(parts) == 1 else None
    if not isinstance(affine, Affine) or not isinstance(affine.kernel, DenseKernel) or affine.gamma:
        return None
    return affine if Network(network.layers[:-1]).size else None


def is_separable(network: Network, regularisers: tuple[Regulariser, ...] = ()) -> bool:
    """Whether a loss of the network's output plus these regularisers has the structure."""
    if last_layer(network) is None:
        return False
    try:
        _ = [_weight_on(R, network) for R in regularisers]
    except ConfigurationError:
        return False
    return True


@lru_cache(maxsize=256)
def partition(network: Network, alpha: float, regularisers: tuple[Regulariser, ...]) -> Partition:
    """How ``E(network(x), C) + alpha/2 |x|^2 + sum R_i(x)`` separates.

    Raises
    ------
    ConfigurationError
        It does not: the last layer is not affine, there are no weights before it, or a regulariser of its weights is
        not a multiple of ``|W|^2``.
    """
    affine = last_layer(network)
    if affine is None:
        raise ConfigurationError(
            "the network does not end with an affine layer after others with weights; take a solver that does not "
            "need 'separable'"
        )
    kernel = cast(DenseKernel, affine.kernel)
    weights = alpha + sum(_weight_on(R, network) for R in regularisers)
    inner = Network(network.layers[:-1])
    on_theta = [_tikhonov_on(R, network, inner.size) for R in regularisers]
    alpha_theta = None if None in on_theta else alpha + sum(cast(list[float], on_theta))
    return Partition(inner, inner.size, kernel.inputs + affine.bias, kernel.outputs, affine.bias, weights, alpha_theta)


def _diagonal(R: Regulariser, network: Network) -> np.ndarray | None:
    """Weights ``w_i`` where ``R(x) = sum_i w_i x_i^2 / 2``; None where R is not of that kind."""
    if not isinstance(R, BlockRegulariser) or R.operator != "identity" or not isinstance(R.penalty, HalfSquares):
        return None
    return np.asarray(R.hessian(get_backend("numpy"), np.zeros(network.size), np.ones(network.size)))


def _tikhonov_on(R: Regulariser, network: Network, split: int) -> float | None:
    """``w`` where the part of R in ``theta`` is ``w/2 |theta|^2``; None where it is not."""
    d = _diagonal(R, network)
    return float(d[0]) if d is not None and np.all(d[:split] == d[0]) else None


def _weight_on(R: Regulariser, network: Network) -> float:
    """``w`` where the part of R in ``W`` is ``w/2 |W|^2``."""
    split = Network(network.layers[:-1]).size
    d = _diagonal(R, network)
    if d is not None and np.all(d[split:] == d[-1]):
        return float(d[-1])
    g = R.grad(get_backend("numpy"), np.random.default_rng(0).standard_normal(network.size))
    if d is None and not np.any(g[split:]):
        return 0.0
    raise ConfigurationError(
        f"{R!r} weighs the weights of the last layer, but not all alike by half squares; regularise them by "
        "tikhonov(network, weight, 'classifier')"
    )


@dataclass(frozen=True)
class SeparableNetwork:
    """The parts of a :class:`~nmdl_bench.problems.objective.LearningObjective`; see :class:`Separable`.

    The flat vector holds the last layer's kernel and then its bias, which together are ``W``, row by row: the bias is
    the weight of a constant feature.
    """

    objective: LearningObjective

    @property
    def _parts(self) -> Partition:
        network, _, alpha, regularisers = self.objective.static
        return partition(network, alpha, regularisers)

    @property
    def xp(self) -> Backend:
        return self.objective.xp

    @property
    def split(self) -> int:
        return self._parts.split

    @property
    def shape(self) -> tuple[int, int]:
        return self._parts.rows, self._parts.columns

    @property
    def alpha(self) -> float:
        return self._parts.alpha

    @property
    def alpha_theta(self) -> float | None:
        return self._parts.alpha_theta

    @property
    def loss(self) -> Loss:
        return self.objective.static.loss

    @property
    def targets(self) -> Array:
        return self.objective.arrays.C

    def features(self, theta: Array) -> tuple[Array, FeaturesTape]:
        samples, inner = self.objective.arrays, self._parts.inner
        aux = None if samples.aux is None else samples.aux[:-1]
        Z, layers = inner.forward(self.xp, theta, samples.Y, aux)
        return self._with(Z, 1.0), FeaturesTape(theta, layers)

    def features_jvp(self, tape: FeaturesTape, v: Array, keep: bool = False) -> tuple[Array, Tape]:
        dZ, dtape = self._parts.inner.jvp(self.xp, tape.theta, tape.layers, v, keep)
        return self._with(dZ, 0.0), dtape

    def features_vjp(self, tape: FeaturesTape, M: Array) -> Array:
        return self._parts.inner.vjp(self.xp, tape.theta, tape.layers, self._without(M))

    def features_dvjp(self, tape: FeaturesTape, dtape: Tape, v: Array, M: Array, dM: Array) -> Array:
        inner = self._parts.inner
        return inner.dvjp(self.xp, tape.theta, tape.layers, dtape, v, self._without(M), self._without(dM))

    def outer(self, theta: Array) -> Scalar:
        xp, (_, _, alpha, regularisers) = self.xp, self.objective.static
        value = 0.5 * alpha * xp.dot(theta, theta)
        for R in regularisers:
            value = value + R.value(xp, self._padded(theta))
        return value

    def outer_grad(self, theta: Array) -> Array:
        xp, (_, _, alpha, regularisers) = self.xp, self.objective.static
        g = alpha * theta
        for R in regularisers:
            g = xp.axpy(1.0, R.grad(xp, self._padded(theta))[: self.split], g)
        return g

    def outer_hessian(self, theta: Array, v: Array) -> Array:
        xp, (_, _, alpha, regularisers) = self.xp, self.objective.static
        Hv = alpha * v
        for R in regularisers:
            Hv = xp.axpy(1.0, R.hessian(xp, self._padded(theta), self._padded(v))[: self.split], Hv)
        return Hv

    def _padded(self, theta: Array) -> Array:
        """``theta`` and ``W = 0``, where the part of every regulariser in ``W`` vanishes."""
        rows, columns = self.shape
        return self.xp.concat([theta, self.xp.zeros((rows * columns,))])

    def _with(self, Z: Array, value: float) -> Array:
        """Features with the column that the bias weighs."""
        if not self._parts.bias:
            return Z
        return self.xp.concat([Z, self.xp.zeros((Z.shape[0], 1)) + value], axis=1)

    def _without(self, M: Array) -> Array:
        """Adjoints of features without that column; a copy, which the layers may overwrite."""
        return self.xp.copy(M[:, : self.shape[0] - 1] if self._parts.bias else M)
