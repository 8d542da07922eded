"""Initial weights by named schemes, for any network (course, lecture 6: what makes features explode or vanish)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import numpy as np

from nmdl_bench.contracts import ConfigurationError, unknown
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernels import CirculantKernel, ConvKernel, DenseKernel, Kernel, ScalingKernel
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.weights import fans, weights_of

Shape = tuple[int, ...]


def glorot_normal(rng: np.random.Generator, kernel: Kernel, shape: Shape, gain: float = 1.0) -> np.ndarray:
    """N(0, gain^2 2 / (fan in + fan out))."""
    return gain * sqrt(2 / sum(fans(kernel))) * rng.standard_normal(shape)


def glorot_uniform(rng: np.random.Generator, kernel: Kernel, shape: Shape, gain: float = 1.0) -> np.ndarray:
    """U[-a, a] with a = gain sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010, eq. 16)."""
    a = gain * sqrt(6 / sum(fans(kernel)))
    return rng.uniform(-a, a, shape)


def he(rng: np.random.Generator, kernel: Kernel, shape: Shape, gain: float = 1.0) -> np.ndarray:
    """N(0, gain^2 2 / fan in), for rectifiers (He et al. 2015, eq. 10)."""
    return gain * sqrt(2 / fans(kernel)[0]) * rng.standard_normal(shape)


def normal(rng: np.random.Generator, kernel: Kernel, shape: Shape, sd: float = 1.0) -> np.ndarray:
    """N(0, sd^2), whatever the width."""
    return sd * rng.standard_normal(shape)


def uniform(rng: np.random.Generator, kernel: Kernel, shape: Shape, a: float = 0.5) -> np.ndarray:
    """U[-a, a], whatever the width."""
    return rng.uniform(-a, a, shape)


def orthogonal(rng: np.random.Generator, kernel: Kernel, shape: Shape, gain: float = 1.0) -> np.ndarray:
    """``gain`` times orthonormal rows or columns, uniform among those (Saxe, McClelland and Ganguli 2014).

    A stencil counts as a matrix from its patch to the outputs; for a depthwise one, each channel's by itself. For one
    weight a feature: signs.
    """
    if isinstance(kernel, ScalingKernel):
        return gain * rng.choice([-1.0, 1.0], shape)
    if isinstance(kernel, ConvKernel | CirculantKernel):
        rows, columns = (1, kernel.size**2) if kernel.depthwise else (shape[0], shape[1] * kernel.size**2)
    elif isinstance(kernel, DenseKernel):
        rows, columns = shape
    else:
        raise ConfigurationError(f"{kernel!r} is no full matrix; initialise it by another scheme than 'orthogonal'")
    count = shape[0] if rows == 1 and len(shape) == 4 else 1
    G = rng.standard_normal((count, max(rows, columns), min(rows, columns)))
    Q, R = np.linalg.qr(G)
    Q = Q * np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None, :]  # without it, not uniform (Mezzadri 2007)
    return gain * (Q if rows >= columns else Q.transpose(0, 2, 1)).reshape(shape)


def zeros(rng: np.random.Generator, kernel: Kernel, shape: Shape) -> np.ndarray:
    """No weights: time steps are the identity at first."""
    return np.zeros(shape)


SCHEMES: dict[str, Callable[..., np.ndarray]] = {
    "glorot-normal": glorot_normal,
    "glorot-uniform": glorot_uniform,
    "he": he,
    "normal": normal,
    "uniform": uniform,
    "orthogonal": orthogonal,
    "zeros": zeros,
}
"""``scheme(rng, kernel, shape, **options)`` draws the weights of one kernel."""


def initialise(
    network: Network, rng: np.random.Generator, scheme: str = "glorot-normal", **options: float
) -> np.ndarray:
    """Initial parameters on the host, (size,).

    Parameters
    ----------
    network : Network
        Whose kernels are drawn by the scheme, afresh for each control; biases and normalisation start as they do by
        :meth:`~nmdl_bench.networks.network.Network.init`.
    rng : Generator
        Draws.
    scheme : str
        Name in :data:`SCHEMES`.
    **options
        ``gain``, ``sd`` or ``a``, positive: what the scheme's function takes.

    Raises
    ------
    UnknownNameError
        The scheme, or an option that it does not take.
    ConfigurationError
        An option that is not positive and finite, or a kernel that the scheme does not suit.
    """
    if scheme not in SCHEMES:
        raise unknown("initialisation", scheme, SCHEMES)
    draw = SCHEMES[scheme]
    known = [*inspect.signature(draw).parameters][3:]
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option of initialisation {scheme!r}:", option, known)
        if not 0 < value < inf:
            raise ConfigurationError(f"{option} must be positive and finite, not {value!r}")
    blocks = [block for layer in network.layers for block in _drawn(layer, rng, draw, options)]
    return np.concatenate([block.ravel() for block in blocks]) if blocks else np.zeros(0)


def _drawn(layer: Any, rng: np.random.Generator, draw: Callable[..., np.ndarray], options: Any) -> list[np.ndarray]:
    kernels, blocks = weights_of(layer), layer.init(rng)
    for name, kernel in kernels.items():
        shape = layer.shapes()[name]
        if isinstance(layer, Evolution):
            blocks[name] = np.stack([draw(rng, kernel, shape[1:], **options) for _ in range(shape[0])])
        else:
            blocks[name] = draw(rng, kernel, shape, **options)
    return [blocks[name] for name in layer.shapes()]
