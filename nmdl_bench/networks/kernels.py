"""Kernels: linear maps ``K(w)`` of features whose entries depend linearly on weights ``w``.

A kernel is the trilinear form ``<K(w) Y, Z>``, and its three partial gradients are all there is to it: ``apply`` in Z,
``transpose`` in Y, ``grad`` in w. As the form is linear in each argument, every first and second derivative of a layer
is made of these three, and a new kernel needs nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError
from nmdl_bench.networks.checks import check_image, check_sizes, check_width

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

Shape = tuple[int, ...]


class Kernel(Protocol):
    """A linear map with weights; holds no arrays."""

    @property
    def inputs(self) -> int:
        """Features or channels of its input."""

    def shapes(self) -> dict[str, Shape]:
        """Shape of every block of weights."""

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw initial weights on the host."""

    def output(self, shape: Shape) -> Shape:
        """Shape of one sample's output for that of its input."""

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        """``K(w) Y`` as a fresh array."""

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        """``K(w)^T Z`` as a fresh array; ``shape`` of one sample of Y, needed only where strides lose it."""

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        """Gradient of ``<K(w) Y, Z>`` with respect to ``w``."""

    def affine(self, xp: Backend, w: Blocks, Y: Array, b: Array) -> Array:
        """``K(w) Y + b`` with a bias for each feature or channel."""

    def accumulate(self, xp: Backend, X: Array, w: Blocks, Y: Array) -> Array:
        """``X + K(w) Y``; donates ``X``."""

    def adjoints(self, xp: Backend, w: Blocks, Y: Array, Z: Array) -> tuple[Blocks, Array]:
        """``grad(Y, Z)`` and ``K(w)^T Z``."""


class Compositions:
    """What follows from the three products."""

    def affine(self: Any, xp: Backend, w: Blocks, Y: Array, b: Array) -> Array:
        X = self.apply(xp, w, Y)
        return X + per_channel(xp, b, X)

    def accumulate(self: Any, xp: Backend, X: Array, w: Blocks, Y: Array) -> Array:
        return xp.axpy(1.0, self.apply(xp, w, Y), X)

    def adjoints(self: Any, xp: Backend, w: Blocks, Y: Array, Z: Array) -> tuple[Blocks, Array]:
        return self.grad(xp, Y, Z), self.transpose(xp, w, Z, tuple(Y.shape[1:]))


def per_channel(xp: Backend, b: Array, X: Array) -> Array:
    """A vector over features or channels, shaped to meet ``X``."""
    return b if len(X.shape) == 2 else xp.reshape(b, (1, -1, 1, 1))


def glorot(rng: np.random.Generator, shape: Shape, fans: int) -> np.ndarray:
    """N(0, 2 / (fan in + fan out)) (Glorot and Bengio 2010, eq. 16, there uniform)."""
    return rng.standard_normal(shape) * sqrt(2 / fans)


@dataclass(frozen=True)
class DenseKernel(Compositions):
    """``Y K`` for Y (n, inputs), K (inputs, outputs)."""

    inputs: int
    outputs: int
    name: str = "K"

    def __post_init__(self) -> None:
        check_sizes(inputs=self.inputs, outputs=self.outputs)

    def shapes(self) -> dict[str, Shape]:
        return {self.name: (self.inputs, self.outputs)}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {self.name: glorot(rng, (self.inputs, self.outputs), self.inputs + self.outputs)}

    def output(self, shape: Shape) -> Shape:
        check_width(self, shape, self.inputs)
        return (self.outputs,)

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        return Y @ w[self.name]

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        return Z @ w[self.name].T

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        return {self.name: Y.T @ Z}

    def affine(self, xp: Backend, w: Blocks, Y: Array, b: Array) -> Array:
        return xp.affine(Y, w[self.name], b)

    def accumulate(self, xp: Backend, X: Array, w: Blocks, Y: Array) -> Array:
        return xp.addmm(X, Y, w[self.name])


