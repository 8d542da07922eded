"""Random systems of all shapes, scales and ranks: no exception, no endless loop, no wrong word."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from systems import BLOCK, SQUARE, TALL, method, orthogonal

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.linalg import REASONS

OPTIONS: dict[str, dict[str, Any]] = {"landweber": {"weight": 1.0}, "jacobi": {"weight": 0.5}, "gmres": {"restart": 4}}
TOLERANCE = 1e-6
"""Well above the methods' own, which are 1e-8 and 1e-10."""


def draw(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A matrix of largest singular value 1 times a scale, maybe singular or indefinite; a right-hand side."""
    m = int(rng.integers(1, 9))
    n = m if name in SQUARE or name == "block_cg" else int(rng.integers(1, 9))
    k = min(m, n)
    sigma = np.exp(-rng.uniform(0, rng.choice([1.0, 20.0]), k))
    sigma /= sigma.max()
    sigma[rng.random(k) < 0.15] = 0
    U, V = orthogonal(m, k, rng), orthogonal(n, k, rng)
    if name in SQUARE or name == "block_cg":
        V = U if name != "gmres" or rng.random() < 0.5 else V
        sigma = sigma * rng.choice([1, -1], k, p=[0.9, 0.1])
    A = (U * sigma) @ V.T
    columns = (int(rng.integers(1, k + 1)),) if name in BLOCK else ()
    b = rng.standard_normal((m, *columns))
    if rng.random() < 0.3:
        b = A @ rng.standard_normal((n, *columns))
    if rng.random() < 0.05:
        b = 0 * b
    A = A * 10.0 ** rng.choice([0, 0, rng.uniform(-60, 60)]) if name not in ("landweber",) else A
    b = b * 10.0 ** rng.choice([0, 0, rng.uniform(-60, 60)])
    if rng.random() < 0.05:
        (A if rng.random() < 0.5 else b)[0, ...] = rng.choice([np.nan, np.inf])
    return A, b


def check(name: str, xp: Backend, seed: int) -> str:
    rng = np.random.Generator(np.random.Philox(seed))
    A, b = draw(name, rng)
    with xp.scope(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = method(name, xp, xp.asarray(A), xp.asarray(b), max_iterations=60, **OPTIONS.get(name, {}))
        x, why = xp.to_numpy(found.x), found.reason
    assert why in REASONS
    assert int(found.k) <= 60
    if why == "not_finite":
        return why
    assert np.all(np.isfinite(x)), why
    if not (np.all(np.isfinite(A)) and np.all(np.isfinite(b))):
        assert not np.any(b) or why in ("breakdown", "max_iterations"), why
        return why
    r = b - A @ x
    size, r_size = np.linalg.norm(A, 2), np.linalg.norm(r)
    if why == "solved":
        assert r_size <= TOLERANCE * (np.linalg.norm(b) + size * np.linalg.norm(x)), (r_size, np.linalg.norm(b))
    if why == "least_squares":
        s = np.linalg.norm(A.T @ r)
        round_off = 1e5 * xp.eps * size**2 * np.linalg.norm(x)  # a backward error of A, where x has grown large
        assert s <= TOLERANCE * size * max(r_size, np.linalg.norm(b)) + round_off, (s, size, r_size)
    return why


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("name", [*SQUARE, *TALL, *BLOCK])
def test_random_systems(name: str, library: str) -> None:
    xp = get_backend(library)
    words = [check(name, xp, seed) for seed in range(60)]
    assert len(set(words)) > 1  # not all alike


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SQUARE, *TALL, *BLOCK])
def test_many_random_systems(name: str) -> None:
    for seed in range(1000, 2000):
        check(name, get_backend("numpy"), seed)
