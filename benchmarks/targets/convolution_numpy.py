"""Ours on NumPy, which has no convolution of images."""

from __future__ import annotations

from convolution import ours

__all__ = ["ours"]
