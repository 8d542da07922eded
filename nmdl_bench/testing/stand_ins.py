"""Backends to test on besides the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def standins(dtype: str = "float64") -> list[Backend]:
    """What finds the faults that a right result on NumPy hides: poison, strict, strict-scalar, cupy, torch-device.

    Those whose library is not installed (``array_api_strict``, ``cupy``, ``torch``) raise an ImportError: a test that
    silently left one out would say less than it seems to.
    """
    from nmdl_bench.testing.cupy_checker import checked_cupy
    from nmdl_bench.testing.poison import PoisonBackend
    from nmdl_bench.testing.strict import StrictBackend
    from nmdl_bench.testing.strict_scalars import StrictScalarBackend
    from nmdl_bench.testing.torch_device import TorchDeviceBackend

    return [
        PoisonBackend(dtype=dtype),
        StrictBackend(dtype=dtype),
        StrictScalarBackend(dtype=dtype),
        checked_cupy(dtype),
        TorchDeviceBackend(dtype=dtype),
    ]


def numerical_backends(dtype: str = "float64") -> list[Backend]:
    """NumPy, PyTorch and JAX on the CPU, and the :func:`standins`."""
    from nmdl_bench.backends import get_backend

    return [*(get_backend(name, dtype) for name in ("numpy", "torch:cpu", "jax:cpu")), *standins(dtype)]
