"""Diagnostics against closed forms: linear right-hand sides, known energies, quadratic landscapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.data import load
from nmdl_bench.diagnostics import energy, kernels, landscape, regions, spectra, trajectory
from nmdl_bench.diagnostics.describe import layers, words
from nmdl_bench.networks.activations import ACTIVATIONS, SMOOTHING, get_activation
from nmdl_bench.networks.architectures import INTEGRATORS, conv_resnet, evolution, resnet
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.imex import Imex
from nmdl_bench.networks.kernels import DenseKernel, ScalingKernel
from nmdl_bench.networks.reversible import Splitting
from nmdl_bench.networks.rhs import single
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.testing import numerical_backends, standins

xp = get_backend("numpy")
RNG = np.random.default_rng(3)


def drawn(layer, seed=0):
    return layer.init(np.random.default_rng(seed))


def linear(K, depth=10, time=1.0, integrator="euler"):
    """``Y' = Y K`` with one constant control, and its blocks."""
    p = len(K)
    method = INTEGRATORS[integrator]
    layer = Evolution(single(DenseKernel(p, p), "identity", bias=False), depth, time, method, number=1)
    return layer, {"K": np.asarray(K, dtype=float)[None]}


# ----------------------------------------------------------------------------------------------------- trajectories
@pytest.mark.parametrize(
    ("rhs", "integrator", "controls"),
    [
        ("single", "euler", "constant"),
        ("antisymmetric", "rk4", "linear"),
        ("hamiltonian", "verlet", "constant"),
        ("parabolic", "leapfrog", "linear"),
        ("single", "imex", "constant"),
    ],
)
def test_states_and_tangents_on_all_backends(rhs, integrator, controls):
    layer = evolution(4, 5, 2.0, rhs=rhs, integrator=integrator, controls=controls)
    blocks, Y, dY = drawn(layer), RNG.standard_normal((3, 4)), RNG.standard_normal((3, 4))
    last, _ = layer.forward(xp, blocks, Y)
    eps = 1e-6
    ends = [layer.forward(xp, blocks, Y + s * eps * dY)[0] for s in (1, -1)]
    for backend in numerical_backends():
        moved = {name: backend.asarray(block) for name, block in blocks.items()}
        at, along = backend.asarray(Y), backend.asarray(dY)
        S = backend.to_numpy(trajectory.states(backend, layer, moved, at))
        both = [backend.to_numpy(A) for A in trajectory.tangents(backend, layer, moved, at, along)]
        assert S.shape == (6, 3, 4)
        assert np.array_equal(S[0], Y)
        assert S[-1] == pytest.approx(last, rel=1e-12, abs=1e-13)
        assert both[0] == pytest.approx(S, rel=1e-12, abs=1e-13)
        assert both[1][-1] == pytest.approx((ends[0] - ends[1]) / (2 * eps), rel=1e-6, abs=1e-8)


def test_propagators_of_a_linear_equation_are_powers():
    K = RNG.standard_normal((3, 3))
    layer, blocks = linear(K)
    P = trajectory.propagators(xp, layer, blocks, RNG.standard_normal((2, 3)))
    step = np.eye(3) + 0.1 * K.T  # rows: dY_{j+1} = dY_j (I + h K)
    for j in (0, 1, 10):
        assert P[j, 1] == pytest.approx(np.linalg.matrix_power(step, j), rel=1e-12, abs=1e-14)
    assert trajectory.growth(xp, layer, blocks, np.ones((1, 3)))[10, 0] == pytest.approx(
        np.linalg.norm(np.linalg.matrix_power(step, 10), 2)
    )


def test_growth_of_an_antisymmetric_linear_network_is_that_of_its_eigenvalues():
    layer = evolution(4, 20, 2.0, rhs="antisymmetric", activation="identity", number=1)
    blocks = drawn(layer)
    A = blocks["K"][0] - blocks["K"][0].T
    omega = np.abs(np.linalg.eigvals(A)).max()
    found = trajectory.growth(xp, layer, blocks, np.ones((2, 4)))
    assert found[:, 0] == pytest.approx(np.sqrt(1 + (0.1 * omega) ** 2) ** np.arange(21), rel=1e-12)


