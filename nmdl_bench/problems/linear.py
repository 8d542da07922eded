"""Linear least squares with Tikhonov's term: the map, the objective, the problem and its exact minimum."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, cast

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.trees import tree_map
from nmdl_bench.contracts import Array, ConfigurationError, Scalar

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

SMALL = 1000
"""Unknowns up to which the minimum is computed."""
WELL_CONDITIONED = 1e8
"""Bound of the condition number of ``[A; sqrt(alpha) I]`` up to which the minimum is computed."""


class LinearMap(Protocol):
    """What A does, without its arrays: hashable, so that equal maps share compiled steps."""

    def shape(self, arrays: Any) -> tuple[int, int]:
        """``(m, n)``."""

    def apply(self, xp: Backend, arrays: Any, v: Array) -> Array:
        """``A v`` (m,) for v (n,); a fresh array."""

    def adjoint(self, xp: Backend, arrays: Any, w: Array) -> Array:
        """``A^T w`` (n,) for w (m,); a fresh array."""

    def matrix(self, xp: Backend, arrays: Any) -> Array:
        """A (m, n)."""


@dataclass(frozen=True)
class Dense:
    """A is an array (m, n)."""

    def shape(self, arrays: Array) -> tuple[int, int]:
        m, n = arrays.shape
        return m, n

    def apply(self, xp: Backend, arrays: Array, v: Array) -> Array:
        return arrays @ v

    def adjoint(self, xp: Backend, arrays: Array, w: Array) -> Array:
        return arrays.T @ w

    def matrix(self, xp: Backend, arrays: Array) -> Array:
        return arrays


@dataclass(frozen=True)
class Separable:
    """``A vec(X) = vec(K_1 X K_2^T)`` for images X (h, w), row by row, with arrays ``(K_1, K_2)``."""

    def shape(self, arrays: tuple[Array, Array]) -> tuple[int, int]:
        (h, p), (w, q) = (a.shape for a in arrays)
        return h * w, p * q

    def apply(self, xp: Backend, arrays: tuple[Array, Array], v: Array) -> Array:
        rows, columns = arrays
        X = xp.reshape(v, (rows.shape[1], columns.shape[1]))
        return xp.reshape(rows @ X @ columns.T, (-1,))

    def adjoint(self, xp: Backend, arrays: tuple[Array, Array], w: Array) -> Array:
        rows, columns = arrays
        W = xp.reshape(w, (rows.shape[0], columns.shape[0]))
        return xp.reshape(rows.T @ W @ columns, (-1,))

    def matrix(self, xp: Backend, arrays: tuple[Array, Array]) -> Array:
        (h, p), (w, q) = (a.shape for a in arrays)
        rows, columns = xp.reshape(arrays[0], (h, 1, p, 1)), xp.reshape(arrays[1], (1, w, 1, q))
        return xp.reshape(rows * columns, (h * w, p * q))


class LinearData(NamedTuple):
    """The map's arrays, and the data b (m,), on the device."""

    map: Any
    b: Array


class LinearTape(NamedTuple):
    """A point, and ``r = A x - b`` there."""

    x: Array
    r: Array


class LinearStructure(NamedTuple):
    """All of the objective but its arrays."""

    map: LinearMap
    alpha: float


