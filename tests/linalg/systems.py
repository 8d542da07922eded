"""Matrices with prescribed singular values, and each method called alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmdl_bench import linalg
from nmdl_bench.linalg import Solution


def orthogonal(n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Orthonormal columns (n, k)."""
    return np.linalg.qr(rng.standard_normal((n, k)))[0]


def general(m: int, n: int, condition: float, seed: int = 0) -> np.ndarray:
    """Singular values from 1 to ``condition``."""
    rng, k = np.random.default_rng(seed), min(m, n)
    return (orthogonal(m, k, rng) * np.geomspace(condition, 1, k)) @ orthogonal(n, k, rng).T


def symmetric(n: int, condition: float, seed: int = 0, definite: bool = True) -> np.ndarray:
    """Eigenvalues of moduli from 1 to ``condition``, every third negative where not definite."""
    rng = np.random.default_rng(seed)
    Q, eigenvalues = orthogonal(n, n, rng), np.geomspace(1, condition, n)
    if not definite:
        eigenvalues[::3] *= -1
    A = (Q * eigenvalues) @ Q.T
    return (A + A.T) / 2


SQUARE = ("pcg", "minres", "gmres", "jacobi", "steepest_descent")
TALL = ("cgls", "lsqr", "lsmr", "landweber", "steepest_descent_ls")
BLOCK = ("block_cg", "block_lsqr")
HYBRID = ("hybrid_lsqr",)


def method(name: str, xp: Any, A: Any, b: Any, **options: Any) -> Solution:
    """Call a method with a dense matrix."""
    call: Callable[..., Solution] = getattr(linalg, name)
    if name == "jacobi":
        n = A.shape[0]
        return call(xp, lambda v: A @ v, b, xp.sum(A * xp.constant(np.eye(n)), axis=1), **options)
    if name in HYBRID:
        return getattr(linalg, name)(xp, lambda v: A @ v, lambda w: A.T @ w, b, **options).solution
    if name in (*TALL, "block_lsqr"):
        return call(xp, lambda v: A @ v, lambda w: A.T @ w, b, **options)
    return call(xp, lambda v: A @ v, b, **options)
