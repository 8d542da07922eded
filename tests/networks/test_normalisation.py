"""Normalisation against torch's own, and evaluation mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.networks.architectures import conv_resnet
from nmdl_bench.networks.normalisation import Normalise

XP = get_backend("numpy")
RNG = np.random.default_rng(0)


def parameters(layer: Normalise) -> dict[str, np.ndarray]:
    return {name: RNG.standard_normal(shape) for name, shape in layer.shapes().items()}


@pytest.mark.parametrize("shape", [(7, 3), (4, 3, 5, 6)])
@pytest.mark.parametrize("kind", ["batch", "instance"])
def test_torch_agrees(kind: str, shape: tuple[int, ...]) -> None:
    layer = Normalise(kind, 3, eps=1e-2)
    theta, Y = parameters(layer), 2 + RNG.standard_normal(shape)
    A, _ = layer.forward(XP, theta, Y)
    X, scale, shift = (torch.tensor(a) for a in (Y, theta["scale"], theta["shift"]))
    f = torch.nn.functional
    if kind == "batch":
        expected = f.batch_norm(X, None, None, scale, shift, training=True, eps=1e-2)
    elif len(shape) == 2:
        expected = f.layer_norm(X, (3,), scale, shift, eps=1e-2)
    else:
        expected = f.instance_norm(X, None, None, scale, shift, eps=1e-2)
    np.testing.assert_allclose(A, expected.numpy(), rtol=1e-12, atol=1e-12)


def test_total_variation_is_the_formula() -> None:
    layer = Normalise("tv", 3)
    Y = RNG.standard_normal((2, 3, 4, 4))
    A, _ = layer.forward(XP, layer.init(RNG), Y)
    np.testing.assert_allclose(A, Y / np.sqrt((Y**2).sum(axis=1, keepdims=True) + 1e-3), rtol=1e-14)
    assert np.all((A**2).sum(axis=1) < 1)


def test_statistics_of_the_same_batch_change_nothing_and_those_of_another_do() -> None:
    layer = Normalise("batch", 3)
    theta, Y = parameters(layer), RNG.standard_normal((8, 3, 2, 2))
    A, tape = layer.forward(XP, theta, Y)
    statistics = layer.statistics(tape)
    B, _ = layer.forward(XP, theta, Y, statistics)
    np.testing.assert_allclose(A, B, rtol=1e-13)
    one, _ = layer.forward(XP, theta, Y[:1], statistics)  # a sample's output does not depend on its batch
    np.testing.assert_allclose(one, A[:1], rtol=1e-13)
    alone, _ = layer.forward(XP, theta, Y[:1])
    assert np.abs(alone - one).max() > 0.1


@pytest.mark.parametrize("memory", ["all", "checkpoint"])
def test_a_whole_network_in_evaluation_mode(memory: str) -> None:
    network = conv_resnet((1, 4, 4), 3, (2, 4), depth=2, norm="batch", memory=memory)
    theta, Y = network.init(RNG), RNG.standard_normal((6, 16))
    S, _ = network.forward(XP, theta, Y)
    aux = network.statistics(XP, theta, Y)
    np.testing.assert_allclose(network.forward(XP, theta, Y, aux)[0], S, rtol=1e-10)
    np.testing.assert_allclose(network.forward(XP, theta, Y[2:3], aux)[0], S[2:3], rtol=1e-10)


def test_networks_without_batch_normalisation_have_no_statistics() -> None:
    network = conv_resnet((1, 4, 4), 3, (2, 4), depth=2, norm="tv")
    assert network.statistics(XP, network.init(RNG), RNG.standard_normal((2, 16))) is None


def test_bad_sizes() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'batch'"):
        Normalise("bach", 3)
    with pytest.raises(ConfigurationError, match="eps must be positive and finite, not 0"):
        Normalise("batch", 3, 0)
    with pytest.raises(ConfigurationError, match="takes 3 channels"):
        Normalise("batch", 3).output((2, 4, 4))
