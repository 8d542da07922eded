"""What the generic kernels may use of a backend: the names that a subclass binds in ``__init__``."""

from __future__ import annotations

from collections.abc import Callable

from nmdl_bench.contracts import Array


class Namespace:
    """Functions of the array API standard under the standard's names, and a few spelled alike on every library.

    ``permute_dims(Y, axes)``; ``rfft2(Y)`` and ``irfft2(F, (h, w))`` are over the last two axes; ``erf`` is
    elementwise; ``conj`` of a complex array is a fresh one. ``sum`` takes one axis or a tuple of them.
    """

    abs: Callable[..., Array]
    atan: Callable[..., Array]
    concat: Callable[..., Array]
    conj: Callable[..., Array]
    cos: Callable[..., Array]
    erf: Callable[..., Array]
    exp: Callable[..., Array]
    expm1: Callable[..., Array]
    irfft2: Callable[..., Array]
    log: Callable[..., Array]
    log1p: Callable[..., Array]
    max: Callable[..., Array]
    permute_dims: Callable[..., Array]
    reshape: Callable[..., Array]
    rfft2: Callable[..., Array]
    sin: Callable[..., Array]
    sqrt: Callable[..., Array]
    stack: Callable[..., Array]
    sum: Callable[..., Array]
    tanh: Callable[..., Array]
    where: Callable[..., Array]

    def zeros(self, shape: tuple[int, ...]) -> Array:
        """Array of zeros in the backend's precision."""
        raise NotImplementedError
