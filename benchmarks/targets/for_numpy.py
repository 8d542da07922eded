"""NumPy's idiom: bare matrix products and tanh, into arrays made once. No bias, no sum: a lower bound, no network."""

from __future__ import annotations

from typing import Any

import numpy as np
from common import Factory, blocks, make_problem, ours

__all__ = ["ours", "products"]


def products(spec: str, dtype: str, width: int, answer: str = "", array_library: Any = np) -> Factory:
    """``Y K`` and tanh for each layer forward; ``Y^T Z`` and ``Z K^T`` for each layer backward."""
    a = array_library
    problem = make_problem(width)
    K = [a.asarray(K.astype(dtype)) for K, _ in blocks(problem)]
    Y = [a.asarray(problem.data.train.Y.astype(dtype))]
    Y += [a.empty((Y[0].shape[0], k.shape[1]), dtype) for k in K]
    Z = [None, *(a.ones_like(y) for y in Y[1:])]
    G = [a.empty_like(k) for k in K]
    last = len(K) - 1

    def call() -> None:
        for j, k in enumerate(K):
            a.matmul(Y[j], k, out=Y[j + 1])
            if j < last:
                a.tanh(Y[j + 1], out=Y[j + 1])
        for j in range(last, -1, -1):
            a.matmul(Y[j].T, Z[j + 1], out=G[j])
            if j:
                a.matmul(Z[j + 1], K[j].T, out=Z[j])

    return call, lambda: None
