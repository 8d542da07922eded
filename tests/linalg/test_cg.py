from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import cg as scipy_cg

from nmdl_bench.backends.base import Backend
from nmdl_bench.linalg import cg
from nmdl_bench.testing import numerical_backends


def spd(n: int, condition: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return (Q * np.geomspace(1, condition, n)) @ Q.T


@pytest.mark.parametrize("xp", numerical_backends(), ids=lambda xp: xp.library)
def test_conjugate_gradients_solve(xp: Backend) -> None:
    A, b = spd(20, 50.0), np.random.default_rng(1).standard_normal((4, 5))
    device = xp.asarray(A)

    def apply(p: object) -> object:
        return xp.reshape(device @ xp.reshape(p, (20, 1)), (4, 5))

    with xp.scope():
        x, k = xp.compile(lambda b: cg(xp, apply, b, 1e-12, 60))(xp.asarray(b))
        x = xp.to_numpy(x)
    assert np.linalg.norm(A @ x.ravel() - b.ravel()) <= 1e-11 * np.linalg.norm(b)
    assert int(k) <= 40


def test_iterates_are_scipys() -> None:
    xp = numerical_backends()[0]
    A, b = spd(20, 50.0), np.random.default_rng(1).standard_normal(20)
    for iterations in (1, 3, 7):
        ours, k = cg(xp, lambda p: A @ p, b, 1e-14, iterations)
        theirs, _ = scipy_cg(A, b, rtol=1e-14, maxiter=iterations)
        assert int(k) == iterations
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_a_right_hand_side_of_zeros_is_solved_by_zeros() -> None:
    xp = numerical_backends()[0]
    x, k = cg(xp, lambda p: 2 * p, np.zeros(3))
    assert int(k) == 0
    np.testing.assert_array_equal(x, 0)


@pytest.mark.parametrize("size", [1e-25, 1e20])
def test_single_precision_neither_underflows_nor_overflows(size: float) -> None:
    xp = numerical_backends("float32")[0]
    A, b = spd(20, 5.0).astype(np.float32), size * np.random.default_rng(1).standard_normal(20)
    x, _ = cg(xp, lambda p: A @ p, xp.asarray(b), 1e-5, 60)
    assert np.linalg.norm(A.astype(float) @ x - b) <= 1e-4 * np.linalg.norm(b)
