"""``check_kernels``: a library's own kernels against the generic ones and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmdl_bench.backends.base import Backend
from nmdl_bench.testing.case import Case
from nmdl_bench.testing.trees import leaves


class _Kernel(NamedTuple):
    """A kernel's name, its generic version, and arguments of the host."""

    name: str
    generic: Callable[..., Any]
    args: tuple[Any, ...]


def check_kernels(case: Case) -> None:
    """A library's own kernels against the generic ones, and both against NumPy and SciPy."""
    from scipy.special import ndtr

    X, Z, Y, K, b = (case.draw(*shape) for shape in ((5, 4), (5, 4), (5, 3), (3, 4), (4,)))
    relu, softplus, leaky = np.maximum(X, 0), np.logaddexp(X, 0), np.maximum(X, 0.25 * X)
    sigmoid, Phi, phi = 1 / (1 + np.exp(-X)), ndtr(X), np.exp(-X * X / 2) / np.sqrt(2 * np.pi)
    parabola = (X + 0.5) ** 2 / 2
    smoothed = np.where(np.abs(X) <= 0.5, parabola, relu)
    P = np.exp(X - X.max(1, keepdims=True))
    total = P.sum(1, keepdims=True)
    cases = [
        (_Kernel("add_scaled", Backend.add_scaled, (X, 0.5, Z)), X + 0.5 * Z),
        (_Kernel("affine", Backend.affine, (Y, K, b)), Y @ K + b),
        (_Kernel("column_sum", Backend.column_sum, (X,)), X.sum(0)),
        (_Kernel("act_tanh", Backend.act_tanh, (X,)), np.tanh(X)),
        (_Kernel("act_tanh_derivative", Backend.act_tanh_derivative, (np.tanh(X), Z)), (1 - np.tanh(X) ** 2) * Z),
        (_Kernel("act_relu", Backend.act_relu, (X,)), relu),
        (_Kernel("act_relu_derivative", Backend.act_relu_derivative, (relu, Z)), (X > 0) * Z),
        (_Kernel("act_softplus", Backend.act_softplus, (X,)), softplus),
        (_Kernel("act_softplus_derivative", Backend.act_softplus_derivative, (softplus, Z)), Z / (1 + np.exp(-X))),
        (_Kernel("act_leaky_relu", Backend.act_leaky_relu, (X, 0.25)), leaky),
        (
            _Kernel("act_leaky_relu_derivative", Backend.act_leaky_relu_derivative, (leaky, Z, 0.25)),
            np.where(X > 0, Z, Z / 4),
        ),
        (_Kernel("act_smoothed_relu", Backend.act_smoothed_relu, (X, 0.5)), smoothed),
        (
            _Kernel("act_smoothed_relu_derivative", Backend.act_smoothed_relu_derivative, (X, Z, 0.5)),
            np.clip(X + 0.5, 0, 1) * Z,
        ),
        (_Kernel("sigmoid", Backend.sigmoid, (X,)), sigmoid),
        (_Kernel("act_silu", Backend.act_silu, (X,)), X * sigmoid),
        (
            _Kernel("act_silu_derivative", Backend.act_silu_derivative, (X, Z)),
            (sigmoid + X * sigmoid * (1 - sigmoid)) * Z,
        ),
        (_Kernel("act_gelu", Backend.act_gelu, (X,)), X * Phi),
        (_Kernel("act_gelu_derivative", Backend.act_gelu_derivative, (X, Z)), (Phi + X * phi) * Z),
        (_Kernel("softmax", Backend.softmax, (X,)), (P / total, np.log(total) + X.max(1, keepdims=True))),
    ]
    for kernel, expected in cases:
        _compare_kernel(case, kernel, expected)
    scaled = case.xp.add_scaled(case.xp.asarray(X), case.xp.s.const(0.5), case.xp.asarray(Z))
    case.equal("add_scaled by a scalar", scaled, X + 0.5 * Z)
    _check_extremes(case)


