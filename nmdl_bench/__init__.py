"""Solvers and residual networks, written once, compared on NumPy, CuPy, PyTorch and JAX."""

__version__ = "0.1.0"
