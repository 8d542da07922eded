"""The listed problems: options, starts, metrics, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS
from nmdl_bench.contracts import ConfigurationError, UnknownNameError

DRAWN = ["spirals", "peaks", "circles", "swiss-roll", "digits", "mnist-5k", "logistic-digits", "logistic-mnist-5k"]


@pytest.mark.parametrize("name", DRAWN)
def test_listed_problems_bind_and_know_their_metrics(name: str) -> None:
    problem = PROBLEMS.make(name, seed=1)
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
    from nmdl_bench.data import from_arrays
    from nmdl_bench.networks.network import resnet
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
    from nmdl_bench.data import from_arrays
    from nmdl_bench.networks.network import resnet
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
