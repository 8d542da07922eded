"""The objective of supervised learning, and what of its data is drawn anew for every epoch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from nmdl_bench.backends.trees import tree_map
from nmdl_bench.contracts import Array, Loss, Regulariser, Scalar
from nmdl_bench.data.augment import Augmentation
from nmdl_bench.networks.network import Network
from nmdl_bench.problems.separable import SeparableNetwork

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

_STREAM = 0xD20B  # keeps the masks' random stream apart from those of data, weights, batches and augmentation


class Samples(NamedTuple):
    """Training data on the device: features Y (n, p), targets C (n, k), and dropout's masks for each layer.

    ``aux`` is a tree of arrays with leading axis n, or None: no dropout.
    """

    Y: Array
    C: Array
    aux: Any = None


class LearningTape(NamedTuple):
    """A point, what the layers kept there, and what the loss kept."""

    x: Array
    layers: tuple[Any, ...]
    loss: Any


class Structure(NamedTuple):
    """All of the objective but its arrays; hashable, so that equal objectives share compiled steps."""

    network: Network
    loss: Loss
    alpha: float
    regularisers: tuple[Regulariser, ...] = ()


@dataclass(frozen=True, eq=False)
class Draws:
    """What is random in the training data, on the host: augmented features, dropout's masks.

    Each sample is seen once in an epoch, so that one draw for every sample and epoch is a fresh draw at every step.
    """

    network: Network
    Y: np.ndarray
    augmentation: Augmentation | None = None
    image_shape: tuple[int, ...] | None = None

    def __call__(self, xp: Backend, arrays: Samples, epoch: int, seed: int) -> Samples:
        """``arrays`` as drawn for one epoch, on the device; equal arguments give equal samples on all backends."""
        Y = arrays.Y
        if self.augmentation is not None:
            Y = xp.asarray(self.augmentation(self.Y, seed, epoch, self.image_shape))
        return Samples(Y, arrays.C, tree_map(xp.asarray, self.masks(seed, epoch)))

    def masks(self, seed: int, epoch: int) -> Any:
        """Dropout's masks for every sample; None where nothing is dropped."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(_STREAM, epoch))))
        return self.network.draw(rng, len(self.Y), self.Y.shape[1:])


@dataclass(frozen=True)
class LearningObjective:
    """``f(x) = E(network(x; Y), C) + alpha/2 |x|^2 + sum R_i(x)``, see :class:`nmdl_bench.contracts.Objective`.

    ``jvp`` and ``vjp`` are those of the network's output (n, k) with respect to ``x`` (size,).

    ``arrays`` are the samples as they are, without augmentation and dropout: the training objective, whose values are
    recorded and compared. :meth:`redraw` gives those of an epoch, on which mini-batch methods train.
    """

    xp: Backend
    static: Structure
    arrays: Samples
    x0: Array
    draws: Draws | None = field(default=None, compare=False, repr=False)

    @property
    def n_samples(self) -> int:
        return self.arrays.Y.shape[0]

    @property
    def separable(self) -> SeparableNetwork:
        """Features and last layer apart; a ConfigurationError where the objective does not separate."""
        return SeparableNetwork(self)

    def with_arrays(self, arrays: Samples | None) -> LearningObjective:
        # a compiled step keeps the objective without arrays for good, and must not keep the host's data with it
        return replace(self, arrays=cast(Samples, arrays), draws=None if arrays is None else self.draws)

    def redraw(self, epoch: int, seed: int) -> Samples:
        return self.arrays if self.draws is None else self.draws(self.xp, self.arrays, epoch, seed)

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, LearningTape]:
        xp, (network, loss, alpha, regularisers), arrays = self.xp, self.static, self.arrays
        if batch is not None:
            arrays = tree_map(lambda a: xp.take(a, batch), arrays)
        S, layers = network.forward(xp, x, arrays.Y, arrays.aux)
        value, tape = loss.forward(xp, S, arrays.C)
        if alpha:
            value = value + 0.5 * alpha * xp.dot(x, x)
        for R in regularisers:
            value = value + R.value(xp, x)
        return value, LearningTape(x, layers, tape)

    def grad(self, tape: LearningTape) -> Array:
        xp, (network, loss, alpha, regularisers) = self.xp, self.static
        g = network.vjp(xp, tape.x, tape.layers, loss.grad(xp, tape.loss))
        if alpha:
            g = xp.axpy(alpha, tape.x, g)
        for R in regularisers:
            g = xp.axpy(1.0, R.grad(xp, tape.x), g)
        return g

    def jvp(self, tape: LearningTape, v: Array) -> Array:
        return self.static.network.jvp(self.xp, tape.x, tape.layers, v)[0]

    def vjp(self, tape: LearningTape, w: Array) -> Array:
        return self.static.network.vjp(self.xp, tape.x, tape.layers, w)

    def gauss_newton(self, tape: LearningTape, v: Array) -> Array:
        xp, (network, loss, _, _) = self.xp, self.static
        HJv = loss.hessian(xp, tape.loss, self.jvp(tape, v))
        return self._add_regularisers(tape, v, network.vjp(xp, tape.x, tape.layers, HJv))

    def hessian(self, tape: LearningTape, v: Array) -> Array:
        """Exact Hessian times ``v``: the derivative of ``J^T grad E`` along ``v``.

        One sweep forwards gives ``J v``, one backwards carries the loss's gradient ``Z`` and ``dZ = H J v``, its
        derivative, with the loss's Hessian ``H`` (Pearlmutter 1994).
        """
        xp, (network, loss, _, _) = self.xp, self.static
        dS, tangents = network.jvp(xp, tape.x, tape.layers, v, keep=True)
        Z, dZ = loss.grad(xp, tape.loss), loss.hessian(xp, tape.loss, dS)
        Hv = network.dvjp(xp, tape.x, tape.layers, cast(tuple[Any, ...], tangents), v, Z, dZ)
        return self._add_regularisers(tape, v, Hv)

    def _add_regularisers(self, tape: LearningTape, v: Array, Hv: Array) -> Array:
        """``Hv`` and the regularisers' Hessians times ``v``; donates ``Hv``."""
        xp, (_, _, alpha, regularisers) = self.xp, self.static
        if alpha:
            Hv = xp.axpy(alpha, v, Hv)
        for R in regularisers:
            Hv = xp.axpy(1.0, R.hessian(xp, tape.x, v), Hv)
        return Hv
