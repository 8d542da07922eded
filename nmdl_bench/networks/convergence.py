"""Orders of the integrators: errors at the final time against the number of steps, on smooth examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nmdl_bench.contracts import Layer
from nmdl_bench.networks.dopri import integrate
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.imex import Imex
from nmdl_bench.networks.integrators import EULER, HEUN, RK4, Integrator
from nmdl_bench.networks.kernels import DenseKernel, ScalingKernel
from nmdl_bench.networks.reversible import SYMPLECTIC_EULER, VERLET, Leapfrog
from nmdl_bench.networks.rhs import hamiltonian, single

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

DEPTHS = (8, 16, 32, 64, 128, 256)
WIDTH, TIME, POINTS = 4, 2.0, 5
ORDERS = {
    "euler": 1, "heun": 2, "rk4": 4, "symplectic-euler": 1, "verlet": 2, "leapfrog": 1, "imex": 1,
}  # fmt: skip
"""What the integrators promise; leapfrog's start is of first order."""


class Error(NamedTuple):
    """Root mean square of an integrator's error at the final time, for one step size."""

    integrator: str
    depth: int
    h: float
    error: float


def example(integrator: Integrator, depth: int) -> Evolution:
    """A small smooth network with linear controls on a grid of its own, so that its equation is that of any depth.

    A Hamiltonian right-hand side for methods that step two fields in turn, ``tanh(Y K + b)`` for the others. Depths are
    multiples of the controls' 4 intervals: steps end at the kinks, which would cost order otherwise.
    """
    rhs: Layer
    if integrator.name in ("symplectic-euler", "verlet"):
        rhs = hamiltonian(DenseKernel(WIDTH // 2, WIDTH // 2), "tanh")
    else:
        rhs = single(DenseKernel(WIDTH, WIDTH), "tanh")
    return Evolution(rhs, depth, TIME, integrator, "linear", POINTS)


def orders(xp: Backend, depths: tuple[int, ...] = DEPTHS, seed: int = 0) -> list[Error]:
    """Errors of every integrator at each depth, against :func:`~nmdl_bench.networks.dopri.integrate` at 1e-12.

    Parameters
    ----------
    xp : Backend
        Of float64: the errors of ``rk4`` lie below the round-off of float32.
    depths : tuple of int
        Multiples of 4.
    seed : int
        Draws controls and features.
    """
    methods: list[Integrator] = [EULER, HEUN, RK4, SYMPLECTIC_EULER, VERLET, Leapfrog(), Imex(ScalingKernel(WIDTH))]
    found = []
    for method in methods:
        rng = np.random.Generator(np.random.Philox(seed))
        first = example(method, depths[0])
        theta = {name: xp.asarray(block) for name, block in first.init(rng).items()}
        Y = xp.asarray(rng.standard_normal((8, WIDTH)) / 2)
        exact = xp.to_numpy(integrate(xp, first, theta, Y, 1e-12, 1e-12)[0])
        for depth in depths:
            evolution = example(method, depth)
            end = xp.to_numpy(evolution.forward(xp, theta, Y)[0])
            found.append(Error(method.name, depth, evolution.h, float(np.sqrt(np.mean((end - exact) ** 2)))))
    return found


def slopes(errors: list[Error]) -> dict[str, float]:
    """Observed order of each integrator: slope of ``log error`` against ``log h``, fitted by least squares."""
    names = dict.fromkeys(error.integrator for error in errors)
    fitted = {}
    for name in names:
        points = np.log([(error.h, error.error) for error in errors if error.integrator == name])
        fitted[name] = float(np.polyfit(points[:, 0], points[:, 1], 1)[0])
    return fitted
