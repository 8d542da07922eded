"""JAX: functional, traced and compiled. A float64 backend turns x64 on, for the whole process."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nmdl_bench.backends.base import Backend
from nmdl_bench.backends.jax_convolution import JaxConvolutions
from nmdl_bench.backends.jax_derivatives import JaxDerivatives
from nmdl_bench.contracts import Array, Scalar, UnavailableError

OUTER = 4
"""Terms up to which a product that is added to a matrix is written as outer products: 2/3 of the time for two."""
UNROLLED = 8
"""Steps up to which a scan is unrolled where asked for: 20 % faster on wide networks; compiling more lasts long."""


class JaxScalars:
    """Traced or concrete 0-d arrays; constants carry the backend's precision, so that branches agree under x64."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = dtype
        for name in ("sqrt", "exp", "cos", "abs", "isfinite", "where", "maximum", "minimum", "mod"):
            setattr(self, name, getattr(jnp, name))
        self.div, self.not_, self.pow = jnp.true_divide, jnp.logical_not, jnp.power

    def const(self, v: Any) -> Scalar:
        return self._dtype.type(v) if isinstance(v, (int, float)) else jnp.asarray(v, self._dtype)

    def int(self, i: Any) -> Any:
        return np.int32(i) if isinstance(i, int) else jnp.asarray(i, jnp.int32)

    def real(self, k: Any) -> Scalar:
        return jnp.asarray(k, self._dtype)

    def and_(self, a: Any, *rest: Any) -> Any:
        for b in rest:
            a = jnp.logical_and(a, b)
        return a

    def or_(self, a: Any, *rest: Any) -> Any:
        for b in rest:
            a = jnp.logical_or(a, b)
        return a


