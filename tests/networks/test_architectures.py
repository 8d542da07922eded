from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.networks.architectures import IMAGE_KERNELS, INTEGRATORS, KERNELS, conv_resnet, evolution, resnet
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.integrators import HEUN, RungeKutta
from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.parts import Chain, Dropout
from nmdl_bench.networks.rhs import RIGHT_HAND_SIDES, Hamiltonian, single

XP = get_backend("numpy")


@pytest.mark.parametrize("rhs", RIGHT_HAND_SIDES)
@pytest.mark.parametrize("kernel", [*KERNELS, *IMAGE_KERNELS])
def test_every_pair_of_right_hand_side_and_kernel_builds(rhs: str, kernel: str) -> None:
    block = evolution(4, 2, rhs=rhs, kernel=kernel)
    shape = (4, 4, 4) if kernel in IMAGE_KERNELS else (4,)
    assert block.output(shape) == shape
    rng = np.random.default_rng(0)
    blocks = block.init(rng)
    assert {name: b.shape for name, b in blocks.items()} == block.shapes()
    assert block.forward(XP, blocks, rng.standard_normal((2, *shape)))[0].shape == (2, *shape)


def test_textbook_steps() -> None:
    """One step of each method, written out."""
    rng = np.random.default_rng(0)
    Y, h = rng.standard_normal((3, 4)), 0.5
    for name in ("euler", "heun", "rk4", "leapfrog"):
        block = evolution(4, 1, h, integrator=name, rhs="parabolic")
        theta = block.init(rng)
        K, b = theta["K"][0], theta["b"][0]
        f = lambda U, K=K, b=b: -np.tanh(U @ K + b) @ K.T  # noqa: E731
        k1 = f(Y)
        k2 = f(Y + h / 2 * k1)
        k3 = f(Y + h / 2 * k2)
        expected = {
            "euler": Y + h * k1,
            "heun": Y + h / 2 * (k1 + f(Y + h * k1)),
            "rk4": Y + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(Y + h * k3)),
            "leapfrog": Y + h * h * k1,
        }[name]
        np.testing.assert_allclose(block.forward(XP, theta, Y)[0], expected, rtol=1e-13)
    block = evolution(4, 1, h, integrator="symplectic-euler", rhs="hamiltonian-single")
    theta = block.init(rng)
    K, b = theta["K"][0], theta["b"][0]
    U = Y[:, :2] + h * np.tanh(Y[:, 2:] @ K + b)
    V = Y[:, 2:] - h * np.tanh(U @ K.T + b)
    np.testing.assert_allclose(block.forward(XP, theta, Y)[0], np.hstack([U, V]), rtol=1e-13)


