"""A single-layer network by several methods, each in phases (course, lecture 4)."""

from __future__ import annotations

from typing import Annotated, Any, cast

import numpy as np
import pandas as pd
from msgspec import Meta, Struct

import nmdl_bench.catalogue  # noqa: F401 (fills the registry of solvers)
from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import HISTORY_COLUMNS, SOLVERS, Problem, Result, Stop
from nmdl_bench.data import load
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.problems.single_layer import single_layer
from nmdl_bench.solve import solve
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent
from nmdl_bench.studies.swiss_roll import region_rows

START = 0.5
"""Where a start without a pass is drawn on the logarithmic axis."""
Positive = Annotated[int, Meta(ge=1)]


class Phase(Struct, forbid_unknown_fields=True, frozen=True):
    """One method for a while, from where the one before has ended."""

    solver: str
    options: dict[str, Any] = {}
    iterations: Positive = 100
    epochs: Positive = 50


class Run(Struct, forbid_unknown_fields=True, frozen=True):
    """One network and how it is trained."""

    label: str
    activation: str
    phases: tuple[Phase, ...]
    alpha: Annotated[float, Meta(ge=0)] = 1e-4
    """Weight of half squares of the hidden layer's weights."""
    alpha_w: Annotated[float, Meta(ge=0)] | None = None
    """Of the classifier's; as ``alpha`` where not given."""


class SingleLayer(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings."""

    runs: tuple[Run, ...]
    width: Positive = 40
    train: Positive = 1000
    test: Positive = 2000
    seed: int = 0


def train(settings: SingleLayer, chosen: Run, tick: Tick = silent) -> tuple[LearningProblem, list[Result]]:
    """The problem, and the result of each phase."""
    n = settings.train + settings.test
    data = load("peaks", n=n, n_validation=0, n_test=settings.test, seed=settings.seed)
    results: list[Result] = []
    for i, phase in enumerate(chosen.phases):
        tick(f"{chosen.label}: {phase.solver}", i / len(chosen.phases))
        problem = single_layer(
            "single-layer", "", data, settings.width, chosen.activation, alpha=chosen.alpha, alpha_w=chosen.alpha_w,
            seed=settings.seed,
        )  # fmt: skip
        if results:
            problem.start = np.array(results[-1].x)
        stop = Stop(phase.iterations, phase.epochs, gtol=1e-8)
        solver = SOLVERS.make(phase.solver, **phase.options)
        results.append(solve(cast(Problem, problem), solver, get_backend("numpy"), stop, seed=settings.seed))
    return problem, results


def run(settings: SingleLayer, tick: Tick = silent) -> Study:
    """The objective and the test accuracy against passes, and decision regions."""
    regions, curves, scores, facts = [], [], [], []
    for i, chosen in enumerate(settings.runs):
        problem, results = train(
            settings, chosen,
            lambda text, done, i=i: tick(text, (i + done) / len(settings.runs)),  # type: ignore[misc]
        )  # fmt: skip
        last = results[-1]
        accuracy = last.metrics["accuracy_test"]
        regions.append(region_rows(f"{chosen.label}: {100 * accuracy:.1f} %", problem, last.x))
        loss, score = _curves(chosen.label, results)
        curves.append(loss)
        scores.append(score)
        for phase, result in zip(chosen.phases, results):
            facts.append(
                {"run": chosen.label, "activation": chosen.activation, "phase": phase.solver,
                 "iterations": result.iterations, "passes": result.passes, "seconds": result.time,
                 "objective": result.loss, **{k.removeprefix("accuracy_"): v for k, v in result.metrics.items()}}
            )  # fmt: skip
    passes = (
        "A pass is a forward with its gradient, a product with a Hessian or Jacobian, or one of the iteration for the "
        "classifier's weights, which leaves the hidden layer alone. A start that took none is drawn at one half."
    )
    captions = (
        f"Training objective of a network with {settings.width} hidden features on {settings.train:,} points in five "
        f"classes, against passes over them, and the accuracy on {settings.test:,} others. {passes} The runs differ in "
        "activation and regularisation, and so in what they minimise; see the table.",
        "What the networks decide on the plane (pale, the paler the less clear-cut), the training points, and crosses "
        "where test points are classified wrongly; in the titles, the accuracy on the test part.",
    )
    pictures = [
        Picture("training", "bands", "Training a single layer", captions[0], joined([*curves, *scores])),
        Picture("regions", "regions", "Decision regions", captions[1], joined(regions)),
    ]
    return Study(pictures, facts)


def _curves(label: str, results: list[Result]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Objective and accuracy against passes, the phases one after the other."""
    at_passes, at_loss = (HISTORY_COLUMNS.index(name) for name in ("passes", "loss"))
    x, losses, at, scores, before = [], [], [], [], 0.0
    for result in results:
        x.append(before + result.history[:, at_passes])
        losses.append(result.history[:, at_loss])
        at += [before + row["passes"] for row in result.metric_history]
        scores += [row["accuracy_test"] for row in result.metric_history]
        before = x[-1][-1]
    axis: Any = {"x_label": "passes over the samples"}
    passes = np.maximum(np.concatenate(x), START)
    loss = band("objective", label, passes, np.concatenate(losses), y_label="objective", log=True, **axis)
    score = band(
        "accuracy on the test part", label, np.maximum(at, START), np.array(scores), y_label="accuracy", **axis
    )
    return loss, score
