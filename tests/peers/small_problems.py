"""Least squares with a quadratic residual: every structure that a peer can ask for, small enough for any of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nmdl_bench.catalogue import SOLVERS

CALLS: Counter[str] = Counter()
"""Evaluations as they happen, by name: in compiled functions too, where they are counted on each execution."""


def tick(xp: Any, name: str) -> None:
    """Count one evaluation."""
    if xp.library == "jax":
        import jax

        jax.debug.callback(lambda: CALLS.update([name]))
    else:
        CALLS[name] += 1


@dataclass(frozen=True)
class Quadratics:
    """``f(x) = 1/2 |r|^2`` for ``r(x) = A x + B (x * x) + c``."""

    xp: Any
    arrays: Any  # A, B (m, n), c (m,), lower, upper (n,)
    x0: Any
    n_samples: int = 1

    @property
    def static(self) -> Any:
        return type(self).__name__

    def with_arrays(self, arrays: Any) -> Any:
        return replace(self, arrays=arrays)

    def forward(self, x: Any, batch: Any = None) -> Any:
        tick(self.xp, "forward")
        A, B, c, *_ = self.arrays
        r = A @ x + B @ (x * x) + c
        return 0.5 * self.xp.dot(r, r), (x, r)

    def grad(self, tape: Any) -> Any:
        tick(self.xp, "gradient")
        return self._vjp(tape, tape[1])

    def residual(self, tape: Any) -> Any:
        return self.xp.copy(tape[1])

    def jacobian(self, tape: Any) -> Any:
        tick(self.xp, "gradient")
        A, B, *_ = self.arrays
        return A + 2 * B * tape[0]

    def jvp(self, tape: Any, v: Any) -> Any:
        tick(self.xp, "jvp")
        return self._jvp(tape, v)

    def vjp(self, tape: Any, w: Any) -> Any:
        tick(self.xp, "vjp")
        return self._vjp(tape, w)

    def gauss_newton(self, tape: Any, v: Any) -> Any:
        return self.vjp(tape, self.jvp(tape, v))

    def hessian(self, tape: Any, v: Any) -> Any:
        tick(self.xp, "hessian")
        return self._vjp(tape, self._jvp(tape, v)) + 2 * (self.arrays[1].T @ tape[1]) * v

    def _jvp(self, tape: Any, v: Any) -> Any:
        A, B, *_ = self.arrays
        return A @ v + 2 * (B @ (tape[0] * v))

    def _vjp(self, tape: Any, w: Any) -> Any:
        A, B, *_ = self.arrays
        return A.T @ w + 2 * tape[0] * (B.T @ w)


ALPHA = 0.1


class Linear(Quadratics):
    """With ``B = 0``, and the last n rows those of Tikhonov's term."""

    alpha = ALPHA


class Boxed(Quadratics):
    """With bounds."""

    @property
    def lower(self) -> Any:
        return self.arrays[3]

    @property
    def upper(self) -> Any:
        return self.arrays[4]

    def penalty(self, x: Any) -> Any:
        return self.xp.s.where(self.xp.norm_inf(x - self.prox(x, 1.0)) > 0, float("inf"), self.xp.s.const(0.0))

    def prox(self, v: Any, t: Any) -> Any:
        low = self.xp.where(v < self.lower, self.lower, v)
        return self.xp.where(low > self.upper, self.upper, low)


GAMMA = 0.5


class Lasso(Quadratics):
    """With ``h = GAMMA |x|_1``."""

    def penalty(self, x: Any) -> Any:
        return GAMMA * self.xp.sum(self.xp.abs(x))

    def prox(self, v: Any, t: Any) -> Any:
        size = self.xp.abs(v) - GAMMA * t
        size = self.xp.where(size > 0, size, 0 * size)
        return self.xp.where(v > 0, size, -size)


@dataclass(eq=False)
class Small:
    """A problem on the host."""

    A: np.ndarray
    B: np.ndarray
    c: np.ndarray
    start: np.ndarray
    cls: type = Quadratics
    provides: tuple[str, ...] = ("gauss-newton", "residual")
    lower: float = -np.inf
    upper: float = np.inf
    name: str = "small"
    summary: str = "a small problem"
    minimum: float | None = None
    tau: float = 0.1
    looks: list[int] = field(default_factory=list)

    def bind(self, xp: Any) -> Any:
        box = np.full(self.start.shape, self.lower), np.full(self.start.shape, self.upper)
        return self.cls(xp, tuple(map(xp.asarray, (self.A, self.B, self.c, *box))), xp.asarray(self.start))

    def metrics(self, xp: Any, x: Any) -> dict[str, float]:
        return {}


def rosenbrock(**change: Any) -> Small:
    """Rosenbrock's function: minimum 0 at (1, 1)."""
    A, B = np.array([[0.0, 10.0], [-1.0, 0.0]]), np.array([[-10.0, 0.0], [0.0, 0.0]])
    return replace(Small(A, B, np.array([0.0, 1.0]), np.array([-1.2, 1.0])), **change)


def convex(**change: Any) -> Small:
    """Linear least squares with Tikhonov's term, six equations and three unknowns, from a start that is not zero."""
    rng = np.random.default_rng(3)
    A = np.concatenate([rng.standard_normal((6, 3)), ALPHA**0.5 * np.eye(3)])
    small = Small(A, 0 * A, np.append(rng.standard_normal(6), np.zeros(3)), np.array([1.0, -1.0, 0.5]), Linear)
    return replace(small, **{"provides": ("gauss-newton", "residual", "linear"), **change})


def boxed(**change: Any) -> Small:
    """Rosenbrock's function with x <= 0.5: minimum 0.125 at (0.5, 0.25)."""
    return rosenbrock(
        cls=Boxed,
        provides=("gauss-newton", "residual", "composite", "bounds"),
        upper=0.5,
        **{"start": np.array([-1.2, 0.4]), **change},
    )


def suited(solver: str) -> Small:
    """A problem that a listed solver can take: Rosenbrock's function unless it asks for something else."""
    entry = SOLVERS[solver]
    if "linear" in entry.needs:
        return convex()
    if "composite" in entry.needs:
        return convex(cls=Lasso, provides=("gauss-newton", "composite"))
    if "bounds" in entry.needs:
        return boxed()
    if "batch_size" in (SOLVERS.options(solver) or ()) or solver.endswith("gradient-descent"):
        return convex()  # fixed steps
    return rosenbrock()
