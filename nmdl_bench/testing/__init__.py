"""Checks and stand-in backends, for this package's tests and for your own backends, layers, objectives and optimizers.

Checks raise :class:`CheckError` (an AssertionError) with one sentence. Stand-ins are backends that find what a right
result on NumPy hides: see :func:`standins`.

Examples
--------
>>> from nmdl_bench.backends import get_backend
>>> from nmdl_bench.networks.layers import Dense
>>> from nmdl_bench.testing import check_layer, standins
>>> for xp in [get_backend("numpy"), *standins()]:
...     check_layer(Dense(3, 2, "tanh"), xp, 3)
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "CheckError": "errors",
    "CupyChecker": "cupy_checker",
    "PoisonBackend": "poison",
    "StrictBackend": "strict",
    "StrictScalarBackend": "strict_scalars",
    "TorchDeviceBackend": "torch_device",
    "Trajectory": "optimizers",
    "autodiff_references": "objectives",
    "check_autodiff": "objectives",
    "check_backend": "backends",
    "check_bad_data": "optimizers",
    "check_layer": "layers",
    "check_loss": "losses",
    "check_objective": "objectives",
    "check_optimizer": "optimizers",
    "check_scalars": "scalars",
    "check_zero_gradient": "optimizers",
    "checked_cupy": "cupy_checker",
    "fake_cuda_backend": "fake_cuda",
    "numerical_backends": "stand_ins",
    "standins": "stand_ins",
    "trajectory": "optimizers",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    # each on first use: fake_cuda needs torch, the strict backend array_api_strict, the checker cupy
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
