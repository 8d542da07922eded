"""The listed problems: options, starts, metrics, bad input."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import ConfigurationError, Stop, UnknownNameError
from nmdl_bench.data import from_arrays, option_names
from nmdl_bench.data.augment import Augmentation
from nmdl_bench.networks.architectures import conv_resnet, resnet
from nmdl_bench.networks.presets import PRESETS
from nmdl_bench.networks.regularisers import smoothness
from nmdl_bench.problems.supervised import CONV_OPTIONS, NETWORK_OPTIONS
from nmdl_bench.solve import solve

DENSE = ["spirals", "peaks", "circles", "swiss-roll", "digits", "mnist-5k", "logistic-digits", "logistic-mnist-5k"]
DRAWN = [*DENSE, "conv-digits", "conv-mnist-5k"]
FEW: dict[str, dict[str, Any]] = {"conv-mnist-5k": {"n": 100}, "conv-digits": {"n": 200}}
"""Options that keep a test short."""


@pytest.mark.parametrize("name", DRAWN)
def test_listed_problems_bind_and_know_their_metrics(name: str) -> None:
    problem = PROBLEMS.make(name, seed=1, **FEW.get(name, {}))
    xp = get_backend("numpy")
    objective = problem.bind(xp)
    value, tape = objective.forward(objective.x0)
    assert np.isfinite(value)
    assert objective.grad(tape).shape == objective.x0.shape
    metrics = problem.metrics(xp, objective.x0)
    assert set(metrics) == {"accuracy_train", "accuracy_validation", "accuracy_test"}
    classes = problem.data.classes
    assert all(0 <= v <= 1 for v in metrics.values())
    S, _ = problem.network.forward(xp, objective.x0, objective.arrays.Y)
    assert S.shape == (objective.n_samples, classes)


def test_seeds_change_the_start_and_the_split_and_nothing_is_shared() -> None:
    first, again, other = (PROBLEMS.make("spirals", seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.start, again.start)
    assert not np.array_equal(first.start, other.start)
    assert not np.array_equal(first.data.train.Y, other.data.train.Y)


def test_biases_start_away_from_zero() -> None:
    problem = PROBLEMS.make("circles")
    blocks = problem.network.unpack(get_backend("numpy"), problem.start)
    assert all(np.all(block["b"] != 0) for block in blocks)


def test_alpha_adds_half_its_square_norm() -> None:
    xp = get_backend("numpy")
    plain, penalised = (PROBLEMS.make("circles", alpha=a).bind(xp) for a in (0.0, 0.3))
    x = plain.x0
    (f, tape), (fp, tape_p) = plain.forward(x), penalised.forward(x)
    assert fp == pytest.approx(f + 0.15 * float(x @ x), rel=1e-14)
    np.testing.assert_allclose(penalised.grad(tape_p), plain.grad(tape) + 0.3 * x, rtol=1e-12, atol=1e-15)


def test_regression_reports_root_mean_squares() -> None:
    problem = PROBLEMS.make("circles", loss="least-squares")
    assert "accuracy_train" in problem.metrics(get_backend("numpy"), problem.start)
    from nmdl_bench.problems import LearningProblem

    rng = np.random.default_rng(0)
    data = from_arrays("line", rng.standard_normal((50, 3)), rng.standard_normal((50, 1)), n_validation=10, n_test=10)
    problem = LearningProblem("line", "", data, resnet(3, 1, 4, 2), "least-squares")
    assert set(problem.metrics(get_backend("numpy"), problem.start)) == {"rmse_train", "rmse_validation", "rmse_test"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"widht": 3}, UnknownNameError, "did you mean 'width'"),
        ({"width": 0}, ConfigurationError, "must be a positive integer, not 0"),
        ({"depth": -1}, ConfigurationError, "depth must be a positive integer, not -1"),
        ({"time": 0.0}, ConfigurationError, "time must be positive and finite, not 0.0"),
        ({"width": "8"}, ConfigurationError, "width of problem 'spirals' must be int, not '8'"),
        ({"width": True}, ConfigurationError, "must be int, not True"),
        ({"depth": 2.5}, ConfigurationError, "must be int, not 2.5"),
        ({"tau": -1.0}, ConfigurationError, "tau must lie in \\(0, 1\\), not -1.0"),
        ({"alpha": -1.0}, ConfigurationError, "alpha must be non-negative and finite, not -1.0"),
        ({"alpha": float("nan")}, ConfigurationError, "not nan"),
        ({"activation": "tahn"}, UnknownNameError, "did you mean 'tanh'"),
        ({"loss": "hinge"}, UnknownNameError, "unknown loss 'hinge'"),
        ({"noise": -0.1}, ConfigurationError, "noise"),
    ],
)
def test_bad_options_are_named(options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        PROBLEMS.make("spirals", **options)


def test_unknown_problem_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'spirals'"):
        PROBLEMS.make("spiral")


@pytest.mark.parametrize("constant", [0.0, 3.5])
def test_constant_features_behave(constant: float) -> None:
    from nmdl_bench.problems import LearningProblem

    labels = np.arange(30) % 2
    data = from_arrays("constant", np.full((30, 2), constant), labels, n_validation=5, n_test=5)
    problem = LearningProblem("constant", "", data, resnet(2, 2, 3, 2))
    objective = problem.bind(get_backend("numpy"))
    value, tape = objective.forward(objective.x0)
    assert np.isfinite(value)
    assert np.all(np.isfinite(objective.grad(tape)))


def test_an_empty_training_part_is_named() -> None:
    with pytest.raises(ConfigurationError):
        PROBLEMS.make("spirals", n=10, n_validation=5, n_test=5)


# ------------------------------------------------------------------------------------------------- networks by options
DEFAULTS: dict[str, tuple[Any, float]] = {
    "spirals": (resnet(2, 2, 8, 12, 6.0), 1e-5),
    "peaks": (resnet(2, 5, 8, 8, 4.0), 1e-5),
    "circles": (resnet(2, 2, 4, 8, 4.0), 1e-5),
    "swiss-roll": (resnet(2, 2, 8, 12, 6.0), 1e-5),
    "digits": (resnet(64, 10, 32, 4, 2.0), 1e-4),
    "mnist-5k": (resnet(784, 10, 64, 4, 2.0), 1e-4),
    "logistic-digits": (resnet(64, 10, 16, 0, 4.0), 1e-2),
    "logistic-mnist-5k": (resnet(784, 10, 16, 0, 4.0), 1e-2),
}


@pytest.mark.parametrize("name", DENSE)
def test_defaults_are_what_listings_say(name: str) -> None:
    problem = PROBLEMS.make(name)
    network, alpha = DEFAULTS[name]
    assert (problem.network, problem.alpha) == (network, alpha)
    assert problem.loss == "cross-entropy"
    assert (problem.tau, problem.seed) == (0.1, 0)
    assert problem.regularisers == ()
    assert problem.augmentation is None
    shown = inspect.signature(PROBLEMS[name].make).parameters
    assert tuple(shown) == ("seed", *NETWORK_OPTIONS)
    assert all(parameter.default is not parameter.empty for parameter in shown.values())
    assert shown["alpha"].default == alpha
    data = {"logistic-digits": "digits", "logistic-mnist-5k": "mnist-5k"}.get(name, name)
    assert PROBLEMS.options(name) == (*shown, *option_names(data))


def test_every_option_of_the_dense_network_reaches_it() -> None:
    options: dict[str, Any] = {
        "width": 6, "depth": 4, "time": 3.0, "activation": "silu", "rhs": "hamiltonian", "integrator": "verlet",
        "norm": "instance", "gamma": 0.1, "controls": "linear", "number": 3, "memory": "checkpoint", "slots": 2,
        "dropout": 0.25,
    }  # fmt: skip
    problem = PROBLEMS.make("circles", **options)
    assert problem.network == resnet(2, 2, **options)
    for option in options:
        given = {**options, option: PROBLEMS["circles"].make.__signature__.parameters[option].default}  # type: ignore[attr-defined]
        if option != "rhs":  # one field does not go with this integrator
            assert PROBLEMS.make("circles", **given).network != problem.network, option
    assert PROBLEMS.make("circles", kernel="sparse").network == resnet(2, 2, 4, 8, 4.0, kernel="sparse")


def test_convolutional_problems_take_their_networks_options() -> None:
    options: dict[str, Any] = {
        "depth": 3, "time": 1.5, "activation": "tanh", "rhs": "single", "kernel": "lean", "integrator": "heun",
        "norm": "instance", "bias": True, "dropout": 0.5, "stride": 2, "opening": 3, "last": 5, "classifier": "linear",
        "controls": "linear", "number": 3, "memory": "checkpoint", "slots": 2, "gamma": 0.1,
    }  # fmt: skip
    problem = PROBLEMS.make("conv-digits", channels="4-6", n=200, **options)
    assert problem.network == conv_resnet((1, 8, 8), 10, (4, 6), **options)
    assert set(PROBLEMS.options("conv-digits") or ()) == {"seed", *CONV_OPTIONS, *option_names("digits")}
    plain = PROBLEMS.make("conv-digits", n=200)
    assert plain.network == conv_resnet((1, 8, 8), 10, (8, 16), 2, 2.0)
    assert PROBLEMS.make("conv-digits", n=200, norm="none").network == conv_resnet(
        (1, 8, 8), 10, (8, 16), 2, 2.0, norm=None
    )


def test_cifar_10_has_the_published_parabolic_network(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images = from_arrays("few", rng.standard_normal((20, 3072)), np.arange(20) % 10, image_shape=(3, 32, 32))
    monkeypatch.setattr("nmdl_bench.problems.supervised.load", lambda name, *, seed: images)
    problem = PROBLEMS.make("conv-cifar-10", crop=4, flip=True)
    assert problem.network == PRESETS["parabolic-cifar10"].network()
    assert problem.augmentation == Augmentation(4, True)
    rows = from_arrays("rows", rng.standard_normal((20, 5)), np.arange(20) % 10)
    monkeypatch.setattr("nmdl_bench.problems.supervised.load", lambda name, *, seed: rows)
    with pytest.raises(ConfigurationError, match="data set 'rows' has no image_shape; take a problem without 'conv'"):
        PROBLEMS.make("conv-cifar-10")


def test_augmentation_and_smoothness_by_options() -> None:
    problem = PROBLEMS.make("conv-digits", n=200, crop=1, flip=True, rotate=5.0, smoothness=0.25)
    assert problem.augmentation == Augmentation(1, True, 5.0)
    assert problem.regularisers == (smoothness(problem.network, 0.25),)
    assert PROBLEMS.make("conv-digits", n=200, rotate=5.0).augmentation == Augmentation(rotation=5.0)
    dense = PROBLEMS.make("circles", smoothness=0.25)
    plain = PROBLEMS.make("circles")
    xp = get_backend("numpy")
    K, b = (plain.network.unpack(xp, plain.start)[1][name] for name in "Kb")
    h = 4.0 / 8
    rough = sum(np.sum(np.diff(block, axis=0) ** 2) for block in (K, b)) / (2 * h)
    values = [made.bind(xp).forward(made.start)[0] for made in (plain, dense)]
    assert values[1] - values[0] == pytest.approx(0.25 * rough, rel=1e-10)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"channels": "8,16"}, ConfigurationError, "channels must be numbers like '16-32', not '8,16'"),
        ({"channels": "8-0"}, ConfigurationError, "must be a positive integer, not 0"),
        ({"channels": 8}, ConfigurationError, "channels of problem 'conv-digits' must be str, not 8"),
        ({"width": 8}, UnknownNameError, "unknown option of problem 'conv-digits': 'width'"),
        ({"kernel": "dense"}, ConfigurationError, "takes 8 features, not samples of shape"),
        ({"kernel": "convv"}, UnknownNameError, "did you mean 'conv'"),
        ({"rhs": "hamiltonian", "channels": "7"}, ConfigurationError, "use an even width, not 7"),
        ({"classifier": "mean"}, UnknownNameError, "classifier"),
        ({"norm": "bach"}, UnknownNameError, "did you mean 'batch'"),
        ({"channels": "4-4-4-4-4"}, ConfigurationError, "images of 1 x 1 do not divide"),
        ({"crop": 8}, ConfigurationError, "pad = 8 must be less than the sides"),
        ({"rotate": 270.0}, ConfigurationError, "must be an angle from 0 to 180"),
        ({"smoothness": -1.0}, ConfigurationError, "weight must be non-negative"),
        ({"dropout": 1.0}, ConfigurationError, "dropout must lie in \\[0, 1\\), not 1.0"),
    ],
)
def test_bad_options_of_convolutional_problems_are_named(options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        PROBLEMS.make("conv-digits", n=200, **options)


def test_a_convolutional_problem_learns() -> None:
    """Four epochs on 1,259 digits: most of the 359 test images are classified rightly."""
    problem = PROBLEMS.make("conv-digits")
    adam = SOLVERS.make("adam", step_size=0.01, batch_size=32, schedule="cosine", horizon=39 * 4)
    result = solve(problem, adam, get_backend("torch", "float32"), Stop(max_epochs=4))
    assert result.metrics["accuracy_test"] > 0.93
