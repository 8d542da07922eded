"""Features and their tangents at every step of an evolution."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.backends.trees import tree_map
from nmdl_bench.contracts import Array, Blocks, ConfigurationError
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.integrators import RungeKutta
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.reversible import Splitting

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

MOST_FEATURES = 512
"""Features a sample up to which full Jacobians are formed: they need as many tangents, and p^2 numbers a sample."""


def states(xp: Backend, evolution: Evolution, theta: Blocks, Y: Array, aux: Any = None) -> Array:
    """Features at ``t_0, t_1, ..., t_N``.

    Parameters
    ----------
    xp : Backend
        Where the arrays live.
    evolution : Evolution
        The layer.
    theta : Blocks
        Its blocks.
    Y : Array
        Features (n, ...) that enter it.
    aux : Any
        As for :meth:`Evolution.forward`.

    Returns
    -------
    Array
        (depth + 1, n, ...); the last is what ``forward`` returns.
    """
    method, controls = evolution.integrator, evolution.grid.read(xp, _own(evolution, theta))

    def step(carry: Any, row: Any) -> Any:
        (j,), (S, state) = row, carry
        state, _ = method.forward(xp, evolution.rhs, evolution.h, _at(controls, j), state, _at(aux, j))
        return xp.set_row(S, j + 1, method.leave(xp, state)), state

    S = xp.set_row(xp.zeros((evolution.depth + 1, *Y.shape)), 0, Y)
    return xp.loop(step, (S, method.enter(Y)), _steps(evolution))[0]


def tangents(
    xp: Backend, evolution: Evolution, theta: Blocks, Y: Array, dY: Array, aux: Any = None
) -> tuple[Array, Array]:
    """Features at every step as :func:`states`, and their derivative along a perturbation ``dY`` of the first ones.

    Both are (depth + 1, n, ...). The steps' own tangents are used, those of :mod:`nmdl_bench.networks.integrators`.
    """
    method, controls = evolution.integrator, evolution.grid.read(xp, _own(evolution, theta))
    still = {name: xp.zeros(tuple(block.shape)) for name, block in controls.items()}

    def step(carry: Any, row: Any) -> Any:
        (j,), (S, dS, state, dstate) = row, carry
        at, rest = _at(controls, j), _at(still, j)
        state, tape = method.forward(xp, evolution.rhs, evolution.h, at, state, _at(aux, j))
        dstate, _ = method.jvp(xp, evolution.rhs, evolution.h, at, tape, rest, dstate, False)
        S, dS = (xp.set_row(A, j + 1, method.leave(xp, a)) for A, a in ((S, state), (dS, dstate)))
        return S, dS, state, dstate

    shape = (evolution.depth + 1, *Y.shape)
    S, dS = xp.set_row(xp.zeros(shape), 0, Y), xp.set_row(xp.zeros(shape), 0, dY)
    S, dS, *_ = xp.loop(step, (S, dS, method.enter(Y), method.enter(dY)), _steps(evolution))
    return S, dS


def propagators(xp: Backend, evolution: Evolution, theta: Blocks, Y: Array, aux: Any = None) -> np.ndarray:
    """``P_j = dY_j / dY_0`` of each sample, on the host: (depth + 1, n, p, p), a column for each feature of ``Y_0``.

    Every sample is taken p times, once with each unit vector as its tangent. Normalisation by batch would mix the
    samples: give its statistics as ``aux``.

    Raises
    ------
    ConfigurationError
        A sample has more than :data:`MOST_FEATURES` features.
    """
    n, p = int(Y.shape[0]), features_of(Y)
    copies, units = unit_tangents(xp, Y)
    _, dS = tangents(xp, evolution, theta, copies, units, aux)
    found = xp.to_numpy(dS).reshape(evolution.depth + 1, n, p, p)
    return np.ascontiguousarray(np.swapaxes(found, 2, 3))


def growth(xp: Backend, evolution: Evolution, theta: Blocks, Y: Array, aux: Any = None) -> np.ndarray:
    """Largest factor by which a small perturbation of each sample has grown after each step: (depth + 1, n).

    That is ``|dY_j / dY_0|_2``, the norm of :func:`propagators`: no perturbation has grown by more, and one has.
    """
    return np.linalg.norm(propagators(xp, evolution, theta, Y, aux), 2, axis=(2, 3))


def random_growth(
    xp: Backend, evolution: Evolution, theta: Blocks, Y: Array, rng: np.random.Generator, aux: Any = None
) -> np.ndarray:
    """``|dY_j| / |dY_0|`` for one random perturbation of each sample: (depth + 1, n). For features beyond counting."""
    dY = xp.asarray(rng.standard_normal(tuple(Y.shape)))
    size = xp.to_numpy(tangents(xp, evolution, theta, Y, dY, aux)[1]).reshape(evolution.depth + 1, int(Y.shape[0]), -1)
    norms = np.linalg.norm(size, axis=2)
    return norms / norms[0]


def before(xp: Backend, network: Network, x: Array, Y: Array, i: int, aux: Any = None) -> tuple[Array, Blocks, Any]:
    """What layer ``i`` of a network is given: its features, its blocks, its ``aux``."""
    blocks = network.unpack(xp, x)
    for k in range(i):
        Y, _ = network.layers[k].forward(xp, blocks[k], Y, None if aux is None else aux[k])
    return Y, blocks[i], None if aux is None else aux[i]


def evolutions(network: Network) -> list[tuple[int, Evolution]]:
    """The network's blocks of time steps, each with its place among the layers."""
    return [(i, layer) for i, layer in enumerate(network.layers) if isinstance(layer, Evolution)]


def features_of(Y: Array) -> int:
    """Numbers a sample; a ConfigurationError where they are too many for full Jacobians."""
    p = prod(int(length) for length in Y.shape[1:])
    if p > MOST_FEATURES:
        raise ConfigurationError(f"full Jacobians are formed for at most {MOST_FEATURES} features a sample, not {p}")
    return p


def controls_of_step(xp: Backend, evolution: Evolution, theta: Blocks, j: int) -> Blocks:
    """The controls that step ``j`` reads, at the first of its nodes."""
    at = _at(evolution.grid.read(xp, _own(evolution, theta)), j)
    return at if evolution.grid.readings == 1 else _at(at, 0)


def first_node(evolution: Evolution, aux: Any, j: int) -> Any:
    """Statistics for the right-hand side at the start of step ``j``; None without normalisation by batch."""
    at, method = _at(aux, j), evolution.integrator
    if at is None:
        return None
    if isinstance(method, Splitting):  # one entry a stage: the first stage of either field
        fields = [i for i, _ in method.stages]
        return at[fields.index(0)], at[fields.index(1)]
    return at[0] if isinstance(method, RungeKutta) else at


def unit_tangents(xp: Backend, Y: Array) -> tuple[Array, Array]:
    """Each sample p times, and a unit vector for each."""
    n, p = int(Y.shape[0]), features_of(Y)
    copies = xp.take(Y, xp.asarray(np.repeat(np.arange(n), p)))
    return copies, xp.asarray(np.tile(np.eye(p), (n, 1)).reshape(n * p, *(int(m) for m in Y.shape[1:])))


def _own(evolution: Evolution, theta: Blocks) -> Blocks:
    return {name: theta[name] for name in evolution.shapes()}


def _steps(evolution: Evolution) -> np.ndarray:
    return np.arange(evolution.depth)[:, None]


def _at(tree: Any, j: Any) -> Any:
    """Row ``j`` of each array of a tree, or of the list that a scan stacked it as."""
    return tree_map(lambda rows: rows[j] if isinstance(rows, list) else rows[j, ...], tree)
