"""Which objectives separate, and their parts against the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.data import from_arrays
from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.parts import Activate, Affine, Chain, Dropout
from nmdl_bench.networks.regularisers import smoothness, tikhonov, total_variation
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.problems.separable import is_separable, partition

XP = get_backend("numpy")
SINGLE = Network((Dense(2, 4, "tanh"), Dense(4, 3)))


@pytest.mark.parametrize("name", ["spirals", "logistic-digits", "conv-digits", "peaks-regression", "elm-peaks"])
def test_listings_say_what_problems_provide(name: str) -> None:
    problem = PROBLEMS.make(name, **({"n": 200} if "digits" in name else {}))
    assert problem.provides == PROBLEMS[name].structure({})
    assert ("separable" in problem.provides) == (name not in ("logistic-digits", "elm-peaks"))


def test_options_decide_with() -> None:
    entry = PROBLEMS["spirals"]
    for options in ({"depth": 0}, {"loss": "huber"}, {"loss": "least-squares"}, {"smoothness": 0.1}, {}):
        assert PROBLEMS.make("spirals", n=40, **options).provides == entry.structure(options), options
    assert "separable" not in entry.structure({"depth": 0})
    assert "separable" not in entry.structure({"loss": "huber"})


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_features_times_last_layer_are_the_networks_output(bias: bool, dropout: float) -> None:
    rng = np.random.default_rng(0)
    data = from_arrays("few", rng.standard_normal((20, 2)), np.arange(20) % 3, n_validation=0, n_test=0)
    last = Affine(DenseKernel(4, 3), bias, outputs=3 if bias else None)
    first = (Affine(DenseKernel(2, 4), outputs=4), Activate("tanh"), *((Dropout(dropout),) if dropout else ()))
    network = Network((Chain(first), Chain((last,))))
    objective = LearningProblem("few", "", data, network, alpha=0.1).bind(XP)
    objective = objective.with_arrays(objective.redraw(0, 0))
    parts, x = objective.separable, objective.x0
    theta, W = x[: parts.split], x[parts.split :].reshape(parts.shape)
    Z, tape = parts.features(theta)
    assert parts.shape == (4 + bias, 3)
    np.testing.assert_allclose(Z @ W, network.forward(XP, x, data.train.Y, objective.arrays.aux)[0], atol=1e-14)
    value = parts.loss.forward(XP, Z @ W, parts.targets)[0] + 0.5 * parts.alpha * np.sum(W**2) + parts.outer(theta)
    assert value == pytest.approx(objective.forward(x)[0], rel=1e-14)
    _, whole = objective.forward(x)
    v, w = rng.standard_normal(parts.split), rng.standard_normal((20, 3))
    dZ, dtape = parts.features_jvp(tape, v, keep=True)
    along = np.concatenate([v, np.zeros(W.size)])
    np.testing.assert_allclose(dZ @ W, objective.jvp(whole, along), atol=1e-13)
    np.testing.assert_allclose(parts.features_vjp(tape, w @ W.T), objective.vjp(whole, w)[: parts.split], atol=1e-13)
    M, h = rng.standard_normal(Z.shape), 1e-6
    ahead, behind = (parts.features_vjp(parts.features(theta + s * v)[1], M) for s in (h, -h))
    dM = 0 * M
    np.testing.assert_allclose(parts.features_dvjp(tape, dtape, v, M, dM), (ahead - behind) / (2 * h), atol=1e-7)


def test_weights_of_regularisers_add_up() -> None:
    R = (tikhonov(SINGLE, 0.1), tikhonov(SINGLE, 0.2, "classifier"), tikhonov(SINGLE, 0.4, "features"))
    found = partition(SINGLE, 0.05, R)
    assert (found.alpha, found.alpha_theta) == (pytest.approx(0.35), pytest.approx(0.55))
    assert (found.split, found.rows, found.columns) == (12, 5, 3)


@pytest.mark.parametrize(
    ("network", "regularisers"),
    [
        (Network((Dense(2, 3),)), ()),
        (Network((Dense(2, 4, "tanh"), Dense(4, 3, "tanh"))), ()),
        (Network((Activate("tanh"), Dense(2, 3))), ()),
        (SINGLE, (tikhonov(SINGLE, 0.1, "weights"),)),
    ],
    ids=["no hidden layer", "activation at the end", "no weights before", "bias weighed otherwise"],
)
def test_what_does_not_separate(network: Network, regularisers: Any) -> None:
    assert not is_separable(network, regularisers)
    with pytest.raises(ConfigurationError, match=r"affine layer|all alike by half squares"):
        partition(network, 0.0, regularisers)


def test_regularisers_of_controls_and_stencils_leave_the_last_layer_alone() -> None:
    dense, conv = PROBLEMS.make("spirals", n=40), PROBLEMS.make("conv-digits", n=100, channels="2", depth=1)
    for problem, R in ((dense, smoothness(dense.network, 0.1)), (conv, total_variation(conv.network, 0.1))):
        assert is_separable(problem.network, (R,))
        assert partition(problem.network, 0.0, (R,)).alpha_theta is None


# ------------------------------------------------------------------------------------------------------- single layers
def test_single_layers_and_random_features() -> None:
    problem = PROBLEMS.make("peaks-regression", n=100, width=7, alpha=0.3, alpha_w=0.1)
    parts = problem.bind(XP).separable
    assert (parts.alpha, parts.alpha_theta, parts.shape) == (0.1, 0.3, (8, 1))
    assert set(problem.metrics(XP, problem.start)) == {"rmse_train", "rmse_validation", "rmse_test"}
    elm = PROBLEMS.make("elm-peaks", n=100, width=9, scale=1.5)
    assert elm.data.features == 9
    assert elm.network == Network((Dense(9, 5),))
    again = PROBLEMS.make("elm-peaks", n=100, width=9, scale=1.5)
    np.testing.assert_array_equal(elm.data.train.Y, again.data.train.Y)
    assert not elm.data.train.Y.flags.writeable
    assert np.abs(elm.data.train.Y).max() < 1
    other = PROBLEMS.make("elm-peaks", n=100, width=9, scale=1.5, seed=1)
    assert not np.array_equal(elm.data.train.Y, other.data.train.Y)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("elm-peaks", {"scale": 0.0}, "scale must be positive"),
        ("elm-peaks", {"width": 0}, "width must be a positive integer, not 0"),
        ("peaks-regression", {"alpha_w": -1.0}, "must be non-negative"),
        ("single-layer-peaks", {"width": 2.5}, "width of problem 'single-layer-peaks' must be int"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PROBLEMS.make(name, **{"n": 50, **options})
