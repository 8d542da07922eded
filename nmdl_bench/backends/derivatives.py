"""Derivatives of plain functions ``f(xp, x)``: by finite differences, where the library cannot differentiate by itself.

A function that is differentiated gets the backend from here, and may use any of its verbs: a library that records what
it differentiates passes a backend whose scalars are recorded too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from nmdl_bench.backends.namespace import Namespace
from nmdl_bench.contracts import Array, Scalar

Function: TypeAlias = Callable[[Any, Array], Any]
"""``f(xp, x)`` of one vector (n,), to a scalar or to a vector (m,)."""

DONATED = {
    "axpy": 2, "aypx": 2, "axpby": 3, "scale": 1, "addmm": 0, "set_row": 0, "put": 0, "set_column": 0,
    "record": 0, "act_tanh": 0, "act_relu": 0, "act_leaky_relu": 0, "act_softplus": 0, "softmax": 0,
}  # fmt: skip
"""The verbs that donate an argument, and which one (the first after ``self`` is 0)."""


class FiniteDifferences(Namespace):
    """Central differences in each coordinate, with steps relative to it: ``h_i = eps^(1/3) max(1, |x_i|)``.

    That balances truncation, of order h^2, and round-off, of order eps/h (Nocedal and Wright 2006, section 8.1); mixed
    second differences take ``eps^(1/4)``. Libraries that differentiate automatically override all of it.
    """

    automatic: ClassVar[bool] = False
    """Whether derivatives are automatic, that is exact up to rounding."""
    eps: float
    s: Any

    def scalar(self, a: Any) -> Scalar:
        """A number, or an array of one element, as the backend keeps scalars."""
        if hasattr(a, "shape"):
            return self.total(a)  # type: ignore[attr-defined]
        return self.s.const(a) if isinstance(a, int | float) else a

    def gradient(self, f: Function, x: Array) -> Array:
        """Gradient (n,) of a scalar function; 2n values where it is not automatic."""
        return self._differences(lambda y: self.scalar(f(self, y)), x, self.eps ** (1 / 3), tuple(x.shape))

    def jvp(self, f: Function, x: Array, v: Array) -> Array:
        """``J v`` (m,) of a vector function; two values where it is not automatic."""
        t = self._step_along(x, v, self.eps ** (1 / 3))
        return self.s.div(self.s.const(0.5), t) * (f(self, x + t * v) - f(self, x - t * v))

    def vjp(self, f: Function, x: Array, w: Array) -> Array:
        """``J^T w`` (n,) of a vector function; 2n values where it is not automatic."""
        return self._jacobian_transposed(f, x) @ w

    def jacobian(self, f: Function, x: Array) -> Array:
        """``J`` (m, n) of a vector function; 2n values where it is not automatic."""
        return self._jacobian_transposed(f, x).T

    def hessian_product(self, f: Function, x: Array, v: Array) -> Array:
        """``H v`` (n,) of a scalar function; 4n values where it is not automatic.

        ``(H v)_i = (f(x+hp) - f(x-hp) - f(x+hm) + f(x-hm)) / 4ht`` with
        ``p, m`` for ``h e_i + t v`` and ``h e_i - t v``; t is of the size of h.
        """
        step = self.eps**0.25
        t = self._step_along(x, v, step)

        def slope(y: Array) -> Scalar:
            return self.scalar(f(self, y + t * v)) - self.scalar(f(self, y - t * v))

        Hv = self._differences(slope, x, step, tuple(x.shape))
        return self.s.div(self.s.const(0.5), t) * Hv

    def _jacobian_transposed(self, f: Function, x: Array) -> Array:
        r = f(self, x)
        return self._differences(lambda y: f(self, y), x, self.eps ** (1 / 3), (x.shape[0], r.shape[0]))

    def _differences(self, f: Callable[[Array], Any], x: Array, step: float, shape: tuple[int, ...]) -> Array:
        """Central differences in coordinate i as row i of an array of that shape."""
        rows = self.zeros(shape)
        n = x.shape[0]
        h = step * self.where(self.abs(x) > 1, self.abs(x), 1 + self.zeros((n,)))
        for i in range(n):
            e = self.one_hot(i, n)  # type: ignore[attr-defined]
            after, before = x + h * e, x - h * e
            width = self.dot(e, after - before)  # type: ignore[attr-defined]  # as rounded, not 2h
            row = self.s.div(self.s.const(1.0), width) * (f(after) - f(before))
            rows = self.set_row(rows, i, row)  # type: ignore[attr-defined]
        return rows

    def _step_along(self, x: Array, v: Array, step: float) -> Scalar:
        """A step along ``v`` whose largest element is ``step max(1, |x|_inf)``; 1 along zero."""
        s, longest = self.s, self.norm_inf(v)  # type: ignore[attr-defined]
        t = s.div(step * s.maximum(s.const(1.0), self.norm_inf(x)), longest)  # type: ignore[attr-defined]
        return s.where(s.isfinite(t), t, s.const(1.0))
