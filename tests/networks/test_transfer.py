"""Transfer in time and across resolutions: what must stay the same stays, and the rest only up to the stated order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.networks.architectures import conv_resnet, evolution, resnet
from nmdl_bench.networks.dopri import integrate
from nmdl_bench.networks.kernels import CirculantKernel, ConvKernel
from nmdl_bench.networks.linear_maps import Reshape
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.rhs import single
from nmdl_bench.networks.transfer import coarsen, prolong, refine, refine_network, resample

XP = get_backend("numpy")


# -------------------------------------------------------------------------------------------------------------- time
@pytest.mark.parametrize(
    ("controls", "number", "how"),
    [("constant", None, "copy"), ("constant", 3, "copy"), ("linear", None, "linear"), ("linear", 4, "linear")],
)
def test_refinement_that_keeps_the_controls_keeps_the_equation(controls: str, number: int | None, how: str) -> None:
    coarse = evolution(4, 6, 1.5, controls=controls, number=number)
    rng = np.random.default_rng(0)
    theta, Y = coarse.init(rng), rng.standard_normal((5, 4))
    fine, finer = refine(coarse, theta, how)
    assert (fine.depth, fine.time, fine.grid.number) == (12, 1.5, len(finer["K"]))
    for t in rng.uniform(0, 1.5, 20):
        for name in theta:
            np.testing.assert_allclose(fine.grid.at(t, finer[name]), coarse.grid.at(t, theta[name]), atol=1e-14)
    one, other = (integrate(XP, e, w, Y, 1e-10, 1e-10)[0] for e, w in ((coarse, theta), (fine, finer)))
    np.testing.assert_allclose(one, other, atol=1e-8)


def test_constant_controls_are_interpolated_between_the_middles_of_their_intervals() -> None:
    coarse = evolution(1, 3, 3.0)
    values = np.array([1.0, 3.0, 7.0])
    theta = {"K": values[:, None, None], "b": values[:, None]}
    fine, finer = refine(coarse, theta, "linear")
    # old middles .5, 1.5, 2.5; new ones .25, .75, 1.25, ...; constant beyond the ends
    expected = [1.0, 1.5, 2.5, 4.0, 6.0, 7.0]
    assert fine.depth == 6
    np.testing.assert_allclose(finer["K"][:, 0, 0], expected)
    np.testing.assert_allclose(finer["b"][:, 0], expected)


def test_a_refined_network_converges_to_the_same_flow() -> None:
    network = resnet(3, 2, 4, 4, 2.0)
    rng = np.random.default_rng(0)
    theta, Y = network.init(rng), rng.standard_normal((6, 3))
    outputs = [network.forward(XP, theta, Y)[0]]
    for _ in range(5):
        network, theta = refine_network(network, theta)
        assert theta.shape == (network.size,)
        outputs.append(network.forward(XP, theta, Y)[0])
    gaps = [np.abs(one - other).max() for one, other in pairwise(outputs)]
    assert network.layers[1].depth == 128
    assert all(1.6 < one / other < 2.4 for one, other in pairwise(gaps[1:]))  # Euler's order


def test_jumps_are_not_put_into_linear_controls() -> None:
    coarse = evolution(2, 2, controls="linear")
    with pytest.raises(ConfigurationError, match="cannot be refined by 'copy'"):
        refine(coarse, coarse.init(np.random.default_rng(0)))
    with pytest.raises(UnknownNameError, match="did you mean 'linear'"):
        refine(coarse, {}, "liner")


# ------------------------------------------------------------------------------------------------------------- space
def test_the_exercise_of_the_course() -> None:
    """Kernel (-67, 129, -59) on 16 cells: 3 u + u' / 2 - (127.5 / 512) u'', and its stencil for 32 cells."""
    K = np.array([-67.0, 129.0, -59.0])
    h = 1 / 16
    x = 0.3
    beta = 3.0, 0.5, 127.5 / 512
    fine = resample(K, 0.5)
    np.testing.assert_allclose(fine, [-262.25, 511.5, -246.25], atol=1e-12)
    np.testing.assert_allclose(resample(fine, 2.0), K, atol=1e-12)

    def error(stencil: np.ndarray, h: float) -> float:
        applied = sum(k * np.sin(x + j * h) for k, j in zip(stencil, (-1, 0, 1)))
        exact = beta[0] * np.sin(x) + beta[1] * np.cos(x) + beta[2] * np.sin(x)
        return abs(applied - exact)

    errors = [error(K, h)]
    for _ in range(4):
        K, h = resample(K, 0.5), h / 2
        errors.append(error(K, h))
    assert all(3.8 < one / other < 4.2 for one, other in pairwise(errors))