@dataclass(frozen=True)
class LinearObjective:
    """``f(x) = 1/2 |A x - b|^2 + alpha/2 |x|^2``, see :class:`nmdl_bench.contracts.Objective`.

    As a sum of squares, ``f = 1/2 |R|^2`` with the residual ``R = [A x - b; sqrt(alpha) x]``, of which the second part
    is there where alpha is positive; ``jvp`` and ``vjp`` are those of R.
    """

    xp: Backend
    static: LinearStructure
    arrays: LinearData
    x0: Array
    n_samples: int = 1

    @property
    def alpha(self) -> float:
        """Weight of Tikhonov's term."""
        return self.static.alpha

    def with_arrays(self, arrays: LinearData | None) -> LinearObjective:
        return replace(self, arrays=cast(LinearData, arrays))

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, LinearTape]:
        xp, (A, alpha) = self.xp, self.static
        r = A.apply(xp, self.arrays.map, x) - self.arrays.b
        value = 0.5 * xp.dot(r, r)
        if alpha:
            value = value + 0.5 * alpha * xp.dot(x, x)
        return value, LinearTape(x, r)

    def grad(self, tape: LinearTape) -> Array:
        g = self.static.map.adjoint(self.xp, self.arrays.map, tape.r)
        return self.xp.axpy(self.static.alpha, tape.x, g) if self.static.alpha else g

    def residual(self, tape: LinearTape) -> Array:
        """``R`` (m,) or (m + n,)."""
        alpha = self.static.alpha
        return self.xp.concat([tape.r, sqrt(alpha) * tape.x]) if alpha else tape.r

    def jacobian(self, tape: LinearTape) -> Array:
        """``[A; sqrt(alpha) I]`` (m, n) or (m + n, n)."""
        xp, (A, alpha) = self.xp, self.static
        matrix = A.matrix(xp, self.arrays.map)
        if not alpha:
            return matrix
        return xp.concat([matrix, sqrt(alpha) * xp.eye(tape.x.shape[0])], axis=0)

    def jvp(self, tape: LinearTape, v: Array) -> Array:
        xp, (A, alpha) = self.xp, self.static
        Av = A.apply(xp, self.arrays.map, v)
        return xp.concat([Av, sqrt(alpha) * v]) if alpha else Av

    def vjp(self, tape: LinearTape, w: Array) -> Array:
        xp, (A, alpha) = self.xp, self.static
        if not alpha:
            return A.adjoint(xp, self.arrays.map, w)
        m = tape.r.shape[0]
        return xp.axpy(sqrt(alpha), w[m:], A.adjoint(xp, self.arrays.map, w[:m]))

    def gauss_newton(self, tape: LinearTape, v: Array) -> Array:
        xp, (A, alpha) = self.xp, self.static
        Hv = A.adjoint(xp, self.arrays.map, A.apply(xp, self.arrays.map, v))
        return xp.axpy(alpha, v, Hv) if alpha else Hv

    def hessian(self, tape: LinearTape, v: Array) -> Array:
        """``(A^T A + alpha I) v``: the Gauss-Newton matrix is exact."""
        return self.gauss_newton(tape, v)


