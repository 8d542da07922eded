"""Learned kernels as pictures: matrices, stencils side by side, columns that are images."""

from __future__ import annotations

from math import ceil, sqrt
from typing import NamedTuple

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernel_algebra import AntisymmetricKernel
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.parts import Affine, Chain

MOST_TILES = 64
"""Images that one picture lays side by side."""
MOST_CHANNELS = 8
"""Of stencils that are shown, each way."""


class Image(NamedTuple):
    """One picture: a matrix with NaN where there is nothing."""

    layer: int
    block: str
    step: int
    """Control of an evolution, from 0; -1 for a layer without time."""
    values: np.ndarray
    tiled: bool
    """Whether it is many images side by side."""


def images(network: Network, x: np.ndarray, pixels: tuple[int, ...] | None = None, most_steps: int = 8) -> list[Image]:
    """The kernels of a network.

    Parameters
    ----------
    network : Network
        Whose kernels.
    x : np.ndarray
        Parameters (size,).
    pixels : (channels, height, width), optional
        Where the features that enter are images: the columns of the first dense kernel are shown as such.
    most_steps : int
        Of an evolution with more controls, this many are shown, at equal distances, first and last included.

    Returns
    -------
    list of Image
        Dense kernels as matrices (inputs down, outputs across; antisymmetric ones as ``K - K^T``), convolution kernels
        as stencils, a row for each output channel. Vectors of weights are left out.
    """
    found = []
    first = True
    for i, (layer, blocks) in enumerate(zip(network.layers, network.unpack(get_backend("numpy"), np.asarray(x)))):
        for name, block in blocks.items():
            is_stacked = isinstance(layer, Evolution)
            if block.ndim - is_stacked not in (2, 4):
                continue
            steps = _chosen(len(block), most_steps) if is_stacked else [-1]
            for j in steps:
                K = np.asarray(block[j] if is_stacked else block, dtype=np.float64)
                if isinstance(layer, Evolution) and _is_antisymmetric(layer):
                    K = K - K.T if K.ndim == 2 else K
                if K.ndim == 4:
                    found.append(Image(i, name, j, _montage(K), True))
                elif first and pixels is not None and K.shape[0] == np.prod(pixels):
                    found.append(Image(i, name, j, _columns(K, pixels), True))
                else:
                    found.append(Image(i, name, j, K, False))
            first = False
    return found


def _chosen(n: int, most: int) -> list[int]:
    return sorted({int(j) for j in np.linspace(0, n - 1, min(n, most)).round()})


def _is_antisymmetric(layer: Evolution) -> bool:
    rhs = layer.rhs
    return isinstance(rhs, Chain) and any(
        isinstance(part, Affine) and isinstance(part.kernel, AntisymmetricKernel) for part in rhs.parts
    )


def _montage(K: np.ndarray) -> np.ndarray:
    """Stencils (outputs, inputs, k, k) side by side, an empty line between them; the first channels each way."""
    if K.shape[2] == 1:
        return K[:, :, 0, 0]
    K = K[:MOST_CHANNELS, :MOST_CHANNELS]
    co, ci, k, _ = K.shape
    out = np.full((co * (k + 1) - 1, ci * (k + 1) - 1), np.nan)
    for o in range(co):
        for c in range(ci):
            out[o * (k + 1) : o * (k + 1) + k, c * (k + 1) : c * (k + 1) + k] = K[o, c]
    return out


def _columns(K: np.ndarray, pixels: tuple[int, ...]) -> np.ndarray:
    """Columns of a dense kernel as images (mean over channels), in a grid about square."""
    channels, height, width = pixels
    tiles = K.T[:MOST_TILES].reshape(-1, channels, height, width).mean(axis=1)
    across = ceil(sqrt(len(tiles)))
    down = ceil(len(tiles) / across)
    out = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan)
    for t, tile in enumerate(tiles):
        r, c = divmod(t, across)
        out[r * (height + 1) : r * (height + 1) + height, c * (width + 1) : c * (width + 1) + width] = tile
    return out
