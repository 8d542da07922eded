"""Ours: half the squared norm of a convolution, and its gradients in kernel and images."""

from __future__ import annotations

from typing import Any

import numpy as np
from common import Factory, write

from nmdl_bench.backends import get_backend

SAMPLES, CHANNELS, PIXELS, KERNEL, PADDING = 16, 16, 32, 3, 1


def make_data(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (16, 16, 32, 32) and kernel (16, 16, 3, 3)."""
    rng = np.random.Generator(np.random.Philox(0))
    Y = rng.standard_normal((SAMPLES, CHANNELS, PIXELS, PIXELS))
    K = rng.standard_normal((CHANNELS, CHANNELS, KERNEL, KERNEL)) / (KERNEL * CHANNELS**0.5)
    return Y.astype(dtype), K.astype(dtype)


def leave(path: str, value: Any, dK: Any, dY: Any) -> None:
    """Value and gradients for the parent, which compares them."""
    gradient = np.concatenate([np.asarray(dK, dtype=np.float64).ravel(), np.asarray(dY, dtype=np.float64).ravel()])
    write(path, value, gradient)


def ours(spec: str, dtype: str, answer: str = "") -> Factory:
    """By the verbs that layers use."""
    xp = get_backend(spec, dtype)
    xp.scope().__enter__()  # for good: this process does nothing else
    Y, K = (xp.asarray(a) for a in make_data(dtype))

    def value_and_grad(Y: Any, K: Any) -> Any:
        A = xp.conv2d(Y, K, 1, PADDING)
        return 0.5 * xp.total(A * A), *xp.conv2d_adjoints(Y, A, K, 1, PADDING)

    compiled = xp.compile(value_and_grad)

    def call() -> Any:
        found = compiled(Y, K)
        xp.synchronize(found)
        return found

    if answer:
        f, dK, dY = call()
        leave(answer, f, xp.to_numpy(dK), xp.to_numpy(dY))
    return call, xp.synchronize