def matrix(stencil: np.ndarray, n: int) -> np.ndarray:
    return sum(k * np.eye(n, k=j) for k, j in zip(stencil, (-1, 0, 1)))


def transfers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Full weighting and linear interpolation between 2 n + 1 points and every second one of them, n."""
    P = np.zeros((2 * n + 1, n))
    for i in range(n):
        P[2 * i : 2 * i + 3, i] = 0.5, 1.0, 0.5
    return P.T / 2, P


def test_galerkin_stencils_are_the_matrix_product_away_from_the_boundary() -> None:
    rng = np.random.default_rng(0)
    n, K = 7, rng.standard_normal(3)
    R, P = transfers(n)
    expected = R @ matrix(K, 2 * n + 1) @ P
    np.testing.assert_allclose(matrix(coarsen(K), n)[1:-1], expected[1:-1], atol=1e-14)
    # a sum of two separable stencils, so that nothing is special in two dimensions
    K2 = np.outer(rng.standard_normal(3), rng.standard_normal(3)) + np.outer(rng.standard_normal(3), K)
    full = sum(
        K2[i, j] * np.kron(np.eye(2 * n + 1, k=i - 1), np.eye(2 * n + 1, k=j - 1)) for i in range(3) for j in range(3)
    )
    expected = np.kron(R, R) @ full @ np.kron(P, P)
    found = sum(coarsen(K2)[i, j] * np.kron(np.eye(n, k=i - 1), np.eye(n, k=j - 1)) for i in range(3) for j in range(3))
    inside = np.zeros((n, n), bool)
    inside[1:-1, 1:-1] = True
    np.testing.assert_allclose(found[inside.ravel()], expected[inside.ravel()], atol=1e-13)


@pytest.mark.parametrize("shape", [(3,), (3, 3), (5, 2, 4, 3, 3)])
def test_stencils_go_to_and_fro(shape: tuple[int, ...]) -> None:
    K = np.random.default_rng(0).standard_normal(shape)
    np.testing.assert_allclose(coarsen(prolong(K)), K, atol=1e-12)
    np.testing.assert_allclose(resample(resample(K, 0.5), 2.0), K, atol=1e-11)
    with pytest.raises(ConfigurationError, match="width 3"):
        coarsen(np.zeros((5, 5)))


def bump(n: int) -> np.ndarray:
    """A smooth image in the middle of [0, 1]^2 at the centres of n x n cells: nothing of it meets the boundary."""
    x = (np.arange(n) + 0.5) / n - 0.5
    return np.exp(-60 * ((x[:, None] - 0.05) ** 2 + x**2))[None, None]


def rough_network(n: int, kernel: str, depth: int = 1) -> Network:
    return conv_resnet(
        (1, n, n), 3, (2, 4), depth, 0.2, "tanh", rhs="single", kernel=kernel, norm=None, classifier="linear"
    )


def with_derivatives(network: Network) -> np.ndarray:
    """Parameters whose stencils are rough: derivatives count."""
    theta = network.init(np.random.default_rng(0))
    for named in network.unpack(XP, theta):
        for name, block in named.items():
            if block.shape[-2:] == (3, 3):
                named[name][...] = resample(block, 0.5)
    return theta


@pytest.mark.parametrize("space", ["rediscretise", "galerkin"])
@pytest.mark.parametrize("kernel", ["conv", "lean", "circulant", "depthwise"])
def test_a_network_on_finer_images_does_the_same(space: str, kernel: str) -> None:
    """On smooth images the refined network differs by O(h^2): the next refinement quarters the change."""
    network = rough_network(64, kernel)
    first = theta = with_derivatives(network)
    outputs, refined = [], []
    for n in (64, 128, 256):
        assert network == rough_network(n, kernel)
        outputs.append(network.forward(XP, theta, bump(n).reshape(1, -1))[0])
        network, theta = refine_network(network, theta, None, space)
        refined.append(theta)
    one, other = (np.abs(one - other).max() for one, other in pairwise(outputs))
    assert one < 0.03 * np.abs(outputs[0]).max()
    assert 3.6 < one / other < 4.4
    # the stencils as they were would be another operator on finer images
    finer, kept = rough_network(128, kernel), []
    for name, before, after in blocks_of(rough_network(64, kernel), first, finer, refined[0]):
        kept.append((after if name == "dense" else before).ravel())
    unchanged = finer.forward(XP, np.concatenate(kept), bump(128).reshape(1, -1))[0]
    assert np.abs(unchanged - outputs[0]).max() > 2 * one


def blocks_of(coarse: Network, theta: np.ndarray, fine: Network, finer: np.ndarray) -> list[tuple[str, Any, Any]]:
    """Corresponding blocks; those of the classifier are called ``dense``."""
    found = []
    last = len(coarse.layers) - 1
    for i, (one, other) in enumerate(zip(coarse.unpack(XP, theta), fine.unpack(XP, finer))):
        found += [("dense" if i == last else name, one[name], other[name]) for name in one]
    return found


def test_time_and_space_together() -> None:
    coarse = rough_network(8, "conv", 2)
    theta = coarse.init(np.random.default_rng(0))
    fine, finer = refine_network(coarse, theta, "copy", "galerkin")
    assert fine == rough_network(16, "conv", 4)
    assert finer.shape == (fine.size,)
    last, before = fine.unpack(XP, finer)[-1], coarse.unpack(XP, theta)[-1]
    np.testing.assert_allclose(last["K"].sum(axis=0), before["K"].sum(axis=0), atol=1e-13)
    np.testing.assert_array_equal(last["b"], before["b"])


def test_one_by_one_kernels_and_scales_are_left_as_they_are() -> None:
    network = conv_resnet((2, 8, 8), 3, (2, 4), 1, 1.0, rhs="hamiltonian", integrator="verlet", kernel="pointwise")
    theta = network.init(np.random.default_rng(0))
    finer, found = refine_network(network, theta, None, "galerkin")
    blocks, finer_blocks = network.unpack(XP, theta), finer.unpack(XP, found)
    changed = {
        (i, name)
        for i, (one, other) in enumerate(zip(blocks, finer_blocks))
        for name in one
        if not np.array_equal(one[name], other[name])
    }
    assert changed == {(1, "K")}  # the opening


def test_what_cannot_be_refined_is_named() -> None:
    wide = Network((single(ConvKernel(1, 2, 5), outputs=2),))
    with pytest.raises(ConfigurationError, match="only stencils of 3 x 3 and 1 x 1"):
        refine_network(wide, wide.init(np.random.default_rng(0)), None, "galerkin")
    with pytest.raises(ConfigurationError, match=r"has 52 parameters, not \(3,\)"):
        refine_network(wide, np.zeros(3))
    mixed = Network((Reshape((1, 4, 4), (16,)), single(CirculantKernel(1, 1, 3))))
    with pytest.raises(ConfigurationError, match="only a dense layer can follow the pixels"):
        refine_network(mixed, mixed.init(np.random.default_rng(0)), None, "galerkin")
    with pytest.raises(UnknownNameError, match="did you mean 'galerkin'"):
        refine_network(mixed, mixed.init(np.random.default_rng(0)), None, "galerkni")