def test_random_growth_is_bounded_by_growth():
    layer = evolution(6, 8, 3.0)
    blocks, Y = drawn(layer), RNG.standard_normal((5, 6))
    some = trajectory.random_growth(xp, layer, blocks, Y, np.random.default_rng(0))
    worst = trajectory.growth(xp, layer, blocks, Y)
    assert np.all(some <= worst * (1 + 1e-12))
    assert some[0] == pytest.approx(1)
    assert some[-1].max() > 0.1 * worst[-1].max()


def test_too_many_features_are_refused():
    with pytest.raises(ConfigurationError, match="at most 512 features a sample, not 4096"):
        trajectory.features_of(np.zeros((1, 16, 16, 16)))


# ---------------------------------------------------------------------------------------------------------- spectra
@pytest.mark.parametrize("backend", [xp, *standins()[1:3]], ids=repr)
def test_eigenvalues_of_a_linear_equation(backend):
    K = RNG.standard_normal((4, 4))
    layer, blocks = linear(K, depth=3)
    moved = {"K": backend.asarray(blocks["K"])}
    found = spectra.eigenvalues(backend, layer, moved, backend.asarray(RNG.standard_normal((2, 4))))
    assert found.shape == (3, 2, 4)
    some = spectra.eigenvalues(backend, layer, moved, backend.asarray(np.ones((1, 4))), steps=[0, 2])
    assert some.shape == (2, 1, 4)
    expected = np.sort_complex(np.linalg.eigvals(K))
    for row in found.reshape(-1, 4):
        assert np.sort_complex(row) == pytest.approx(expected, rel=1e-9)


def test_jacobians_agree_with_differences_for_images_with_batch_normalisation():
    network = conv_resnet((1, 4, 4), 2, (2,), depth=2, rhs="parabolic", integrator="rk4", activation="tanh", flat=False)
    x, Y = network.init(np.random.default_rng(0)), RNG.standard_normal((5, 1, 4, 4))
    aux = network.statistics(xp, x, Y)
    (i, layer), *_ = trajectory.evolutions(network)
    U, blocks, own = trajectory.before(xp, network, x, Y, i, aux)
    J = trajectory.propagators(xp, layer, blocks, U[:2], own)[-1]
    D, eps = RNG.standard_normal((2, *U.shape[1:])), 1e-6
    ends = [layer.forward(xp, blocks, U[:2] + s * eps * D, own)[0] for s in (1, -1)]
    along = ((ends[0] - ends[1]) / (2 * eps)).reshape(2, -1)
    assert np.einsum("nij,nj->ni", J, D.reshape(2, -1)) == pytest.approx(along, rel=1e-5, abs=1e-8)
    values = spectra.eigenvalues(xp, layer, blocks, U[:2], own)
    assert np.abs(values.imag).max() < 1e-8 * np.abs(values).max()  # -K^T D K is symmetric up to the norm's scaling


@pytest.mark.parametrize("integrator", ["verlet", "symplectic-euler"])
def test_eigenvalues_of_two_fields_with_statistics(integrator):
    layer = evolution(2, 2, rhs="hamiltonian", kernel="conv", integrator=integrator, norm="batch")
    blocks, Y = drawn(layer), RNG.standard_normal((6, 2, 3, 3))
    own = layer.statistics(layer.forward(xp, blocks, Y)[1])
    assert spectra.eigenvalues(xp, layer, blocks, Y[:1], own).shape == (2, 1, 18)


