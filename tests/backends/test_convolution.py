"""Convolutions beyond what ``check_backend`` draws: every stride, padding and grouping at odd sizes, large batches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import CONSTANTS, Backend
from nmdl_bench.backends.convolution import output_size
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.testing import standins
from nmdl_bench.testing.case import Case
from nmdl_bench.testing.convolutions import Convolution, check_convolution, correlated

SIZES, KERNELS = ((5, 7), (8, 6)), ((3, 3), (2, 3), (1, 1))
ALL = [
    Convolution(*geometry) for geometry in itertools.product(SIZES, KERNELS, (1, 2, 3), (0, 1, 2), (False, True))
]  # fmt: skip


CHEAP = (("numpy", "float64"), ("torch", "float64"), ("cupy", "float32"))
ALL_BACKENDS = [
    pytest.param(name, dtype, marks=() if (name, dtype) in CHEAP else pytest.mark.slow)
    for name, dtype in itertools.product(("numpy", "torch", "strict", "cupy"), ("float64", "float32"))
]


@pytest.mark.parametrize(("name", "dtype"), ALL_BACKENDS)
def test_every_geometry(name: str, dtype: str) -> None:
    xp = {xp.library: xp for xp in (get_backend("numpy", dtype), get_backend("torch", dtype), *standins(dtype))}[name]
    with xp.scope():
        for given in ALL:
            check_convolution(Case(xp), given)


@pytest.mark.slow
@pytest.mark.parametrize(("shifted", "products"), [(False, False), (True, False), (True, True)])
def test_every_geometry_on_jax(shifted: bool, products: bool) -> None:
    xp: Any = get_backend("jax", "float64")
    xp.shifted, xp.products = shifted, products
    for given in ALL:
        check_convolution(Case(xp), given)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_jax_does_on_an_accelerator(stride: int, depthwise: bool) -> None:
    xp: Any = get_backend("jax", "float64")
    assert xp.shifted
    assert xp.products
    xp.shifted = xp.products = False
    check_convolution(Case(xp), Convolution((6, 7), (3, 2), stride, 1, depthwise))


@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_of_samples_on_numpy(monkeypatch: pytest.MonkeyPatch, stride: int) -> None:
    xp = get_backend("numpy")
    rng = np.random.default_rng(0)
    Y, K = rng.standard_normal((7, 3, 6, 5)), rng.standard_normal((4, 3, 3, 3))
    A = correlated(Y, K, stride, 1, 1)
    whole = xp.conv2d_adjoints(Y, A, K, stride, 1)
    for room in (1, 9000):  # one sample at a time; three, so that the last block is short
        monkeypatch.setattr(type(xp), "columns_bytes", room)
        np.testing.assert_allclose(xp.conv2d(Y, K, stride, 1), A, atol=1e-12)
        for part, expected in zip(xp.conv2d_adjoints(Y, A, K, stride, 1), whole):
            np.testing.assert_allclose(part, expected, atol=1e-10)


@pytest.mark.parametrize("spec", ["numpy", "jax"])
def test_other_groups_are_refused(spec: str) -> None:
    xp = get_backend(spec)
    Y, Z, K = xp.zeros((1, 4, 5, 5)), xp.zeros((1, 4, 5, 5)), xp.zeros((4, 2, 3, 3))
    calls = (
        lambda: xp.conv2d(Y, K, 1, 1, 2),
        lambda: xp.conv2d_transpose(Z, K, (5, 5), 1, 1, 2),
        lambda: xp.conv2d_grad(Y, Z, (3, 3), 1, 1, 2),
        lambda: Backend.conv2d(xp, Y, K, 1, 1, 2),
    )
    for call in calls:
        with pytest.raises(ConfigurationError, match="groups must be 1, or the number of channels"):
            call()


def test_output_size() -> None:
    assert [output_size(7, 3, stride, 1) for stride in (1, 2, 3, 4)] == [7, 4, 3, 2]
    with pytest.raises(ConfigurationError, match="a kernel of 5 pixels does not fit into 2 with a padding of 1"):
        output_size(2, 5, 1, 1)


@pytest.mark.parametrize("spec", ["numpy", "torch"])
def test_constants_are_kept_by_value_and_the_oldest_goes(spec: str) -> None:
    xp = get_backend(spec)
    host = np.arange(3.0)
    first = xp.constant(host)
    assert xp.constant(np.arange(3.0)) is first
    assert xp.constant(np.arange(3)) is not first
    assert xp.constant(host.astype("float32")) is not first
    for k in range(CONSTANTS):
        xp.constant(np.full(2, float(k)))
    again = xp.constant(host)
    assert again is not first
    assert xp.to_numpy(again).tolist() == [0.0, 1.0, 2.0]


def test_jax_keeps_no_constant_of_a_trace() -> None:
    xp = get_backend("jax")
    double = xp.compile(lambda x: x + xp.constant(np.ones(2)))
    assert xp.to_numpy(double(xp.zeros((2,)))).tolist() == [1.0, 1.0]
    assert xp.to_numpy(xp.constant(np.ones(2)) * 2.0).tolist() == [2.0, 2.0]


def test_jax_compiles_a_loop_once_whatever_its_length() -> None:
    xp = get_backend("jax")
    calls = []

    def body(x: Any, row: Any) -> Any:
        calls.append(row)
        return xp.scale(2.0, x)

    x = xp.compile(lambda x: xp.loop(body, x, np.zeros((30, 1), dtype=int)))(xp.asarray([1.0]))
    assert float(x[0]) == 2.0**30
    assert len(calls) <= 2
