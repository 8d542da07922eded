"""Solvers and residual networks, written once, compared on NumPy, CuPy, PyTorch and JAX."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["least_squares", "minimize"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # on first use: importing the package alone imports no more than this
        from importlib import import_module

        return getattr(import_module("nmdl_bench.solve.scipy_like"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
