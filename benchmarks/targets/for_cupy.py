"""CuPy's idiom: NumPy's, on the device."""

from __future__ import annotations

import cupy
import for_numpy
from common import Factory, ours

__all__ = ["ours", "products"]


def products(spec: str, dtype: str, width: int, answer: str = "") -> Factory:
    """See :func:`for_numpy.products`."""
    call, _ = for_numpy.products(spec, dtype, width, array_library=cupy)
    return call, cupy.cuda.get_current_stream().synchronize
