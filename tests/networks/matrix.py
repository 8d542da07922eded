"""Factors of the test matrix, from the package's own registries, and the tiny problem of each combination of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from covering import Case, Factors, covering, singles

from nmdl_bench.data import from_arrays
from nmdl_bench.networks.activations import ACTIVATIONS
from nmdl_bench.networks.evolution import MEMORY, Evolution
from nmdl_bench.networks.imex import Imex
from nmdl_bench.networks.integrators import EULER, HEUN, RK4
from nmdl_bench.networks.kernel_algebra import lean_kernel
from nmdl_bench.networks.kernels import CirculantKernel, ConvKernel, DenseKernel, ScalingKernel
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.linear_maps import AveragePool, GlobalAverage, Reshape
from nmdl_bench.networks.losses import LOSSES
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.normalisation import KINDS
from nmdl_bench.networks.parts import Dropout
from nmdl_bench.networks.regularisers import smoothness, tikhonov, total_variation
from nmdl_bench.networks.reversible import SYMPLECTIC_EULER, VERLET, Leapfrog
from nmdl_bench.networks.rhs import RIGHT_HAND_SIDES, TWO_FIELDS, single
from nmdl_bench.networks.sparse import SparseKernel
from nmdl_bench.problems.learning import LearningProblem

SAMPLES, FEATURES, IMAGE, CLASSES, DEPTH = 6, 3, (2, 4, 4), 3, 2
WIDTH = 4
"""Features or channels inside the network; two fields have half of them each."""

VECTOR_KERNELS: dict[str, Callable[[int], Any]] = {
    "dense": lambda width: DenseKernel(width, width),
    "sparse": lambda width: SparseKernel.random(width, width, 2),
    "scaling": ScalingKernel,
}
IMAGE_KERNELS: dict[str, Callable[[int], Any]] = {
    "conv": lambda width: ConvKernel(width, width),
    "conv-1x1": lambda width: ConvKernel(width, width, 1),
    "depthwise": lambda width: ConvKernel(width, width, depthwise=True),
    "circulant": lambda width: CirculantKernel(width, width),
    "circulant-depthwise": lambda width: CirculantKernel(width, width, depthwise=True),
    "lean": lambda width: lean_kernel(width, width),
    "image-scaling": ScalingKernel,
}
SPLITTINGS = {integrator.name: integrator for integrator in (SYMPLECTIC_EULER, VERLET)}
INTEGRATORS: dict[str, Callable[[bool], Any]] = {
    **{one.name: lambda images, one=one: one for one in (EULER, HEUN, RK4, *SPLITTINGS.values(), Leapfrog())},
    "imex": lambda images: Imex(CirculantKernel(WIDTH, WIDTH, depthwise=True)),
    "imex-cg": lambda images: Imex(
        ConvKernel(WIDTH, WIDTH, depthwise=True) if images else DenseKernel(WIDTH, WIDTH), rtol=1e-12
    ),
}
REGULARISERS: dict[str, Callable[[Network], tuple[Any, ...]]] = {
    "none": lambda network: (),
    "tikhonov": lambda network: (tikhonov(network, 0.125, "weights"),),
    "smoothness": lambda network: (smoothness(network, 0.125),),
    "smoothed-l1": lambda network: (smoothness(network, 0.125, tau=0.25, which="time"), tikhonov(network, 0.0625)),
    "total-variation": lambda network: (total_variation(network, 0.125, tau=0.25),),
}
CONTROLS: dict[str, tuple[str, int | None]] = {
    "constant": ("constant", None),
    "linear": ("linear", 2),
    "refined": ("constant", 3),
}

FACTORS: Factors = {
    "rhs": [*RIGHT_HAND_SIDES],
    "kernel": [*VECTOR_KERNELS, *IMAGE_KERNELS],
    "integrator": [*INTEGRATORS],
    "normalisation": ["none", *KINDS],
    "activation": [*ACTIVATIONS],
    "loss": [*LOSSES],
    "regulariser": [*REGULARISERS],
    "controls": [*CONTROLS],
    "memory": [*MEMORY],
    "dropout": ["none", "masks"],
}
DEFAULT: Case = {
    "rhs": "single",
    "kernel": "dense",
    "integrator": "euler",
    "normalisation": "none",
    "activation": "tanh",
    "loss": "cross-entropy",
    "regulariser": "none",
    "controls": "constant",
    "memory": "all",
    "dropout": "none",
}


def reason(case: Case) -> str | None:
    """Why values cannot go together; factors that ``case`` lacks may take any value."""
    kernel, integrator = case.get("kernel"), case.get("integrator")
    if integrator in SPLITTINGS and case.get("rhs", TWO_FIELDS[0]) not in TWO_FIELDS:
        return f"{integrator} steps two fields in turn"
    if integrator == "imex" and kernel in VECTOR_KERNELS:
        return "the implicit stencil of imex is solved by Fourier transforms of images"
    if case.get("memory") == "reversible" and integrator not in (None, *SPLITTINGS, "leapfrog"):
        return f"{integrator} cannot be run backwards"
    flat = kernel in (*VECTOR_KERNELS, "conv-1x1", "image-scaling")
    implicit = kernel in IMAGE_KERNELS and integrator in (None, "imex", "imex-cg")  # these have stencils of their own
    if case.get("regulariser") == "total-variation" and flat and not implicit:
        return f"{kernel} has no stencil that varies in space"
    return None


def is_smooth(case: Case) -> bool:
    """Whether the objective has continuous second derivatives."""
    return ACTIVATIONS[case["activation"]].smooth and LOSSES[case["loss"]].smooth  # type: ignore[attr-defined]


def make(case: Case) -> LearningProblem:
    """Six samples of 3 features or of 4 x 4 images with 2 channels; an opening, two steps, a classifier.

    Data are exact in float32, so that both precisions see the same.
    """
    images = case["kernel"] in IMAGE_KERNELS
    norm = None if case["normalisation"] == "none" else case["normalisation"]
    width = WIDTH // 2 if case["rhs"] in TWO_FIELDS else WIDTH
    kernel = (IMAGE_KERNELS | VECTOR_KERNELS)[case["kernel"]](width)
    rhs = RIGHT_HAND_SIDES[case["rhs"]](kernel, case["activation"], norm, gamma=0.125)
    kind, number = CONTROLS[case["controls"]]
    steps = Evolution(
        rhs, DEPTH, 0.75, INTEGRATORS[case["integrator"]](images), kind, number, case["memory"], slots=DEPTH
    )
    dropout = (Dropout(0.25),) if case["dropout"] == "masks" else ()
    if images:
        opening = (
            Reshape((int(np.prod(IMAGE)),), IMAGE),
            single(ConvKernel(IMAGE[0], WIDTH, 1), "tanh", outputs=WIDTH),
        )
        closing = (AveragePool(2), GlobalAverage(), Dense(WIDTH, CLASSES))
    else:
        opening, closing = (Dense(FEATURES, WIDTH, "tanh"),), (Dense(WIDTH, CLASSES),)
    network = Network((*opening, steps, *dropout, *closing))
    rng = np.random.default_rng(0)
    features = int(np.prod(IMAGE)) if images else FEATURES
    Y = rng.standard_normal((SAMPLES, features)).astype(np.float32).astype(np.float64)
    image_shape = IMAGE if images else None
    labels = np.arange(SAMPLES) % CLASSES
    data = from_arrays(
        "random", Y, labels, n_validation=0, n_test=0, standardise=False, classes=CLASSES, image_shape=image_shape
    )
    regularisers = REGULARISERS[case["regulariser"]](network)
    return LearningProblem("random", "", data, network, case["loss"], 0.125, regularisers=regularisers)


def label(case: Case) -> str:
    """The values that differ from the default."""
    return "+".join(value for factor, value in case.items() if value != DEFAULT[factor]) or "default"


SINGLES = singles(FACTORS, DEFAULT, reason)
CASES, IMPOSSIBLE = covering(FACTORS, reason, SINGLES)
