"""PyTorch's fake CUDA device: shapes, types and devices without values or a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from nmdl_bench.backends.torch import TorchBackend
from nmdl_bench.contracts import Array, NmdlError


class HiddenSynchronisationError(NmdlError, RuntimeError):
    """An operation that would make the host wait for the GPU."""


class FakeCudaBackend(TorchBackend):
    """The PyTorch backend on a CUDA device that has no values; to be used under :func:`fake_cuda_backend`."""

    def _check_device(self) -> None:
        pass

    def asarray(self, a: Any) -> Array:
        a = np.asarray(a)
        # torch.tensor would keep the values, and reading them back would not raise
        dtype = self.dtype if a.dtype.kind == "f" else torch.int64
        return torch.empty(a.shape, dtype=dtype, device=self.torch_device)


_READS = {"__bool__", "__complex__", "__float__", "__index__", "__int__", "cpu", "item", "nonzero", "numpy", "tolist"}


class _Slices(TorchFunctionMode):
    """Indexing by views and copies: a build without CUDA refuses its own indexing of fake CUDA tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__getitem__:
            return _view(*args)
        if func is torch.Tensor.__setitem__:
            x, key, value = args
            _assign(_view(x, key), value)
            return None
        if func is torch.Tensor.__invert__:
            return torch.logical_not(*args)
        if getattr(func, "__name__", "") in _READS:
            raise HiddenSynchronisationError(f"a CUDA tensor is read on the host by {func.__name__}")
        if func in (torch.Tensor.copy_, torch.Tensor.fill_):
            return _assign(*args)
        return func(*args, **(kwargs or {}))


def _assign(target: torch.Tensor, value: Any) -> torch.Tensor:
    # a build without CUDA cannot copy between fake CUDA tensors; adding checks shapes and devices alike
    return target.mul_(0).add_(value)


def _view(x: torch.Tensor, key: Any) -> torch.Tensor:
    dim, keys = 0, key if isinstance(key, tuple) else (key,)
    if keys and keys[-1] is Ellipsis:
        keys = keys[:-1]
    for k in keys:
        if isinstance(k, bool) or not isinstance(k, int | slice):
            kind = type(k).__name__
            raise HiddenSynchronisationError(
                f"a CUDA tensor is indexed by a {kind}: index_copy_, index_select or where do not wait for the device"
            )
        if isinstance(k, int):
            x = x.select(dim, k)
        else:
            start, stop, step = k.indices(x.shape[dim])
            x = torch.ops.aten.slice(x, dim, start, stop, step)
            dim += 1
    return x


@contextlib.contextmanager
def fake_cuda_backend(dtype: str = "float64") -> Iterator[TorchBackend]:
    """Inside, the yielded backend computes on ``"cuda:0"`` of torch's ``FakeTensorMode``.

    Straight-line pieces only (a layer, a loss, one branch of a step): what reads a value on the host raises
    :class:`HiddenSynchronisationError` or torch's ``DataDependentOutputException``, and mixing devices a RuntimeError.

    Examples
    --------
    >>> import numpy as np
    >>> from nmdl_bench.testing import fake_cuda_backend
    >>> with fake_cuda_backend() as xp:
    ...     x = xp.asarray(np.ones(3))
    ...     y = xp.axpy(xp.dot(x, x), x, xp.copy(x))
    >>> y.device.type, tuple(y.shape)
    ('cuda', (3,))
    """
    with FakeTensorMode(), _Slices():
        backend = FakeCudaBackend("cuda:0", dtype)
        with backend.scope():
            yield backend
