"""A network: layers in sequence, over one flat parameter vector whose layout only this file knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from nmdl_bench.contracts import Array, Blocks, Layer, Tape
from nmdl_bench.networks.layers import Dense, EulerBlock, check_sizes

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class Network:
    """``S = layer_k(... layer_1(Y))`` with parameters ``theta`` (size,), layer after layer, block after block."""

    layers: tuple[Layer, ...]

    @cached_property
    def _layout(self) -> tuple[tuple[tuple[str, tuple[int, ...], int, int], ...], ...]:
        """For each layer, its blocks as (name, shape, first index, last index + 1)."""
        layout, start = [], 0
        for layer in self.layers:
            blocks = []
            for name, shape in layer.shapes().items():
                blocks.append((name, shape, start, start + prod(shape)))
                start += prod(shape)
            layout.append(tuple(blocks))
        return tuple(layout)

    @cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(prod(shape) for layer in self.layers for shape in layer.shapes().values())

    def init(self, rng: np.random.Generator) -> np.ndarray:
        """Initial parameters on the host (size,)."""
        blocks = [layer.init(rng) for layer in self.layers]
        return np.concatenate([block.ravel() for named in blocks for block in named.values()])

    def unpack(self, xp: Backend, theta: Array) -> list[Blocks]:
        """The named blocks of each layer, as views of ``theta`` where the library has views."""
        return [
            {name: xp.reshape(theta[start:end], shape) for name, shape, start, end in blocks} for blocks in self._layout
        ]

    def pack(self, xp: Backend, blocks: list[Blocks]) -> Array:
        """The flat vector of blocks that ``vjp`` of the layers returned."""
        return xp.ravel([named[name] for named, layout in zip(blocks, self._layout) for name, *_ in layout])

    def forward(self, xp: Backend, theta: Array, Y: Array) -> tuple[Array, tuple[Tape, ...]]:
        """Output ``S`` (n, k) for features ``Y`` (n, p), and the layers' tapes."""
        tapes = []
        for layer, blocks in zip(self.layers, self.unpack(xp, theta)):
            Y, tape = layer.forward(xp, blocks, Y)
            tapes.append(tape)
        return Y, tuple(tapes)

    def jvp(self, xp: Backend, theta: Array, tapes: tuple[Tape, ...], v: Array) -> Array:
        """Jacobian of the output with respect to ``theta``, times ``v`` (size,): (n, k)."""
        dY = None
        for layer, blocks, tape, dblocks in zip(self.layers, self.unpack(xp, theta), tapes, self.unpack(xp, v)):
            dY = layer.jvp(xp, blocks, tape, dblocks, dY)
        return dY

    def vjp(self, xp: Backend, theta: Array, tapes: tuple[Tape, ...], Z: Array) -> Array:
        """Transposed Jacobian of the output, times ``Z`` (n, k): (size,). Donates ``Z``."""
        blocks = self.unpack(xp, theta)
        gradients: list[Blocks] = [{}] * len(blocks)
        for i in reversed(range(len(blocks))):
            gradients[i], Z = self.layers[i].vjp(xp, blocks[i], tapes[i], Z, inputs=i > 0)
        return self.pack(xp, gradients)


def resnet(features: int, classes: int, width: int, depth: int, time: float = 1.0, activation: str = "tanh") -> Network:
    """Opening layer, ``depth`` steps of forward Euler to ``time``, and a linear classifier.

    With depth 0 only the classifier is left: on cross-entropy that is multinomial logistic regression, a convex
    problem.

    Parameters
    ----------
    features, classes : int
        Columns of the input and of the output.
    width : int
        Features inside the network.
    depth : int
        Number of Euler steps, >= 0.
    time : float
        Final time; the step size is ``time / depth``.
    activation : str
        Of the opening layer and the block.
    """
    check_sizes(features=features, classes=classes, **({"width": width, "depth": depth} if depth != 0 else {}))
    if depth == 0:
        return Network((Dense(features, classes),))
    opening, block = Dense(features, width, activation), EulerBlock(width, depth, time, activation)
    return Network((opening, block, Dense(width, classes)))