def test_regions_of_integrators():
    euler, rk4 = spectra.region(INTEGRATORS["euler"]), spectra.region(INTEGRATORS["rk4"])
    assert euler.numbers == (1.0, 1.0)
    assert rk4.numbers == pytest.approx((1, 1, 1 / 2, 1 / 6, 1 / 24))
    z = np.array([-1.0, -2.5, 0.3j, 0.0])
    assert euler.amplification(z) == pytest.approx(np.abs(1 + z))
    assert rk4.amplification(2.82j) < 1 < rk4.amplification(2.84j)  # 2 sqrt 2
    assert rk4.amplification(-2.785) < 1 < rk4.amplification(-2.786)
    verlet = spectra.region(INTEGRATORS["verlet"])
    assert verlet == spectra.region(INTEGRATORS["symplectic-euler"]) == spectra.Region("imaginary", (2.0,))
    assert verlet.amplification([1.999j, 2.1j, 0.1]) == pytest.approx([1, 1.8773, 1.1051], abs=1e-4)
    leapfrog = spectra.region(INTEGRATORS["leapfrog"])
    assert leapfrog.amplification([-3.999, -4.1, 0.1]) == pytest.approx([1, 1.3702, 1.3702], abs=1e-4)
    assert spectra.region(Imex(ScalingKernel(2))) == euler
    assert spectra.Region.parse(str(rk4)) == rk4
    # a composition of two Verlet steps of half the size reaches twice as far
    twice = Splitting("twice", ((1, 0.25), (0, 0.5), (1, 0.5), (0, 0.5), (1, 0.25)))
    assert spectra.region(twice).numbers[0] == pytest.approx(4.0, abs=1e-6)
    with pytest.raises(ConfigurationError, match="not known"):
        spectra.region("euler")  # type: ignore[arg-type]


@pytest.mark.parametrize(("integrator", "limit"), [("verlet", 2.0), ("leapfrog", 2.0), ("euler", 0.0), ("rk4", 2.828)])
def test_regions_tell_when_steps_explode(integrator, limit):
    """An oscillator of frequency omega, with steps just inside and just outside of the region."""
    kernel = {"verlet": "hamiltonian", "leapfrog": "single"}.get(integrator, "antisymmetric")
    for factor in (0.98, 1.02):
        h = limit * factor or 0.1 * factor
        layer = evolution(
            2, 400, 400 * h, rhs=kernel, integrator=integrator, activation="identity", number=1, bias=False
        )
        blocks = {name: np.zeros((1, *shape[1:])) for name, shape in layer.shapes().items()}
        if kernel == "antisymmetric":
            blocks["K"][0, 0, 1] = 1.0
        elif kernel == "single":
            blocks["K"][0] = -np.eye(2)
        else:
            for name in blocks:
                blocks[name][0] = 1.0
        found = trajectory.growth(xp, layer, blocks, np.ones((1, 2)))[:, 0]
        is_stable = (
            spectra.region(INTEGRATORS[integrator])
            .amplification(spectra.scale(layer) * spectra.eigenvalues(xp, layer, blocks, np.ones((1, 2))))
            .max()
            <= 1 + 1e-9
        )
        assert is_stable == (factor < 1 and limit > 0)
        assert (found.max() < 100) == is_stable or integrator == "euler"
        if integrator == "euler":
            assert found[-1] == pytest.approx(np.sqrt(1 + h * h) ** 400)


# ----------------------------------------------------------------------------------------------------------- energy
@pytest.mark.parametrize("name", sorted(energy.ANTIDERIVATIVES))
def test_antiderivatives(name):
    act = get_activation(name)
    phi = energy.ANTIDERIVATIVES[name]
    for a, b in ((-2.0, -SMOOTHING / 2), (-SMOOTHING / 2, SMOOTHING / 3), (0.01, 1.7)):
        kink = [SMOOTHING] if a < SMOOTHING < b else [-SMOOTHING]
        integral = quad(lambda t: act.forward(xp, np.array([t]))[0][0], a, b, points=kink, epsabs=1e-12)[0]
        assert float(phi(np.array(b)) - phi(np.array(a))) == pytest.approx(integral, abs=1e-10)
    assert np.isfinite(phi(np.array([800.0, -800.0]))).all()


