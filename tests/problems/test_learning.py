"""The learning objective with all its parts, evaluation mode, and what is drawn anew for every epoch."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.catalogue import SOLVERS
from nmdl_bench.contracts import ConfigurationError, Stop
from nmdl_bench.data import Dataset, from_arrays
from nmdl_bench.data.augment import Augmentation
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.normalisation import Normalise
from nmdl_bench.networks.parts import Activate, Affine, Chain, Dropout
from nmdl_bench.networks.regularisers import smoothness, tikhonov
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.problems.objective import LearningObjective
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_autodiff, check_objective, fake_cuda_backend, numerical_backends

XP = get_backend("numpy")
SHAPE = (1, 3, 4)


def images(classes: int = 3, n: int = 36) -> Dataset:
    """Images of 3 x 4 pixels, exact in float32."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    Y = rng.standard_normal((n, 12)) + 1.5 * rng.standard_normal((classes, 12))[labels]
    Y = Y.astype(np.float32).astype(np.float64)
    return from_arrays("images", Y, labels, n_validation=6, n_test=6, standardise=False, image_shape=SHAPE)


@lru_cache
def network(dropout: float = 0.0, normalise: bool = False, smooth: str = "tanh") -> Network:
    parts: list[Any] = [Affine(DenseKernel(12, 4), outputs=4)]
    parts += [Normalise("batch", 4)] if normalise else []
    parts += [Activate(smooth)]
    parts += [Dropout(dropout)] if dropout else []
    flow = Evolution(Chain((Affine(DenseKernel(4, 4), outputs=4), Activate("tanh"))), 3, 1.5)
    return Network((Chain(tuple(parts)), flow, Dense(4, 3)))


def problem(net: Network | None = None, loss: str = "cross-entropy", **options: Any) -> LearningProblem:
    return LearningProblem("images", "", images(), net or network(), loss, **options)


EVERYTHING = network(dropout=0.25, normalise=True)
REGULARISERS = (
    tikhonov(EVERYTHING, 0.1, "weights"),
    smoothness(EVERYTHING, 0.05),
    smoothness(EVERYTHING, 0.1, tau=0.01),
)


def everything(xp: Backend, **options: Any) -> LearningObjective:
    """Dropout, batch normalisation, three regularisers, and masks as of some epoch."""
    bound = problem(EVERYTHING, alpha=0.125, regularisers=REGULARISERS, **options).bind(xp)
    return bound.with_arrays(bound.redraw(epoch=2, seed=1))


# ------------------------------------------------------------------------------------------------------- derivatives
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_derivative_agrees_with_torchs_on_all_backends(dtype: str) -> None:
    for xp in numerical_backends(dtype):
        check_autodiff(everything(xp), autodiff=("torch",))


@pytest.mark.parametrize("loss", ["least-squares", "binary-cross-entropy", "cross-entropy"])
def test_taylor_remainders_and_symmetry(loss: str) -> None:
    check_objective(everything(XP, loss=loss), batches=False, autodiff=())
    check_objective(problem(network(dropout=0.25), loss).bind(XP), autodiff=())


def test_a_convex_problem_has_its_gauss_newton_matrix_for_hessian() -> None:
    objective = problem(Network((Dense(12, 3),)), alpha=0.25).bind(XP)
    v = np.random.default_rng(1).standard_normal(objective.x0.shape)
    tape = objective.forward(objective.x0)[1]
    np.testing.assert_allclose(objective.hessian(tape, v), objective.gauss_newton(tape, v), rtol=1e-12, atol=1e-14)


def test_hubers_outliers_do_not_curve_the_gauss_newton_matrix() -> None:
    objective = problem(Network((Dense(12, 3),)), "huber").bind(XP)
    far = objective.x0 + 0
    far[-3:] = 100.0  # the biases: every residual is outside
    tape = objective.forward(far)[1]
    assert not objective.gauss_newton(tape, far).any()
    np.testing.assert_allclose(objective.grad(tape)[-3:], 1.0)


def test_regularisers_are_added_to_value_and_derivatives() -> None:
    net = network()
    R = (tikhonov(net, 0.3), smoothness(net, 0.2, tau=0.1))
    plain, regularised = problem(net).bind(XP), problem(net, regularisers=R).bind(XP)
    x, v = plain.x0, np.random.default_rng(1).standard_normal(plain.x0.shape)
    (f, tape), (fr, tape_r) = plain.forward(x), regularised.forward(x)
    assert fr == pytest.approx(f + sum(r.value(XP, x) for r in R), rel=1e-14)
    np.testing.assert_allclose(regularised.grad(tape_r), plain.grad(tape) + sum(r.grad(XP, x) for r in R), atol=1e-14)
    for product in ("gauss_newton", "hessian"):
        expected = getattr(plain, product)(tape, v) + sum(r.hessian(XP, x, v) for r in R)
        np.testing.assert_allclose(getattr(regularised, product)(tape_r, v), expected, atol=1e-14)