def _check_extremes(case: Case) -> None:
    """Overflow, kinks and NaN."""
    wide = np.array([[-1e4, -50.0, -0.0, 0.0, 50.0, 1e4]])
    ones, nan = np.ones((1, 6)), np.array([[np.nan]])
    edges, far, low = np.array([[-1e4, -0.5, 0.5, 1e4]]), np.array([[-1e4, 1e4]]), np.array([[-60.0, -50.0]])
    slopes = np.where(wide > 0, 1.0, 0.25)
    softplus = np.array([[0.0, np.exp(-50.0), np.log(2), np.log(2), 50.0, 1e4]])
    cases = [
        (_Kernel("act_tanh", Backend.act_tanh, (wide,)), np.tanh(wide)),
        (_Kernel("act_relu", Backend.act_relu, (wide,)), np.maximum(wide, 0)),
        (_Kernel("act_relu_derivative", Backend.act_relu_derivative, (np.maximum(wide, 0), ones)), 1.0 * (wide > 0)),
        (_Kernel("act_softplus", Backend.act_softplus, (wide,)), softplus),
        (_Kernel("act_leaky_relu", Backend.act_leaky_relu, (wide, 0.25)), np.maximum(wide, 0.25 * wide)),
        (_Kernel("act_leaky_relu_derivative", Backend.act_leaky_relu_derivative, (wide, ones, 0.25)), slopes),
        (_Kernel("act_smoothed_relu", Backend.act_smoothed_relu, (edges, 0.5)), np.array([[0.0, 0.0, 0.5, 1e4]])),
        (
            _Kernel("act_smoothed_relu_derivative", Backend.act_smoothed_relu_derivative, (edges, ones[:, :4], 0.5)),
            np.array([[0.0, 0.0, 1.0, 1.0]]),
        ),
        (_Kernel("sigmoid", Backend.sigmoid, (low,)), np.exp(low)),
        (_Kernel("act_silu", Backend.act_silu, (wide,)), np.array([[0.0, -50 * np.exp(-50.0), 0.0, 0.0, 50.0, 1e4]])),
        (_Kernel("act_silu_derivative", Backend.act_silu_derivative, (far, ones[:, :2])), np.array([[0.0, 1.0]])),
        (_Kernel("act_gelu", Backend.act_gelu, (wide,)), np.maximum(wide, 0)),
        (_Kernel("act_gelu_derivative", Backend.act_gelu_derivative, (far, ones[:, :2])), np.array([[0.0, 1.0]])),
        (_Kernel("act_leaky_relu", Backend.act_leaky_relu, (nan, 0.25)), nan),
        (_Kernel("act_smoothed_relu", Backend.act_smoothed_relu, (nan, 0.5)), nan),
        (_Kernel("act_silu", Backend.act_silu, (nan,)), nan),
        (_Kernel("act_gelu", Backend.act_gelu, (nan,)), nan),
        (_Kernel("act_relu", Backend.act_relu, (np.array([[-np.inf, np.inf]]),)), np.array([[0.0, np.inf]])),
        (_Kernel("act_relu", Backend.act_relu, (nan,)), nan),
        (_Kernel("act_softplus", Backend.act_softplus, (nan,)), nan),
        (_Kernel("act_tanh", Backend.act_tanh, (nan,)), nan),
        (_Kernel("softmax", Backend.softmax, (wide,)), (1.0 * (wide == 1e4), np.array([[1e4]]))),
        (_Kernel("softmax", Backend.softmax, (np.array([[1.0, np.nan]]),)), (np.array([[np.nan, np.nan]]), nan)),
    ]
    for kernel, expected in cases:
        _compare_kernel(case, kernel, expected)


def _compare_kernel(case: Case, kernel: _Kernel, expected: Any) -> None:
    xp = case.xp

    versions = {kernel.name: getattr(xp, kernel.name)}
    if getattr(type(xp), kernel.name) is not kernel.generic:
        versions[f"the generic {kernel.name}"] = partial(kernel.generic, xp)
    for name, apply in versions.items():
        args = [xp.asarray(a) if isinstance(a, np.ndarray) else a for a in kernel.args]
        with np.errstate(all="ignore"):
            got = case.attempt(name, partial(xp.compile(apply), *args))
        pairs = zip(leaves(got), leaves(expected))
        for value, wanted in pairs:
            case.equal(f"{name} of {kernel.args[0].ravel()[:3].tolist()}...", value, wanted)
