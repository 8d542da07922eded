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
    """A library's own kernels against the generic ones, and both against NumPy."""
    X, Z, Y, K, b = (case.draw(*shape) for shape in ((5, 4), (5, 4), (5, 3), (3, 4), (4,)))
    relu, softplus = np.maximum(X, 0), np.logaddexp(X, 0)
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
    softplus = np.array([[0.0, np.exp(-50.0), np.log(2), np.log(2), 50.0, 1e4]])
    cases = [
        (_Kernel("act_tanh", Backend.act_tanh, (wide,)), np.tanh(wide)),
        (_Kernel("act_relu", Backend.act_relu, (wide,)), np.maximum(wide, 0)),
        (_Kernel("act_relu_derivative", Backend.act_relu_derivative, (np.maximum(wide, 0), ones)), 1.0 * (wide > 0)),
        (_Kernel("act_softplus", Backend.act_softplus, (wide,)), softplus),
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
