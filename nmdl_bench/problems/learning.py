"""Supervised learning: network + loss + Tikhonov regulariser + data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError, Loss, Scalar
from nmdl_bench.data import Dataset
from nmdl_bench.networks.losses import get_loss
from nmdl_bench.networks.network import Network

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Samples(NamedTuple):
    """Training data on the device: features Y (n, p) and targets C (n, k)."""

    Y: Array
    C: Array


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


@dataclass(frozen=True)
class LearningObjective:
    """``f(x) = E(network(x; Y), C) + alpha/2 |x|^2``, see :class:`nmdl_bench.contracts.Objective`.

    ``jvp`` and ``vjp`` are those of the network's output (n, k) with respect to ``x`` (size,).
    """

    xp: Backend
    static: Structure
    arrays: Samples
    x0: Array

    @property
    def n_samples(self) -> int:
        return self.arrays.Y.shape[0]

    def with_arrays(self, arrays: Samples) -> LearningObjective:
        return replace(self, arrays=arrays)

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, LearningTape]:
        xp, (network, loss, alpha), (Y, C) = self.xp, self.static, self.arrays
        if batch is not None:
            Y, C = xp.take(Y, batch), xp.take(C, batch)
        S, layers = network.forward(xp, x, Y)
        value, tape = loss.forward(xp, S, C)
        if alpha:
            value = value + 0.5 * alpha * xp.dot(x, x)
        return value, LearningTape(x, layers, tape)

    def grad(self, tape: LearningTape) -> Array:
        xp, (network, loss, alpha) = self.xp, self.static
        g = network.vjp(xp, tape.x, tape.layers, loss.grad(xp, tape.loss))
        return xp.axpy(alpha, tape.x, g) if alpha else g

    def jvp(self, tape: LearningTape, v: Array) -> Array:
        return self.static.network.jvp(self.xp, tape.x, tape.layers, v)

    def vjp(self, tape: LearningTape, w: Array) -> Array:
        return self.static.network.vjp(self.xp, tape.x, tape.layers, self.xp.copy(w))

    def gauss_newton(self, tape: LearningTape, v: Array) -> Array:
        xp, (network, loss, alpha) = self.xp, self.static
        HJv = loss.hessian(xp, tape.loss, self.jvp(tape, v))
        Gv = network.vjp(xp, tape.x, tape.layers, HJv)
        return xp.axpy(alpha, v, Gv) if alpha else Gv


@dataclass(eq=False)
class LearningProblem:
    """A network and its data on the host.

    Parameters
    ----------
    name, summary : str
        Shown in listings and reports.
    data : Dataset
        Standardised and split.
    network : Network
        From features to classes or targets.
    loss : str
        ``"cross-entropy"`` or ``"least-squares"``.
    alpha : float
        Weight of ``alpha/2 |x|^2`` over all parameters, >= 0.
    seed : int
        Draws the initial parameters.
    tau : float
        Level of 'solved'; see :class:`nmdl_bench.contracts.Problem`.
    minimum : float, optional
        Least value of the objective where it is known.
    """

    name: str
    summary: str
    data: Dataset
    network: Network
    loss: str = "cross-entropy"
    alpha: float = 0.0
    seed: int = 0
    tau: float = 0.1
    minimum: float | None = None
    _on_device: dict[Any, tuple[Callable[..., Array], dict[str, tuple[Array, np.ndarray]]]] = field(
        default_factory=dict, repr=False
    )

    def __post_init__(self) -> None:
        get_loss(self.loss)
        if not 0 <= self.alpha < float("inf"):
            raise ConfigurationError(f"alpha must be non-negative and finite, not {self.alpha!r}")
        if not 0 < self.tau < 1:
            raise ConfigurationError(f"tau must lie in (0, 1), not {self.tau!r}")
        if not self.data.train.Y.shape[0]:
            raise ConfigurationError(f"problem {self.name!r} has no training samples; raise n or lower the other parts")

    @cached_property
    def start(self) -> np.ndarray:
        """Initial parameters (size,), read-only."""
        x0 = self.network.init(np.random.Generator(np.random.Philox(self.seed)))
        x0.setflags(write=False)
        return x0

    def bind(self, xp: Backend) -> LearningObjective:
        train = self.data.train
        arrays = Samples(xp.asarray(train.Y), xp.asarray(train.C))
        structure = Structure(self.network, get_loss(self.loss), float(self.alpha))
        return LearningObjective(xp, structure, arrays, xp.asarray(self.start))

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """Accuracy on each part that has samples, as a fraction; for regression, root mean squared error."""
        if xp.key not in self._on_device:
            self._on_device[xp.key] = self._move(xp)
        predict, parts = self._on_device[xp.key]
        values = {}
        for name, (Y, target) in parts.items():
            S = xp.to_numpy(predict(x, Y))
            if target.ndim == 1:
                values[f"accuracy_{name}"] = float(np.mean(S.argmax(axis=1) == target))
            else:
                values[f"rmse_{name}"] = float(np.sqrt(np.mean((S - target) ** 2)))
        return values

    def _move(self, xp: Backend) -> tuple[Callable[..., Array], dict[str, tuple[Array, np.ndarray]]]:
        """The network's output as a compiled function of (x, Y), and each part's features with its targets."""
        parts = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}
        moved = {
            name: (xp.asarray(part.Y), part.C if part.labels is None else part.labels)
            for name, part in parts.items()
            if part.Y.shape[0]
        }
        return xp.compile(lambda x, Y: self.network.forward(xp, x, Y)[0]), moved
