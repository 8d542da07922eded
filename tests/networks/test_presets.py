"""Published networks: shapes and sizes, and a training step on images of the data sets' formats on every backend."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import UnknownNameError
from nmdl_bench.data import from_arrays
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.presets import PRESETS, Preset, get_preset
from nmdl_bench.networks.rhs import Hamiltonian
from nmdl_bench.networks.weights import weights_of
from nmdl_bench.problems import LearningProblem
from nmdl_bench.testing import numerical_backends, standins

SHAPES = {"stl10": (3, 96, 96), "cifar10": (3, 32, 32), "cifar100": (3, 32, 32), "74": (3, 96, 96)}
CHANNELS = {"stl10": [16, 32, 64, 128, 128], "cifar10": [32, 64, 112, 112], "cifar100": [32, 64, 128, 256]}


def data_of(name: str) -> str:
    return name.rpartition("-")[2]


def test_three_kinds_for_three_data_sets_and_the_reversible_one() -> None:
    kinds, data = ("parabolic", "hamiltonian", "second-order"), ("stl10", "cifar10", "cifar100")
    assert set(PRESETS) == {f"{kind}-{one}" for kind in kinds for one in data} | {"hamiltonian-74"}
    assert all(name == preset.name and preset.summary and preset.source for name, preset in PRESETS.items())
    with pytest.raises(UnknownNameError, match="did you mean 'parabolic-stl10'"):
        get_preset("parabolic-stl")


def counted(preset: Preset) -> int:
    """Weights by the numbers of the description: K, scale and shift a step; connectors; classifier."""
    channels, classes = CHANNELS[data_of(preset.name)], preset.classes
    halves = preset.name.startswith("hamiltonian")
    opening = 3 * channels[0] * 9 + 2 * channels[0]
    steps = 0
    for c in channels[:-1]:
        width = c // 2 if halves else c
        steps += 3 * (2 if halves else 1) * (9 * width**2 + 2 * width)
    connectors = sum(a * b + 2 * b for a, b in pairwise(channels))
    return opening + steps + connectors + channels[-1] * classes + classes


@pytest.mark.parametrize("name", PRESETS)
def test_shapes_and_sizes(name: str) -> None:
    preset = PRESETS[name]
    assert preset.shape == SHAPES[data_of(name)]
    network = preset.network()
    assert network.output((int(np.prod(preset.shape)),)) == (preset.classes,)
    assert preset.classes == (100 if name.endswith("cifar100") else 10)
    blocks = [layer for layer in network.layers if isinstance(layer, Evolution)]
    sides, shape = [], (int(np.prod(preset.shape)),)
    for layer in network.layers:
        shape = layer.output(shape)
        if isinstance(layer, Evolution):
            sides.append(shape[1])
            assert isinstance(layer.rhs, Hamiltonian) == name.startswith("hamiltonian")
    assert sides == [preset.shape[1] // 2**i for i in range(len(blocks))]
    # the only bias is the classifier's
    assert [i for i, layer in enumerate(network.layers) if "b" in layer.shapes()] == [len(network.layers) - 1]
    if name == "hamiltonian-74":
        kernels = sum(layer.depth * 4 for layer in blocks)  # each step: K and its transpose in two fields
        assert kernels + 2 == 74
        assert all(set(weights_of(layer)) == {"K_1", "K_2"} for layer in blocks)
        assert [layer.output((c, 8, 8))[0] for layer, c in zip(blocks, (32, 64, 112))] == [32, 64, 112]
        assert all(layer.memory == "reversible" for layer in blocks)
    else:
        assert network.size == counted(preset)


def training_step(preset: Preset, network: Network, shape: tuple[int, ...], xp: Backend) -> tuple[float, float, Any]:
    """Loss before and after a step along the negative gradient, on two images."""
    rng = np.random.Generator(np.random.Philox(0))
    Y = rng.standard_normal((2, int(np.prod(shape))))
    data = from_arrays(
        preset.name, Y, np.array([0, 7]), n_validation=0, n_test=0, classes=preset.classes, image_shape=shape
    )
    with xp.scope():
        objective = Evaluation(LearningProblem(preset.name, "", data, network).bind(xp))
        x = objective.x0
        f, g = objective.value_and_grad(x)
        host = xp.to_numpy(g)
        t = 0.1 / float(np.vdot(host, host)) ** 0.5
        after, _ = objective.value_and_grad(xp.add_scaled(x, -t, g))
        return float(f), float(after), host


def check_step(preset: Preset, xp: Backend, expected: Any = None, **options: Any) -> Any:
    network = preset.network(**options)
    before, after, gradient = training_step(preset, network, options.get("shape", preset.shape), xp)
    assert np.isfinite(gradient).all()
    for named in network.unpack(get_backend("numpy"), gradient):
        for name, block in named.items():
            assert np.any(block != 0), (preset.name, name)
    assert after < before
    if expected is not None:
        assert (before, after) == pytest.approx(expected[:2], rel=1e-10)
        np.testing.assert_allclose(gradient, expected[2], rtol=1e-7, atol=1e-9 * np.abs(expected[2]).max())
    return before, after, gradient


@pytest.mark.parametrize("name", PRESETS)
def test_a_training_step_on_images_of_the_real_format(name: str) -> None:
    preset = PRESETS[name]
    found = check_step(preset, get_backend("torch"))
    if preset.shape[1] == 32:
        check_step(preset, get_backend("numpy"), found)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["numpy", "jax"])
@pytest.mark.parametrize("name", PRESETS)
def test_a_training_step_on_images_of_the_real_format_everywhere(name: str, library: str) -> None:
    preset = PRESETS[name]
    check_step(preset, get_backend(library), check_step(preset, get_backend("torch")))


@pytest.mark.parametrize("name", ["parabolic-cifar10", "hamiltonian-cifar100", "second-order-stl10", "hamiltonian-74"])
def test_a_training_step_of_narrow_ones_on_every_stand_in(name: str) -> None:
    preset = PRESETS[name]
    stages = 4 if name.endswith("stl10") else 3
    options: dict[str, Any] = {"shape": (3, 16, 16), "channels": (4, 6, 4, 2)[:stages], "depth": 2}
    options |= {"opening": 4} if name == "hamiltonian-74" else {"last": 8}
    expected = check_step(preset, get_backend("numpy"), **options)
    for xp in standins():
        check_step(preset, xp, expected, **options)


@pytest.mark.slow
def test_all_backends_agree_in_float32() -> None:
    preset = PRESETS["parabolic-cifar10"]
    options: dict[str, Any] = {"shape": (3, 8, 8), "channels": (4, 6), "last": 8}
    expected = check_step(preset, get_backend("numpy"), **options)
    for xp in numerical_backends("float32"):
        before, after, gradient = check_step(preset, xp, **options)
        assert (before, after) == pytest.approx(expected[:2], rel=1e-4)
        assert np.abs(gradient - expected[2]).max() < 1e-3 * np.abs(expected[2]).max()
