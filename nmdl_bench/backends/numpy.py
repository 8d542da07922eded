"""NumPy: in place wherever the rule of donation allows, since fresh arrays cost more than the arithmetic on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from nmdl_bench.backends.base import Backend, EagerControl, HostRecorder
from nmdl_bench.backends.columns import ColumnConvolutions
from nmdl_bench.backends.scalars import FloatScalars
from nmdl_bench.contracts import Array, Scalar, UnavailableError


class NumpyBackend(HostRecorder, EagerControl, ColumnConvolutions, Backend):
    """NumPy on the CPU."""

    library: ClassVar[str] = "numpy"
    module = np

    def __init__(self, device: str = "cpu", dtype: str = "float64") -> None:
        super().__init__(device or "cpu", dtype)
        if self.device != "cpu":
            raise UnavailableError(f"numpy has no device {device!r}; use 'numpy' or 'numpy:cpu'")
        self.dtype = np.dtype(dtype)
        self.s = FloatScalars()
        self._bind(np, "abs", "conj", "cos", "exp", "expm1", "log", "log1p", "sin", "sqrt", "stack", "tanh", "where")
        self._bind(np, "max", "sum", atan="arctan", concat="concatenate", copy="array")
        self._bind(np.ndarray, "reshape", permute_dims="transpose")  # np.reshape costs five times as much
        self._bind(np.fft, "rfft2", "irfft2")
        self.linalg, self.linalg_error = np.linalg, np.linalg.LinAlgError

    def asarray(self, a: Any) -> Array:
        a = np.asarray(a)
        return np.array(a, dtype=self.dtype if a.dtype.kind == "f" else np.intp)

    def to_numpy(self, a: Array) -> np.ndarray:
        return np.array(a)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape, self.dtype)

    def one_hot(self, i: int, n: int) -> Array:
        e = np.zeros(n, self.dtype)
        e[i] = 1
        return e

    def erf(self, x: Array) -> Array:
        from scipy.special import erf  # most solves need none of SciPy's special functions

        return erf(x)

    def constant(self, a: Any) -> Array:
        x = super().constant(a)
        x.setflags(write=False)
        return x

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        return x.take(indices, axis)

    def dot(self, x: Array, y: Array) -> Scalar:
        return float(x.dot(y))

    def total(self, x: Array) -> Scalar:
        return float(x.sum())

    def norm_inf(self, x: Array) -> Scalar:
        return float(np.abs(x).max())

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
        Z += A @ (B if a == 1.0 else a * B)  # of the two, B has the fewer elements
        return Z

    def set_row(self, S: Array, i: int, v: Array) -> Array:
        S[i] = v
        return S

    def set_column(self, S: Array, i: int, v: Array) -> Array:
        S[:, i] = v
        return S

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        # overflow and NaN are results that the harness looks at, not news for the terminal
        with np.errstate(all="ignore"):
            yield

    def ravel(self, parts: Sequence[Any]) -> Array:
        pieces: list[Array] = []
        for part in parts:
            pieces.extend(part if isinstance(part, list) else [part])
        return np.concatenate(pieces, axis=None)

    def triangle(self, A: Array) -> Array:
        return np.linalg.qr(A, mode="r")

    def solve_triangular(self, R: Array, B: Array, lower: bool = False) -> Array:
        X, info = _trtrs(R.dtype)(R, B, lower=lower)
        return X if info == 0 else np.full(B.shape, np.nan, self.dtype)

    # ------------------------------------------------------------------------------------------ kernels
    def add_scaled(self, y: Array, a: Scalar, x: Array) -> Array:
        z = np.multiply(x, a)
        z += y
        return z

    def affine(self, Y: Array, K: Array, b: Array) -> Array:
        X = Y @ K
        X += b
        return X

    def column_sum(self, Z: Array) -> Array:
        return _ones(Z.shape[0], Z.dtype) @ Z  # np.sum walks row by row: ten times as slow where rows are short

    def act_tanh(self, X: Array) -> Array:
        return np.tanh(X, out=X)

    def act_tanh_derivative(self, A: Array, Z: Array) -> Array:
        D = A * A
        np.subtract(1, D, out=D)
        D *= Z
        return D

    def act_relu(self, X: Array) -> Array:
        return np.maximum(X, 0, out=X)

    def act_relu_derivative(self, A: Array, Z: Array) -> Array:
        return np.multiply(A > 0, Z)

    def act_leaky_relu(self, X: Array, slope: float) -> Array:
        return np.maximum(X, slope * X, out=X)

    def act_leaky_relu_derivative(self, A: Array, Z: Array, slope: float) -> Array:
        D = np.multiply(A > 0, self.dtype.type(1 - slope))  # a mask that selects costs five times as much
        D += slope
        D *= Z
        return D

    def act_smoothed_relu(self, X: Array, e: float) -> Array:
        A = np.clip(X, -e, e)  # the parabola, carried on as a line of slope one
        D = X - A
        np.maximum(D, 0, out=D)
        A += e
        A *= A
        A *= 0.25 / e
        A += D
        return A

    def act_smoothed_relu_derivative(self, X: Array, Z: Array, e: float) -> Array:
        D = X + e
        D *= 0.5 / e
        np.clip(D, 0, 1, out=D)
        D *= Z
        return D

    def sigmoid(self, X: Array) -> Array:
        from scipy.special import expit

        return expit(X)

    def softmax(self, S: Array) -> tuple[Array, Array]:
        T = np.ascontiguousarray(S.T)  # classes are few: along samples, loops are long and twice as fast
        m = T.max(axis=0)
        T -= m
        np.exp(T, out=T)
        total = T.sum(axis=0)
        T /= total
        S[...] = T.T
        np.log(total, out=total)
        total += m
        return S, total[:, None]


@lru_cache(maxsize=8)
def _trtrs(dtype: np.dtype) -> Any:
    from scipy.linalg.lapack import get_lapack_funcs  # most solves need none of it

    return get_lapack_funcs("trtrs", dtype=dtype)


@lru_cache(maxsize=8)
def _ones(n: int, dtype: np.dtype) -> Array:
    return np.ones(n, dtype)