def test_controls_may_be_fewer_or_more_than_steps() -> None:
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((3, 4))
    coarse, fine = evolution(4, 6, number=3), evolution(4, 6)
    theta = coarse.init(rng)
    copied = {name: np.repeat(block, 2, axis=0) for name, block in theta.items()}
    np.testing.assert_allclose(coarse.forward(XP, theta, Y)[0], fine.forward(XP, copied, Y)[0], rtol=1e-13)
    linear = evolution(4, 6, controls="linear", number=2, integrator="heun")
    theta = linear.init(rng)
    K = lambda t: (1 - t) * theta["K"][0] + t * theta["K"][1]  # noqa: E731
    b = lambda t: (1 - t) * theta["b"][0] + t * theta["b"][1]  # noqa: E731
    Z, h = Y, 1 / 6
    for j in range(6):
        t = j * h
        F = np.tanh(Z @ K(t) + b(t))
        Z = Z + h / 2 * (F + np.tanh((Z + h * F) @ K(t + h) + b(t + h)))
    np.testing.assert_allclose(linear.forward(XP, theta, Y)[0], Z, rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: evolution(4, 2, rhs="singel"), UnknownNameError, "did you mean 'single'"),
        (lambda: evolution(4, 2, kernel="dens"), UnknownNameError, "did you mean 'dense'"),
        (lambda: evolution(4, 2, integrator="rk5"), UnknownNameError, "did you mean 'rk4'"),
        (lambda: evolution(4, 2, memory="some"), UnknownNameError, "unknown memory mode 'some'"),
        (lambda: evolution(4, 2, controls="cubic"), UnknownNameError, "unknown kind of controls 'cubic'"),
        (lambda: evolution(4, 2, controls="linear", number=1), ConfigurationError, "at least 2 points"),
        (lambda: evolution(5, 2, rhs="hamiltonian"), ConfigurationError, "use an even width, not 5"),
        (lambda: evolution(4, 2, integrator="verlet"), ConfigurationError, "needs a right-hand side with two fields"),
        (lambda: evolution(4, 2, memory="reversible"), ConfigurationError, "euler cannot be run backwards"),
        (lambda: evolution(4, 0), ConfigurationError, "depth must be a positive integer, not 0"),
        (lambda: evolution(4, 1, 0.0), ConfigurationError, "time must be positive and finite, not 0.0"),
        (lambda: RungeKutta("bad", ((), ()), (0.5, 0.5)), ConfigurationError, "rows of 0, 1, 2"),
        (lambda: RungeKutta("bad", ((),), (0.5,)), ConfigurationError, "sum to 1"),
        (lambda: conv_resnet((1, 8, 8), 2, ()), ConfigurationError, "at least one stage"),
        (lambda: conv_resnet((1, 9, 9), 2), ConfigurationError, "do not divide into patches of 2"),
        (lambda: conv_resnet((1, 8, 8), 2, classifier="mean"), UnknownNameError, "unknown classifier 'mean'"),
        (lambda: resnet(2, 2, 4, 2, kernel="conv"), ConfigurationError, "takes images of 4 channels"),
        (lambda: resnet(2, 2, 4, 2, dropout=1.0), ConfigurationError, r"must lie in \[0, 1\), not 1.0"),
    ],
)
def test_what_does_not_go_together_is_said_in_a_sentence(make: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        make()


def test_dropout_drops_at_its_rate_and_keeps_the_mean() -> None:
    mask = Dropout(0.25).draw(np.random.Generator(np.random.Philox(0)), 1000, (20,))
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}
    assert mask.mean() == pytest.approx(1, abs=0.02)


def test_dropout_inside_a_right_hand_side_is_refused() -> None:
    inside = Evolution(Chain((*single(DenseKernel(4, 4)).parts, Dropout(0.5))), 2, 1.0, HEUN)
    field = Chain((*single(DenseKernel(2, 2)).parts, Dropout(0.5)))
    for steps in (inside, Evolution(Hamiltonian(field, field), 2)):
        with pytest.raises(ConfigurationError, match="put it between blocks"):
            steps.draw(np.random.default_rng(0), 3, (4,))


@pytest.mark.parametrize(("kernel", "shape"), [("dense", (4,)), ("scaling", (4,)), ("channel-scaling", (4, 4, 4))])
def test_semi_implicit_steps_fit_vectors_and_images(kernel: str, shape: tuple[int, ...]) -> None:
    block = evolution(4, 2, kernel=kernel, integrator="imex")
    assert block.output(shape) == shape


def test_blocks_are_laid_out_by_their_shapes_not_by_the_order_of_their_draws() -> None:
    class Backwards(Chain):
        def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
            return dict(reversed(super().init(rng).items()))

    parts = single(DenseKernel(2, 3), outputs=3).parts
    one, other = (Network((kind(parts),)).init(np.random.default_rng(0)) for kind in (Chain, Backwards))
    np.testing.assert_array_equal(one, other)


def test_image_networks() -> None:
    network = conv_resnet((3, 8, 8), 10, (4, 6), depth=2, classifier="linear", dropout=0.5)
    assert network.output((192,)) == (10,)
    masks = network.draw(np.random.default_rng(0), 5, (192,))
    assert [None if mask is None else mask.shape for mask in masks] == [None] * 7 + [(5, 96), None]
    assert set(INTEGRATORS) == {"euler", "heun", "rk4", "symplectic-euler", "verlet", "leapfrog"}
