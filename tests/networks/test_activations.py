"""Activations with both derivatives against torch's own functions and automatic differentiation, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import UnknownNameError
from nmdl_bench.networks.activations import ACTIVATIONS, SLOPE, SMOOTHING, get_activation
from nmdl_bench.testing import fake_cuda_backend, numerical_backends

NAMES = ("numpy", "torch", "jax", "poison", "strict", "strict-scalar", "cupy", "torch-device")


def smoothed_relu(X: torch.Tensor) -> torch.Tensor:
    e = SMOOTHING
    return torch.where(X.abs() <= e, X**2 / (4 * e) + X / 2 + e / 4, torch.relu(X))


TORCH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky-relu": lambda X: F.leaky_relu(X, SLOPE),
    "smoothed-relu": smoothed_relu,
    "softplus": lambda X: -F.logsigmoid(-X),
    "sin": torch.sin,
    "silu": F.silu,
    "gelu": F.gelu,
    "identity": lambda X: X * 1,
}
KINKS = {"relu": (0.0,), "leaky-relu": (0.0,), "smoothed-relu": (-SMOOTHING, SMOOTHING)}


def reference(name: str, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``s``, ``s'`` and ``s''`` by torch, in float64."""
    x = torch.tensor(X, dtype=torch.float64)
    ones = torch.ones_like(x)

    def derivative(x: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(TORCH[name], (x,), (ones,))[1]

    value, slope = torch.func.jvp(TORCH[name], (x,), (ones,))
    return value.numpy(), slope.numpy(), torch.func.jvp(derivative, (x,), (ones,))[1].numpy()


@lru_cache
def backends(dtype: str) -> dict[str, Backend]:
    return {xp.library: xp for xp in numerical_backends(dtype)}


def evaluate(xp: Backend, name: str, X: np.ndarray, Z: np.ndarray) -> list[np.ndarray]:
    """``s``, ``s' Z`` and ``s'' Z`` by the backend; what the derivatives read and ``Z`` must survive both."""
    s = get_activation(name)
    with xp.scope():
        A, kept = s.forward(xp, xp.asarray(X))
        results = [xp.to_numpy(A)]
        z = xp.asarray(Z)
        before = None if kept is None else xp.to_numpy(kept)
        for derivative in (s.derivative, s.second):
            fresh = derivative(xp, kept, z)
            results.append(xp.to_numpy(fresh))
            xp.scale(0.0, fresh)
        np.testing.assert_array_equal(xp.to_numpy(z), Z.astype(xp.dtype_name))
        if kept is not None:
            np.testing.assert_array_equal(xp.to_numpy(kept), before)
    return results


def test_every_activation_has_a_reference() -> None:
    assert list(ACTIVATIONS) == list(TORCH)
    with pytest.raises(UnknownNameError, match="did you mean 'gelu'"):
        get_activation("gellu")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_both_derivatives_are_torchs(name: str, backend: str, dtype: str) -> None:
    xp = backends(dtype)[backend]
    X, Z = np.random.default_rng(1).standard_normal((2, 6, 7))
    X = (3 * X).astype(dtype).astype(np.float64)
    X[0, :3] = 0.01, -0.02, 0.05  # inside the smoothed kink
    value, slope, curvature = reference(name, X)
    for got, expected in zip(evaluate(xp, name, X, Z), (value, slope * Z, curvature * Z)):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=50 * xp.eps)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_derivative_is_that_of_the_first(name: str) -> None:
    """Taylor: what ``s'`` leaves after two terms falls with the square of the step, where no kink is crossed."""
    xp, s = backends("float64")["numpy"], get_activation(name)
    X, D = np.random.default_rng(2).standard_normal((2, 400))
    D = np.sign(D) * 0.02
    kinks = np.array([[kink] for kink in KINKS.get(name, (np.inf,))])
    X = X[np.abs(X - kinks).min(axis=0) > 0.04]
    D = D[: len(X)]
    remainders = []
    for h in (1.0, 0.5, 0.25):
        kept, moved = (s.forward(xp, X + step * D)[1] for step in (0.0, h))
        R = s.derivative(xp, moved, D) - s.derivative(xp, kept, D) - h * s.second(xp, kept, D * D)
        remainders.append(np.abs(R).max())
    if remainders[0] > 1e-13:  # piecewise linear: no remainder at all
        orders = np.log2(np.divide(remainders[:-1], remainders[1:]))
        assert np.all((orders > 1.8) & (orders < 2.3))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_extremes_overflow_nowhere(name: str, backend: str, dtype: str) -> None:
    xp = backends(dtype)[backend]
    X = np.array([[-1e4, -200.0, -40.0, 40.0, 200.0, 1e4]])
    for got, expected in zip(evaluate(xp, name, X, np.ones((1, 6))), reference(name, X)):
        np.testing.assert_allclose(got, expected, rtol=50 * xp.eps, atol=50 * xp.eps)


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan(name: str, backend: str) -> None:
    xp = backends("float64")[backend]
    value, _, _ = evaluate(xp, name, np.array([[1.0, np.nan, -1.0]]), np.ones((1, 3)))
    assert np.isnan(value).tolist() == [[False, True, False]]
    _, slope, _ = evaluate(xp, name, np.array([[1.0, 2.0, -1.0]]), np.array([[np.nan] * 3]))
    positive = slope[0, :2]
    assert np.isnan(positive).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_smooth_ones_have_no_kinks(name: str) -> None:
    """Both derivatives are continuous over the line where ``smooth`` says so, and only there."""
    xp, s = backends("float64")["numpy"], get_activation(name)
    X = np.linspace(-2, 2, 4001)
    kept = s.forward(xp, X.copy())[1]
    jumps = max(np.abs(np.diff(f(xp, kept, np.ones(4001)))).max() for f in (s.derivative, s.second))
    assert (jumps < 0.01) == s.smooth


def test_tanh_and_its_kin_keep_their_output_alone() -> None:
    xp = backends("float64")["numpy"]
    kept = {name: s.forward(xp, np.array([[0.5]])) for name, s in ACTIVATIONS.items()}
    assert {name for name, (A, k) in kept.items() if k is A} == {"tanh", "relu", "leaky-relu", "softplus"}
    assert kept["identity"][1] is None


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_activation_waits_for_a_gpu(name: str) -> None:
    s = get_activation(name)
    with fake_cuda_backend("float32") as xp:
        A, kept = s.forward(xp, xp.asarray(np.ones((2, 3))))
        Z = xp.asarray(np.ones((2, 3)))
        results = [A, s.derivative(xp, kept, Z), s.second(xp, kept, Z)]
    assert {(tuple(a.shape), a.dtype, a.device.type) for a in results} == {((2, 3), torch.float32, "cuda")}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_those_that_say_so_have_no_curvature(name: str) -> None:
    xp, X = get_backend("numpy"), np.linspace(-2, 2, 41) * 0.04  # inside the smoothed rectifier's parabola too
    _, kept = ACTIVATIONS[name].forward(xp, X.copy())
    assert np.any(ACTIVATIONS[name].second(xp, kept, np.ones(41))) == ACTIVATIONS[name].curved
