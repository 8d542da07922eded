"""Eigenvalues of the right-hand side's Jacobian along depth, and the stability regions of the integrators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Layer
from nmdl_bench.diagnostics.trajectory import controls_of_step, features_of, first_node, states, unit_tangents
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.imex import Imex
from nmdl_bench.networks.integrators import EULER, Integrator, RungeKutta
from nmdl_bench.networks.reversible import Leapfrog, Splitting

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def jacobians(xp: Backend, rhs: Layer, theta: Blocks, Y: Array, aux: Any = None) -> np.ndarray:
    """``df/dY`` of each sample on the host: (n, p, p), row i for component i of ``f``.

    By ``jvp`` on unit vectors, each sample taken p times; see :func:`~nmdl_bench.diagnostics.trajectory.propagators`.
    """
    n, p = int(Y.shape[0]), features_of(Y)
    copies, units = unit_tangents(xp, Y)
    still = {name: xp.zeros(shape) for name, shape in rhs.shapes().items()}
    _, tape = rhs.forward(xp, theta, copies, aux)
    dF, _ = rhs.jvp(xp, theta, tape, still, units)
    return np.ascontiguousarray(np.swapaxes(xp.to_numpy(dF).reshape(n, p, p), 1, 2))


def eigenvalues(
    xp: Backend, evolution: Evolution, theta: Blocks, Y: Array, aux: Any = None, steps: Sequence[int] | None = None
) -> np.ndarray:
    """Eigenvalues of ``df/dY`` where each step begins, or each of ``steps``: (steps, n, p), complex.

    A step of size h is stable to first order where h times each of them lies in the integrator's region (h^2 for
    leapfrog), as far as they vary slowly with time (Haber and Ruthotto 2017, section 2.2; Ascher and Petzold 1998).
    """
    S = states(xp, evolution, theta, Y, aux)
    found = []
    for j in range(evolution.depth) if steps is None else steps:
        at, seen = controls_of_step(xp, evolution, theta, j), first_node(evolution, aux, j)
        found.append(np.linalg.eigvals(jacobians(xp, evolution.rhs, at, S[j, ...], seen).astype(np.float64)))
    return np.stack(found).astype(np.complex128)


def scale(evolution: Evolution) -> float:
    """What eigenvalues are multiplied by to meet the region: ``h``, and ``h^2`` for leapfrog."""
    return evolution.h**2 if isinstance(evolution.integrator, Leapfrog) else evolution.h


@dataclass(frozen=True)
class Region:
    """Where an integrator does not amplify the solution of ``y' = lambda y`` (leapfrog: ``y'' = lambda y``).

    Parameters
    ----------
    kind : str
        ``"polynomial"``: ``|R(z)| <= 1`` in the plane of ``z = h lambda``. ``"imaginary"``: the segment
        ``|Im z| <= numbers[0]`` of the imaginary axis. ``"real"``: ``-numbers[0] <= z <= 0`` with ``z = h^2 lambda``.
    numbers : tuple of float
        Coefficients of ``R`` from the constant on, or the segment's length.
    """

    kind: str
    numbers: tuple[float, ...]

    def __str__(self) -> str:
        return " ".join([self.kind, *(repr(number) for number in self.numbers)])

    @classmethod
    def parse(cls, text: str) -> Region:
        """The inverse of ``str``."""
        kind, *numbers = text.split()
        return cls(kind, tuple(map(float, numbers)))

    def amplification(self, z: Any) -> np.ndarray:
        """Largest factor in modulus by which a step multiplies the solution, at each complex ``z``."""
        z = np.asarray(z, dtype=np.complex128)
        if self.kind == "polynomial":
            return np.abs(np.polyval(self.numbers[::-1], z))
        # both are r^2 - (2 + q) r + 1 = 0 where it matters: q = z^2 for splittings scaled to |z| <= 2, q = z else
        q = (2 / self.numbers[0] * z) ** 2 if self.kind == "imaginary" else 4 / self.numbers[0] * z
        root = np.sqrt((2 + q) ** 2 - 4)
        return np.maximum(np.abs(2 + q + root), np.abs(2 + q - root)) / 2


def region(integrator: Integrator) -> Region:
    """The stability region of an integrator; of semi-implicit steps that of their explicit part, Euler's.

    (The implicit part divides by ``1 + h |L|^2 >= 1``, so that what Euler's region holds stays stable.)

    Raises
    ------
    ConfigurationError
        It is none of the kinds that are known here.
    """
    if isinstance(integrator, Imex):
        integrator = EULER
    if isinstance(integrator, RungeKutta):
        return Region("polynomial", _stability_polynomial(integrator))
    if isinstance(integrator, Splitting):
        return Region("imaginary", (_splitting_limit(integrator),))
    if isinstance(integrator, Leapfrog):
        return Region("real", (4.0,))
    raise ConfigurationError(f"the stability region of {integrator!r} is not known")


def _stability_polynomial(method: RungeKutta) -> tuple[float, ...]:
    """``R(z) = 1 + z b^T (I - z A)^-1 1 = 1 + sum_k z^(k+1) b^T A^k 1`` (Hairer and Wanner 1996, section IV.2)."""
    s = len(method.b)
    A = np.array([[*row, *[0.0] * (s - len(row))] for row in method.A])
    v, coefficients = np.ones(s), [1.0]
    for _ in range(s):
        coefficients.append(float(np.dot(method.b, v)))
        v = A @ v
    while abs(coefficients[-1]) < 1e-14:
        coefficients.pop()
    return tuple(coefficients)


def _splitting_limit(method: Splitting) -> float:
    """Largest ``h omega`` for which the oscillator ``u' = omega v, v' = -omega u`` stays bounded: ``|trace| <= 2``."""

    def trace(x: float) -> float:
        M = np.eye(2)
        for field, c in method.stages:
            shear = np.eye(2)
            shear[field, 1 - field] = c * x if field == 0 else -c * x
            M = shear @ M
        return abs(float(np.trace(M)))

    low, high = 0.0, 0.0
    while trace(high := high + 0.01) <= 2 + 1e-12:
        low = high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if trace(middle) <= 2 + 1e-15 else (low, middle)
    return round(low, 9)
