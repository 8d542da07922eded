"""The objective of a network with two parameters, as its depth varies (course, lecture 7)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.rhs import single
from nmdl_bench.studies.pictures import Picture, Study, Tick, grid_rows, joined, silent


class ObjectivePlane(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings; the defaults are the lecture's."""

    time: float = 10.0
    depths: tuple[Annotated[int, Meta(ge=1)], ...] = (5, 100)
    truth_depth: Annotated[int, Meta(ge=1)] = 200
    truth: tuple[float, float] = (1.0, 1.0)
    low: float = 0.2
    high: float = 2.0
    points: Annotated[int, Meta(ge=2)] = 101
    samples: Annotated[int, Meta(ge=1)] = 20
    size: float = 0.1
    """Standard deviation of the features at the start."""
    activation: str = "tanh"
    seed: int = 0


def kernel(t1: float, t2: float) -> np.ndarray:
    """The lecture's matrix, which acts on columns; its rows sum to zero."""
    return np.array([[-t1 - t2, t1, t2], [t2, -t1 - t2, t1], [t1, t2, -t1 - t2]])


def run(settings: ObjectivePlane, tick: Tick = silent) -> Study:
    """Maps of the training and the test objective for each depth, and of their difference."""
    xp = get_backend("numpy")
    rng = np.random.Generator(np.random.Philox(settings.seed))
    n = settings.samples
    Y = settings.size * rng.standard_normal((2 * n, 3))
    rhs = single(DenseKernel(3, 3), settings.activation, bias=False)

    def end(depth: int, t1: float, t2: float) -> np.ndarray:
        layer = Evolution(rhs, depth, settings.time, number=1)
        return layer.forward(xp, {"K": kernel(t1, t2).T[None]}, Y)[0]

    C = end(settings.truth_depth, *settings.truth)
    axis = np.linspace(settings.low, settings.high, settings.points)
    frames, facts = [], []
    for k, depth in enumerate(settings.depths):
        train, test = np.empty((2, len(axis), len(axis)))
        for j, t2 in enumerate(axis):
            tick(f"N = {depth}", (k + j / len(axis)) / len(settings.depths))
            for i, t1 in enumerate(axis):
                squares = (end(depth, t1, t2) - C) ** 2
                train[j, i], test[j, i] = 0.5 * squares[:n].sum() / n, 0.5 * squares[n:].sum() / n
        found = {"train": train, "test": test, "difference": np.abs(train - test)}
        for name, values in found.items():
            columns = {
                "panel": f"$N = {depth}$, {name}", "scale": f"{depth} {'difference' if name == 'difference' else ''}",
                "x_label": r"$\theta_1$", "y_label": r"$\theta_2$", "v_label": "", "columns_wanted": 3,
                "mark_x": settings.truth[0], "mark_y": settings.truth[1],
            }  # fmt: skip
            frames.append(grid_rows(columns, axis, axis, {"value": values}))
        at = np.unravel_index(train.argmin(), train.shape)
        facts.append(
            {"N": depth, "h": settings.time / depth, "least training objective": train.min(), "at t1": axis[at[1]],
             "at t2": axis[at[0]], "largest |h lambda| of K": settings.time / depth * _spectral_radius(axis)}
        )  # fmt: skip
    caption = (
        "Objective 1/(2n) |Y_N - C|^2 of the network Y <- Y + h tanh(K(theta) Y), T = "
        f"{settings.time:g}, as a function of its two parameters, for N = "
        + " and ".join(str(d) for d in settings.depths)
        + f" layers; C is the output of {settings.truth_depth} layers at the cross. {n} training and {n} test inputs, "
        f"{settings.size:g} times standard normal; the difference is the modulus of test less training. Colours are "
        "logarithmic where values span more than a factor of 30. With few layers the steps leave the stability region, "
        "and the objective loses its smooth valley; with enough layers training and test objective agree."
    )
    return Study([Picture("objective", "maps", "Objective and depth", caption, joined(frames))], facts)


def _spectral_radius(axis: np.ndarray) -> float:
    return float(np.abs(np.linalg.eigvals(kernel(axis[-1], axis[-1]))).max())
