"""Linear maps without parameters: pooling and reshaping."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Tape
from nmdl_bench.networks.checks import check_image, check_sizes
from nmdl_bench.networks.kernels import Shape
from nmdl_bench.networks.parts import Plain

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class LinearMap(Plain):
    """A linear map without parameters: a subclass gives ``apply`` and its adjoint."""

    def apply(self, xp: Backend, Y: Array) -> Array:
        raise NotImplementedError

    def transpose(self, xp: Backend, tape: Tape, Z: Array) -> Array:
        raise NotImplementedError

    def mark(self, Y: Array) -> Tape:
        """What ``transpose`` needs of the input."""
        return ()

    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, Tape]:
        return self.apply(xp, Y), self.mark(Y)

    def jvp(
        self, xp: Backend, theta: Blocks, tape: Tape, dtheta: Blocks, dY: Array | None, keep: bool = False
    ) -> tuple[Array | None, Tape]:
        return None if dY is None else self.apply(xp, dY), () if keep else None

    def vjp(self, xp: Backend, theta: Blocks, tape: Tape, Z: Array, inputs: bool = True) -> tuple[Blocks, Array | None]:
        return {}, self.transpose(xp, tape, Z) if inputs else None

    def dvjp(
        self,
        xp: Backend,
        theta: Blocks,
        tape: Tape,
        dtape: Tape,
        dtheta: Blocks,
        Z: Array,
        dZ: Array,
        inputs: bool = True,
    ) -> tuple[Blocks, Array | None, Array | None]:
        if not inputs:
            return {}, None, None
        return {}, self.transpose(xp, tape, Z), self.transpose(xp, tape, dZ)


@dataclass(frozen=True)
class AveragePool(LinearMap):
    """Means over ``size`` x ``size`` patches of each channel: coarsening."""

    size: int = 2

    def __post_init__(self) -> None:
        check_sizes(size=self.size)

    def output(self, shape: Shape) -> Shape:
        check_image(self, shape, shape[0])
        if shape[1] % self.size or shape[2] % self.size:
            raise ConfigurationError(f"images of {shape[1]} x {shape[2]} do not divide into patches of {self.size}")
        return (shape[0], shape[1] // self.size, shape[2] // self.size)

    def apply(self, xp: Backend, Y: Array) -> Array:
        return xp.avg_pool2d(Y, self.size)

    def transpose(self, xp: Backend, tape: Tape, Z: Array) -> Array:
        return xp.avg_pool2d_transpose(Z, self.size)


class ShapeTape(NamedTuple):
    """An array that has the input's shape."""

    Y: Array


@dataclass(frozen=True)
class GlobalAverage(LinearMap):
    """Mean of each channel over the image: (n, c, h, w) to (n, c)."""

    def output(self, shape: Shape) -> Shape:
        check_image(self, shape, shape[0])
        return (shape[0],)

    def mark(self, Y: Array) -> ShapeTape:
        return ShapeTape(Y)

    def apply(self, xp: Backend, Y: Array) -> Array:
        return xp.sum(Y, axis=(2, 3)) * (1 / (Y.shape[2] * Y.shape[3]))

    def transpose(self, xp: Backend, tape: ShapeTape, Z: Array) -> Array:
        n, c, h, w = tape.Y.shape
        return xp.reshape(Z * (1 / (h * w)), (n, c, 1, 1)) + xp.zeros((n, c, h, w))


@dataclass(frozen=True)
class Reshape(LinearMap):
    """Samples of one shape as samples of another: rows as images, or images as rows."""

    before: Shape
    after: Shape

    def __post_init__(self) -> None:
        if prod(self.before) != prod(self.after):
            raise ConfigurationError(f"samples of shape {self.before} cannot be reshaped to {self.after}")

    def output(self, shape: Shape) -> Shape:
        if tuple(shape) != self.before:
            raise ConfigurationError(f"{self!r} takes samples of shape {self.before}, not {tuple(shape)}")
        return self.after

    def apply(self, xp: Backend, Y: Array) -> Array:
        return xp.reshape(Y, (-1, *self.after))

    def transpose(self, xp: Backend, tape: Tape, Z: Array) -> Array:
        return xp.reshape(Z, (-1, *self.before))
