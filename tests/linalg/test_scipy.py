"""Iterates and residual curves are those of SciPy's counterparts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg as theirs
from systems import general, method, symmetric

from nmdl_bench.backends import get_backend
from nmdl_bench.linalg import history_of

XP = get_backend("numpy")
FOREVER: dict[str, dict[str, Any]] = {
    "pcg": {"rtol": 0.0},
    "cgls": {"rtol": 0.0},
    "minres": {"rtol": 0.0},
    "gmres": {"rtol": 0.0, "restart": 40},
    "block_lsqr": {"rtol": 0.0},
    "lsqr": {"atol": 0.0, "btol": 0.0, "conlim": 0.0},
    "lsmr": {"atol": 0.0, "btol": 0.0, "conlim": 0.0},
}
"""Tolerances that stop nothing."""


def ours(name: str, A: np.ndarray, b: np.ndarray, k: int, **options: Any) -> np.ndarray:
    found = method(name, XP, A, b, **FOREVER[name], max_iterations=k, **options)
    assert found.k == k, found
    return found.x


def scipys(name: str, A: np.ndarray, b: np.ndarray, k: int, **options: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "gmres":
            return theirs.gmres(A, b, rtol=0, restart=k, maxiter=1, callback_type="pr_norm", **options)[0]
        if name == "lsqr":
            return theirs.lsqr(A, b, atol=0, btol=0, conlim=0, iter_lim=k, **options)[0]
        if name == "lsmr":
            return theirs.lsmr(A, b, atol=0, btol=0, conlim=0, maxiter=k, **options)[0]
        if name == "minres":
            return theirs.minres(A, b, rtol=0, maxiter=k, **options)[0]
        return theirs.cg(A, b, rtol=0, maxiter=k, **options)[0]


def close(x: np.ndarray, y: np.ndarray, tolerance: float = 1e-10) -> None:
    assert np.linalg.norm(x - y) <= tolerance * np.linalg.norm(y)


SHAPES = [(40, 40), (60, 25), (25, 60)]


@pytest.mark.parametrize("condition", [10.0, 100.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["lsqr", "lsmr"])
@pytest.mark.parametrize("damp", [0.0, 0.7])
def test_ten_iterates_for_least_squares(name: str, shape: tuple[int, int], condition: float, damp: float) -> None:
    A, b = general(*shape, condition), np.random.default_rng(1).standard_normal(shape[0])
    for k in range(1, 11):
        close(ours(name, A, b, k, damp=damp), scipys(name, A, b, k, damp=damp))


@pytest.mark.parametrize("condition", [10.0, 100.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("damp", [0.0, 0.7])
def test_conjugate_gradients_for_least_squares_are_lsqr(shape: tuple[int, int], condition: float, damp: float) -> None:
    A, b = general(*shape, condition), np.random.default_rng(1).standard_normal(shape[0])
    for k in range(1, 11):
        # the two algorithms round differently, and condition 100 squares to 1e4
        close(ours("cgls", A, b, k, damp=damp), scipys("lsqr", A, b, k, damp=damp), 1e-9)


@pytest.mark.parametrize("condition", [10.0, 100.0])
@pytest.mark.parametrize("name", ["pcg", "minres", "gmres", "indefinite minres", "unsymmetric gmres"])
def test_ten_iterates_for_square_systems(name: str, condition: float) -> None:
    kind, _, name = name.rpartition(" ")
    A = general(40, 40, condition) if kind == "unsymmetric" else symmetric(40, condition, definite=not kind)
    b = np.random.default_rng(1).standard_normal(40)
    for k in range(1, 11):
        close(ours(name, A, b, k), scipys(name, A, b, k))


@pytest.mark.parametrize("name", ["pcg", "minres", "gmres"])
def test_ten_iterates_with_preconditioner_and_start(name: str) -> None:
    A = symmetric(40, 100.0) + np.diag(np.linspace(0, 500, 40))
    rng = np.random.default_rng(1)
    b, x0, d = rng.standard_normal(40), rng.standard_normal(40), 1 / np.diag(A)
    for k in range(1, 11):
        close(ours(name, A, b, k, M=lambda r: d * r, x0=x0), scipys(name, A, b, k, M=np.diag(d), x0=x0))


@pytest.mark.parametrize("name", ["lsqr", "lsmr", "cgls", "block_lsqr"])
def test_preconditioning_from_the_right_is_a_change_of_variables(name: str) -> None:
    A, rng = general(40, 25, 5.0), np.random.default_rng(1)
    b, x0 = rng.standard_normal(40), rng.standard_normal(25)
    if name == "block_lsqr":
        b, x0 = rng.standard_normal((40, 2)), rng.standard_normal((25, 2))
    R = np.triu(0.2 * rng.standard_normal((25, 25))) + np.diag(np.linspace(1, 3, 25))
    inverse = np.linalg.inv(R)
    for k in (1, 4, 8):
        x = ours(name, A, b, k, x0=x0, right=(lambda v: inverse @ v, lambda w: inverse.T @ w))
        close(x, x0 + inverse @ ours(name, A @ inverse, b - A @ x0, k), 1e-8 if b.ndim == 2 else 1e-11)


CURVES = ["pcg", "minres", "gmres", "lsqr", "lsmr", "cgls"]


@pytest.mark.parametrize("name", CURVES)
def test_residual_curves_at_condition_1e10(name: str) -> None:
    square = name in ("pcg", "minres", "gmres")
    A = symmetric(60, 1e10) if square else general(80, 50, 1e10)
    b = A @ np.random.default_rng(1).standard_normal(A.shape[1])
    peer = "lsqr" if name == "cgls" else name
    for k in range(1, 31):
        r, r_peer = (np.linalg.norm(b - A @ x) for x in (ours(name, A, b, k), scipys(peer, A, b, k)))
        assert r_peer / 2 <= r <= 2 * r_peer, (k, r, r_peer)


@pytest.mark.parametrize("condition", [100.0, 1e10])
@pytest.mark.parametrize("name", CURVES)
def test_the_history_holds_the_norms_of_the_iterates(name: str, condition: float) -> None:
    square = name in ("pcg", "minres", "gmres")
    A = symmetric(40, condition) if square else general(50, 30, condition)
    b = A @ np.random.default_rng(1).standard_normal(A.shape[1])
    found = method(name, XP, A, b, **FOREVER[name], max_iterations=10, record=True)
    history = history_of(XP, found)
    assert history.shape == (11, 3)
    lag = int(name == "minres")  # it knows |A r| a step later
    for k in range(1, 11):
        r = b - A @ ours(name, A, b, k)
        assert history[k, 0] == pytest.approx(np.linalg.norm(r), rel=1e-5)
        if name not in ("pcg", "gmres") and k + lag < 11:
            assert history[k + lag, 1] == pytest.approx(np.linalg.norm(A.T @ r), rel=1e-2, abs=1e-9 * condition)


@pytest.mark.parametrize("name", ["lsqr", "lsmr", "cgls"])
def test_norms_with_damping(name: str) -> None:
    A, b, damp = general(50, 30, 100.0), np.random.default_rng(1).standard_normal(50), 3.0
    found = method(name, XP, A, b, damp=damp, **FOREVER[name], max_iterations=10, record=True)
    history = history_of(XP, found)
    for k in range(1, 11):
        x = ours(name, A, b, k, damp=damp)
        r = b - A @ x
        whole = np.hypot(np.linalg.norm(r), damp * np.linalg.norm(x)) if name == "lsmr" else np.linalg.norm(r)
        assert history[k, 0] == pytest.approx(whole, rel=1e-9)
        assert history[k, 1] == pytest.approx(np.linalg.norm(A.T @ r - damp**2 * x), rel=1e-6)
