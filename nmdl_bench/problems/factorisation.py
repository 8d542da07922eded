"""Non-negative matrix factorisation: bounds, and two blocks in each of which the problem is convex."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError, Scalar

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Factors(NamedTuple):
    """A point ``x``, its factors U (m, r) and V (n, r), and the residual ``R = U V^T - A`` (m, n)."""

    x: Array
    U: Array
    V: Array
    R: Array


@dataclass(frozen=True)
class FactorisationObjective:
    """``f(x) = 1/2 |U V^T - A|_F^2`` for ``x = (U, V)`` in row order; ``arrays`` is A (m, n)."""

    xp: Backend
    static: tuple[int, int, int]
    """m, n and the rank r."""
    arrays: Array
    x0: Array
    n_samples: int = 1

    @property
    def blocks(self) -> tuple[slice, slice]:
        """``U`` and ``V``."""
        m, n, r = self.static
        return slice(0, m * r), slice(m * r, (m + n) * r)

    def with_arrays(self, arrays: Array) -> FactorisationObjective:
        return replace(self, arrays=arrays)

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, Factors]:
        U, V = self._factors(x)
        R = U @ V.T - self.arrays
        return 0.5 * self.xp.total(R * R), Factors(x, U, V, R)

    def grad(self, tape: Factors) -> Array:
        return self.vjp(tape, tape.R)

    def jvp(self, tape: Factors, v: Array) -> Array:
        """``dU V^T + U dV^T`` (m, n)."""
        dU, dV = self._factors(v)
        return dU @ tape.V.T + tape.U @ dV.T

    def vjp(self, tape: Factors, w: Array) -> Array:
        """``(W V, W^T U)`` for W (m, n)."""
        return self.xp.ravel([w @ tape.V, w.T @ tape.U])

    def gauss_newton(self, tape: Factors, v: Array) -> Array:
        return self.vjp(tape, self.jvp(tape, v))

    def hessian(self, tape: Factors, v: Array) -> Array:
        dU, dV = self._factors(v)
        curved = self.xp.ravel([tape.R @ dV, tape.R.T @ dU])
        return self.xp.axpy(1.0, self.gauss_newton(tape, v), curved)

    def _factors(self, x: Array) -> tuple[Array, Array]:
        m, n, r = self.static
        return self.xp.reshape(x[: m * r], (m, r)), self.xp.reshape(x[m * r :], (n, r))


@dataclass(eq=False)
class FactorisationProblem:
    """The smooth part of a factorisation; :class:`~nmdl_bench.problems.composite.CompositeProblem` adds the bounds.

    Parameters
    ----------
    name, summary : str
        Shown in listings and reports.
    A : ndarray (m, n)
        What is factorised.
    rank : int
        Columns of the factors, >= 1.
    seed : int
        Draws the start: uniform numbers, scaled so that the means of ``U V^T`` and ``A`` agree.
    """

    name: str
    summary: str
    A: np.ndarray
    rank: int
    seed: int = 0
    tau: float = 0.1
    minimum: float | None = None

    provides = ("gauss-newton", "blocks")

    def __post_init__(self) -> None:
        self.A = np.array(self.A, dtype=np.float64)
        if self.A.ndim != 2 or not np.isfinite(self.A).all():
            raise ConfigurationError(f"a factorisation needs a finite matrix, not an array of shape {self.A.shape}")
        if self.rank < 1:
            raise ConfigurationError(f"rank must be at least 1, not {self.rank!r}")

    def bind(self, xp: Backend) -> FactorisationObjective:
        (m, n), r = self.A.shape, self.rank
        x0 = np.random.Generator(np.random.Philox(self.seed)).random((m + n) * r)
        x0 *= 2 * np.sqrt(abs(self.A.mean()) / r) or 1.0
        return FactorisationObjective(xp, (m, n, r), xp.asarray(self.A), xp.asarray(x0))

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """``error``: the residual's Frobenius norm, relative to that of A."""
        (m, _), r, host = self.A.shape, self.rank, xp.to_numpy(x).astype(np.float64)
        R = host[: m * r].reshape(m, r) @ host[m * r :].reshape(-1, r).T - self.A
        return {"error": float(np.linalg.norm(R) / (np.linalg.norm(self.A) or 1.0))}
