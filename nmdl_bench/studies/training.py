"""Training level by level: a network of few time steps first, then twice as many from what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Problem, Result, Stop, Tape
from nmdl_bench.networks.kernels import Shape
from nmdl_bench.networks.linear_maps import LinearMap
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.transfer import refine_network
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.solve import solve
from nmdl_bench.studies.pictures import Tick, silent


@dataclass(frozen=True)
class Pad(LinearMap):
    """Features, and zeros up to ``outputs`` of them: more room without weights (Haber and Ruthotto 2017, section 6)."""

    inputs: int
    outputs: int

    def output(self, shape: Shape) -> Shape:
        return (self.outputs,)

    def apply(self, xp: object, Y: Array) -> Array:
        return xp.concat([Y, xp.zeros((Y.shape[0], self.outputs - self.inputs))], axis=1)  # type: ignore[attr-defined]

    def transpose(self, xp: object, tape: Tape, Z: Array) -> Array:
        return xp.copy(Z[:, : self.inputs])  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Level:
    """A trained level."""

    problem: LearningProblem
    result: Result


def multilevel(
    make: Callable[[Network], LearningProblem],
    network: Network,
    x: np.ndarray,
    depths: Sequence[int],
    solver: str,
    stop: Stop,
    tick: Tick = silent,
) -> list[Level]:
    """Train at each depth, from the level before.

    Parameters
    ----------
    make : callable
        The problem for a network.
    network, x
        The first level's network and start.
    depths : sequence of int
        Steps of each level, the first those of ``network``.
    solver : str
        Name of a solver.
    stop : Stop
        Of each level.

    Raises
    ------
    ConfigurationError
        A level has not twice the steps of the one before.

    Notes
    -----
    Controls are interpolated linearly in time (as in Meganet), see :func:`nmdl_bench.networks.transfer.refine_network`.
    """
    if any(fine != 2 * coarse for coarse, fine in pairwise(depths)):
        raise ConfigurationError(f"each level has twice the steps of the one before, not {list(depths)}")
    xp, levels = get_backend("numpy"), []
    for i, depth in enumerate(depths):
        tick(f"{depth} steps", i / len(depths))
        if i:
            network, x = refine_network(network, x, time="linear")
        problem = make(network)
        problem.start = x
        result = solve(cast(Problem, problem), SOLVERS.make(solver), xp, stop)
        levels.append(Level(problem, result))
        x = np.array(result.x)
    return levels
