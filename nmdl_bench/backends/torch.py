"""PyTorch on CPU and CUDA. Adjoints are hand-written, so autograd is off (:meth:`TorchBackend.scope`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from nmdl_bench.backends.base import Backend, EagerControl
from nmdl_bench.backends.convolution import pooled
from nmdl_bench.backends.scalars import ArrayScalars, FloatScalars
from nmdl_bench.backends.torch_derivatives import TorchDerivatives
from nmdl_bench.contracts import Array, Scalar, UnavailableError

_aten = torch.ops.aten


class TorchBackend(EagerControl, TorchDerivatives, Backend):
    """PyTorch on ``"cpu"`` or ``"cuda:N"``.

    On the CPU scalars are Python floats; on a GPU they are 0-d tensors that stay there.
    """

    library: ClassVar[str] = "torch"

    def __init__(self, device: str = "cpu", dtype: str = "float64") -> None:
        super().__init__(device or "cpu", dtype)
        try:
            self.torch_device = torch.device(self.device)
        except RuntimeError:
            raise UnavailableError(f"torch has no device {device!r}; use 'torch:cpu' or 'torch:cuda:0'") from None
        self._check_device()
        self.dtype = getattr(torch, dtype)
        self.on_host = self.torch_device.type == "cpu"
        self.s = FloatScalars() if self.on_host else ArrayScalars(torch, self._const)
        self._bind(
            torch, "abs", "atan", "cos", "erf", "exp", "expm1", "log", "log1p", "reshape", "sin", "sqrt", "stack"
        )
        self._bind(torch, "tanh", "where", concat="cat", copy="clone", max="amax", permute_dims="permute")
        self._bind(torch, conj="conj_physical")  # torch.conj is a view that only says so
        self._bind(torch.fft, "rfft2", "irfft2")
        self.linalg, self.linalg_error = torch.linalg, torch.linalg.LinAlgError
        self.sum = self._sum
        # TF32 would halve the digits of float32 products; cuDNN's choice of algorithm by timing is not repeatable
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False

    def _check_device(self) -> None:
        if self.torch_device.type == "cuda":
            if not torch.cuda.is_available():
                raise UnavailableError("torch finds no CUDA device here; use 'torch:cpu'")
            if (self.torch_device.index or 0) >= torch.cuda.device_count():
                raise UnavailableError(f"torch finds no device {self.device!r}; it has {torch.cuda.device_count()}")

    def _const(self, v: float) -> Scalar:
        return torch.full((), float(v), dtype=self.dtype, device=self.torch_device)

    def _scalar(self, x: torch.Tensor) -> Scalar:
        return x.item() if self.on_host else x

    @staticmethod
    def _sum(x: torch.Tensor, axis: int | tuple[int, ...], keepdims: bool = False) -> Array:
        return torch.sum(x, axis, keepdim=keepdims)

    def take(self, x: Array, indices: Array, axis: int = 0) -> Array:
        return torch.index_select(x, axis, indices)

    def asarray(self, a: Any) -> Array:
        a = np.asarray(a)
        dtype = self.dtype if a.dtype.kind == "f" else torch.int64
        return torch.tensor(np.array(a, order="C"), dtype=dtype, device=self.torch_device)

    def to_numpy(self, a: Array) -> np.ndarray:
        return a.detach().cpu().numpy().copy()

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return torch.zeros(shape, dtype=self.dtype, device=self.torch_device)

    def one_hot(self, i: int, n: int) -> Array:
        e = self.zeros((n,))
        e[i] = 1
        return e

    def unstack(self, x: Array) -> Sequence[Array]:
        return x.unbind(0)

    def dot(self, x: Array, y: Array) -> Scalar:
        return self._scalar(torch.dot(x, y))

    def total(self, x: Array) -> Scalar:
        return self._scalar(torch.sum(x))

    def norm_inf(self, x: Array) -> Scalar:
        # on the CPU the norm takes ten times as long
        return self._scalar(x.abs().amax() if self.on_host else torch.linalg.vector_norm(x, float("inf")))

    def axpy(self, a: Scalar, x: Array, y: Array) -> Array:
        # alpha= reads a 0-d tensor on the host: a hidden synchronisation
        return y.addcmul_(x, a) if isinstance(a, torch.Tensor) else y.add_(x, alpha=a)

    def aypx(self, a: Scalar, x: Array, y: Array) -> Array:
        return y.mul_(a).add_(x)

    def axpby(self, a: Scalar, x: Array, b: Scalar, y: Array) -> Array:
        return self.axpy(a, x, y.mul_(b))

    def scale(self, a: Scalar, x: Array) -> Array:
        return x.mul_(a)

    def addmm(self, Z: Array, A: Array, B: Array, a: float = 1.0) -> Array:
        return Z.addmm_(A, B, alpha=a)

    def set_row(self, S: Array, i: int, v: Array) -> Array:
        S[i] = v
        return S

    def set_column(self, S: Array, i: int, v: Array) -> Array:
        S[:, i] = v
        return S

    def recorder(self, rows: int, columns: int) -> Any:
        if self.on_host:
            return np.full((rows, columns), np.nan)
        return torch.full((rows, columns), torch.nan, dtype=torch.float64, device=self.torch_device)

    def record(self, table: Any, row: int, values: Sequence[Any]) -> Any:
        if self.on_host:
            table[row] = values
        else:
            for j, v in enumerate(values):
                if isinstance(v, torch.Tensor):
                    table[row, j].copy_(v)
                else:
                    table[row, j].fill_(v)
        return table

    def recorded(self, table: Any) -> np.ndarray:
        return table if self.on_host else self.to_numpy(table)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        with torch.no_grad():
            yield

    def synchronize(self, tree: Any = None) -> None:
        if not self.on_host:
            torch.cuda.synchronize(self.torch_device)

    def memory_peak(self) -> int | None:
        return None if self.on_host else torch.cuda.max_memory_allocated(self.torch_device)

    def memory_reset(self) -> None:
        if not self.on_host:
            torch.cuda.reset_peak_memory_stats(self.torch_device)

    def elapsed(self, fn: Callable[[], Any]) -> tuple[Any, float | None]:
        if self.on_host:
            return fn(), None
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        value = fn()
        end.record()
        end.synchronize()
        return value, start.elapsed_time(end) / 1e3

    def cholesky(self, A: Array) -> Array:
        # cholesky itself looks at info on the host: a synchronisation
        L, info = torch.linalg.cholesky_ex(A)
        return torch.where(info == 0, L, torch.nan)

    def solve(self, A: Array, B: Array) -> Array:
        X, info = torch.linalg.solve_ex(A, B)
        return torch.where(info == 0, X, torch.nan)

    def triangle(self, A: Array) -> Array:
        return torch.linalg.qr(A, mode="r").R

    def solve_triangular(self, R: Array, B: Array, lower: bool = False) -> Array:
        if B.ndim == 1:
            return torch.linalg.solve_triangular(R, B.unsqueeze(1), upper=not lower).squeeze(1)
        return torch.linalg.solve_triangular(R, B, upper=not lower)

    # ------------------------------------------------------------------------------------------ kernels
    def add_scaled(self, y: Array, a: Scalar, x: Array) -> Array:
        return torch.addcmul(y, x, a) if isinstance(a, torch.Tensor) else torch.add(y, x, alpha=a)

    def affine(self, Y: Array, K: Array, b: Array) -> Array:
        return torch.addmm(b, Y, K)

    def act_tanh(self, X: Array) -> Array:
        return X.tanh_()

    def act_tanh_derivative(self, A: Array, Z: Array) -> Array:
        return _aten.tanh_backward(Z, A)

    def act_relu(self, X: Array) -> Array:
        return X.relu_()

    def act_relu_derivative(self, A: Array, Z: Array) -> Array:
        return _aten.threshold_backward(Z, A, 0)

    def act_softplus(self, X: Array) -> Array:
        return torch.logaddexp(X, torch.zeros((), dtype=X.dtype, device=X.device))

    def act_leaky_relu(self, X: Array, slope: float) -> Array:
        return F.leaky_relu_(X, slope)

    def act_leaky_relu_derivative(self, A: Array, Z: Array, slope: float) -> Array:
        return _aten.leaky_relu_backward(Z, A, slope, False)

    def act_silu(self, X: Array) -> Array:
        return F.silu(X)

    def act_silu_derivative(self, X: Array, Z: Array) -> Array:
        return _aten.silu_backward(Z, X)

    def act_gelu(self, X: Array) -> Array:
        return F.gelu(X)

    def act_gelu_derivative(self, X: Array, Z: Array) -> Array:
        return _aten.gelu_backward(Z, X)

    def sigmoid(self, X: Array) -> Array:
        return torch.sigmoid(X)

    def conv2d(self, Y: Array, K: Array, stride: int = 1, padding: int = 0, groups: int = 1) -> Array:
        return F.conv2d(Y, K, None, stride, padding, 1, groups)

    def _convolution_backward(
        self, Y: Array, Z: Array, K: Array, stride: int, padding: int, groups: int, inputs: bool, weights: bool
    ) -> tuple[Array, Array]:
        where = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups
        dY, dK, _ = _aten.convolution_backward(Z, Y, K, None, *where, [inputs, weights, False])
        return dK, dY

    def conv2d_transpose(
        self, Z: Array, K: Array, size: tuple[int, int], stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Array:
        shape = (Z.shape[0], K.shape[1] * groups, *size)
        Y = Z.new_empty(1).expand(shape)  # only its shape is read
        return self._convolution_backward(Y, Z, K, stride, padding, groups, True, False)[1]

    def conv2d_grad(
        self, Y: Array, Z: Array, size: tuple[int, int], stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Array:
        K = Z.new_empty(1).expand((Z.shape[1], Y.shape[1] // groups, *size))
        return self._convolution_backward(Y, Z, K, stride, padding, groups, False, True)[0]

    def conv2d_adjoints(
        self, Y: Array, Z: Array, K: Array, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> tuple[Array, Array]:
        return self._convolution_backward(Y, Z, K, stride, padding, groups, True, True)

    def avg_pool2d(self, Y: Array, k: int) -> Array:
        pooled(Y.shape, k)
        return F.avg_pool2d(Y, k)
