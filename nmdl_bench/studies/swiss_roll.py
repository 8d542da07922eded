"""The Swiss roll by two stable networks, trained level by level (Haber and Ruthotto 2017, section 6)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from msgspec import Meta, Struct

import nmdl_bench.catalogue  # noqa: F401 (fills the registry of solvers)
from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, Stop
from nmdl_bench.data import Dataset, load
from nmdl_bench.diagnostics.regions import decision
from nmdl_bench.networks.architectures import evolution
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.regularisers import smoothness
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, grid_rows, joined, silent
from nmdl_bench.studies.training import Level, Pad, multilevel


class Design(Struct, forbid_unknown_fields=True, frozen=True):
    """One network."""

    rhs: str
    integrator: str
    depths: tuple[Annotated[int, Meta(ge=1)], ...]
    """Steps of each level."""
    alpha: float
    """Weight of the integral of half ``|d theta / dt|^2``."""
    decay: float
    """Weight of half ``|theta|^2``."""
    start: float
    """Kernels start at this multiple of the identity, biases at 0."""


class SwissRoll(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings."""

    designs: dict[str, Design]
    time: float = 20.0
    width: Annotated[int, Meta(ge=2)] = 4
    solver: str = "lbfgs"
    iterations: Annotated[int, Meta(ge=1)] = 100
    """Of each level."""
    seed: int = 0


def run(settings: SwissRoll, tick: Tick = silent) -> Study:
    """Decision regions, and the training objective over all levels."""
    data = load("swiss-roll", seed=settings.seed)
    regions, curves, facts = [], [], []
    for i, (name, design) in enumerate(settings.designs.items()):
        levels = train(
            settings,
            design,
            data,
            lambda text, done, i=i, name=name: tick(  # type: ignore[misc]
                f"{name}, {text}", (i + done) / len(settings.designs)
            ),
        )
        last = levels[-1]
        accuracy = last.result.metrics["accuracy_validation"]
        title = f"{name}, {design.depths[-1]} steps: {100 * accuracy:.1f} %"
        regions.append(region_rows(title, last.problem, last.result.x))
        curves.append(_curve(name, levels))
        for depth, level in zip(design.depths, levels):
            facts.append(
                {"network": name, "steps": depth, "iterations": level.result.iterations, "objective": level.result.loss,
                 **{k.removeprefix("accuracy_"): v for k, v in level.result.metrics.items()}}
            )  # fmt: skip
    caption = (
        "What the trained networks decide on the plane (pale, the paler the less clear-cut), the training points, and "
        "crosses where points of the other parts are classified wrongly; in the titles, the accuracy on the validation "
        f"part. tanh, T = {settings.time:g}, features padded with zeros to {settings.width}, trained with "
        f"{settings.solver}, at most {settings.iterations} iterations a level, from few steps to many. Networks, "
        "kernels' start and smoothness after Haber and Ruthotto (2017, section 6), who minimise by Newton-CG and "
        "variable projection; here all weights are found together, and decay acts on all of them."
    )
    told = (
        "Training objective along the iterations of all levels, one after the other; it jumps where steps and controls "
        "are refined."
    )
    pictures = [
        Picture("regions", "regions", "Decision regions", caption, joined(regions)),
        Picture("training", "bands", "Training, level by level", told, joined(curves)),
    ]
    return Study(pictures, facts)


def train(settings: SwissRoll, design: Design, data: Dataset, tick: Tick = silent) -> list[Level]:
    """One network, through its levels."""
    if settings.width < data.features:
        raise ConfigurationError(f"width must be at least the {data.features} features, not {settings.width}")
    block = evolution(settings.width, design.depths[0], settings.time, rhs=design.rhs, integrator=design.integrator)
    network = Network((Pad(data.features, settings.width), block, Dense(settings.width, data.classes)))
    rng = np.random.Generator(np.random.Philox(settings.seed))
    blocks = network.unpack(get_backend("numpy"), network.init(rng))
    for name, stacked in blocks[1].items():
        stacked[:] = design.start * np.eye(stacked.shape[-1]) if name.startswith("K") else 0.0

    def make(found: Network) -> LearningProblem:
        return LearningProblem(
            "swiss-roll", "", data, found, alpha=design.decay, seed=settings.seed,
            regularisers=(smoothness(found, design.alpha),),
        )  # fmt: skip

    x = network.pack(get_backend("numpy"), blocks)
    return multilevel(make, network, x, design.depths, settings.solver, Stop(settings.iterations), tick)


def region_rows(panel: str, problem: LearningProblem, x: np.ndarray, n: int = 161) -> pd.DataFrame:
    """Rows of a ``regions`` picture: the plane and the samples, in evaluation mode."""
    xp = get_backend("numpy")
    network, data = problem.network, problem.data
    aux = network.statistics(xp, x, data.train.Y)
    plane = decision(xp, network, x, data.train.Y, n, aux=aux)
    values = {
        "label": plane.classes.astype(float),
        "margin": plane.margin,
        "right": np.full(plane.margin.shape, np.nan),
    }
    frames = [grid_rows({"panel": panel, "role": "grid"}, plane.y1, plane.y2, values)]
    for role, part in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        if not len(part.Y) or part.labels is None:
            continue
        S = network.forward(xp, x, part.Y, aux)[0]
        found = (S[:, 0] > 0).astype(int) if S.shape[1] == 1 else S.argmax(axis=1)
        frames.append(
            pd.DataFrame(
                {"panel": panel, "role": role, "x": part.Y[:, 0], "y": part.Y[:, 1], "label": part.labels.astype(float),
                 "margin": np.nan, "right": (found == part.labels).astype(float)}
            )
        )  # fmt: skip
    return joined(frames)


def _curve(name: str, levels: list[Level]) -> pd.DataFrame:
    from nmdl_bench.contracts import HISTORY_COLUMNS

    column = HISTORY_COLUMNS.index("loss")
    losses = np.concatenate([level.result.history[:, column] for level in levels])
    return band(
        "training objective", name, np.arange(len(losses)), losses, x_label="iteration, all levels",
        y_label="objective", log=True,
    )  # fmt: skip
