"""What a network decides at every point of a plane of two features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError
from nmdl_bench.networks.network import Network

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Plane(NamedTuple):
    """Outputs of a network on a grid: ``S`` (len(y2), len(y1), k)."""

    y1: np.ndarray
    y2: np.ndarray
    S: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """Class at each point (len(y2), len(y1)); of one output, whether it is positive."""
        return (self.S[..., 0] > 0).astype(int) if self.S.shape[2] == 1 else self.S.argmax(axis=2)

    @property
    def margin(self) -> np.ndarray:
        """Largest output less the second largest, at each point; of one output, its modulus."""
        if self.S.shape[2] == 1:
            return np.abs(self.S[..., 0])
        top = np.sort(self.S, axis=2)
        return top[..., -1] - top[..., -2]


def decision(
    xp: Backend, network: Network, x: Array, points: np.ndarray, n: int = 121, margin: float = 0.15, aux: Any = None
) -> Plane:
    """The network's outputs on an ``n`` x ``n`` grid around ``points`` (m, 2).

    Raises
    ------
    ConfigurationError
        The network does not take two features.
    """
    if points.ndim != 2 or points.shape[1] != 2:
        raise ConfigurationError(f"decision regions are drawn for two features, not {points.shape[1:]}")
    low, high = points.min(axis=0), points.max(axis=0)
    low, high = low - margin * (high - low), high + margin * (high - low)
    y1, y2 = (np.linspace(a, b, n) for a, b in zip(low, high))
    Y = np.stack(np.meshgrid(y1, y2), axis=-1).reshape(-1, 2)
    parts = [xp.to_numpy(network.forward(xp, x, xp.asarray(rows), aux)[0]) for rows in np.array_split(Y, 8)]
    return Plane(y1, y2, np.concatenate(parts).reshape(n, n, -1).astype(np.float64))
