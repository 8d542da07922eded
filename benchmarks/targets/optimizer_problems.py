"""Problems that time an iteration: their objectives cost little, so that the method's own work is what shows.

A plug-in: worker processes import it from its path. All is elementwise, or a product with one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from nmdl_bench.contracts import PROBLEMS


@dataclass(frozen=True, eq=False)
class Valley:
    """``f(x) = 1/2 r^T D r + 1/4 sum r_i^4`` with ``r = x - 1``: eigenvalues from 1 to 1e4, and no quadratic.

    ``arrays`` are the diagonal of D, and bounds and weights, which the function itself does not know; (n,) all.
    """

    xp: Any
    arrays: Any
    x0: Any
    n_samples: int = 1
    static: ClassVar[Any] = "bench-valley"

    def with_arrays(self, arrays: Any) -> Valley:
        return replace(self, arrays=arrays)

    def forward(self, x: Any, batch: Any = None) -> Any:
        r = x - 1
        s, Dr = r * r, self.arrays[0] * r
        return 0.5 * self.xp.dot(r, Dr) + 0.25 * self.xp.dot(s, s), (r, s, Dr)

    def grad(self, tape: Any) -> Any:
        r, s, Dr = tape
        return Dr + s * r

    def hessian(self, tape: Any, v: Any) -> Any:
        return self.arrays[0] * v + 3 * (tape[1] * v)

    gauss_newton = hessian


class Bounded(Valley):
    """The same with ``x <= 1/2`` in every second variable, and nothing else."""

    static: ClassVar[Any] = "bench-bounded"

    @property
    def lower(self) -> Any:
        return self.arrays[1]

    @property
    def upper(self) -> Any:
        return self.arrays[2]

    def penalty(self, x: Any) -> Any:
        return self.xp.s.const(0.0)

    def prox(self, v: Any, t: Any) -> Any:
        return self.xp.where(v > self.upper, self.upper, self.xp.copy(v))


class Sparse(Valley):
    """The same with ``h(x) = 1e-2 sum |x_i|``."""

    static: ClassVar[Any] = "bench-sparse"

    def penalty(self, x: Any) -> Any:
        return self.xp.dot(self.arrays[3], self.xp.abs(x))

    def prox(self, v: Any, t: Any) -> Any:
        w = t * self.arrays[3]
        return self.xp.where(v > w, v - w, self.xp.where(v < -w, v + w, 0 * v))


@dataclass(frozen=True, eq=False)
class Fit:
    """``f(x) = 1/2 |r|^2`` with ``r_i = z_i + z_i^2 / 10 - b_i``, ``z = A x``: two rows a variable."""

    xp: Any
    arrays: Any
    x0: Any
    n_samples: int = 1
    static: ClassVar[Any] = "bench-fit"

    def with_arrays(self, arrays: Any) -> Fit:
        return replace(self, arrays=arrays)

    def forward(self, x: Any, batch: Any = None) -> Any:
        A, b = self.arrays
        z = A @ x
        r = z + 0.1 * (z * z) - b
        return 0.5 * self.xp.dot(r, r), (r, 1 + 0.2 * z)

    def residual(self, tape: Any) -> Any:
        return self.xp.copy(tape[0])

    def jacobian(self, tape: Any) -> Any:
        return self.xp.reshape(tape[1], (-1, 1)) * self.arrays[0]

    def jvp(self, tape: Any, v: Any) -> Any:
        return tape[1] * (self.arrays[0] @ v)

    def vjp(self, tape: Any, w: Any) -> Any:
        return self.arrays[0].T @ (tape[1] * w)

    def grad(self, tape: Any) -> Any:
        return self.vjp(tape, tape[0])

    def gauss_newton(self, tape: Any, v: Any) -> Any:
        return self.vjp(tape, self.jvp(tape, v))

    def hessian(self, tape: Any, v: Any) -> Any:
        return self.gauss_newton(tape, v) + self.arrays[0].T @ (0.2 * tape[0] * (self.arrays[0] @ v))


class BenchProblem:
    """One of them, of a size, from a random start."""

    summary, minimum, tau = "", None, 0.1

    def __init__(self, name: str, kind: Any, provides: tuple[str, ...], n: int, seed: int) -> None:
        self.name, self.kind, self.provides, self.n = name, kind, provides, n
        self.rng = np.random.Generator(np.random.Philox(seed))
        self.x0 = self.rng.standard_normal(n)
        if kind is Fit:
            A = self.rng.standard_normal((2 * n, n)) / np.sqrt(n)
            z = A @ self.rng.standard_normal(n)
            self.data: Any = (A, z + 0.1 * z * z + 0.1 * self.rng.standard_normal(2 * n))
            self.x0 = 0.1 * self.x0
        else:
            upper = np.where(np.arange(n) % 2, np.inf, 0.5)
            self.data = (np.logspace(0, 4, n), np.full(n, -np.inf), upper, np.full(n, 1e-2))
            self.x0 = np.minimum(self.x0, self.data[2])

    def bind(self, xp: Any) -> Any:
        return self.kind(xp, tuple(map(xp.asarray, self.data)), xp.asarray(self.x0))

    def metrics(self, xp: Any, x: Any) -> dict[str, float]:
        return {}


@PROBLEMS.register("bench-valley", "times an iteration on a smooth function")
def bench_valley(n: int = 20, seed: int = 0) -> BenchProblem:
    return BenchProblem("bench-valley", Valley, (), n, seed)


@PROBLEMS.register("bench-bounded", "times an iteration under bounds", provides=("composite", "bounds"))
def bench_bounded(n: int = 20, seed: int = 0) -> BenchProblem:
    return BenchProblem("bench-bounded", Bounded, ("composite", "bounds"), n, seed)


@PROBLEMS.register("bench-sparse", "times an iteration with an l1 norm", provides=("composite",))
def bench_sparse(n: int = 20, seed: int = 0) -> BenchProblem:
    return BenchProblem("bench-sparse", Sparse, ("composite",), n, seed)


@PROBLEMS.register("bench-fit", "times an iteration of least squares", provides=("gauss-newton", "residual"))
def bench_fit(n: int = 20, seed: int = 0) -> BenchProblem:
    return BenchProblem("bench-fit", Fit, ("gauss-newton", "residual"), n, seed)
