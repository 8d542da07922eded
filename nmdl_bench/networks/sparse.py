"""A kernel whose entries stand at fixed places."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError
from nmdl_bench.networks.checks import check_sizes, check_width
from nmdl_bench.networks.kernels import Compositions, Shape

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class SparseKernel(Compositions):
    """``Y K`` with the entries of K at fixed places: one weight a pair (input, output), w (pairs,).

    Parameters
    ----------
    inputs, outputs : int
        Features.
    pairs : tuple of (int, int)
        Places of the entries, each once.
    """

    inputs: int
    outputs: int
    pairs: tuple[tuple[int, int], ...] = field(repr=False)
    name: str = "K"

    def __post_init__(self) -> None:
        check_sizes(inputs=self.inputs, outputs=self.outputs)
        inside = all(0 <= i < self.inputs and 0 <= j < self.outputs for i, j in self.pairs)
        if not self.pairs or not inside or len(set(self.pairs)) < len(self.pairs):
            raise ConfigurationError(
                f"pairs must be distinct places in a {self.inputs} x {self.outputs} matrix, not {self.pairs[:4]!r}..."
            )

    @classmethod
    def random(cls, inputs: int, outputs: int, per_output: int, seed: int = 0) -> SparseKernel:
        """``per_output`` entries in each column, drawn without replacement."""
        check_sizes(inputs=inputs, outputs=outputs, per_output=per_output)
        rng = np.random.Generator(np.random.Philox(seed))
        columns = (rng.permutation(inputs)[:per_output] for _ in range(outputs))
        return cls(inputs, outputs, tuple((int(i), j) for j, rows in enumerate(columns) for i in sorted(rows)))

    def shapes(self) -> dict[str, Shape]:
        return {self.name: (len(self.pairs),)}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        fans = len(self.pairs) / self.inputs + len(self.pairs) / self.outputs
        return {self.name: rng.standard_normal(len(self.pairs)) * sqrt(2 / fans)}

    def output(self, shape: Shape) -> Shape:
        check_width(self, shape, self.inputs)
        return (self.outputs,)

    def apply(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        return self._gather(xp, w, Y, from_axis=0)

    def transpose(self, xp: Backend, w: Blocks, Z: Array, shape: Shape | None = None) -> Array:
        return self._gather(xp, w, Z, from_axis=1)

    def grad(self, xp: Backend, Y: Array, Z: Array) -> Blocks:
        i, j = map(xp.constant, self._places)
        return {self.name: xp.column_sum(xp.take(Y, i, 1) * xp.take(Z, j, 1))}

    @cached_property
    def _places(self) -> tuple[np.ndarray, ...]:
        return tuple(np.array(side) for side in zip(*self.pairs))

    @cached_property
    def _rows(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        return _rows(self.pairs, self.outputs, 0), _rows(self.pairs, self.inputs, 1)

    def _gather(self, xp: Backend, w: Blocks, Y: Array, from_axis: int) -> Array:
        """Each result is a short sum over gathered products; scattered additions would not be repeatable on a GPU."""
        sources, weights = self._rows[from_axis]
        padded = xp.concat([w[self.name], xp.zeros((1,))])
        products = xp.take(Y, xp.constant(sources.ravel()), 1) * xp.take(padded, xp.constant(weights.ravel()), 0)
        return xp.sum(xp.reshape(products, (-1, *sources.shape)), axis=2)


def _rows(pairs: tuple[tuple[int, int], ...], results: int, from_axis: int) -> tuple[np.ndarray, np.ndarray]:
    """For each result, the features it reads and the weights they meet, filled up with a weight past the last."""
    entries: list[list[int]] = [[] for _ in range(results)]
    for e, pair in enumerate(pairs):
        entries[pair[1 - from_axis]].append(e)
    longest = max(map(len, entries))
    weights = np.full((results, longest), len(pairs))
    sources = np.zeros((results, longest), dtype=int)
    for r, row in enumerate(entries):
        weights[r, : len(row)] = row
        sources[r, : len(row)] = [pairs[e][from_axis] for e in row]
    return sources, weights
