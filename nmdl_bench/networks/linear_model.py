"""Networks of one affine layer: linear models, which other libraries know by other names."""

from __future__ import annotations

from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.parts import Affine, Chain

LOGISTIC = ("cross-entropy", "binary-cross-entropy")
"""Losses that make a linear model logistic regression."""


def is_linear(network: Network) -> bool:
    """Whether its output is ``[Y 1] W`` for features Y (n, p), with parameters W (p + 1, k) row by row."""
    if len(network.layers) != 1:
        return False
    layer = network.layers[0]
    parts = layer.parts if isinstance(layer, Chain) else (layer,)
    affine = parts[0] if len(parts) == 1 else None
    if not isinstance(affine, Affine):
        return False
    return type(affine.kernel) is DenseKernel and affine.bias and not affine.gamma
