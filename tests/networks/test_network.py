from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.networks.activations import get_activation
from nmdl_bench.networks.architectures import resnet
from nmdl_bench.networks.layers import Dense, EulerBlock
from nmdl_bench.networks.losses import get_loss
from nmdl_bench.networks.network import Network

XP = get_backend("numpy")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda v: Dense(v, 2), "inputs"),
        (lambda v: Dense(2, v), "outputs"),
        (lambda v: EulerBlock(v, 2), "width"),
        (lambda v: EulerBlock(2, v), "depth"),
    ],
)
@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None])
def test_sizes_are_positive_integers(make: Any, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a positive integer, not {value!r}"):
        make(value)


@pytest.mark.parametrize("time", [0.0, -1.0, inf, nan])
def test_the_final_time_is_positive_and_finite(time: float) -> None:
    with pytest.raises(ConfigurationError, match="time must be positive and finite"):
        EulerBlock(2, 2, time)


def test_unknown_names_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tanh'"):
        get_activation("tahn")
    with pytest.raises(UnknownNameError, match="did you mean 'softplus'"):
        Dense(2, 2, "soft-plus")
    with pytest.raises(UnknownNameError, match="did you mean 'cross-entropy'"):
        get_loss("crossentropy")


def test_the_forward_pass_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    network = resnet(2, 3, 4, depth=5, time=2.0, activation="tanh")
    theta, Y = network.init(rng), rng.standard_normal((6, 2))
    opening, block, classifier = network.unpack(XP, theta)
    Z = np.tanh(Y @ opening["K"] + opening["b"])
    for K, b in zip(block["K"], block["b"]):
        Z = Z + 0.4 * np.tanh(Z @ K + b)
    S, _ = network.forward(XP, theta, Y)
    np.testing.assert_allclose(S, Z @ classifier["K"] + classifier["b"], rtol=1e-14)


def test_depth_zero_is_an_affine_map() -> None:
    network = resnet(2, 3, 4, depth=0)
    assert network == Network((Dense(2, 3),))
    assert network.size == 9


def test_sizes_and_layout() -> None:
    network = resnet(2, 3, 4, depth=5)
    theta = np.arange(float(network.size))
    assert network.size == (2 * 4 + 4) + 5 * (4 * 4 + 4) + (4 * 3 + 3)
    blocks = network.unpack(XP, theta)
    assert [{name: a.shape for name, a in named.items()} for named in blocks] == [
        {"K": (2, 4), "b": (4,)}, {"K": (5, 4, 4), "b": (5, 4)}, {"K": (4, 3), "b": (3,)},
    ]  # fmt: skip
    assert all(np.shares_memory(a, theta) for named in blocks for a in named.values())
    np.testing.assert_array_equal(network.pack(XP, blocks), theta)


def test_initial_parameters() -> None:
    network = resnet(50, 10, 40, depth=30)
    theta = network.init(np.random.Generator(np.random.Philox(3)))
    again = network.init(np.random.Generator(np.random.Philox(3)))
    assert theta.tobytes() == again.tobytes()
    opening, block, classifier = network.unpack(XP, theta)
    assert opening["K"].std() == pytest.approx((2 / 90) ** 0.5, rel=0.05)
    assert block["K"].std() == pytest.approx((1 / 40) ** 0.5, rel=0.05)
    assert classifier["K"].std() == pytest.approx((2 / 50) ** 0.5, rel=0.1)
    for blocks in (opening, block, classifier):  # zero biases would leave symmetric data with vanishing gradients
        assert np.all(blocks["b"] != 0)
    assert block["b"].std() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus", "identity"])
def test_equal_networks_share_a_hash(activation: str) -> None:
    one, other = (resnet(2, 3, 4, 5, activation=activation) for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))
    assert one != resnet(2, 3, 4, 6, activation=activation)


def test_losses_have_their_textbook_values() -> None:
    S, C = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]]), np.eye(3)[[2, 0]]
    cross_entropy = np.mean([np.log(np.exp([1, 2, 4]).sum()) - 4, np.log(3)])
    assert get_loss("cross-entropy").forward(XP, S.copy(), C)[0] == pytest.approx(cross_entropy, rel=1e-14)
    half_squares = 0.5 * np.mean([1 + 4 + 9, 1])
    assert get_loss("least-squares").forward(XP, S.copy(), C)[0] == pytest.approx(half_squares, rel=1e-14)


def test_cross_entropy_survives_huge_outputs() -> None:
    S, C = np.array([[1e4, 0.0], [-1e4, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    loss = get_loss("cross-entropy")
    f, tape = loss.forward(XP, S, C)
    assert f == pytest.approx(5e3)
    np.testing.assert_allclose(loss.grad(XP, tape), [[0.0, 0.0], [-0.5, 0.5]])
