"""Supervised learning: network + loss + regularisers + data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.trees import tree_map
from nmdl_bench.contracts import Array, ConfigurationError, Regulariser
from nmdl_bench.data import Dataset
from nmdl_bench.data.augment import Augmentation
from nmdl_bench.networks.linear_model import LOGISTIC, is_linear
from nmdl_bench.networks.losses import get_loss
from nmdl_bench.networks.network import Network
from nmdl_bench.problems.objective import Draws, LearningObjective, Samples, Structure
from nmdl_bench.problems.separable import is_separable

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


STATISTICS = 1000
"""Training samples that batch normalisation's statistics for evaluation are taken from."""
PREDICTED = 1000
"""Samples whose outputs are computed at once for metrics."""


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
        Name in :data:`~nmdl_bench.networks.losses.LOSSES`.
    alpha : float
        Weight of ``alpha/2 |x|^2`` over all parameters, >= 0.
    seed : int
        Draws the initial parameters.
    tau : float
        Level of 'solved'; see :class:`nmdl_bench.contracts.Problem`.
    minimum : float, optional
        Least value of the objective where it is known.
    regularisers : tuple of Regulariser
        Added to the objective; see :mod:`nmdl_bench.networks.regularisers`.
    augmentation : Augmentation, optional
        Of the training images, for methods that take mini-batches; see :meth:`LearningObjective.redraw`.
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
    regularisers: tuple[Regulariser, ...] = ()
    augmentation: Augmentation | None = None
    _on_device: dict[Any, _Predictions] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        get_loss(self.loss)
        if not 0 <= self.alpha < float("inf"):
            raise ConfigurationError(f"alpha must be non-negative and finite, not {self.alpha!r}")
        if not 0 < self.tau < 1:
            raise ConfigurationError(f"tau must lie in (0, 1), not {self.tau!r}")
        train = self.data.train
        if not train.Y.shape[0]:
            raise ConfigurationError(f"problem {self.name!r} has no training samples; raise n or lower the other parts")
        if self.loss == "binary-cross-entropy" and not (train.C.min() >= 0 and train.C.max() <= 1):
            raise ConfigurationError(
                f"targets of binary-cross-entropy must lie in [0, 1], not in [{train.C.min():g}, {train.C.max():g}]"
            )
        self.regularisers = tuple(self.regularisers)
        for R in self.regularisers:
            if getattr(R, "network", self.network) != self.network:
                raise ConfigurationError(f"a regulariser of problem {self.name!r} is made for another network: {R!r}")
        if self.augmentation is not None:
            if self.data.image_shape is None:
                raise ConfigurationError(f"data set {self.data.name!r} has no image_shape; augmentation is for images")
            self.augmentation(train.Y[:1], 0, 0, self.data.image_shape)  # says now what does not fit

    @property
    def provides(self) -> tuple[str, ...]:
        """See :data:`nmdl_bench.contracts.Structure`."""
        separable = get_loss(self.loss).smooth and is_separable(self.network, self.regularisers)
        logistic = self.loss in LOGISTIC and self.alpha and not self.regularisers and is_linear(self.network)
        return ("gauss-newton", *["separable"] * separable, *["logistic"] * bool(logistic))

    @cached_property
    def start(self) -> np.ndarray:
        """Initial parameters (size,), read-only."""
        x0 = self.network.init(np.random.Generator(np.random.Philox(self.seed)))
        x0.setflags(write=False)
        return x0

    def bind(self, xp: Backend) -> LearningObjective:
        train = self.data.train
        structure = Structure(self.network, get_loss(self.loss), float(self.alpha), self.regularisers)
        draws = Draws(self.network, train.Y, self.augmentation, self.data.image_shape)
        random = self.augmentation is not None or replace(draws, Y=train.Y[:1]).masks(0, 0) is not None
        arrays = Samples(xp.asarray(train.Y), xp.asarray(train.C))
        return LearningObjective(xp, structure, arrays, xp.asarray(self.start), draws if random else None)

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """Accuracy on each part that has samples, as a fraction; for regression, root mean squared error.

        The network is in evaluation mode: nothing is dropped, and batch normalisation takes the statistics at ``x`` of
        the first :data:`STATISTICS` training samples (Wu and Johnson 2021; there several batches of about that many).
        """
        if xp.key not in self._on_device:
            self._on_device[xp.key] = self._move(xp)
        known = self._on_device[xp.key]
        aux = None if known.statistics is None else known.statistics(x, _rows(known.parts["train"][0], 0, STATISTICS))
        values = {}
        for name, (Y, target) in known.parts.items():
            # in pieces: a forward pass holds all layers' tapes at once
            pieces = (_rows(Y, i, i + PREDICTED) for i in range(0, Y.shape[0], PREDICTED))
            S = np.concatenate([xp.to_numpy(known.predict(x, piece, aux)) for piece in pieces])
            if target.ndim == 1:
                values[f"accuracy_{name}"] = float(np.mean(S.argmax(axis=1) == target))
            elif self.loss == "binary-cross-entropy":
                values[f"accuracy_{name}"] = float(np.mean((S > 0) == (target > 0.5)))
            else:
                values[f"rmse_{name}"] = float(np.sqrt(np.mean((S - target) ** 2)))
        return values

    def _move(self, xp: Backend) -> _Predictions:
        parts = {"train": self.data.train, "validation": self.data.validation, "test": self.data.test}
        moved = {
            name: (xp.asarray(part.Y), part.C if part.labels is None else part.labels)
            for name, part in parts.items()
            if part.Y.shape[0]
        }
        network, host = self.network, get_backend("numpy")
        predict = xp.compile(lambda x, Y, aux: network.forward(xp, x, Y, aux)[0])
        # two samples tell whether anything is normalised: the whole part would cost every other network a forward pass
        some: list[Any] = []
        tree_map(some.append, network.statistics(host, self.start, self.data.train.Y[:2]))
        statistics = xp.compile(lambda x, Y: network.statistics(xp, x, Y)) if some else None
        return _Predictions(predict, statistics, moved)


def _rows(Y: Array, start: int, end: int) -> Array:
    """Samples ``start`` to ``end``, or to the last."""
    return Y[start : min(end, Y.shape[0]), ...]


class _Predictions(NamedTuple):
    """What metrics need of the network on a device."""

    predict: Callable[..., Array]
    """Output as a function of (x, Y, aux)."""
    statistics: Callable[..., Any] | None
    """Batch normalisation's statistics as a function of (x, Y), where there is any."""
    parts: dict[str, tuple[Array, np.ndarray]]
    """Features on the device, targets or labels on the host."""