@pytest.mark.parametrize("rhs", ["hamiltonian", "hamiltonian-single"])
def test_verlet_conserves_the_hamiltonian_to_second_order(rhs):
    defects = []
    for depth in (20, 40, 80):
        layer = evolution(6, depth, 4.0, rhs=rhs, integrator="verlet", number=1)
        blocks, Y = drawn(layer), np.random.default_rng(5).standard_normal((4, 6))
        found = energy.energy(xp, layer, blocks, trajectory.states(xp, layer, blocks, Y))
        assert found.kind == "Hamiltonian"
        defects.append(np.abs(found.values - found.values[0]).max())
    assert np.log2(defects[0] / defects[1]) == pytest.approx(2, abs=0.2)
    assert np.log2(defects[1] / defects[2]) == pytest.approx(2, abs=0.1)
    assert defects[2] < 0.02 * np.abs(found.values).max()


def test_the_potential_of_a_parabolic_network_falls():
    layer = evolution(5, 30, 6.0, rhs="parabolic", number=1)
    blocks, Y = drawn(layer), RNG.standard_normal((4, 5))
    found = energy.energy(xp, layer, blocks, trajectory.states(xp, layer, blocks, Y))
    assert found.kind == "potential"
    assert np.all(np.diff(found.values, axis=0) < 0)


def test_no_energy_where_none_is_known():
    for options in ({}, {"rhs": "antisymmetric"}, {"rhs": "hamiltonian", "norm": "instance"}, {"rhs": "double"},
                    {"rhs": "hamiltonian", "activation": "silu"}, {"rhs": "parabolic", "gamma": 0.1}):  # fmt: skip
        layer = evolution(4, 2, **options)
        S = trajectory.states(xp, layer, drawn(layer), np.ones((1, 4)))
        assert energy.energy(xp, layer, drawn(layer), S) is None, options
    assert set(ACTIVATIONS) - set(energy.ANTIDERIVATIVES) == {"softplus", "silu"}


def test_norms_of_fields():
    layer = evolution(4, 2, rhs="hamiltonian", integrator="verlet")
    S = np.arange(24.0).reshape(3, 2, 4)
    found = energy.field_norms(xp, layer, S)
    assert list(found) == ["|Y|", "|Z|"]
    assert found["|Z|"][1, 0] == pytest.approx(np.hypot(10, 11))
    assert list(energy.field_norms(xp, evolution(4, 2), S)) == ["|Y|"]


# -------------------------------------------------------------------------------------------------------- landscape
@pytest.fixture(scope="module")
def problem():
    data = load("circles", n=60)
    return LearningProblem("p", "", data, resnet(2, 2, 4, 3), alpha=1e-3)


def test_filter_normalised_directions_have_the_filters_norms(problem):
    x, network = problem.start, problem.network
    d = landscape.filter_normalised(network, x, np.random.default_rng(0))
    own, found = network.unpack(xp, x), network.unpack(xp, d)
    for i in (0, 1, 2):
        axis = own[i]["K"].ndim - 2  # inputs: each column is a filter
        assert np.linalg.norm(found[i]["K"], axis=axis) == pytest.approx(np.linalg.norm(own[i]["K"], axis=axis))
        assert not found[i]["b"].any()
    images = conv_resnet((1, 4, 4), 2, (2,), depth=2)
    y = images.init(np.random.default_rng(1))
    own, found = (images.unpack(xp, z) for z in (y, landscape.filter_normalised(images, y, np.random.default_rng(0))))
    norms = [np.linalg.norm(blocks[2]["K"].reshape(2, 2, -1), axis=2) for blocks in (own, found)]
    assert norms[0] == pytest.approx(norms[1])


@pytest.mark.parametrize("library", ["numpy", "jax:cpu"])
def test_a_plane_of_the_objective(problem, library):
    backend = get_backend(library)
    objective = problem.bind(backend)
    x, rng = problem.start, np.random.default_rng(2)
    u, v = rng.standard_normal((2, len(x)))
    found = landscape.plane(objective, x, u, v, np.array([-0.1, 0.0, 0.2]), np.array([0.0, 0.3]))
    assert found.shape == (3, 2)
    direct = objective.forward(backend.asarray(x + 0.2 * u + 0.3 * v))[0]
    assert found[2, 1] == pytest.approx(float(direct), rel=1e-12)


