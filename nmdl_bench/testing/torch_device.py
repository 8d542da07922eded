"""PyTorch's code path for GPUs, with values, on the CPU."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from nmdl_bench.backends.scalars import ArrayScalars
from nmdl_bench.backends.torch import TorchBackend


class TorchDeviceBackend(TorchBackend):
    """The PyTorch backend as it is on a GPU (scalars and records are tensors), computing on the CPU.

    What it does not see is what only a real device tells, such as a hidden wait for it; see
    :func:`~nmdl_bench.testing.fake_cuda_backend` for that.
    """

    library: ClassVar[str] = "torch-device"

    def __init__(self, device: str = "cpu", dtype: str = "float64") -> None:
        super().__init__(device, dtype)
        self.on_host = False
        self.s = ArrayScalars(torch, self._const)

    def synchronize(self, tree: Any = None) -> None:
        """Nothing runs ahead on the CPU."""

    def memory_peak(self) -> int | None:
        return None

    def memory_reset(self) -> None:
        """Nothing is counted on the CPU."""

    def elapsed(self, fn: Any) -> tuple[Any, float | None]:
        return fn(), None
