"""Functions of a vector, on NumPy: objectives without data, for optimizers and SciPy alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from nmdl_bench.backends import get_backend

XP = get_backend("numpy")
ValueAndGrad = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Function:
    """An objective from value and gradient; remembers the value of every forward."""

    def __init__(
        self, value_and_grad: ValueAndGrad, x0: np.ndarray, hessian: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        self.xp, self.x0, self.arrays, self.static, self.n_samples = XP, x0, (), value_and_grad, 1
        self.value_and_grad, self._hessian = value_and_grad, hessian
        self.values: list[float] = []

    def with_arrays(self, arrays: Any) -> Function:
        return self

    def forward(self, x: np.ndarray, batch: Any = None) -> tuple[float, Any]:
        f, g = self.value_and_grad(x)
        self.values.append(float(f))
        return float(f), (x.copy(), g)

    def grad(self, tape: Any) -> np.ndarray:
        return tape[1].copy()

    def hessian(self, tape: Any, v: np.ndarray) -> np.ndarray:
        assert self._hessian is not None
        return self._hessian(tape[0]) @ v


def quadratic(n: int, condition: float, seed: int = 0) -> tuple[Function, np.ndarray]:
    """``1/2 (x - 1)^T A (x - 1)`` from 0, and A."""
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    A = Q * np.logspace(0, np.log10(condition), n) @ Q.T
    A = 0.5 * (A + A.T)
    return Function(lambda x: (0.5 * (x - 1) @ A @ (x - 1), A @ (x - 1)), np.zeros(n), lambda x: A), A


def rosenbrock(n: int) -> Function:
    """The chained valley from (-1.2, 1, -1.2, ...)."""
    return Function(
        lambda x: (optimize.rosen(x), optimize.rosen_der(x)), np.tile([-1.2, 1.0], n // 2), optimize.rosen_hess
    )


def powell_singular(n: int) -> Function:
    """More, Garbow and Hillstrom (1981), problem 22: the Hessian is singular at the minimum."""

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, c, d = x.reshape(-1, 4).T
        p, q, r, s = a + 10 * b, c - d, b - 2 * c, a - d
        g = [2 * p + 40 * s**3, 20 * p + 4 * r**3, 10 * q - 8 * r**3, -10 * q - 40 * s**3]
        return float(np.sum(p**2 + 5 * q**2 + r**4 + 10 * s**4)), np.stack(g, axis=1).ravel()

    return Function(value_and_grad, np.tile([3.0, -1.0, 0.0, 1.0], n // 4))


def beale() -> Function:
    """Their problem 5."""

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        (a, b), i = x, np.arange(1, 4)
        r = np.array([1.5, 2.25, 2.625]) - a * (1 - b**i)
        return float(r @ r), np.array([-2 * r @ (1 - b**i), 2 * r @ (a * i * b ** (i - 1))])

    return Function(value_and_grad, np.ones(2))


def wood() -> Function:
    """Their problem 14."""

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        a, b, c, d = x
        f = 100 * (b - a * a) ** 2 + (1 - a) ** 2 + 90 * (d - c * c) ** 2 + (1 - c) ** 2
        f += 10.1 * ((b - 1) ** 2 + (d - 1) ** 2) + 19.8 * (b - 1) * (d - 1)
        g = [
            -400 * a * (b - a * a) - 2 * (1 - a),
            200 * (b - a * a) + 20.2 * (b - 1) + 19.8 * (d - 1),
            -360 * c * (d - c * c) - 2 * (1 - c),
            180 * (d - c * c) + 20.2 * (d - 1) + 19.8 * (b - 1),
        ]
        return float(f), np.array(g)

    return Function(value_and_grad, np.array([-3.0, -1.0, -3.0, -1.0]))


FUNCTIONS: dict[str, Callable[[], Function]] = {
    "rosenbrock-2": lambda: rosenbrock(2),
    "rosenbrock-50": lambda: rosenbrock(50),
    "quadratic": lambda: quadratic(60, 1e3)[0],
    "wood": wood,
    "powell-singular": lambda: powell_singular(20),
    "beale": beale,
}
"""All have the minimum 0."""
