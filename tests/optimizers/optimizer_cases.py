"""The listed optimizers and problems, and small problems for what is hard to meet on listed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import Optimizer, Problem
from nmdl_bench.data import files
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.registry import mismatch

OPTIMIZERS = {entry.name: entry for entry in SOLVERS if entry.kind == "ours"}
# mini-batches and decreasing steps where a method has them: the listed defaults are all samples and constant steps
OPTIONS: dict[str, dict[str, Any]] = {
    "sgd": {"batch_size": 10, "schedule": "inverse-time", "horizon": 20, "step_size": 0.05},
    "nesterov": {"batch_size": 10, "schedule": "exponential", "horizon": 20, "step_size": 0.05},
    "adam": {"batch_size": 10, "schedule": "cosine", "horizon": 20, "step_size": 0.01},
}
BATCHES = tuple(name for name, entry in OPTIMIZERS.items() if entry.make().takes_batches)  # type: ignore[union-attr]
# a function where steps of fixed length stay, and where no method converges in twenty steps: beyond, rounding decides
PROBLEM_OPTIONS: dict[str, dict[str, Any]] = {"mgh": {"function": "penalty-1", "factor": 0.01}}
FROM_FILES = ("mnist", "fashion-mnist", "cifar-10", "conv-cifar-10")
LISTED = [entry.name for entry in PROBLEMS]


def make(name: str) -> Optimizer:
    """A listed optimizer with the options above."""
    return SOLVERS.make(name, **OPTIONS.get(name, {}))  # type: ignore[return-value]


def small(**options: Any) -> LearningProblem:
    """Two spirals of 30 samples, and a network of 3 features and 2 steps."""
    chosen = {"n": 40, "n_validation": 5, "n_test": 5, "width": 3, "depth": 2, **options}
    return PROBLEMS.make("spirals", **chosen)  # type: ignore[return-value]


def with_training_data(problem: LearningProblem, change: Callable[[np.ndarray], np.ndarray]) -> LearningProblem:
    """The problem over changed training features."""
    train = problem.data.train
    return replace(problem, data=replace(problem.data, train=train._replace(Y=change(train.Y.copy()))))


def stationary() -> LearningProblem:
    """A problem whose gradient is exactly zero at the start: linear least squares to the target 0, from 0."""
    problem = small(depth=0, loss="least-squares", alpha=0.0)
    train = problem.data.train
    flat = replace(problem, data=replace(problem.data, train=train._replace(C=np.zeros_like(train.C))))
    flat.__dict__["start"] = np.zeros(flat.network.size)
    return flat


class Small(NamedTuple):
    """Small versions of one kind of problem: as it is, with data that are all ``bad``, and stationary at its start."""

    plain: Callable[[], Problem]
    bad: Callable[[float], Problem]
    stationary: Callable[[], Problem]


LEARNING = Small(small, lambda bad: with_training_data(small(activation="relu"), lambda Y: Y * bad), stationary)
# what a solver needs that does not minimise learning problems: a kind of problem that provides it
STRUCTURED: dict[str, Small] = {}


def fits(name: str, provides: tuple[str, ...]) -> bool:
    """Whether the listed optimizer can minimise a problem of that structure."""
    return not mismatch(provides, OPTIMIZERS[name].needs)


def small_for(name: str) -> Small:
    """The first kind of small problem that the listed optimizer can minimise."""
    for kind in (LEARNING, *STRUCTURED.values()):
        if fits(name, getattr(kind.plain(), "provides", ())):
            return kind
    raise AssertionError(f"{name} needs {OPTIMIZERS[name].needs}; add a small problem that provides it to STRUCTURED")


LEARNERS = [name for name in OPTIMIZERS if fits(name, small().provides)]


def write_image_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 60 random images each in place of MNIST, Fashion-MNIST and CIFAR-10, and ``NMDL_DATA`` to find them."""
    rng = np.random.default_rng(0)
    labels = np.arange(60, dtype=np.uint8) % 10
    for name, first in files.IDX_FIRST_LABELS.items():
        for part in (files.IDX_TRAIN, files.IDX_TEST):
            marked = np.array(first, np.uint8) if part == files.IDX_TRAIN else labels[:10]
            ours = np.concatenate([marked, labels[10:]])
            pixels = rng.integers(0, 256, (60, *files.IDX_PIXELS), dtype=np.uint8)
            (folder / name).mkdir(exist_ok=True)
            for pattern, array in ((files.IDX_IMAGES, pixels), (files.IDX_LABELS, ours)):
                sizes = np.array(array.shape, ">u4").tobytes()
                (folder / name / pattern.format(part)).write_bytes(
                    bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
                )
    monkeypatch.setattr(files, "CIFAR_RECORDS", 60)
    (folder / files.CIFAR_FOLDER).mkdir()
    for name in (*files.CIFAR_TRAIN, *files.CIFAR_TEST):
        pixels = rng.integers(0, 256, (60, int(np.prod(files.CIFAR_IMAGE))), dtype=np.uint8)
        (folder / files.CIFAR_FOLDER / name).write_bytes(np.column_stack([labels, pixels]).tobytes())
    monkeypatch.setenv("NMDL_DATA", str(folder))


def listed(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Problem:
    """A listed problem; those from files over the files of :func:`write_image_files`."""
    if name in FROM_FILES:
        write_image_files(folder, monkeypatch)
    return PROBLEMS.make(name, **PROBLEM_OPTIONS.get(name, {}), **options)
