"""A network: layers in sequence, over one flat parameter vector whose layout only this file knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import Array, Blocks, Layer, Tape
from nmdl_bench.networks.evolution import Evolution

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
        drawn = [layer.init(rng) for layer in self.layers]
        return np.concatenate(
            [blocks[name].ravel() for blocks, layout in zip(drawn, self._layout) for name, *_ in layout]
        )

    def unpack(self, xp: Backend, theta: Array) -> list[Blocks]:
        """The named blocks of each layer, as views of ``theta`` where the library has views."""
        return [
            {name: xp.reshape(theta[start:end], shape) for name, shape, start, end in blocks} for blocks in self._layout
        ]

    def pack(self, xp: Backend, blocks: list[Blocks]) -> Array:
        """The flat vector of blocks that ``vjp`` of the layers returned."""
        return xp.ravel([named[name] for named, layout in zip(blocks, self._layout) for name, *_ in layout])

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample's output; a ConfigurationError where a layer cannot take what it is given."""
        for layer in self.layers:
            shape = layer.output(tuple(shape))
        return tuple(shape)

    def forward(self, xp: Backend, theta: Array, Y: Array, aux: Any = None) -> tuple[Array, tuple[Tape, ...]]:
        """Output ``S`` (n, k) for features ``Y`` (n, p) or images (n, c, h, w), and the layers' tapes.

        ``aux`` has one entry a layer; see :meth:`nmdl_bench.contracts.Layer.forward`.
        """
        tapes = []
        for i, (layer, blocks) in enumerate(zip(self.layers, self.unpack(xp, theta))):
            Y, tape = layer.forward(xp, blocks, Y, None if aux is None else aux[i])
            tapes.append(tape)
        return Y, tuple(tapes)

    def jvp(
        self, xp: Backend, theta: Array, tapes: tuple[Tape, ...], v: Array, keep: bool = False
    ) -> tuple[Array, tuple[Tape, ...] | None]:
        """Jacobian of the output with respect to ``theta``, times ``v`` (size,): (n, k).

        Beside it, where ``keep``, what :meth:`dvjp` needs.
        """
        dY, dtapes = None, []
        for layer, blocks, tape, dblocks in zip(self.layers, self.unpack(xp, theta), tapes, self.unpack(xp, v)):
            dY, dtape = layer.jvp(xp, blocks, tape, dblocks, dY, keep)
            dtapes.append(dtape)
        return dY, tuple(dtapes) if keep else None

    def vjp(self, xp: Backend, theta: Array, tapes: tuple[Tape, ...], Z: Array) -> Array:
        """Transposed Jacobian of the output, times ``Z`` (n, k): (size,)."""
        blocks = self.unpack(xp, theta)
        gradients: list[Blocks] = [{}] * len(blocks)
        for i in reversed(range(self._first, len(blocks))):
            gradients[i], Z = self.layers[i].vjp(xp, blocks[i], tapes[i], Z, inputs=i > self._first)  # type: ignore[assignment]
        return self.pack(xp, gradients)

    def dvjp(
        self,
        xp: Backend,
        theta: Array,
        tapes: tuple[Tape, ...],
        dtapes: tuple[Tape, ...],
        v: Array,
        Z: Array,
        dZ: Array,
    ) -> Array:
        """Derivative of ``vjp(theta, Z)`` along ``(v, dZ)``: (size,); ``dtapes`` were kept by ``jvp`` along ``v``.

        With ``Z`` the loss's gradient and ``dZ`` its Hessian times ``jvp``'s output, this is the exact Hessian of the
        loss, times ``v``: its first-order part is the Gauss-Newton product.
        """
        blocks, dblocks = self.unpack(xp, theta), self.unpack(xp, v)
        found: list[Blocks] = [{}] * len(blocks)
        for i in reversed(range(self._first, len(blocks))):
            found[i], Z, dZ = self.layers[i].dvjp(  # type: ignore[assignment]
                xp, blocks[i], tapes[i], dtapes[i], dblocks[i], Z, dZ, inputs=i > self._first
            )
        return self.pack(xp, found)

    @cached_property
    def _first(self) -> int:
        """The first layer with parameters; adjoints go no further."""
        return next((i for i, blocks in enumerate(self._layout) if blocks), len(self.layers))

    def statistics(self, xp: Backend, theta: Array, Y: Array) -> Any:
        """What batch normalisation sees on ``Y``, as ``aux`` for evaluation; None where there is none."""
        keeping = Network(
            tuple(replace(one, memory="all") if isinstance(one, Evolution) else one for one in self.layers)
        )
        _, tapes = keeping.forward(xp, theta, Y)
        found = tuple(layer.statistics(tape) for layer, tape in zip(keeping.layers, tapes))
        return None if all(one is None for one in found) else found

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Any:
        """``aux`` with dropout's masks for ``n`` samples of the given shape, on the host; None without dropout."""
        found = []
        for layer in self.layers:
            found.append(layer.draw(rng, n, shape))
            shape = layer.output(shape)
        return None if all(one is None for one in found) else tuple(found)
