"""Scalar operations ``xp.s``: IEEE arithmetic on whatever a backend keeps real numbers in.

Scalars take ``+ - *``, unary minus and comparisons themselves. All else goes through ``xp.s``, since on bare floats
``1 / 0.`` raises, ``~(a < b)`` is -2 (and true), and the root of a negative number is an exception.

``const(v)`` makes a real, ``int(i)`` an integer of the backend; ``real(k)`` turns an integer into a real. ``div sqrt
exp cos pow isfinite`` work on reals; ``where maximum minimum abs`` on reals and integers; ``and_ or_ not_`` on truth
values; ``mod`` on integers.
"""

from __future__ import annotations

import math
from typing import Any

from nmdl_bench.contracts import Scalar


class FloatScalars:
    """Python floats, for eager libraries on the host: a torch 0-d product costs fifty times a float's."""

    @staticmethod
    def const(v: float) -> Scalar:
        return float(v)

    @staticmethod
    def int(i: Any) -> Any:
        return i

    @staticmethod
    def real(k: Any) -> Scalar:
        return float(k)

    @staticmethod
    def div(a: Scalar, b: Scalar) -> Scalar:
        try:
            return a / b
        except ZeroDivisionError:
            return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)

    @staticmethod
    def sqrt(a: Scalar) -> Scalar:
        return math.sqrt(a) if a >= 0 else math.nan

    @staticmethod
    def exp(a: Scalar) -> Scalar:
        try:
            return math.exp(a)
        except OverflowError:
            return math.inf

    @staticmethod
    def pow(a: Scalar, b: Scalar) -> Scalar:
        try:
            return float(a) ** float(b) if a >= 0 else math.nan
        except OverflowError:
            return math.inf
        except ZeroDivisionError:
            return math.inf

    @staticmethod
    def cos(a: Scalar) -> Scalar:
        return math.cos(a) if math.isfinite(a) else math.nan

    @staticmethod
    def where(c: Any, a: Any, b: Any) -> Any:
        return a if c else b

    @staticmethod
    def maximum(a: Any, b: Any) -> Any:
        return a if a >= b or a != a else b

    @staticmethod
    def minimum(a: Any, b: Any) -> Any:
        return a if a <= b or a != a else b

    abs = staticmethod(abs)
    isfinite = staticmethod(math.isfinite)

    @staticmethod
    def mod(a: Any, b: Any) -> Any:
        return a % b

    @staticmethod
    def and_(a: Any, *rest: Any) -> Any:
        return bool(a) and all(rest)

    @staticmethod
    def or_(a: Any, *rest: Any) -> Any:
        return bool(a) or any(rest)

    @staticmethod
    def not_(a: Any) -> Any:
        return not a


class ArrayScalars:
    """0-d arrays of a NumPy-like namespace, for devices: nothing here waits for the device.

    Integers and truth values that the host knows (counters, flags) stay Python's: ``cond`` and ``while_loop`` decide on
    the host, so a counter never needs the device. Each operation therefore takes both kinds.
    """

    def __init__(self, namespace: Any, const: Any) -> None:
        self._np, self.const = namespace, const
        self.sqrt, self.exp, self.cos, self.isfinite = namespace.sqrt, namespace.exp, namespace.cos, namespace.isfinite

    def int(self, i: Any) -> Any:
        return i

    def real(self, k: Any) -> Scalar:
        return self.const(k)

    def div(self, a: Scalar, b: Scalar) -> Scalar:
        return self._real(a) / self._real(b)

    def pow(self, a: Scalar, b: Scalar) -> Scalar:
        return self._real(a) ** self._real(b)

    def where(self, c: Any, a: Any, b: Any) -> Any:
        if isinstance(c, bool):
            return a if c else b
        return self._np.where(c, self._real(a), self._real(b))

    def maximum(self, a: Scalar, b: Scalar) -> Scalar:
        return self._np.maximum(self._real(a), self._real(b))

    def minimum(self, a: Scalar, b: Scalar) -> Scalar:
        return self._np.minimum(self._real(a), self._real(b))

    def abs(self, a: Any) -> Any:
        return abs(a)

    def mod(self, a: Any, b: Any) -> Any:
        return a % b

    def and_(self, a: Any, *rest: Any) -> Any:
        for b in rest:
            a = a and b if isinstance(a, bool) else a if b is True else a & b
        return a

    def or_(self, a: Any, *rest: Any) -> Any:
        for b in rest:
            a = a or b if isinstance(a, bool) else a if b is False else a | b
        return a

    def not_(self, a: Any) -> Any:
        return not a if isinstance(a, bool) else ~a

    def _real(self, a: Any) -> Scalar:
        return self.const(a) if isinstance(a, float | int) else a
