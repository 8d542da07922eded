"""The numbers that data are made of, and what residuals are assembled with.

Data are written once for doubles and for extended precision: a :class:`Numbers` makes integers, ratios and roots, and
literal tables that are decimal fractions, without rounding before its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from nmdl_bench.contracts import Array


class Numbers(Protocol):
    """Real numbers of some precision, in NumPy arrays."""

    pi: Any

    def array(self, values: Any) -> np.ndarray:
        """Decimal fractions, integers and numbers of this kind, nested to any depth."""

    def ratio(self, p: int, q: int) -> Any:
        """``p/q``."""

    def sqrt(self, a: Any) -> Any: ...

    def exp(self, a: Any) -> Any: ...

    def log(self, a: Any) -> Any: ...


class Doubles:
    """IEEE double precision."""

    pi = np.pi
    sqrt, exp, log = staticmethod(np.sqrt), staticmethod(np.exp), staticmethod(np.log)

    def array(self, values: Any) -> np.ndarray:
        return np.array(values, dtype=np.float64)

    def ratio(self, p: int, q: int) -> float:
        return p / q


def count(N: Numbers, m: int, first: int = 1) -> np.ndarray:
    """``first, ..., first + m - 1``."""
    return N.array(list(range(first, first + m)))


def vector(xp: Any, *entries: Any) -> Array:
    """A vector of 0-d arrays and numbers."""
    zero = xp.zeros(())
    return xp.stack([entry if hasattr(entry, "shape") else zero + entry for entry in entries])


def matrix(xp: Any, *rows: Sequence[Any]) -> Array:
    """A matrix of rows of 0-d arrays and numbers."""
    return xp.stack([vector(xp, *row) for row in rows])


def columns(xp: Any, m: int, *entries: Any) -> Array:
    """A matrix (m, n) of columns (m,); numbers and 0-d arrays stand for constant ones."""
    zero = xp.zeros((m,))
    return xp.stack([zero + entry for entry in entries], axis=1)


def column(xp: Any, v: Array) -> Array:
    """A vector as a matrix of one column."""
    return xp.reshape(v, (v.shape[0], 1))