def test_steepest_directions_are_the_hessians_eigenvectors(problem):
    objective = problem.bind(xp)
    _, tape = objective.forward(objective.x0)
    H = np.stack([objective.hessian(tape, e) for e in np.eye(len(problem.start))])
    values, vectors = np.linalg.eigh(H)
    order = np.argsort(-np.abs(values))[:2]
    found, V = landscape.steepest_directions(objective, problem.start, np.random.default_rng(0))
    assert found == pytest.approx(values[order], rel=1e-6)
    assert np.abs(np.sum(V * vectors[:, order].T, axis=1)) == pytest.approx([1, 1], rel=1e-6)


# ------------------------------------------------------------------------------------------------- regions, kernels
def test_regions_of_a_linear_classifier():
    network = resnet(2, 2, 4, 0)  # S = Y K + b
    x = np.array([1.0, -1.0, 0.0, 0.0, 0.0, 0.0])  # class 0 where y1 > 0
    found = regions.decision(xp, network, x, np.array([[-1.0, -2.0], [1.0, 2.0]]), n=8)
    assert (found.y1[0], found.y2[-1]) == (pytest.approx(-1.3), pytest.approx(2.6))
    assert np.array_equal(found.classes, np.broadcast_to(found.y1 < 0, (8, 8)))
    assert found.margin[3] == pytest.approx(2 * np.abs(found.y1))
    with pytest.raises(ConfigurationError, match="two features"):
        regions.decision(xp, network, x, np.zeros((3, 4)))


def test_kernels_as_images():
    network = resnet(12, 3, 4, 20, rhs="antisymmetric")
    x = network.init(np.random.default_rng(0))
    found = kernels.images(network, x, pixels=(1, 3, 4), most_steps=5)
    assert [(image.layer, image.step) for image in found] == [(0, -1), *((1, j) for j in (0, 5, 10, 14, 19)), (2, -1)]
    opening, first, *_ = found
    K = network.unpack(xp, x)[0]["K"]
    assert opening.tiled
    assert opening.values.shape == (7, 9)  # four tiles of 3 x 4, two by two
    assert np.array_equal(opening.values[:3, 5:], K[:, 1].reshape(3, 4))
    assert np.isnan(opening.values[3]).all()
    assert first.values == pytest.approx(-first.values.T)
    images = conv_resnet((3, 8, 8), 2, (2, 4), depth=1)
    found = kernels.images(images, images.init(np.random.default_rng(0)))
    stencils = images.unpack(xp, images.init(np.random.default_rng(0)))[1]["K"]
    assert found[0].values.shape == (7, 11)
    assert np.array_equal(found[0].values[4:, 8:], stencils[1, 2])


def test_a_network_in_a_table():
    network = resnet(2, 3, 4, 5, 2.0, rhs="hamiltonian", integrator="verlet", memory="reversible")
    opening, block, classifier = layers(network, (2,))
    assert opening == {"layer": 0, "what": "tanh(K[2->4] Y + b)", "output": (4,), "weights": 12}
    assert block["what"] == "verlet steps of two fields, each -K^T tanh(K[2->2] Y + b)"
    assert (block["steps"], block["h"], block["memory"]) == (5, 0.4, "reversible")
    assert block["controls"] == "5 constant"
    assert opening["weights"] + block["weights"] + classifier["weights"] == network.size
    assert classifier["output"] == (3,)
    slots = replace(network.layers[1], memory="checkpoint", slots=3)
    assert layers(replace(network, layers=(network.layers[0], slots)), (2,))[1]["memory"] == "checkpoint, 3 slots"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rhs": "antisymmetric", "gamma": 0.1}, "euler steps of tanh((K[4->4] - K^T) Y - 0.1 Y + b)"),
        (
            {"rhs": "double", "kernel": "conv", "norm": "tv"},
            "euler steps of K[3x3, 4->4] tanh(tv-norm(K[3x3, 4->4] Y + b))",
        ),
        ({"kernel": "lean"}, "euler steps of tanh((K[depthwise, 3x3, 4->4] + K[1x1, 4->4]) Y + b)"),
        ({"kernel": "scaling", "activation": "identity"}, "euler steps of K[scaling, 4->4] Y + b"),
    ],
)
def test_words_for_layers(options, text):
    assert words(evolution(4, 2, **options)) == text
