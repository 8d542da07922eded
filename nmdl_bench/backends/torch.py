"""PyTorch on CPU and CUDA. Adjoints are hand-written, so autograd is off (:meth:`TorchBackend.scope`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from nmdl_bench.backends.base import Backend, EagerControl
from nmdl_bench.backends.scalars import ArrayScalars, FloatScalars
from nmdl_bench.contracts import Array, Scalar, UnavailableError

_aten = torch.ops.aten


class TorchBackend(EagerControl, Backend):
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
        self._bind(torch, "abs", "exp", "expm1", "log", "log1p", "reshape", "sqrt", "stack", "tanh", "where")
        self._bind(torch, concat="cat", copy="clone", max="amax")
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
    def _sum(x: torch.Tensor, axis: int, keepdims: bool = False) -> Array:
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
        return self._scalar(torch.linalg.vector_norm(x, float("inf")))

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
