"""The objective on a plane through a point: along random directions scaled like the weights, or where it bends most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.compiled import compiled
from nmdl_bench.contracts import Array, Objective
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable


def filter_normalised(network: Network, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random direction (size,) whose filters have the norms of those of ``x`` (Li et al. 2018, section 4).

    A filter is what makes one feature or channel of an output: a column of a dense kernel, the stencils of one output
    channel. Biases and normalisations' scales do not move, as in the paper.
    """
    host = get_backend("numpy")
    found = []
    for layer, blocks in zip(network.layers, network.unpack(host, np.asarray(x, dtype=np.float64))):
        is_stacked = isinstance(layer, Evolution)
        directions = {}
        for name, block in blocks.items():
            axes = _filter_axes(block.ndim - is_stacked)
            if axes is None:
                directions[name] = np.zeros(block.shape)
                continue
            D = rng.standard_normal(block.shape)
            over = tuple(axis + is_stacked for axis in axes)
            size, own = (np.sqrt((A**2).sum(axis=over, keepdims=True)) for A in (block, D))
            directions[name] = D * size / own
        found.append(directions)
    return network.pack(host, found)


def _filter_axes(dimensions: int) -> tuple[int, ...] | None:
    """Axes over which one filter of a block runs; None for vectors, which are biases and scales."""
    return {2: (0,), 4: (1, 2, 3)}.get(dimensions)


def steepest_directions(
    objective: Objective, x: np.ndarray, rng: np.random.Generator, k: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` eigenvalues of the objective's Hessian that are largest in modulus, and unit eigenvectors (k, size).

    By Lanczos's method on exact Hessian products.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    xp = objective.xp
    product = compiled(("hessian at",), objective, _hessian)

    def times(v: np.ndarray) -> np.ndarray:
        return np.asarray(xp.to_numpy(product(objective.arrays, at, xp.asarray(v.ravel()))), dtype=np.float64)

    at = xp.asarray(x)
    operator = LinearOperator((len(x), len(x)), matvec=times, dtype=np.float64)
    values, vectors = eigsh(operator, k=k, which="LM", v0=rng.standard_normal(len(x)), tol=1e-4)
    order = np.argsort(-np.abs(values))
    V = vectors.T[order]
    V = V * np.sign(V[np.arange(k), np.abs(V).argmax(axis=1)])[:, None]  # signs are free: the largest entry is positive
    return values[order], V


def plane(
    objective: Objective, x: np.ndarray, one: np.ndarray, other: np.ndarray, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    """``f(x + a_i one + b_j other)`` at all pairs: (len(a), len(b)), on the host."""
    xp = objective.xp
    value = compiled(("value on a plane",), objective, _value)
    at, u, v = (xp.asarray(z) for z in (x, one, other))
    return np.array([[float(value(objective.arrays, at, u, v, float(s), float(t))) for t in b] for s in a])


def _value(bare: Objective) -> Callable[..., Any]:
    def value(arrays: Any, x: Array, u: Array, v: Array, s: float, t: float) -> Any:
        return bare.with_arrays(arrays).forward(x + s * u + t * v)[0]

    return value


def _hessian(bare: Objective) -> Callable[..., Any]:
    def product(arrays: Any, x: Array, v: Array) -> Array:
        at = bare.with_arrays(arrays)
        return at.hessian(at.forward(x)[1], v)

    return product
