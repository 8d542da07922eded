"""A backend over ``array_api_strict``: nothing but the array API standard, on a device that mixes with no other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from nmdl_bench.backends.base import Backend, EagerControl, HostRecorder
from nmdl_bench.backends.scalars import ArrayScalars
from nmdl_bench.contracts import Array, Scalar


class StrictBackend(HostRecorder, EagerControl, Backend):
    """The standard's own test namespace, with the generic kernels of :class:`~nmdl_bench.backends.base.Backend` alone.

    It refuses what the standard does not promise: names and keywords that only NumPy has, incomplete indices, products
    of mixed element types, arrays of two devices. Scalars are 0-d arrays of it. float32 runs on its device without
    64-bit numbers.

    Parameters
    ----------
    device : str
        ``"device1"``, ``"device2"`` or ``"no_x64"``; empty: the one that fits ``dtype``.
    dtype : str
        ``"float32"`` or ``"float64"``.
    """

    library: ClassVar[str] = "strict"

    def __init__(self, device: str = "", dtype: str = "float64") -> None:
        super().__init__(device or ("device1" if dtype == "float64" else "no_x64"), dtype)
        import array_api_strict as namespace

        self.namespace = namespace
        self.strict_device = namespace.Device(self.device)
        self.dtype = getattr(namespace, dtype)
        self.indices = namespace.int32 if self.device == "no_x64" else namespace.int64
        self.s = ArrayScalars(namespace, self._const)
        for name in (
            "abs", "atan", "concat", "conj", "cos", "exp", "expm1", "log", "log1p", "max", "permute_dims", "reshape",
            "sin", "sqrt", "stack", "sum", "tanh", "where",
        ):  # fmt: skip
            setattr(self, name, getattr(namespace, name))
        self.linalg, self.linalg_error = namespace.linalg, np.linalg.LinAlgError

    def _const(self, v: Any) -> Scalar:
        return self.namespace.asarray(float(v), dtype=self.dtype, device=self.strict_device)

    def asarray(self, a: Any) -> Array:
        a = np.asarray(a)
        dtype = self.dtype if a.dtype.kind == "f" else self.indices
        host = np.array(a, dtype=dtype._np_dtype)
        return self.namespace.asarray(host, dtype=dtype, device=self.strict_device, copy=True)

    def to_numpy(self, a: Array) -> np.ndarray:
        return np.array(a._array)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return self.namespace.zeros(shape, dtype=self.dtype, device=self.strict_device)

    def copy(self, x: Array) -> Array:
        return self.namespace.asarray(x, copy=True)

    def one_hot(self, i: int, n: int) -> Array:
        return self.asarray(np.eye(n)[i])

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        return self.namespace.take(x, indices, axis=axis)

    def rfft2(self, Y: Array) -> Array:
        return self.namespace.fft.rfftn(Y, axes=(-2, -1))

    def irfft2(self, F: Array, size: tuple[int, int]) -> Array:
        return self.namespace.fft.irfftn(F, s=size, axes=(-2, -1))

    def erf(self, x: Array) -> Array:
        from scipy.special import erf  # the standard has none

        return self.asarray(erf(self.to_numpy(x)))

    def dot(self, x: Array, y: Array) -> Scalar:
        return self.namespace.vecdot(x, y)

    def total(self, x: Array) -> Scalar:
        return self.namespace.sum(x)

    def unstack(self, x: Array) -> Sequence[Array]:
        return self.namespace.unstack(x)

    def norm_inf(self, x: Array) -> Scalar:
        return self.namespace.max(self.namespace.abs(x))

    def axpy(self, a: Scalar, x: Array, y: Array) -> Array:
        return a * x + y

    def aypx(self, a: Scalar, x: Array, y: Array) -> Array:
        return a * y + x

    def axpby(self, a: Scalar, x: Array, b: Scalar, y: Array) -> Array:
        return a * x + b * y

    def scale(self, a: Scalar, x: Array) -> Array:
        return a * x

    def addmm(self, Z: Array, A: Array, B: Array, a: float = 1.0) -> Array:
        return Z + a * (A @ B)

    def set_row(self, S: Array, i: int, v: Array) -> Array:
        S = self.copy(S)
        S[i, ...] = v
        return S

    def set_column(self, S: Array, i: int, v: Array) -> Array:
        S = self.copy(S)
        S[..., i] = v
        return S

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        with np.errstate(all="ignore"):  # the namespace computes by NumPy, which would tell of every NaN
            yield

    def record(self, table: Any, row: int, values: Sequence[Any]) -> Any:
        table[row] = [float(v) for v in values]
        return table
