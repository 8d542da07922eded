"""CuPy on CUDA. Scalars are 0-d arrays that stay on the device; only loops and branches wait for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from nmdl_bench.backends.base import Backend, EagerControl
from nmdl_bench.backends.columns import ColumnConvolutions
from nmdl_bench.backends.scalars import ArrayScalars
from nmdl_bench.contracts import Array, Scalar, UnavailableError


class CupyBackend(EagerControl, ColumnConvolutions, Backend):
    """CuPy on ``"cuda:N"``.

    Parameters
    ----------
    device : str
        ``"cuda:N"`` or ``"cuda"``.
    dtype : str
        ``"float32"`` or ``"float64"``.
    module, special : module, optional
        The library itself and ``cupyx.scipy.special``; tests pass checkers of their calls that run without a device.
    """

    library: ClassVar[str] = "cupy"
    columns_bytes: ClassVar[int] = 2**28

    def __init__(self, device: str = "cuda:0", dtype: str = "float64", module: Any = None, special: Any = None) -> None:
        super().__init__(device or "cuda:0", dtype)
        if module is None:
            import cupy
            import cupyx.scipy.special

            module, special = cupy, cupyx.scipy.special
        self.cp = self.module = cp = module
        platform, _, index = self.device.partition(":")
        if platform != "cuda" or not (index or "0").isdigit():
            raise UnavailableError(f"cupy has no device {device!r}; use 'cupy' or 'cupy:cuda:0'")
        if not cp.cuda.is_available():
            raise UnavailableError("cupy finds no CUDA device or driver here; use another backend")
        if int(index or 0) >= cp.cuda.runtime.getDeviceCount():
            raise UnavailableError(f"cupy finds no device {self.device!r}")
        self.cuda_device = cp.cuda.Device(int(index or 0))
        self.cuda_device.use()
        self.dtype = cp.dtype(dtype)
        self.s = ArrayScalars(cp, self._const)
        self._bind(cp, "abs", "conj", "cos", "exp", "expm1", "log", "log1p", "max", "reshape", "sin", "sqrt", "stack")
        self._bind(cp, "dot", "sum", "tanh", "where", concat="concatenate", copy="array", total="sum")
        self._bind(cp, atan="arctan", permute_dims="transpose")
        self._bind(cp.fft, "rfft2", "irfft2")
        self._bind(special, "erf")
        self.linalg, self.linalg_error = cp.linalg, np.linalg.LinAlgError

    def _const(self, v: float) -> Scalar:
        return self.cp.full((), v, dtype=self.dtype)

    def asarray(self, a: Any) -> Array:
        a = np.asarray(a)
        return self.cp.asarray(np.array(a, dtype=self.dtype if a.dtype.kind == "f" else np.int64))

    def to_numpy(self, a: Array) -> np.ndarray:
        return self.cp.asnumpy(a)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return self.cp.zeros(shape, self.dtype)

    def one_hot(self, i: int, n: int) -> Array:
        e = self.zeros((n,))
        e[i] = 1
        return e

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        return self.cp.take(x, indices, axis)

    def triangle(self, A: Array) -> Array:
        return self.cp.linalg.qr(A, mode="r")

    def norm_inf(self, x: Array) -> Scalar:
        return self.cp.max(self.cp.abs(x))

    def axpy(self, a: Scalar, x: Array, y: Array) -> Array:
        y += a * x
        return y

    def aypx(self, a: Scalar, x: Array, y: Array) -> Array:
        y *= a
        y += x
        return y

    def axpby(self, a: Scalar, x: Array, b: Scalar, y: Array) -> Array:
        y *= b
        y += a * x
        return y

    def scale(self, a: Scalar, x: Array) -> Array:
        x *= a
        return x

    def addmm(self, Z: Array, A: Array, B: Array, a: float = 1.0) -> Array:
        T = A @ B
        if a != 1.0:
            T *= a
        Z += T
        return Z

    def set_row(self, S: Array, i: int, v: Array) -> Array:
        S[i, ...] = v
        return S

    def set_column(self, S: Array, i: int, v: Array) -> Array:
        S[:, i] = v
        return S

    def cholesky(self, A: Array) -> Array:
        from cupyx import errstate

        with errstate(linalg="raise"):  # else what is left of a failed factorisation is returned
            return super().cholesky(A)

    def recorder(self, rows: int, columns: int) -> Any:
        return self.cp.full((rows, columns), float("nan"), dtype="float64")

    def record(self, table: Any, row: int, values: Sequence[Any]) -> Any:
        for j, v in enumerate(values):
            table[row, j] = v
        return table

    def recorded(self, table: Any) -> np.ndarray:
        return self.to_numpy(table)

    def synchronize(self, tree: Any = None) -> None:
        self.cuda_device.synchronize()

    def memory_peak(self) -> int | None:
        # the pool grows and does not shrink by itself: what it holds is the peak since it was emptied
        return self.cp.get_default_memory_pool().total_bytes()

    def memory_reset(self) -> None:
        self.cp.get_default_memory_pool().free_all_blocks()

    def elapsed(self, fn: Callable[[], Any]) -> tuple[Any, float | None]:
        start, end = self.cp.cuda.Event(), self.cp.cuda.Event()
        start.record()
        value = fn()
        end.record()
        end.synchronize()
        return value, self.cp.cuda.get_elapsed_time(start, end) / 1e3
