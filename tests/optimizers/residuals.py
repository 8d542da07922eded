"""Small nonlinear least-squares problems, and a quadratic with any symmetric matrix, for methods of second order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True, eq=False)
class Residual:
    """``f = |r|^2 / 2`` of a :class:`ResidualProblem`; the tape is (x, r)."""

    xp: Any
    arrays: Any
    x0: Any
    functions: Any
    n_samples: int = 1

    @property
    def static(self) -> Any:
        return ("residual", self.functions)

    def with_arrays(self, arrays: Any) -> Residual:
        return replace(self, arrays=arrays)

    def forward(self, x: Any, batch: Any = None) -> Any:
        r = self.functions.residual(self.xp, x, self.arrays)
        return 0.5 * self.xp.dot(r, r), (x, r)

    def residual(self, tape: Any) -> Any:
        return self.xp.copy(tape[1])

    def jacobian(self, tape: Any) -> Any:
        return self.functions.jacobian(self.xp, tape[0], self.arrays)

    def grad(self, tape: Any) -> Any:
        return self.vjp(tape, tape[1])

    def jvp(self, tape: Any, v: Any) -> Any:
        return self.jacobian(tape) @ v

    def vjp(self, tape: Any, w: Any) -> Any:
        return w @ self.jacobian(tape)

    def gauss_newton(self, tape: Any, v: Any) -> Any:
        J = self.jacobian(tape)
        return (J @ v) @ J

    def hessian(self, tape: Any, v: Any) -> Any:
        return self.gauss_newton(tape, v) + self.functions.curvature(self.xp, *tape, v)


@dataclass(eq=False)
class ResidualProblem:
    """``functions`` has ``start, data, residual, jacobian`` and maybe ``curvature``, the sum of ``r_i Hess(r_i) v``."""

    functions: Any
    scale: float = 1.0
    name: str = "residual"
    summary: str = "a residual"
    minimum: float | None = None
    tau: float = 0.1
    provides: ClassVar[tuple[str, ...]] = ("gauss-newton", "residual")

    def bind(self, xp: Any) -> Residual:
        start = self.scale * np.array(self.functions.start, float)
        return Residual(xp, xp.asarray(np.array(self.functions.data, float)), xp.asarray(start), self.functions)

    def metrics(self, xp: Any, x: Any) -> dict[str, float]:
        return {}


class Rosenbrock:
    """``(10 (x_2 - x_1^2), 1 - x_1)``; minimum 0 at (1, 1)."""

    start, data, minimum = (-1.2, 1.0), (0.0,), 0.0

    @staticmethod
    def residual(xp: Any, x: Any, data: Any) -> Any:
        return xp.stack([10 * (x[1] - x[0] * x[0]), 1 - x[0]])

    @staticmethod
    def jacobian(xp: Any, x: Any, data: Any) -> Any:
        o = 0 * x[0]
        return xp.stack([xp.stack([-20 * x[0], o + 10]), xp.stack([o - 1, o])])

    @staticmethod
    def curvature(xp: Any, x: Any, r: Any, v: Any) -> Any:
        return xp.stack([-20 * r[0] * v[0], 0 * v[1]])


class PowellSingular:
    """Minimum 0 at 0, where the Jacobian has rank 2."""

    start, data, minimum = (3.0, -1.0, 0.0, 1.0), (0.0,), 0.0

    @staticmethod
    def residual(xp: Any, x: Any, data: Any) -> Any:
        a, b = x[1] - 2 * x[2], x[0] - x[3]
        return xp.stack([x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), a * a, 10**0.5 * (b * b)])

    @staticmethod
    def jacobian(xp: Any, x: Any, data: Any) -> Any:
        o, a, b = 0 * x[0], x[1] - 2 * x[2], 10**0.5 * (x[0] - x[3])
        rows = [
            [o + 1, o + 10, o, o],
            [o, o, o + 5**0.5, o - 5**0.5],
            [o, 2 * a, -4 * a, o],
            [2 * b, o, o, -2 * b],
        ]
        return xp.stack([xp.stack(row) for row in rows])

    @staticmethod
    def curvature(xp: Any, x: Any, r: Any, v: Any) -> Any:
        a, b = r[2] * 2 * (v[1] - 2 * v[2]), r[3] * (2 * 10**0.5) * (v[0] - v[3])
        return xp.stack([b, a, -2 * a, -b])


class Bard:
    """``y_i - x_1 - u_i / (v_i x_2 + w_i x_3)``; minimum 8.21487e-3 / 2."""

    start, minimum = (1.0, 1.0, 1.0), 8.21487730657896e-3 / 2
    data = (0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39)

    @staticmethod
    def _terms(xp: Any) -> tuple[Any, Any, Any]:
        u = np.arange(1.0, 16.0)
        return xp.constant(u), xp.constant(16 - u), xp.constant(np.minimum(u, 16 - u))

    @classmethod
    def residual(cls, xp: Any, x: Any, data: Any) -> Any:
        u, v, w = cls._terms(xp)
        return data - x[0] - u / (v * x[1] + w * x[2])

    @classmethod
    def jacobian(cls, xp: Any, x: Any, data: Any) -> Any:
        u, v, w = cls._terms(xp)
        d = v * x[1] + w * x[2]
        q = u / (d * d)
        return xp.stack([0 * u - 1, v * q, w * q]).T


class Meyer:
    """``x_1 exp(x_2 / (t_i + x_3)) - y_i``, ``t_i = 45 + 5 i``; minimum 87.9458 / 2, on a scale of 1e-3 to 1e4."""

    start, minimum = (0.02, 4000.0, 250.0), 87.94585517 / 2
    data = (34780.0, 28610.0, 23650.0, 19630.0, 16370.0, 13720.0, 11540.0, 9744.0)
    data += (8261.0, 7030.0, 6005.0, 5147.0, 4427.0, 3820.0, 3307.0, 2872.0)

    @staticmethod
    def _times(xp: Any, x: Any) -> Any:
        return xp.constant(45 + 5 * np.arange(1.0, 17.0)) + x[2]

    @classmethod
    def residual(cls, xp: Any, x: Any, data: Any) -> Any:
        return x[0] * xp.exp(x[1] / cls._times(xp, x)) - data

    @classmethod
    def jacobian(cls, xp: Any, x: Any, data: Any) -> Any:
        t = cls._times(xp, x)
        E = xp.exp(x[1] / t)
        return xp.stack([E, x[0] * E / t, -(x[0] * x[1]) * E / (t * t)]).T


class Underdetermined:
    """``x_1 + x_2 + x_3 - 3`` and ``x_1 x_2 - 1``: two residuals of three unknowns; minimum 0 along a curve."""

    start, data, minimum = (2.0, 2.0, 0.0), (0.0,), 0.0

    @staticmethod
    def residual(xp: Any, x: Any, data: Any) -> Any:
        return xp.stack([x[0] + x[1] + x[2] - 3, x[0] * x[1] - 1])

    @staticmethod
    def jacobian(xp: Any, x: Any, data: Any) -> Any:
        o = 0 * x[0]
        return xp.stack([xp.stack([o + 1, o + 1, o + 1]), xp.stack([x[1], x[0], o])])


@dataclass(frozen=True, eq=False)
class Quadratic:
    """``f = b.x + x.A x / 2``, and ``|x|^4 / 4`` where ``quartic``; its Gauss-Newton matrix is ``A``."""

    xp: Any
    arrays: Any
    x0: Any
    quartic: bool = False
    n_samples: int = 1

    @property
    def static(self) -> Any:
        return ("symmetric quadratic", self.quartic)

    def with_arrays(self, arrays: Any) -> Quadratic:
        return replace(self, arrays=arrays)

    def forward(self, x: Any, batch: Any = None) -> Any:
        A, b = self.arrays
        xp, f = self.xp, self.xp.dot(b, x) + 0.5 * self.xp.dot(x, A @ x)
        return (f + 0.25 * xp.dot(x, x) * xp.dot(x, x) if self.quartic else f), x

    def grad(self, tape: Any) -> Any:
        A, b = self.arrays
        g = A @ tape + b
        return g + self.xp.dot(tape, tape) * tape if self.quartic else g

    def gauss_newton(self, tape: Any, v: Any) -> Any:
        return self.arrays[0] @ v

    def jvp(self, tape: Any, v: Any) -> Any:
        return self.arrays[0] @ v

    def vjp(self, tape: Any, w: Any) -> Any:
        return self.arrays[0] @ w

    def hessian(self, tape: Any, v: Any) -> Any:
        xp, Av = self.xp, self.arrays[0] @ v
        return Av + xp.dot(tape, tape) * v + 2 * xp.dot(tape, v) * tape if self.quartic else Av


@dataclass(eq=False)
class QuadraticProblem:
    """The problem of a :class:`Quadratic`."""

    A: Any
    b: Any
    x0: Any
    quartic: bool = False
    name: str = "quadratic"
    summary: str = "a quadratic"
    minimum: float | None = None
    tau: float = 0.1
    provides: ClassVar[tuple[str, ...]] = ("gauss-newton",)

    def bind(self, xp: Any) -> Quadratic:
        arrays = (xp.asarray(np.array(self.A, float)), xp.asarray(np.array(self.b, float)))
        return Quadratic(xp, arrays, xp.asarray(np.array(self.x0, float)), self.quartic)

    def metrics(self, xp: Any, x: Any) -> dict[str, float]:
        return {}