class JaxBackend(JaxConvolutions, JaxDerivatives, Backend):
    """JAX on ``"cpu"``, ``"cuda:N"`` or ``"tpu:N"``."""

    library: ClassVar[str] = "jax"
    eager: ClassVar[bool] = False

    def __init__(self, device: str = "cpu", dtype: str = "float64") -> None:
        super().__init__(device or "cpu", dtype)
        if dtype == "float64":
            jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "highest")  # no TF32
        platform, _, index = self.device.partition(":")
        try:
            devices = jax.devices(platform)
            self.jax_device = devices[int(index or 0)]
        except (RuntimeError, IndexError, ValueError):
            raise UnavailableError(f"jax finds no device {device!r} here; it has {jax.devices()}") from None
        # an array put on a named device is 'committed' to it, and a function that meets committed and other arrays at
        # its first call, but its own committed results at the second, is compiled twice; so nothing is committed to
        # the default device
        self._placement = None if self.jax_device == jnp.zeros(()).device else self.jax_device
        self.dtype = jnp.dtype(dtype)
        self.shifted = self.jax_device.platform == "cpu"
        self.products = self.shifted and dtype == "float64"
        self.s = JaxScalars(self.dtype)
        self._peak_before = 0
        self._bind(jnp, "abs", "conj", "cos", "exp", "expm1", "log", "log1p", "max", "permute_dims", "reshape", "sin")
        self._bind(
            jnp, "sqrt", "stack", "sum", "tanh", "where", "dot", atan="arctan", concat="concatenate", total="sum"
        )
        self._bind(jnp.fft, "rfft2", "irfft2")
        self._bind(lax, "cond", "erf", "while_loop")
        self.linalg = jnp.linalg

    def asarray(self, a: Any) -> Array:
        a = np.asarray(a)
        dtype = self.dtype if a.dtype.kind == "f" else np.int32
        # may_alias would let a donated buffer write into the host's array
        return jax.device_put(np.array(a, dtype=dtype), self._placement, may_alias=False)

    def to_numpy(self, a: Array) -> np.ndarray:
        return np.array(a)

    def constant(self, a: Any) -> Array:
        return self.asarray(a)  # made while a function is traced, it belongs to that trace

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return jnp.zeros(shape, self.dtype)

    def copy(self, x: Array) -> Array:
        return jnp.array(x, copy=True)

    def one_hot(self, i: Any, n: int) -> Array:
        return (jnp.arange(n) == i).astype(self.dtype)

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        return jnp.take(x, indices, axis=axis)

    def norm_inf(self, x: Array) -> Scalar:
        return jnp.max(jnp.abs(x))

    def axpy(self, a: Scalar, x: Array, y: Array) -> Array:
        return a * x + y

    def aypx(self, a: Scalar, x: Array, y: Array) -> Array:
        return a * y + x

    def axpby(self, a: Scalar, x: Array, b: Scalar, y: Array) -> Array:
        return a * x + b * y

    def scale(self, a: Scalar, x: Array) -> Array:
        return a * x

    def addmm(self, Z: Array, A: Array, B: Array, a: float = 1.0) -> Array:
        k = B.shape[0]
        if k > OUTER:
            return Z + a * (A @ B)
        for i in range(k):  # XLA makes one pass of them; a product is an array of its own
            Z = Z + (a * A[:, i, None]) * B[i]
        return Z

    def set_row(self, S: Array, i: Any, v: Array) -> Array:
        return S.at[i].set(v)

    def put(self, S: Array, i: Any, v: Array, when: Any) -> Array:
        return S.at[i].set(jnp.where(when, v, S[i]))

    def set_column(self, S: Array, i: Any, v: Array) -> Array:
        return S.at[:, i].set(v)

    def triangle(self, A: Array) -> Array:
        return jnp.linalg.qr(A, mode="r")

    def solve_triangular(self, R: Array, B: Array, lower: bool = False) -> Array:
        return jax.scipy.linalg.solve_triangular(R, B, lower=lower)

    def scan(
        self,
        body: Callable[[Any, Any], tuple[Any, Any]],
        carry: Any,
        xs: Any,
        reverse: bool = False,
        unroll: bool = False,
    ) -> Any:
        # a loop costs XLA a copy of every stacked array
        length = jax.tree.leaves(xs)[0].shape[0]
        return lax.scan(body, carry, xs, reverse=reverse, unroll=length if unroll and 0 < length <= UNROLLED else 1)

    def loop(self, body: Callable[[Any, tuple[Any, ...]], Any], carry: Any, table: Any) -> Any:
        rows = jnp.asarray(np.asarray(table), jnp.int32)
        return lax.scan(lambda carry, row: (body(carry, tuple(row)), None), carry, rows)[0]

    def ravel(self, parts: Sequence[Any]) -> Array:
        return jnp.concatenate([jnp.reshape(part, (-1,)) for part in parts])

    def compile(self, fn: Callable[..., Any], donate: tuple[int, ...] = ()) -> Callable[..., Any]:
        jitted = jax.jit(fn, donate_argnums=donate)
        if not donate:
            return jitted

        @functools.wraps(fn)
        def function(*args: Any) -> Any:
            return jitted(*_distinct(args))

        return function

    def recorder(self, rows: int, columns: int) -> Any:
        return jnp.full((rows, columns), jnp.nan, self.dtype)

    def record(self, table: Any, row: Any, values: Sequence[Any]) -> Any:
        return table.at[row].set(jnp.stack([jnp.asarray(v, self.dtype) for v in values]))

    def recorded(self, table: Any) -> np.ndarray:
        return np.array(table, dtype=np.float64)

    def synchronize(self, tree: Any = None) -> None:
        if tree is None:
            jax.effects_barrier()
            jnp.zeros(()).block_until_ready()
        else:
            jax.block_until_ready(tree)

    def memory_peak(self) -> int | None:
        statistics = self.jax_device.memory_stats()
        peak = statistics["peak_bytes_in_use"] if statistics else None
        return peak if peak is not None and peak > self._peak_before else None

    def memory_reset(self) -> None:
        # JAX's peak is that of the process and never falls: only a higher one is known to be new
        statistics = self.jax_device.memory_stats()
        self._peak_before = statistics["peak_bytes_in_use"] if statistics else 0

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        if self._placement is None:
            yield
        else:  # zeros and constants have to be made where the data are
            with jax.default_device(self._placement):
                yield


def _distinct(tree: Any) -> Any:
    """The tree with an array of its own at every place: one that stands twice cannot be donated."""
    leaves = jax.tree.leaves(tree)
    if len(set(map(id, leaves))) == len(leaves):
        return tree
    seen: set[int] = set()

    def own(leaf: Any) -> Any:
        if id(leaf) in seen and isinstance(leaf, jax.Array):
            # of a number, a copy on the host is the faster one
            return jnp.array(leaf, copy=True) if leaf.ndim or leaf.weak_type else np.array(leaf)
        seen.add(id(leaf))
        return leaf

    return jax.tree.map(own, tree)
