"""Objectives of plain functions: products that are given, else automatic, else by finite differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from nmdl_bench.contracts import Array, ConfigurationError, Scalar
from nmdl_bench.problems.penalties import WithinBounds

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class FiniteDifferenceWarning(UserWarning):
    """A derivative is taken by finite differences: it costs values, and has about ten digits at best."""


class Functions(NamedTuple):
    """``f(xp, x, *args)``, or a residual, and what its user gives of derivatives; see :mod:`.functions`.

    Hashable, so that equal functions share compiled steps.
    """

    f: Callable[..., Any]
    grad: Callable[..., Array] | None = None
    hessp: Callable[..., Array] | None = None
    jacobian: Callable[..., Array] | None = None
    jvp: Callable[..., Array] | None = None
    vjp: Callable[..., Array] | None = None


class Data(NamedTuple):
    """The functions' further arguments, and bounds (n,) where there are any, on the device."""

    args: tuple[Array, ...] = ()
    lower: Array | None = None
    upper: Array | None = None


class FunctionTape(NamedTuple):
    """A point and, where the function is a residual, its value (m,) there."""

    x: Array
    r: Array | None = None


@dataclass
class Notice:
    """Says once for each problem that derivatives are finite differences; equal functions share what is compiled."""

    name: str
    said: bool = False

    def __call__(self, what: str, xp: Backend, remedy: str) -> None:
        if not self.said and not xp.automatic:
            self.said = True
            text = f"problem {self.name!r}: the {what} is taken by finite differences on {xp.library}; give {remedy}, "
            warnings.warn(text + "or use a backend that differentiates (torch, jax)", FiniteDifferenceWarning, 2)


@dataclass(frozen=True)
class FunctionObjective:
    """``f(x)``, see :class:`nmdl_bench.contracts.Objective`; the value is computed again for its derivatives."""

    xp: Backend
    static: Functions
    arrays: Data
    x0: Array
    notice: Notice = field(compare=False, repr=False)
    n_samples: int = 1

    def with_arrays(self, arrays: Data | None) -> Any:
        # a compiled step keeps the objective without arrays for good, and need not keep its start
        return replace(self, arrays=cast(Data, arrays), x0=None if arrays is None else self.x0)

    def _value(self, xp: Any, x: Array) -> Any:
        """What a differentiating backend differentiates: the scalar as the function gives it."""
        value = self.static.f(xp, x, *self.arrays.args)
        shape = tuple(getattr(value, "shape", ()))
        if shape:
            raise ConfigurationError(
                f"the function {_called(self.static.f)} must return a scalar, not an array of shape {shape}; "
                "a residual is for ResidualProblem or least_squares"
            )
        return value

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, FunctionTape]:
        return self.xp.scalar(self._value(self.xp, x)), FunctionTape(x)

    def grad(self, tape: FunctionTape) -> Array:
        if self.static.grad is not None:
            # of its own: a user's function may return x, or the same array twice
            return self.xp.copy(self.static.grad(self.xp, tape.x, *self.arrays.args))
        self.notice("gradient", self.xp, "grad (jac)")
        return self.xp.gradient(self._value, tape.x)

    def hessian(self, tape: FunctionTape, v: Array) -> Array:
        xp, (_, grad, hessp, *_), args = self.xp, self.static, self.arrays.args
        if hessp is not None:
            return xp.copy(hessp(xp, tape.x, v, *args))
        self.notice("Hessian", xp, "hessp")
        if grad is not None and not xp.automatic:
            return xp.jvp(lambda xp, x: grad(xp, x, *args), tape.x, v)
        return xp.hessian_product(self._value, tape.x, v)


