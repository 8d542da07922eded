"""The array interface ``xp``: the array API standard's names plus the verbs that the standard lacks.

The rule of the house for verbs that *donate* an argument: that argument is dead afterwards, only the return value
lives. NumPy, CuPy and PyTorch overwrite it, JAX does not; code that obeys the rule is right on all of them.

A backend is made once and passed in; there is no global state and no dispatch by type. Its functions are bound to the
instance, so that a call costs one attribute look-up. A new library is a subclass of :class:`Backend` (most eager ones
also of :class:`EagerControl`), found through the entry-point group ``nmdl_bench.backends``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from nmdl_bench.backends.convolution import Convolutions
from nmdl_bench.backends.dense import Dense
from nmdl_bench.backends.derivatives import FiniteDifferences
from nmdl_bench.backends.kernels import Kernels
from nmdl_bench.contracts import Array, ConfigurationError, Scalar

DTYPES = ("float32", "float64")
CONSTANTS = 256
"""How many arrays :meth:`Backend.constant` keeps; the oldest goes first."""


class Backend(Kernels, Convolutions, Dense, FiniteDifferences):
    """One array library on one device in one real precision.

    Attributes
    ----------
    library, device, dtype_name : str
        Such as ``"torch"``, ``"cuda:0"``, ``"float64"``.
    dtype : Any
        The library's own element type.
    eps : float
        Unit round-off of the precision (distance from 1 to the next number).
    eager : bool
        False where control flow is traced (JAX).
    s : Any
        Scalar operations; see :mod:`nmdl_bench.backends.scalars`.

    Notes
    -----
    A subclass binds in ``__init__`` what :class:`~nmdl_bench.backends.namespace.Namespace` declares, and defines the
    methods below that raise here. Its kernels are the generic ones unless it has better.
    """

    library: ClassVar[str] = ""
    eager: ClassVar[bool] = True
    device: str
    dtype_name: str
    dtype: Any
    eps: float
    s: Any

    def __init__(self, device: str, dtype: str) -> None:
        if dtype not in DTYPES:
            raise ConfigurationError(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
        self.device, self.dtype_name = device, dtype
        self.eps = float(np.finfo(dtype).eps)
        self._constants: dict[Any, Array] = {}

    def _bind(self, namespace: Any, *names: str, **renamed: str) -> None:
        """Bind functions of ``namespace``: under their own names, or (``ours="theirs"``) under the interface's."""
        for ours, theirs in {**{name: name for name in names}, **renamed}.items():
            setattr(self, ours, getattr(namespace, theirs))

    def __repr__(self) -> str:
        return f"<{self.library}:{self.device} {self.dtype_name}>"

    @property
    def key(self) -> tuple[str, str, str]:
        """Hashable identity: library, device, precision."""
        return self.library, self.device, self.dtype_name

    # ------------------------------------------------------------------------------------------ to and from the host
    def asarray(self, a: Any) -> Array:
        """Copy host data to the device: reals in the backend's precision, integers as indices."""
        raise NotImplementedError

    def to_numpy(self, a: Array) -> np.ndarray:
        """Copy an array to the host."""
        raise NotImplementedError

    def constant(self, a: Any) -> Array:
        """A small host array on the device (indices, weights of an interpolation); may never be donated.

        Moved once and then found by its value, where arrays outlive a call (on JAX, a compiled function holds it).
        """
        host = np.asarray(a)
        key = host.dtype.str, host.shape, host.tobytes()
        if key not in self._constants:
            if len(self._constants) >= CONSTANTS:
                self._constants.pop(next(iter(self._constants)))
            self._constants[key] = self.asarray(host)
        return self._constants[key]

    def copy(self, x: Array) -> Array:
        """An array of its own with the values of ``x``."""
        raise NotImplementedError

    def one_hot(self, i: Any, n: int) -> Array:
        """Unit vector ``e_i`` of length ``n``; ``i`` is an integer of the backend's scalars."""
        raise NotImplementedError

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        """Gather slices of ``x`` along ``axis``."""
        raise NotImplementedError

    def head(self, R: Array, j: Any) -> Array:
        """The first ``j`` rows of ``R`` where shapes may depend on values, else ``R``; may share its memory.

        For products to which the rows from ``j`` on contribute nothing, since they, or what they meet, are zero.
        """
        return R

    # ------------------------------------------------------------------------------------------ reductions to scalars
    def dot(self, x: Array, y: Array) -> Scalar:
        """Inner product of two vectors."""
        raise NotImplementedError

    def total(self, x: Array) -> Scalar:
        """Sum of all elements."""
        raise NotImplementedError

    def norm_inf(self, x: Array) -> Scalar:
        """Largest absolute value (NaN where one is NaN)."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------ donating verbs
    def axpy(self, a: Scalar, x: Array, y: Array) -> Array:
        """``a x + y``; donates ``y``."""
        raise NotImplementedError

    def aypx(self, a: Scalar, x: Array, y: Array) -> Array:
        """``a y + x``; donates ``y``."""
        raise NotImplementedError

    def axpby(self, a: Scalar, x: Array, b: Scalar, y: Array) -> Array:
        """``a x + b y``; donates ``y``."""
        raise NotImplementedError

    def scale(self, a: Scalar, x: Array) -> Array:
        """``a x``; donates ``x``."""
        raise NotImplementedError

    def addmm(self, Z: Array, A: Array, B: Array, a: float = 1.0) -> Array:
        """``Z + a A B`` for matrices; donates ``Z``."""
        raise NotImplementedError

    def set_row(self, S: Array, i: Any, v: Array) -> Array:
        """``S`` with ``S[i, ...]`` replaced by ``v``; donates ``S``."""
        raise NotImplementedError

    def put(self, S: Array, i: Any, v: Array, when: Any) -> Array:
        """:meth:`set_row` where the truth value ``when`` holds, else ``S``; donates ``S``.

        What is compiled would copy ``S`` if it went through :meth:`cond`.
        """
        raise NotImplementedError

    def set_column(self, S: Array, i: Any, v: Array) -> Array:
        """``S`` with column ``i`` replaced by ``v``; donates ``S``."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------ control flow
    def while_loop(self, cond: Callable[[Any], Any], body: Callable[[Any], Any], state: Any) -> Any:
        """Apply ``body`` while ``cond`` holds; donates ``state``."""
        raise NotImplementedError

    def cond(self, pred: Any, then: Callable[..., Any], else_: Callable[..., Any], *args: Any) -> Any:
        """``then(*args)`` or ``else_(*args)``; both return trees of the same structure."""
        raise NotImplementedError

    def scan(
        self,
        body: Callable[[Any, Any], tuple[Any, Any]],
        carry: Any,
        xs: Any,
        reverse: bool = False,
        unroll: bool = False,
    ) -> Any:
        """Fold ``body(carry, x) -> (carry, y)`` over the leading axis of ``xs``; returns ``(carry, ys)``.

        ``ys`` has the structure of ``y``; its leaves are opaque to all but another ``scan`` and :meth:`ravel`.
        ``unroll`` says that few and small steps are expected (a network's layers, not an epoch's batches): a library
        that compiles may write them out one by one.
        """
        raise NotImplementedError

    def loop(self, body: Callable[[Any, tuple[Any, ...]], Any], carry: Any, table: Any) -> Any:
        """``carry = body(carry, row)`` for each row of a host table of integers (rows, columns); returns ``carry``.

        ``row`` is a tuple of the backend's integers: for :meth:`set_row`, ``S[i, ...]``, :meth:`one_hot` and
        arithmetic, but not for ``if``. What is compiled does not grow with the number of rows.
        """
        raise NotImplementedError

    def ravel(self, parts: Sequence[Any]) -> Array:
        """One flat vector from arrays and from leaves that a ``scan`` stacked, in order."""
        raise NotImplementedError

    def compile(self, fn: Callable[..., Any], donate: tuple[int, ...] = ()) -> Callable[..., Any]:
        """``fn`` in the library's compiled form; arguments at the positions ``donate`` are dead afterwards."""
        return fn

    # ------------------------------------------------------------------------------------------ recording in loops
    def recorder(self, rows: int, columns: int) -> Any:
        """An empty table for scalars that loops write; lives on the device where scalars do."""
        raise NotImplementedError

    def record(self, table: Any, row: Any, values: Sequence[Any]) -> Any:
        """Write ``values`` into ``row``; donates ``table``."""
        raise NotImplementedError

    def recorded(self, table: Any) -> np.ndarray:
        """The table on the host, float64 (rows, columns)."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------ devices and clocks
    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Enter once around a solve: settings that must not be paid for at every operation."""
        yield

    def synchronize(self, tree: Any = None) -> None:
        """Wait until what was asked of the device (and ``tree``, where given) is computed."""

    def memory_peak(self) -> int | None:
        """Bytes at the peak since :meth:`memory_reset` from the library's allocator; None where it does not tell."""
        return None

    def memory_reset(self) -> None:
        """Start a new peak."""

    def elapsed(self, fn: Callable[[], Any]) -> tuple[Any, float | None]:
        """Result of ``fn`` and its seconds by the device's own events; None where there are none."""
        return fn(), None


