"""Kernels made of kernels: transposed, antisymmetric, sums."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError
from nmdl_bench.networks.kernels import Compositions, ConvKernel, DenseKernel, Kernel, Shape

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Derived(Compositions):
    """A kernel with the weights of another one."""

    kernel: Kernel

    @property
    def inputs(self) -> int:
        return self.kernel.inputs

    def shapes(self) -> dict[str, Shape]:
        return self.kernel.shapes()

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return self.kernel.init(rng)


@dataclass(frozen=True)
class TransposedKernel(Derived):
    """``sign K(w)^T`` with the weights of ``kernel``, which keeps height and width."""

    kernel: Kernel
    sign: float = 1.0

    def output(self, shape: Shape) -> Shape:
        found = (self.kernel.inputs, *shape[1:])
        if tuple(self.kernel.output(found)) != tuple(shape):
            raise ConfigurationError(f"{self.kernel!r} has no transpose for samples of shape {tuple(shape)}")
        return found

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        return self._signed(xp, self.kernel.transpose(xp, w, Y))

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        return self._signed(xp, self.kernel.apply(xp, w, Z))

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        return {name: self._signed(xp, G) for name, G in self.kernel.grad(xp, Z, Y).items()}

    def _signed(self, xp: Backend, X: Array) -> Array:
        return X if self.sign == 1.0 else xp.scale(self.sign, X)


@dataclass(frozen=True)
class AntisymmetricKernel(Derived):
    """``K(w) - K(w)^T``, whose eigenvalues are imaginary (Haber and Ruthotto 2017, section 3.1).

    A dense kernel is subtracted from its transpose before it meets the features: one product instead of two.
    """

    kernel: Kernel

    def output(self, shape: Shape) -> Shape:
        if tuple(self.kernel.output(shape)) != tuple(shape):
            raise ConfigurationError(f"{self!r} needs a kernel that keeps the shape of its input, {tuple(shape)}")
        return shape

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        if isinstance(self.kernel, DenseKernel):
            K = w[self.kernel.name]
            return Y @ (K - K.T)
        return xp.axpy(-1.0, self.kernel.transpose(xp, w, Y), self.kernel.apply(xp, w, Y))

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        return xp.scale(-1.0, self.apply(xp, w, Z))

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        one = self.kernel.grad(xp, Y, Z)
        if isinstance(self.kernel, DenseKernel):
            return {name: G - G.T for name, G in one.items()}
        other = self.kernel.grad(xp, Z, Y)
        return {name: xp.axpy(-1.0, other[name], G) for name, G in one.items()}


@dataclass(frozen=True)
class SumKernel(Compositions):
    """``K_1(w_1) + K_2(w_2) + ...`` of kernels whose weights have different names."""

    kernels: tuple[Kernel, ...]

    @property
    def inputs(self) -> int:
        return self.kernels[0].inputs

    def __post_init__(self) -> None:
        names = [name for kernel in self.kernels for name in kernel.shapes()]
        if not names or len(set(names)) < len(names):
            raise ConfigurationError(f"kernels that are summed need weights of different names, not {names}")

    def shapes(self) -> dict[str, Shape]:
        return {name: shape for kernel in self.kernels for name, shape in kernel.shapes().items()}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        # each at 1/sqrt(terms), so that the sum keeps the size of its input
        drawn = (kernel.init(rng).items() for kernel in self.kernels)
        return {name: block / np.sqrt(len(self.kernels)) for items in drawn for name, block in items}

    def output(self, shape: Shape) -> Shape:
        shapes = {kernel.output(shape) for kernel in self.kernels}
        if len(shapes) > 1:
            raise ConfigurationError(f"kernels that are summed map {shape} to different shapes: {sorted(shapes)}")
        return shapes.pop()

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        first, *rest = self.kernels
        X = first.apply(xp, w, Y)
        for kernel in rest:
            X = kernel.accumulate(xp, X, w, Y)
        return X

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        first, *rest = self.kernels
        Y = first.transpose(xp, w, Z, shape)
        for kernel in rest:
            Y = xp.axpy(1.0, kernel.transpose(xp, w, Z, shape), Y)
        return Y

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        return {name: G for kernel in self.kernels for name, G in kernel.grad(xp, Y, Z).items()}


def lean_kernel(inputs: int, outputs: int, size: int = 3) -> Kernel:
    """Depthwise stencil plus a full 1 x 1 kernel (Ephrath et al. 2020, LeanConvNets): few weights, few operations."""
    mix = ConvKernel(inputs, outputs, 1, name="K_mix")
    if inputs != outputs:
        raise ConfigurationError(f"a lean kernel keeps the number of channels; {inputs} is not {outputs}")
    return SumKernel((ConvKernel(inputs, inputs, size, depthwise=True, name="K_stencil"), mix))


def rename(kernel: Any, suffix: str) -> Any:
    """The same kernel with other names for its weights, so that two can stand in one layer."""
    if isinstance(kernel, SumKernel):
        return SumKernel(tuple(rename(one, suffix) for one in kernel.kernels))
    if isinstance(kernel, TransposedKernel | AntisymmetricKernel):
        return replace(kernel, kernel=rename(kernel.kernel, suffix))
    return replace(kernel, name=f"{kernel.name}{suffix}")
