"""Linear classifiers, of the features as they are and of random ones (course, lectures 3 and 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, cast

import numpy as np
from msgspec import Meta, Struct, field

import nmdl_bench.catalogue  # noqa: F401 (fills the registry of solvers)
from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import HISTORY_COLUMNS, SOLVERS, Problem, Stop, unknown
from nmdl_bench.data import Dataset, load
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.network import Network
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.problems.single_layer import extreme_learning_machine, random_layer
from nmdl_bench.solve import solve
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent
from nmdl_bench.studies.swiss_roll import region_rows

MAPS = {"identity": "linear", "random": "random features"}
"""What the classifier is linear in, and its name in figures."""


class Softmax(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings."""

    data: str = "peaks"
    options: dict[str, Any] = field(default_factory=dict)
    """Of the data set."""
    maps: tuple[str, ...] = ("identity", "random")
    width: Annotated[int, Meta(ge=1)] = 200
    """Random features."""
    activation: str = "tanh"
    scale: Annotated[float, Meta(gt=0)] = 2.0
    """Of the frozen layer's weights."""
    alpha: Annotated[float, Meta(ge=0)] = 1e-3
    """Weight of half squares of the classifier's weights."""
    solver: str = "newton-cg"
    solver_options: dict[str, Any] = {}
    iterations: Annotated[int, Meta(ge=1)] = 30
    seed: int = 0


def make(settings: Softmax, data: Dataset, name: str) -> tuple[LearningProblem, Any]:
    """The convex problem for one map, and a function that gives network and weights as a whole for its solution."""
    if name not in MAPS:
        raise unknown("map of features", name, MAPS)
    classifier = Dense(data.features, data.classes)
    if name == "identity":
        problem = LearningProblem("softmax", "", data, Network((classifier,)), alpha=settings.alpha, seed=settings.seed)
        return problem, lambda x: (problem.network, x)
    chosen: Any = {"activation": settings.activation, "scale": settings.scale, "seed": settings.seed}
    problem = extreme_learning_machine("softmax", "", data, settings.width, alpha=settings.alpha, **chosen)
    layer, frozen = random_layer(data.features, settings.width, **chosen)
    whole = Network((*layer.layers, Dense(settings.width, data.classes)))
    return problem, lambda x: (whole, np.concatenate([frozen, x]))


def run(settings: Softmax, tick: Tick = silent) -> Study:
    """Decision regions, and the objective along the iterations."""
    xp = get_backend("numpy")
    data = load(settings.data, seed=settings.seed, **settings.options)
    stop = Stop(settings.iterations, gtol=1e-10)
    loss_at, regions, curves, facts = HISTORY_COLUMNS.index("loss"), [], [], []
    for i, name in enumerate(settings.maps):
        tick(MAPS.get(name, name), i / len(settings.maps))
        problem, whole = make(settings, data, name)
        result = solve(cast(Problem, problem), SOLVERS.make(settings.solver, **settings.solver_options), xp, stop)
        network, x = whole(result.x)
        accuracy = result.metrics["accuracy_test"]
        shown = replace(problem, data=data, network=network, _on_device={})
        regions.append(region_rows(f"{MAPS[name]}: {100 * accuracy:.1f} %", shown, x))
        history = result.history
        curves.append(
            band(
                "objective", MAPS[name], history[:, 0], history[:, loss_at], x_label="iteration",
                y_label="objective", log=True,
            )
        )  # fmt: skip
        facts.append(
            {"features": MAPS[name], "weights": len(result.x), "iterations": result.iterations, "status": result.status,
             "objective": result.loss, "gradient": result.grad_norm,
             **{k.removeprefix("accuracy_"): v for k, v in result.metrics.items()}}
        )  # fmt: skip
    caption = (
        f"What softmax classifiers decide on the plane (pale, the paler the less clear-cut), the {len(data.train.Y):,} "
        "training points, and crosses where test points are classified wrongly; in the titles, the accuracy on the "
        f"test part. Cross-entropy with {settings.alpha:g}/2 times the weights' square norm, by {settings.solver}, at "
        f"most {settings.iterations} iterations. A classifier that is linear in the features has straight boundaries, "
        f"and cannot separate these classes; one that is linear in {settings.width} random features "
        f"({settings.activation}) bends them, and its problem is as convex."
    )
    told = "The training objective along the iterations."
    pictures = [
        Picture("regions", "regions", "Decision regions", caption, joined(regions)),
        Picture("training", "bands", "Training", told, joined(curves)),
    ]
    return Study(pictures, facts)
