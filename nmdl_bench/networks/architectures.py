"""Whole networks from names: dense residual networks for features, convolutional ones in stages for images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nmdl_bench.contracts import ConfigurationError, Layer, unknown
from nmdl_bench.networks.checks import check_sizes
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.imex import Imex
from nmdl_bench.networks.integrators import EULER, HEUN, RK4, Integrator
from nmdl_bench.networks.kernel_algebra import lean_kernel
from nmdl_bench.networks.kernels import (
    CirculantKernel,
    ConvKernel,
    DenseKernel,
    Kernel,
    ScalingKernel,
    Shape,
)
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.linear_maps import AveragePool, GlobalAverage, Reshape
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.parts import Dropout
from nmdl_bench.networks.reversible import SYMPLECTIC_EULER, VERLET, Leapfrog
from nmdl_bench.networks.rhs import RIGHT_HAND_SIDES, TWO_FIELDS, single
from nmdl_bench.networks.sparse import SparseKernel

INTEGRATORS: dict[str, Integrator] = {
    "euler": EULER,
    "heun": HEUN,
    "rk4": RK4,
    "symplectic-euler": SYMPLECTIC_EULER,
    "verlet": VERLET,
    "leapfrog": Leapfrog(),
}
"""Integrators without weights of their own; ``"imex"`` is made for the width at hand."""

KERNELS: dict[str, Callable[[int], Kernel]] = {
    "dense": lambda width: DenseKernel(width, width),
    "sparse": lambda width: SparseKernel.random(width, width, max(width // 4, 1)),
    "scaling": ScalingKernel,
}
"""Kernels for vectors of features, by width."""

IMAGE_KERNELS: dict[str, Callable[[int], Kernel]] = {
    "conv": lambda channels: ConvKernel(channels, channels, 3),
    "pointwise": lambda channels: ConvKernel(channels, channels, 1),
    "depthwise": lambda channels: ConvKernel(channels, channels, 3, depthwise=True),
    "lean": lambda channels: lean_kernel(channels, channels),
    "circulant": lambda channels: CirculantKernel(channels, channels, 3),
    "channel-scaling": ScalingKernel,
}
"""Kernels for images, by number of channels."""


def evolution(
    width: int,
    depth: int,
    time: float = 1.0,
    *,
    rhs: str = "single",
    kernel: str = "dense",
    integrator: str = "euler",
    activation: str = "tanh",
    norm: str | None = None,
    bias: bool = True,
    gamma: float = 0.0,
    controls: str = "constant",
    number: int | None = None,
    memory: str = "all",
    slots: int = 8,
) -> Evolution:
    """A block of time steps from names.

    Parameters
    ----------
    width : int
        Features, or channels with one of :data:`IMAGE_KERNELS`; both fields together for a Hamiltonian one.
    depth, time
        Steps and final time.
    rhs : str
        Name in :data:`~nmdl_bench.networks.rhs.RIGHT_HAND_SIDES`.
    kernel : str
        Name in :data:`KERNELS` or :data:`IMAGE_KERNELS`.
    integrator : str
        Name in :data:`INTEGRATORS`, or ``"imex"``.
    activation, norm, bias, gamma
        Of the right-hand side.
    controls, number, memory, slots
        As for :class:`~nmdl_bench.networks.evolution.Evolution`.

    Raises
    ------
    UnknownNameError
        One of the names.
    ConfigurationError
        Names that do not go together.
    """
    check_sizes(width=width, depth=depth)
    if rhs not in RIGHT_HAND_SIDES:
        raise unknown("right-hand side", rhs, RIGHT_HAND_SIDES)
    kernels = KERNELS | IMAGE_KERNELS
    if kernel not in kernels:
        raise unknown("kernel", kernel, kernels)
    if rhs in TWO_FIELDS and width % 2:
        raise ConfigurationError(f"a right-hand side {rhs!r} splits features in halves; use an even width, not {width}")
    f = RIGHT_HAND_SIDES[rhs](
        kernels[kernel](width // 2 if rhs in TWO_FIELDS else width), activation, norm, bias, gamma
    )
    if integrator == "imex":
        implicit = CirculantKernel(width, width, 3, depthwise=True) if kernel in IMAGE_KERNELS else ScalingKernel(width)
        method: Integrator = Imex(implicit)
    elif integrator in INTEGRATORS:
        method = INTEGRATORS[integrator]
    else:
        raise unknown("integrator", integrator, [*INTEGRATORS, "imex"])
    return Evolution(f, depth, time, method, controls, number, memory, slots)


def resnet(
    features: int,
    classes: int,
    width: int,
    depth: int,
    time: float = 1.0,
    activation: str = "tanh",
    *,
    rhs: str = "single",
    kernel: str = "dense",
    integrator: str = "euler",
    norm: str | None = None,
    gamma: float = 0.0,
    controls: str = "constant",
    number: int | None = None,
    memory: str = "all",
    slots: int = 8,
    dropout: float = 0.0,
) -> Network:
    """Opening layer, ``depth`` steps to ``time``, and a linear classifier, on vectors of features.

    With depth 0 only the classifier is left: on cross-entropy that is multinomial logistic regression, a convex
    problem.

    Parameters
    ----------
    features, classes : int
        Columns of the input and of the output.
    width : int
        Features inside the network.
    depth : int
        Number of steps, >= 0.
    time : float
        Final time; the step size is ``time / depth``.
    activation : str
        Of the opening layer and the block.
    rhs, kernel, integrator, norm, gamma, controls, number, memory, slots
        As for :func:`evolution`.
    dropout : float
        Rate at which features are dropped before the classifier.
    """
    check_sizes(features=features, classes=classes, **({"width": width, "depth": depth} if depth != 0 else {}))
    if depth == 0:
        return Network((Dense(features, classes),))
    block = evolution(
        width,
        depth,
        time,
        rhs=rhs,
        kernel=kernel,
        integrator=integrator,
        activation=activation,
        norm=norm,
        gamma=gamma,
        controls=controls,
        number=number,
        memory=memory,
        slots=slots,
    )
    network = Network(
        (Dense(features, width, activation), block, *_dropout(dropout), Dense(width, classes)),
    )
    network.output((features,))
    return network


def conv_resnet(
    shape: Shape,
    classes: int,
    channels: Sequence[int] = (16, 32),
    depth: int = 3,
    time: float = 3.0,
    activation: str = "relu",
    *,
    rhs: str = "parabolic",
    kernel: str = "conv",
    integrator: str = "euler",
    norm: str | None = "batch",
    bias: bool = False,
    gamma: float = 0.0,
    controls: str = "constant",
    number: int | None = None,
    memory: str = "all",
    slots: int = 8,
    dropout: float = 0.0,
    stride: int = 1,
    opening: int | None = None,
    last: int | None = None,
    classifier: str = "average",
    flat: bool = True,
) -> Network:
    """Opening convolution; stages of time steps, with a 1 x 1 connector and 2 x 2 pooling between them; a classifier.

    The shape of the networks of Ruthotto and Haber (2020, section 5).

    Parameters
    ----------
    shape : (channels, height, width)
        Of one image.
    classes : int
        Columns of the output.
    channels : sequence of int
        Channels of each stage.
    depth, time
        Steps and final time of each stage.
    activation, rhs, kernel, integrator, norm, bias, gamma, controls, number, memory, slots
        As for :func:`evolution`; activation and norm are those of the opening layer and the connectors too.
    dropout : float
        Rate at which features are dropped before the classifier.
    stride : int
        Of the opening convolution: 2 halves height and width.
    opening : int, optional
        Channels of the opening layer, where they are not those of the first stage; a connector follows then.
    last : int, optional
        Channels of a connector after the last stage; by default there is none.
    classifier : str
        ``"average"``: linear in the means of each channel. ``"linear"``: linear in all pixels.
    flat : bool
        Whether data come as rows of pixels, which a first layer turns into images.
    """
    extra = {name: value for name, value in (("opening", opening), ("last", last)) if value is not None}
    check_sizes(classes=classes, depth=depth, **extra, **{f"channels[{i}]": c for i, c in enumerate(channels)})
    if not channels:
        raise ConfigurationError("channels must name at least one stage, not ()")
    if classifier not in ("average", "linear"):
        raise unknown("classifier", classifier, ("average", "linear"))
    pixels, first = (shape[0] * shape[1] * shape[2],), channels[0] if opening is None else opening
    layers: list[Layer] = [Reshape(pixels, tuple(shape))] if flat else []
    layers.append(single(ConvKernel(shape[0], first, 3, stride), activation, norm, bias, outputs=first))

    def connector(before: int, after: int) -> Layer:
        return single(ConvKernel(before, after, 1), activation, norm, bias, outputs=after)

    if first != channels[0]:
        layers.append(connector(first, channels[0]))
    for stage, width in enumerate(channels):
        if stage:
            layers += [connector(channels[stage - 1], width), AveragePool(2)]
        layers.append(
            evolution(
                width,
                depth,
                time,
                rhs=rhs,
                kernel=kernel,
                integrator=integrator,
                activation=activation,
                norm=norm,
                bias=bias,
                gamma=gamma,
                controls=controls,
                number=number,
                memory=memory,
                slots=slots,
            )
        )
    if last is not None:
        layers.append(connector(channels[-1], last))
    inside = Network(tuple(layers)).output(pixels if flat else tuple(shape))
    if classifier == "average":
        layers += [GlobalAverage(), *_dropout(dropout), Dense(inside[0], classes)]
    else:
        length = inside[0] * inside[1] * inside[2]
        layers += [Reshape(inside, (length,)), *_dropout(dropout), Dense(length, classes)]
    return Network(tuple(layers))


def _dropout(rate: float) -> tuple[Layer, ...]:
    return (Dropout(rate),) if rate else ()
