"""Networks of published experiments, by name.

The three kinds of Ruthotto and Haber (2020, section 5) for three sets of images: a bias-free 3 x 3 opening, blocks of
3 time steps, 1 x 1 connectors and average pooling between them, a connector and a linear classifier with bias at the
end. Opening, steps and connectors are normalised, followed by the rectifier. And the reversible network of 74 layers
of Chang et al. (2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from nmdl_bench.contracts import unknown
from nmdl_bench.networks.architectures import conv_resnet
from nmdl_bench.networks.kernels import Shape
from nmdl_bench.networks.network import Network

SOURCE = "Ruthotto and Haber 2020, section 5"


@dataclass(frozen=True)
class Preset:
    """A network and what it is for.

    Attributes
    ----------
    name, summary, source : str
        Shown in listings; where it was published.
    shape : (channels, height, width)
        Of the images.
    classes : int
        Of the data set.
    build : callable
        ``build(shape=..., classes=..., **options)`` makes the network; options are those of
        :func:`~nmdl_bench.networks.architectures.conv_resnet`.
    """

    name: str
    summary: str
    source: str
    shape: Shape
    classes: int
    build: Callable[..., Network]

    def network(self, **options: Any) -> Network:
        """The network; ``options`` of :func:`~nmdl_bench.networks.architectures.conv_resnet` change it.

        Images come as rows of pixels unless ``flat=False``.
        """
        return self.build(**{"shape": self.shape, "classes": self.classes, **options})


_DATA: dict[str, tuple[str, Shape, int, tuple[int, ...], int]] = {
    "stl10": ("STL-10", (3, 96, 96), 10, (16, 32, 64, 128), 128),
    "cifar10": ("CIFAR-10", (3, 32, 32), 10, (32, 64, 112), 112),
    "cifar100": ("CIFAR-100", (3, 32, 32), 100, (32, 64, 128), 256),
}
"""Name, shape, classes, channels of the blocks, channels of the last connector."""
_KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "parabolic": ("diffusion, dY/dt = F(Y)", {"rhs": "parabolic", "integrator": "euler"}),
    "hamiltonian": (
        "two fields, dY/dt = F(Z), dZ/dt = -F(Y)",
        {"rhs": "hamiltonian", "integrator": "symplectic-euler"},
    ),
    "second-order": ("waves, d^2 Y/dt^2 = F(Y)", {"rhs": "parabolic", "integrator": "leapfrog"}),
}
"""``F(Y) = -K^T s(N(K Y))``. The paper's steps for two fields are those of the symplectic Euler method."""


def _published() -> list[Preset]:
    found = []
    for kind, (equation, options) in _KINDS.items():
        for data, (title, shape, classes, channels, last) in _DATA.items():
            build = partial(conv_resnet, channels=channels, depth=3, time=3.0, norm="tv", last=last, **options)  # type: ignore[arg-type]
            name, summary = f"{kind}-{data}", f"{equation}, for {title}"
            found.append(Preset(name, summary, SOURCE, shape, classes, build))
    # 1 opening + 3 blocks x 6 steps x 4 kernels + 1 classifier = 74 layers in the paper's count, connectors apart
    build = partial(
        conv_resnet, channels=(32, 64, 112), opening=32, depth=6, time=6.0, norm="batch", rhs="hamiltonian",
        integrator="symplectic-euler", memory="reversible",
    )  # fmt: skip
    summary = "reversible, 3 blocks of 6 steps for two fields, for STL-10"
    return [*found, Preset("hamiltonian-74", summary, "Chang et al. 2018, section 5", (3, 96, 96), 10, build)]


PRESETS: dict[str, Preset] = {preset.name: preset for preset in _published()}
"""All presets by name."""


def get_preset(name: str) -> Preset:
    """The preset called ``name``; an unknown name is an :class:`~nmdl_bench.contracts.UnknownNameError`."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]