def test_nothing_waits_for_a_gpu() -> None:
    with fake_cuda_backend() as xp:
        objective = everything(xp)
        _, tape = objective.forward(objective.x0, xp.asarray(np.arange(6)))
        for found in (objective.grad(tape), objective.hessian(tape, objective.x0)):
            assert found.device.type == "cuda"


# ------------------------------------------------------------------------------------------------------------- draws
def test_where_nothing_is_random_the_arrays_are_the_arrays() -> None:
    objective = problem(network(normalise=True)).bind(XP)
    assert objective.draws is None
    assert objective.redraw(3, 4) is objective.arrays


AUGMENTATION = Augmentation(pad=1, flip=True, rotation=20.0)


def test_draws_are_equal_on_all_backends_and_new_for_every_epoch_and_seed() -> None:
    described = problem(network(dropout=0.25), augmentation=AUGMENTATION)
    bound = described.bind(XP)
    Y, C, aux = bound.redraw(1, 7)
    (mask,) = [part for part in aux[0] if part is not None]
    assert mask.shape == (bound.n_samples, 4)
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}
    np.testing.assert_array_equal(Y, AUGMENTATION(described.data.train.Y, 7, 1, SHAPE))
    assert C is bound.arrays.C
    for epoch, seed in ((0, 7), (1, 8)):
        other = bound.redraw(epoch, seed)
        assert not np.array_equal(other.Y, Y)
        assert not np.array_equal(other.aux[0][2], mask)
    for xp in numerical_backends():
        with xp.scope():
            again = described.bind(xp).redraw(1, 7)
            assert xp.to_numpy(again.Y).tobytes() == Y.tobytes()
            assert xp.to_numpy(again.aux[0][2]).tobytes() == mask.tobytes()


def test_a_batch_takes_its_samples_masks() -> None:
    """Over the samples of a batch, the objective is that of their features, targets and masks alone."""
    bound = problem(network(dropout=0.5)).bind(XP)
    whole = bound.with_arrays(bound.redraw(0, 0))
    batch = np.array([4, 1, 17, 9])
    part = whole.with_arrays(type(whole.arrays)(whole.arrays.Y[batch], whole.arrays.C[batch], _rows(whole, batch)))
    assert whole.forward(whole.x0, batch)[0] == part.forward(part.x0)[0]
    assert whole.forward(whole.x0, batch)[0] != bound.forward(whole.x0, batch)[0]


def _rows(objective: LearningObjective, batch: np.ndarray) -> Any:
    return tuple(
        None if layer is None else tuple(None if a is None else a[batch] for a in layer)
        for layer in objective.arrays.aux
    )


def test_a_compiled_step_keeps_no_data_of_the_host() -> None:
    described = problem(network(dropout=0.25))
    objective = described.bind(XP)
    alive = weakref.ref(objective.draws)
    bare = objective.with_arrays(None)
    assert bare.draws is None
    del objective
    gc.collect()
    assert alive() is None


RANDOM = {"net": network(dropout=0.25), "augmentation": AUGMENTATION, "alpha": 1e-3}
METHODS = [("sgd", "numpy"), ("sgd", "torch"), ("sgd", "jax"), ("torch-sgd", "torch"), ("optax-sgd", "jax")]