@dataclass(frozen=True)
class ResidualObjective(FunctionObjective):
    """``f(x) = 1/2 |r(x)|^2`` with ``grad = J^T r`` and the Gauss-Newton matrix ``J^T J``."""

    def _residual(self, xp: Any, x: Array) -> Array:
        r = self.static.f(xp, x, *self.arrays.args)
        shape = getattr(r, "shape", ())
        if len(shape) != 1:
            raise ConfigurationError(
                f"the residual {_called(self.static.f)} must return a vector (m,), not "
                f"{f'an array of shape {tuple(shape)}' if shape else 'a scalar'}; "
                "a scalar function is for FunctionProblem or minimize"
            )
        return r

    def _value(self, xp: Any, x: Array) -> Any:
        r = self._residual(xp, x)
        return 0.5 * xp.dot(r, r)

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, FunctionTape]:
        r = self._residual(self.xp, x)
        return 0.5 * self.xp.dot(r, r), FunctionTape(x, r)

    def residual(self, tape: FunctionTape) -> Array:
        """``r`` (m,); read-only, as the tape is."""
        return cast(Array, tape.r)

    def jacobian(self, tape: FunctionTape) -> Array:
        """``J`` (m, n)."""
        xp, functions, n, m = self.xp, self.static, tape.x.shape[0], cast(Array, tape.r).shape[0]
        if functions.jacobian is not None:
            return functions.jacobian(xp, tape.x, *self.arrays.args)
        if functions.jvp is not None:
            return xp.stack([self.jvp(tape, xp.one_hot(i, n)) for i in range(n)], axis=1)
        if functions.vjp is not None:
            return xp.stack([self.vjp(tape, xp.one_hot(i, m)) for i in range(m)], axis=0)
        self.notice("Jacobian", xp, "jacobian (jac)")
        return xp.jacobian(self._residual, tape.x)

    def jvp(self, tape: FunctionTape, v: Array) -> Array:
        functions = self.static
        if functions.jvp is not None:
            return self.xp.copy(functions.jvp(self.xp, tape.x, v, *self.arrays.args))
        if functions.jacobian is not None or (functions.vjp is not None and not self.xp.automatic):
            return self.jacobian(tape) @ v
        self.notice("Jacobian", self.xp, "jacobian (jac)")
        return self.xp.jvp(self._residual, tape.x, v)

    def vjp(self, tape: FunctionTape, w: Array) -> Array:
        functions = self.static
        if functions.vjp is not None:
            return self.xp.copy(functions.vjp(self.xp, tape.x, w, *self.arrays.args))
        if functions.jacobian is not None or (functions.jvp is not None and not self.xp.automatic):
            return self.jacobian(tape).T @ w
        self.notice("Jacobian", self.xp, "jacobian (jac)")
        return self.xp.vjp(self._residual, tape.x, w)

    def grad(self, tape: FunctionTape) -> Array:
        return self.vjp(tape, cast(Array, tape.r))

    def gauss_newton(self, tape: FunctionTape, v: Array) -> Array:
        if self.static.jacobian is not None and self.static.jvp is None and self.static.vjp is None:
            J = self.jacobian(tape)  # evaluated once
            return J.T @ (J @ v)
        return self.vjp(tape, self.jvp(tape, v))

    def hessian(self, tape: FunctionTape, v: Array) -> Array:
        xp, functions = self.xp, self.static
        if functions.hessp is not None:
            return xp.copy(functions.hessp(xp, tape.x, v, *self.arrays.args))
        self.notice("Hessian", xp, "hessp")
        by_hand = functions.jacobian is not None or functions.jvp is not None or functions.vjp is not None
        if by_hand and not xp.automatic:  # differences of a gradient have twice the digits of those of values
            return xp.jvp(lambda xp, x: self.grad(self.forward(x)[1]), tape.x, v)
        return xp.hessian_product(self._value, tape.x, v)


@dataclass(frozen=True)
class BoundedFunction(WithinBounds, FunctionObjective):
    """A function within bounds."""


@dataclass(frozen=True)
class BoundedResidual(WithinBounds, ResidualObjective):
    """Least squares within bounds."""


def _called(f: Callable[..., Any]) -> str:
    while isinstance(f, partial) or hasattr(f, "__wrapped__"):
        f = f.func if isinstance(f, partial) else f.__wrapped__
    return getattr(f, "__name__", None) or repr(f)