class EagerControl:
    """Control flow in Python, for libraries that run each operation at once."""

    def while_loop(self, cond: Callable[[Any], Any], body: Callable[[Any], Any], state: Any) -> Any:
        while cond(state):
            state = body(state)
        return state

    def cond(self, pred: Any, then: Callable[..., Any], else_: Callable[..., Any], *args: Any) -> Any:
        return then(*args) if pred else else_(*args)

    def head(self, R: Array, j: Any) -> Array:
        return R[:j, ...]

    def unstack(self, x: Array) -> Sequence[Array]:
        """Views of the slices along the leading axis."""
        return list(x)

    def _steps(self, xs: Any, length: int) -> list[Any]:
        """The slices of a tree along its leaves' leading axis, as one tree a step; None stays None."""
        if isinstance(xs, list):  # stacked by an earlier scan
            return xs
        if xs is None or (isinstance(xs, tuple | dict) and not xs):
            return [xs] * length
        if isinstance(xs, dict):
            return [dict(zip(xs, values)) for values in zip(*(self._steps(x, length) for x in xs.values()))]
        if isinstance(xs, tuple):
            columns = zip(*(self._steps(x, length) for x in xs))
            return [type(xs)(*c) for c in columns] if hasattr(xs, "_fields") else list(columns)
        return list(self.unstack(xs))

    def scan(
        self,
        body: Callable[[Any, Any], tuple[Any, Any]],
        carry: Any,
        xs: Any,
        reverse: bool = False,
        unroll: bool = False,
    ) -> Any:
        steps = self._steps(xs, _length(xs) or 0)
        ys = []
        for x in reversed(steps) if reverse else steps:
            carry, y = body(carry, x)
            ys.append(y)
        if reverse:
            ys.reverse()
        return carry, _stack(ys)

    def put(self, S: Array, i: Any, v: Array, when: Any) -> Array:
        return self.cond(when, lambda: self.set_row(S, i, v), lambda: S)  # type: ignore[attr-defined]

    def loop(self, body: Callable[[Any, tuple[Any, ...]], Any], carry: Any, table: Any) -> Any:
        for row in np.asarray(table).tolist():
            carry = body(carry, tuple(row))
        return carry

    def ravel(self, parts: Sequence[Any]) -> Array:
        pieces: list[Array] = []
        for part in parts:
            pieces.extend(part if isinstance(part, list) else [part])
        return self.concat([self.reshape(piece, (-1,)) for piece in pieces])  # type: ignore[attr-defined]


def _length(xs: Any) -> int | None:
    """Length of the leading axis of a tree's leaves; None where it has none."""
    if isinstance(xs, tuple | dict):
        return next((n for x in (xs.values() if isinstance(xs, dict) else xs) if (n := _length(x)) is not None), None)
    return None if xs is None else len(xs) if isinstance(xs, list) else xs.shape[0]


def _stack(ys: list[Any]) -> Any:
    """Trees, one a step, as one tree whose leaves are lists: what :meth:`EagerControl.scan` calls stacked."""
    first = ys[0] if ys else None
    if first is None:
        return None
    if isinstance(first, dict):
        return {name: _stack([y[name] for y in ys]) for name in first}
    if isinstance(first, tuple):
        columns = [_stack(list(column)) for column in zip(*ys)]
        return type(first)(*columns) if hasattr(first, "_fields") else tuple(columns)
    return ys


class HostRecorder:
    """A table as an array on the host, where scalars are Python floats."""

    def recorder(self, rows: int, columns: int) -> Any:
        return np.full((rows, columns), np.nan)

    def record(self, table: Any, row: Any, values: Sequence[Any]) -> Any:
        table[row] = values
        return table

    def recorded(self, table: Any) -> np.ndarray:
        return table