def test_mini_batch_methods_draw_every_epoch_and_all_of_them_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    original = LearningObjective.redraw

    def spy(self: LearningObjective, epoch: int, seed: int) -> Any:
        asked.append((epoch, seed))
        return original(self, epoch, seed)

    monkeypatch.setattr(LearningObjective, "redraw", spy)
    found = {}
    for solver, backend in METHODS:
        asked.clear()
        made = SOLVERS.make(solver, batch_size=6, step_size=0.05)
        result = solve(problem(**RANDOM), made, get_backend(backend), Stop(max_epochs=3), seed=5)
        # the first is the fixed draw for methods that take all samples
        assert asked == [(0, 5), (0, 5), (1, 5), (2, 5)]
        found[solver, backend] = result
    first = found["sgd", "numpy"]
    for result in found.values():
        np.testing.assert_allclose(result.x, first.x, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(result.history[:, 4], first.history[:, 4], rtol=1e-9)
    plain = solve(
        problem(alpha=1e-3), SOLVERS.make("sgd", batch_size=6, step_size=0.05), XP, Stop(max_epochs=3), seed=5
    )
    assert np.abs(plain.x - first.x).max() > 1e-3


def test_recorded_values_are_of_the_training_objective_without_draws() -> None:
    described = problem(**RANDOM)
    clean = described.bind(XP)
    for solver in ("sgd", "lbfgs", "steepest-descent", "scipy-lbfgsb", "adam"):
        options = {"batch_size": 6} if solver == "sgd" else {}
        result = solve(described, SOLVERS.make(solver, **options), XP, Stop(max_iterations=30, max_epochs=2), seed=5)
        assert result.history[0, 4] == pytest.approx(clean.forward(clean.x0)[0], rel=1e-12), solver
        assert result.history[-1, 4] == pytest.approx(clean.forward(result.x)[0], rel=1e-12), solver
        assert result.loss == result.history[-1, 4], solver
        assert result.history[-1, 1] == result.counts.forward, solver


@pytest.mark.parametrize(
    ("solver", "backend"), [("lbfgs", "numpy"), ("scipy-lbfgsb", "numpy"), ("torch-lbfgs", "torch")]
)
def test_methods_on_all_samples_minimise_the_draw_of_epoch_0(solver: str, backend: str) -> None:
    xp, stop = get_backend(backend), Stop(max_iterations=400, gtol=1e-6)
    described = problem(**RANDOM | {"alpha": 0.05})
    result = solve(described, SOLVERS.make(solver), xp, stop, seed=5)
    bound = described.bind(XP)
    drawn = bound.with_arrays(bound.redraw(0, 5))
    assert np.abs(drawn.grad(drawn.forward(result.x)[1])).max() < 1e-5
    assert result.grad_norm > 1e-3
    assert result.status == "stalled"


# ---------------------------------------------------------------------------------------------------- evaluation mode
def test_metrics_are_of_evaluation_mode_on_all_backends() -> None:
    """Every part is normalised by the training part's mean and variance, and nothing is dropped."""
    net = network(dropout=0.5, normalise=True)
    rng = np.random.default_rng(0)
    data = from_arrays("plane", rng.standard_normal((60, 12)), rng.standard_normal((60, 3)), n_validation=9, n_test=7)
    described = LearningProblem("plane", "", data, net, "least-squares")
    first, flow, last = net.unpack(XP, described.start)

    def predict(Y: np.ndarray) -> np.ndarray:
        X = data.train.Y @ first["K"] + first["b"]
        y = (Y @ first["K"] + first["b"] - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + net.layers[0].parts[1].eps)
        A = np.tanh(first["scale"] * y + first["shift"])
        for K, b in zip(flow["K"], flow["b"]):
            A = A + 0.5 * np.tanh(A @ K + b)
        return A @ last["K"] + last["b"]

    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    expected = {f"rmse_{name}": np.sqrt(np.mean((predict(part.Y) - part.C) ** 2)) for name, part in parts.items()}
    for xp in numerical_backends():
        with xp.scope():
            x = xp.asarray(described.start)
            for _ in range(2):  # what the first call learned of the network serves the second
                assert described.metrics(xp, x) == pytest.approx(expected, rel=1e-11), xp


@pytest.mark.parametrize("memory", ["all", "checkpoint"])
def test_networks_without_normalisation_do_not_pay_for_statistics(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, flow, last = network().layers
    described = problem(Network((first, replace(flow, memory=memory), last)))
    samples = []
    original = Network.statistics

    def spy(self: Network, xp: Backend, theta: Any, Y: Any) -> Any:
        samples.append(len(Y))
        return original(self, xp, theta, Y)

    monkeypatch.setattr(Network, "statistics", spy)
    for _ in range(3):
        described.metrics(XP, described.start)
    assert samples == [2]


def test_binary_targets_without_labels_have_an_accuracy() -> None:
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((60, 3))
    data = from_arrays("questions", Y, (Y[:, :2] > 0).astype(float), n_validation=10, n_test=10)
    described = LearningProblem("questions", "", data, Network((Dense(3, 2),)), "binary-cross-entropy", alpha=1e-3)
    result = solve(described, SOLVERS.make("lbfgs"), XP, Stop(max_iterations=50))
    assert set(result.metrics) == {"accuracy_train", "accuracy_validation", "accuracy_test"}
    assert result.metrics["accuracy_train"] > 0.95


# ----------------------------------------------------------------------------------------------------------- bad input
def test_what_does_not_fit_is_named_when_the_problem_is_made() -> None:
    with pytest.raises(ConfigurationError, match="made for another network"):
        problem(regularisers=(tikhonov(EVERYTHING, 1.0),))
    with pytest.raises(ConfigurationError, match="pad = 3 must be less than the sides of images of 3 x 4"):
        problem(augmentation=Augmentation(pad=3))
    data = from_arrays("rows", np.zeros((10, 12)), np.arange(10) % 3)
    with pytest.raises(ConfigurationError, match="data set 'rows' has no image_shape; augmentation is for images"):
        LearningProblem("rows", "", data, network(), augmentation=Augmentation(flip=True))
    data = from_arrays("real", np.zeros((10, 12)), np.linspace(-1, 2, 30).reshape(10, 3), n_validation=0, n_test=0)
    with pytest.raises(ConfigurationError, match=r"must lie in \[0, 1\], not in \[-1, 2\]"):
        LearningProblem("real", "", data, network(), "binary-cross-entropy")