@dataclass(eq=False)
class LinearProblem:
    """Linear least squares with Tikhonov's term ``alpha/2 |x|^2``, on the host.

    Parameters
    ----------
    name, summary : str
        Shown in listings and reports.
    A : ndarray or tree of ndarray
        The matrix (m, n), or the arrays of ``map``.
    b : ndarray
        Data (m,).
    alpha : float
        Weight of ``1/2 |x|^2``, >= 0.
    truth : ndarray, optional
        What the data were made of (n,); metrics then have the ``error``, relative to its norm.
    map : LinearMap
        What A does, where it is no matrix.
    tau : float
        Level of 'solved'; see :class:`nmdl_bench.contracts.Problem`.

    Raises
    ------
    ConfigurationError
        A number or a shape that cannot be.
    """

    name: str
    summary: str
    A: Any
    b: np.ndarray
    alpha: float = 0.0
    truth: np.ndarray | None = None
    map: LinearMap = field(default_factory=Dense)
    tau: float = 1e-3

    provides: ClassVar[tuple[str, ...]] = ("gauss-newton", "residual", "linear")

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < float("inf"):
            raise ConfigurationError(f"alpha must be non-negative and finite, not {self.alpha!r}")
        if not 0 < self.tau < 1:
            raise ConfigurationError(f"tau must lie in (0, 1), not {self.tau!r}")
        m, n = self.map.shape(self.A)
        if np.shape(self.b) != (m,) or (self.truth is not None and np.shape(self.truth) != (n,)):
            truth = "" if self.truth is None else f", truth {np.shape(self.truth)}"
            raise ConfigurationError(
                f"of problem {self.name!r}, A is {m} x {n}, and b has the shape {np.shape(self.b)}{truth}"
            )

    @cached_property
    def matrix(self) -> np.ndarray:
        """A (m, n)."""
        return np.asarray(self.map.matrix(get_backend("numpy"), self.A))

    @cached_property
    def start(self) -> np.ndarray:
        """Zeros (n,), read-only."""
        x0 = np.zeros(self.map.shape(self.A)[1])
        x0.setflags(write=False)
        return x0

    @cached_property
    def _minimum(self) -> tuple[np.ndarray, float] | None:
        n = self.map.shape(self.A)[1]
        if n > SMALL:
            return None
        stacked = np.concatenate([self.matrix, sqrt(self.alpha) * np.eye(n)]) if self.alpha else self.matrix
        # Tikhonov's term bounds the smallest singular value from below; without it, that has to be computed
        size = float(np.linalg.norm(stacked))
        if stacked.shape[0] < n or not np.isfinite(size):
            return None
        smallest = sqrt(self.alpha) if self.alpha else float(np.linalg.svd(stacked, compute_uv=False)[-1])
        if not size <= WELL_CONDITIONED * smallest:
            return None
        return refined_least_squares(stacked, np.concatenate([self.b, np.zeros(stacked.shape[0] - len(self.b))]))

    @property
    def minimum(self) -> float | None:
        """Least value, by QR refined in extended precision; None where A is too large or too ill-conditioned."""
        return None if self._minimum is None else self._minimum[1]

    @property
    def minimiser(self) -> np.ndarray | None:
        """Where it is taken (n,); None as for :attr:`minimum`."""
        return None if self._minimum is None else self._minimum[0]

    def bind(self, xp: Backend) -> LinearObjective:
        structure = LinearStructure(self.map, float(self.alpha))
        data = LinearData(tree_map(xp.asarray, self.A), xp.asarray(self.b))
        return LinearObjective(xp, structure, data, xp.asarray(self.start))

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """``residual = |A x - b| / |b|``, and the ``error`` ``|x - truth| / |truth|`` where the truth is known."""
        found = xp.to_numpy(x).astype(np.float64)
        r = self.map.apply(get_backend("numpy"), self.A, found) - self.b
        values = {"residual": float(np.linalg.norm(r) / (np.linalg.norm(self.b) or 1.0))}
        if self.truth is not None:
            values["error"] = float(np.linalg.norm(found - self.truth) / (np.linalg.norm(self.truth) or 1.0))
        return values


def refined_least_squares(A: np.ndarray, b: np.ndarray, steps: int = 4) -> tuple[np.ndarray, float]:
    """Minimiser of ``1/2 |A x - b|^2`` and its value, for A of full rank, rounded from extended precision.

    Householder QR, then the augmented system ``r + A x = b``, ``A^T r = 0`` is refined with residuals in extended
    precision (Bjorck 1967; Golub and Van Loan 2013, section 5.3.8).
    """
    from scipy.linalg import solve_triangular  # most runs need no linear problem

    Q, R = np.linalg.qr(A)
    A_long, b_long = A.astype(np.longdouble), b.astype(np.longdouble)
    x, r = np.zeros(A.shape[1], np.longdouble), b_long.copy()
    for _ in range(steps):
        f = (b_long - r - A_long @ x).astype(np.float64)
        g = (-(A_long.T @ r)).astype(np.float64)
        # dr + A dx = f, A^T dr = g
        h = solve_triangular(R, g, trans="T")
        d = Q.T @ f
        dx = solve_triangular(R, d - h)
        dr = f - Q @ (d - h)
        x, r = x + dx, r + dr
    residual = b_long - A_long @ x
    return x.astype(np.float64), float(residual @ residual / 2)
