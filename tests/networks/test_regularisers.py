"""Regularisers: against sums written out, Taylor remainders, symmetry, and automatic differentiation, everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.networks.layers import Dense, EulerBlock
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.regularisers import (
    OPERATORS,
    SELECTIONS,
    BlockRegulariser,
    HalfSquares,
    SmoothedL1,
    smoothness,
    tikhonov,
    total_variation,
)
from nmdl_bench.testing import fake_cuda_backend, numerical_backends
from nmdl_bench.testing.errors import host_reals, require_close, tolerance
from nmdl_bench.testing.references import LIBRARIES, autodiff_backend, directional, gradient
from nmdl_bench.testing.taylor import check_symmetric_psd, check_taylor

XP = get_backend("numpy")


@dataclass(frozen=True)
class Stencils:
    """The blocks of a convolution layer, or with ``times`` of as many steps of one; nothing of it is evaluated."""

    height: int = 3
    width: int = 2
    times: int | None = None
    control_spacing: float | None = None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        leading = () if self.times is None else (self.times,)
        return {"K": (*leading, 2, 2, self.height, self.width), "b": (*leading, 2), "scale": (*leading, 2)}


NETWORK = Network(
    (Stencils(), Dense(3, 2), EulerBlock(2, 4, 2.0), Stencils(1, 2), Stencils(2, 1, 3, 0.25), Stencils(2, 2, 2, 0.5))
)
PENALTIES = (HalfSquares(), SmoothedL1(0.01))
ALL = [BlockRegulariser(NETWORK, 0.7, D, phi, which) for D in OPERATORS for phi in PENALTIES for which in SELECTIONS]


def draw(seed: int) -> np.ndarray:
    rng = np.random.Generator(np.random.Philox(seed))
    return rng.standard_normal(NETWORK.size).astype(np.float32).astype(np.float64)


def written_out(regulariser: BlockRegulariser, x: np.ndarray) -> float:
    phi = {HalfSquares: lambda t: t**2 / 2, SmoothedL1: lambda t: np.sqrt(t**2 + 0.01)}[type(regulariser.penalty)]
    spacings = [None, None, 0.5, None, 0.25, 0.5]
    total = 0.0
    layers = list(zip(NETWORK.unpack(XP, x), spacings))
    layers = {"classifier": layers[-1:], "features": layers[:-1]}.get(regulariser.which, layers)
    for blocks, h in layers:
        for name, B in blocks.items():
            if (regulariser.which == "weights" and name != "K") or (regulariser.which == "time" and h is None):
                continue
            if regulariser.operator == "identity":
                total += phi(B).sum()
            elif regulariser.operator == "time" and h is not None:
                total += h * sum(phi((B[j + 1] - B[j]) / h).sum() for j in range(len(B) - 1))
            elif regulariser.operator == "space" and B.ndim - (h is not None) == 4:
                total += phi(np.diff(B, axis=-2)).sum() + phi(np.diff(B, axis=-1)).sum()
    return 0.7 * total


@pytest.mark.parametrize("regulariser", ALL, ids=lambda r: f"{r.operator} {type(r.penalty).__name__} {r.which}")
def test_value_is_the_sum_and_derivatives_are_its_derivatives(regulariser: BlockRegulariser) -> None:
    x, v = draw(0), draw(1)
    value = regulariser.value(XP, x)
    assert value == pytest.approx(written_out(regulariser, x), rel=1e-13)
    g, Hv = regulariser.grad(XP, x), regulariser.hessian(XP, x, v)
    check_taylor("value", lambda t: regulariser.value(XP, x + t * v), value, np.vdot(g, v))
    check_taylor("gradient", lambda t: regulariser.grad(XP, x + t * v), g, Hv)
    seeds = iter(range(2, 9))
    check_symmetric_psd("Hessian", lambda v: regulariser.hessian(XP, x, v), lambda: draw(next(seeds)), 1e-13)


def evaluate(xp: Backend, x: Any, v: Any) -> list[np.ndarray]:
    found = xp.compile(lambda x, v: [(r.value(xp, x), r.grad(xp, x), r.hessian(xp, x, v)) for r in ALL])(x, v)
    return [part for value, *arrays in found for part in (host_reals(xp, [value]), *map(xp.to_numpy, arrays))]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_all_backends_agree_and_leave_their_arguments_alone(dtype: str) -> None:
    hosts = draw(0), draw(1)
    expected = evaluate(XP, *hosts)
    for xp in numerical_backends(dtype):
        with xp.scope():
            x, v = map(xp.asarray, hosts)
            for found, one in zip(evaluate(xp, x, v), expected, strict=True):
                require_close(f"a regulariser on {xp!r}", found, one, tolerance(xp, 1e-13, 1e-5))
            for left, host in zip((x, v), hosts):
                np.testing.assert_array_equal(xp.to_numpy(left), host)


@pytest.mark.parametrize("library", LIBRARIES)
def test_derivatives_agree_with_automatic_ones(library: str) -> None:
    xp = autodiff_backend(library)
    x, v = xp.asarray(draw(0)), xp.asarray(draw(1))

    def derivatives(x: Any, v: Any) -> list[Any]:
        found: list[Any] = []
        for regulariser in ALL:

            def slope(x: Any, regulariser: Any = regulariser) -> Any:
                return gradient(library, lambda x: regulariser.value(xp, x), x)

            found += [slope(x), directional(library, slope, (x,), (v,))]
        return found

    expected = [xp.to_numpy(a) for a in xp.compile(derivatives)(x, v)]
    found = evaluate(XP, draw(0), draw(1))
    for i in range(len(ALL)):
        np.testing.assert_allclose(found[3 * i + 1], expected[2 * i], rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(found[3 * i + 2], expected[2 * i + 1], rtol=1e-11, atol=1e-12)


def test_nothing_waits_for_a_gpu() -> None:
    with fake_cuda_backend() as xp:
        x = xp.zeros((NETWORK.size,))
        for r in ALL:
            for found in (r.value(xp, x), r.grad(xp, x), r.hessian(xp, x, x)):
                assert found.device.type == "cuda"


def test_refining_in_time_keeps_the_integral() -> None:
    """Controls sampled from theta(t) = t on [0, 2]: the integral of half squares of its slope is 1 at any depth."""
    for depth in (2, 8, 64):
        network = Network((EulerBlock(1, depth, 2.0),))
        h = 2.0 / depth
        x = np.concatenate([h * np.arange(depth), np.zeros(depth)])  # K, then b
        assert smoothness(network, 3.0).value(XP, x) == pytest.approx(3.0 * 0.5 * h * (depth - 1), rel=1e-13)


def test_the_usual_ones_by_name() -> None:
    x = draw(3)
    assert tikhonov(NETWORK, 0.5).value(XP, x) == pytest.approx(0.25 * x @ x, rel=1e-14)
    assert smoothness(NETWORK, 1.0, tau=0.1) == BlockRegulariser(NETWORK, 1.0, "time", SmoothedL1(0.1))
    assert total_variation(NETWORK, 1.0, 0.1) == BlockRegulariser(NETWORK, 1.0, "space", SmoothedL1(0.1))
    assert hash(tikhonov(NETWORK, 0.5)) == hash(tikhonov(NETWORK, 0.5))


@pytest.mark.parametrize("weight", [-1.0, inf, nan])
def test_the_weight_is_non_negative_and_finite(weight: float) -> None:
    with pytest.raises(ConfigurationError, match="weight must be non-negative and finite"):
        tikhonov(NETWORK, weight)


@pytest.mark.parametrize("tau", [0.0, -1.0, inf, nan])
def test_tau_is_positive_and_finite(tau: float) -> None:
    with pytest.raises(ConfigurationError, match="tau must be positive and finite"):
        smoothness(NETWORK, 1.0, tau)


def test_names_are_suggested_and_empty_choices_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'identity'"):
        BlockRegulariser(NETWORK, 1.0, "identiy")
    with pytest.raises(UnknownNameError, match="did you mean 'weights'"):
        tikhonov(NETWORK, 1.0, "weigths")
    dense = Network((Dense(3, 2),))
    for make in (smoothness, total_variation):
        with pytest.raises(ConfigurationError, match="the network has no blocks for the operator"):
            make(dense, 1.0)
    with pytest.raises(ConfigurationError, match="the network has no blocks for the operator 'time'"):
        smoothness(Network((EulerBlock(2, 1),)), 1.0)
