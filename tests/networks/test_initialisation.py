"""Named schemes of initial weights: spread, orthogonality, what is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.networks.architectures import conv_resnet, evolution, resnet
from nmdl_bench.networks.initialisation import SCHEMES, initialise
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.weights import fans, weights_of

XP = get_backend("numpy")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize(
    ("scheme", "options", "deviation"),
    [
        ("glorot-normal", {}, lambda i, o: (2 / (i + o)) ** 0.5),
        ("glorot-uniform", {}, lambda i, o: (2 / (i + o)) ** 0.5),
        ("he", {}, lambda i, o: (2 / i) ** 0.5),
        ("he", {"gain": 0.5}, lambda i, o: 0.5 * (2 / i) ** 0.5),
        ("normal", {"sd": 3.0}, lambda i, o: 3.0),
        ("uniform", {"a": 0.05}, lambda i, o: 0.05 / 3**0.5),
        ("zeros", {}, lambda i, o: 0.0),
    ],
)
def test_spread_follows_the_fans(scheme: str, options: dict[str, float], deviation: Any) -> None:
    for network in (
        resnet(60, 20, 40, 30),
        conv_resnet((3, 8, 8), 40, (16, 32), 3, rhs="hamiltonian", integrator="verlet"),
        conv_resnet((3, 8, 8), 40, (48,), 8, kernel="lean"),
    ):
        blocks = network.unpack(XP, initialise(network, rng(), scheme, **options))
        for layer, named in zip(network.layers, blocks):
            kernels = weights_of(layer)
            assert {name for name in named if name[0].isupper()} == set(kernels)
            for name, kernel in kernels.items():
                expected = deviation(*fans(kernel))
                assert named[name].std() == pytest.approx(expected, rel=4 / named[name].size ** 0.5)
                assert abs(named[name].mean()) <= 4 * expected / named[name].size ** 0.5
                if scheme in ("glorot-uniform", "uniform"):
                    assert np.abs(named[name]).max() <= expected * 3**0.5


def test_fans_of_every_kernel() -> None:
    def of(kernel: str) -> dict[str, tuple[float, float]]:
        return {name: fans(one) for name, one in weights_of(evolution(8, 2, kernel=kernel)).items()}

    assert of("dense") == {"K": (8, 8)}
    assert of("sparse") == {"K": (2, 2)}
    assert of("scaling") == {"K": (1, 1)}
    assert of("conv") == {"K": (72, 72)}
    assert of("circulant") == {"K": (72, 72)}
    assert of("lean") == {"K_stencil": (9, 9), "K_mix": (8, 8)}
    opening = conv_resnet((1, 8, 8), 3, (8,)).layers[1]
    assert {name: fans(kernel) for name, kernel in weights_of(opening).items()} == {"K": (9, 72)}


@pytest.mark.parametrize(
    ("rhs", "names"), [("double", {"K1", "K2"}), ("hamiltonian", {"K_1", "K_2"}), ("hamiltonian-single", {"K"})]
)
def test_weights_are_found_in_every_right_hand_side(rhs: str, names: set[str]) -> None:
    layer = evolution(4, 2, rhs=rhs, integrator="imex")
    assert set(weights_of(layer)) == names | {"K_implicit"}


def test_orthogonal_weights() -> None:
    network = Network((*resnet(20, 5, 10, 4).layers[:2],))
    opening, block = network.unpack(XP, initialise(network, rng(), "orthogonal", gain=2.0))
    np.testing.assert_allclose(opening["K"].T @ opening["K"], 4 * np.eye(10), atol=1e-13)
    for K in block["K"]:
        np.testing.assert_allclose(K @ K.T, 4 * np.eye(10), atol=1e-13)
    assert np.abs(block["K"][0] - block["K"][1]).max() > 0.1
    image = conv_resnet((3, 8, 8), 5, (4,), 2)
    for named in image.unpack(XP, initialise(image, rng(), "orthogonal"))[1:3]:
        K = named["K"].reshape(-1, 4, named["K"].size // (4 * len(named["K"].reshape(-1, *named["K"].shape[-4:]))))
        for one in K:
            np.testing.assert_allclose(one @ one.T, np.eye(4), atol=1e-13)
    lean = Network((evolution(4, 2, kernel="lean"),))
    (named,) = lean.unpack(XP, initialise(lean, rng(), "orthogonal"))
    np.testing.assert_allclose((named["K_stencil"] ** 2).sum(axis=(2, 3, 4)), 1, atol=1e-13)
    with pytest.raises(ConfigurationError, match="no full matrix; initialise it by another scheme"):
        initialise(Network((evolution(8, 2, kernel="sparse"),)), rng(), "orthogonal")
    scaling = Network((evolution(8, 2, kernel="scaling"),))
    assert set(np.abs(scaling.unpack(XP, initialise(scaling, rng(), "orthogonal"))[0]["K"].ravel())) == {1.0}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_biases_and_scales_start_as_ever_and_draws_repeat(scheme: str) -> None:
    network = conv_resnet((1, 8, 8), 3, (2, 4), 2, bias=True)
    theta = initialise(network, rng(3), scheme)
    assert theta.tobytes() == initialise(network, rng(3), scheme).tobytes()
    for named in network.unpack(XP, theta):
        for name, block in named.items():
            if name == "scale":
                assert np.all(block == 1)
            if name == "shift":
                assert np.all(block == 0)
            if name == "b":
                assert np.all(block != 0)
                assert block.std() < 0.3


def test_lecture_6_wide_uniform_weights_explode_and_narrow_ones_vanish() -> None:
    """||K3 K2 K1 y|| in R^100 for N(0, 1), U[-.5, .5], U[-.05, .05] against orthogonal matrices, which keep it."""
    chain = Network(resnet(100, 1, 100, 3, activation="identity").layers[:1] * 3)
    y = rng(1).standard_normal((1, 100))
    sizes = {}
    for scheme, options in {"normal": {}, "uniform": {}, "narrow": {"a": 0.05}, "orthogonal": {}}.items():
        theta = initialise(chain, rng(), "uniform" if scheme == "narrow" else scheme, **options)
        product = y
        for named in chain.unpack(XP, theta):
            product = product @ named["K"]
        sizes[scheme] = np.linalg.norm(product) / np.linalg.norm(y)
    assert sizes["normal"] == pytest.approx(1000, rel=0.5)
    assert sizes["uniform"] == pytest.approx((100 / 12) ** 1.5, rel=0.5)
    assert sizes["narrow"] == pytest.approx((1 / 12) ** 1.5, rel=0.5)
    assert sizes["orthogonal"] == pytest.approx(1, abs=1e-13)


def test_bad_names_and_values_are_named() -> None:
    network = resnet(2, 2, 2, 1)
    with pytest.raises(UnknownNameError, match="did you mean 'he'"):
        initialise(network, rng(), "hee")
    with pytest.raises(UnknownNameError, match="option of initialisation 'normal'"):
        initialise(network, rng(), "normal", gain=1.0)
    with pytest.raises(ConfigurationError, match="sd must be positive and finite, not -1"):
        initialise(network, rng(), "normal", sd=-1)