@dataclass(frozen=True)
class ConvKernel(Compositions):
    """2-D cross-correlation with zero padding: Y (n, inputs, h, w), K (outputs, inputs, size, size).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    size : int
        Width of the stencil: 3, 1, ...
    stride : int
        Distance of neighbouring outputs.
    padding : int, optional
        Zeros on each side; by default ``(size - 1) // 2``, which keeps height and width at stride 1 and odd size.
    depthwise : bool
        One stencil a channel, K (channels, 1, size, size); inputs and outputs are equal then.
    """

    inputs: int
    outputs: int
    size: int = 3
    stride: int = 1
    padding: int | None = None
    depthwise: bool = False
    name: str = "K"

    def __post_init__(self) -> None:
        check_sizes(inputs=self.inputs, outputs=self.outputs, size=self.size, stride=self.stride)
        if self.depthwise and self.inputs != self.outputs:
            raise ConfigurationError(
                f"a depthwise kernel has as many outputs as inputs, not {self.inputs} and {self.outputs}"
            )
        if self.padding is not None and (not isinstance(self.padding, int) or self.padding < 0):
            raise ConfigurationError(f"padding must be a non-negative integer, not {self.padding!r}")

    @property
    def _options(self) -> dict[str, int]:
        padding = (self.size - 1) // 2 if self.padding is None else self.padding
        return {"stride": self.stride, "padding": padding, "groups": self.inputs if self.depthwise else 1}

    def shapes(self) -> dict[str, Shape]:
        return {self.name: (self.outputs, 1 if self.depthwise else self.inputs, self.size, self.size)}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shape = self.shapes()[self.name]
        fans = self.size**2 * (2 if self.depthwise else self.inputs + self.outputs)
        return {self.name: glorot(rng, shape, fans)}

    def output(self, shape: Shape) -> Shape:
        check_image(self, shape, self.inputs)
        padding = self._options["padding"]
        size = tuple((side + 2 * padding - self.size) // self.stride + 1 for side in shape[1:])
        if min(size) < 1:
            raise ConfigurationError(f"{self!r} is larger than images of {shape[1]} x {shape[2]}; pad them")
        return (self.outputs, *size)

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        return xp.conv2d(Y, w[self.name], **self._options)

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        if shape is None:
            padding = self._options["padding"]
            size = tuple((side - 1) * self.stride + self.size - 2 * padding for side in Z.shape[2:])
        else:
            size = tuple(shape[1:])
        return xp.conv2d_transpose(Z, w[self.name], size, **self._options)

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        return {self.name: xp.conv2d_grad(Y, Z, (self.size, self.size), **self._options)}

    def adjoints(self, xp: Backend, w: Blocks, Y: Array, Z: Array) -> tuple[Blocks, Array]:
        dK, W = xp.conv2d_adjoints(Y, Z, w[self.name], **self._options)
        return {self.name: dK}, W


@dataclass(frozen=True)
class CirculantKernel(Compositions):
    """Periodic 2-D cross-correlation, a block-circulant matrix with circulant blocks, by FFT.

    ``K = F* diag(lam) F`` for each pair of channels, with ``lam`` the conjugate transform of the stencil wrapped around
    the origin (course, lecture 5; there convolution and 1-D).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    size : int
        Width of the stencil, odd.
    depthwise : bool
        One stencil a channel.
    """

    inputs: int
    outputs: int
    size: int = 3
    depthwise: bool = False
    name: str = "K"

    def __post_init__(self) -> None:
        check_sizes(inputs=self.inputs, outputs=self.outputs, size=self.size)
        if self.size % 2 == 0:
            raise ConfigurationError(f"a circulant kernel's size must be odd, not {self.size}")
        if self.depthwise and self.inputs != self.outputs:
            raise ConfigurationError(
                f"a depthwise kernel has as many outputs as inputs, not {self.inputs} and {self.outputs}"
            )

    def shapes(self) -> dict[str, Shape]:
        return {self.name: (self.outputs, 1 if self.depthwise else self.inputs, self.size, self.size)}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        fans = self.size**2 * (2 if self.depthwise else self.inputs + self.outputs)
        return {self.name: glorot(rng, self.shapes()[self.name], fans)}

    def output(self, shape: Shape) -> Shape:
        check_image(self, shape, self.inputs)
        if min(shape[1:]) < self.size:
            raise ConfigurationError(f"{self!r} would wrap onto itself on images of {shape[1]} x {shape[2]}")
        return (self.outputs, *shape[1:])

    def spectrum(self, xp: Backend, w: Blocks, size: Shape) -> Array:
        """``lam`` (outputs, inputs or 1, h, w // 2 + 1), complex."""
        K = w[self.name]
        wrapped = xp.reshape(K, (-1, self.size**2)) @ xp.constant(_wrap(self.size, *size))
        return xp.conj(xp.rfft2(xp.reshape(wrapped, (*K.shape[:2], *size))))

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        size = tuple(Y.shape[2:])
        lam, F = self.spectrum(xp, w, size), xp.rfft2(Y)
        if self.depthwise:
            return xp.irfft2(F * xp.permute_dims(lam, (1, 0, 2, 3)), size)
        return xp.irfft2(_contract(xp, F, xp.permute_dims(lam, (2, 3, 1, 0))), size)

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        size = tuple(Z.shape[2:])
        lam, F = xp.conj(self.spectrum(xp, w, size)), xp.rfft2(Z)
        if self.depthwise:
            return xp.irfft2(F * xp.permute_dims(lam, (1, 0, 2, 3)), size)
        return xp.irfft2(_contract(xp, F, xp.permute_dims(lam, (2, 3, 0, 1))), size)

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        size = tuple(Y.shape[2:])
        G, F = xp.conj(xp.rfft2(Z)), xp.rfft2(Y)
        if self.depthwise:
            G = xp.sum(G * F, axis=0)[:, None, :, :]
        else:  # over samples, for each frequency
            G = xp.permute_dims(xp.permute_dims(G, (2, 3, 1, 0)) @ xp.permute_dims(F, (2, 3, 0, 1)), (2, 3, 0, 1))
        full = xp.irfft2(G, size)
        stencil = xp.reshape(full, (-1, size[0] * size[1])) @ xp.constant(_wrap(self.size, *size).T)
        return {self.name: xp.reshape(stencil, (*full.shape[:2], self.size, self.size))}


def _contract(xp: Backend, F: Array, lam: Array) -> Array:
    """Sum over channels at each frequency: F (n, i, h, w), lam (h, w, i, o) to (n, o, h, w)."""
    return xp.permute_dims(xp.permute_dims(F, (2, 3, 0, 1)) @ lam, (2, 3, 0, 1))


@lru_cache(maxsize=32)
def _wrap(size: int, height: int, width: int) -> np.ndarray:
    """0/1 matrix (size^2, height * width) that lays a stencil around the origin of a periodic grid."""
    a = np.arange(size) - size // 2
    where = (a[:, None] % height) * width + a % width
    E = np.zeros((size**2, height * width))
    E[np.arange(size**2), where.ravel()] = 1
    return E


@dataclass(frozen=True)
class ScalingKernel(Compositions):
    """``diag(w) Y``: one weight for each feature or channel."""

    width: int
    name: str = "K"

    def __post_init__(self) -> None:
        check_sizes(width=self.width)

    @property
    def inputs(self) -> int:
        return self.width

    def shapes(self) -> dict[str, Shape]:
        return {self.name: (self.width,)}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {self.name: rng.standard_normal(self.width)}

    def output(self, shape: Shape) -> Shape:
        check_width(self, shape[:1], self.width)
        return shape

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        return Y * per_channel(xp, w[self.name], Y)

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        return self.apply(xp, w, Z)

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        return {self.name: channel_sum(xp, Y * Z)}


def channel_sum(xp: Backend, Z: Array) -> Array:
    """Sum over all but features or channels: the adjoint of adding a bias."""
    return xp.column_sum(Z) if len(Z.shape) == 2 else xp.sum(Z, axis=(0, 2, 3))
