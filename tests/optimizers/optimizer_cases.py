"""The listed optimizers and problems, and small problems for what is hard to meet on listed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from residuals import Bard, ResidualProblem, Rosenbrock

from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import Optimizer, Problem
from nmdl_bench.data import files
from nmdl_bench.problems import CompositeProblem
from nmdl_bench.problems.factorisation import FactorisationProblem
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.problems.penalties import L1, Box
from nmdl_bench.registry import mismatch

OPTIMIZERS = {entry.name: entry for entry in SOLVERS if entry.kind == "ours"}
# mini-batches, samples and decreasing steps where a method has them: the listed defaults are all samples of a small
# problem and constant steps
OPTIONS: dict[str, dict[str, Any]] = {
    "sgd": {"batch_size": 10, "schedule": "inverse-time", "horizon": 20, "step_size": 0.05},
    "nesterov": {"batch_size": 10, "schedule": "exponential", "horizon": 20, "step_size": 0.05},
    "adam": {"batch_size": 10, "schedule": "cosine", "horizon": 20, "step_size": 0.01},
    "subsampled-newton-cg": {"sample_size": 20},
    "subsampled-gauss-newton-cg": {"sample_size": 20},
    # eigenvalues and systems of that order, on stand-ins that are slow
    "newton-gltr": {"max_cg": 20},
    "levenberg-marquardt-cg": {"max_cg": 20},
}
BATCHES = tuple(name for name, entry in OPTIMIZERS.items() if entry.make().takes_batches)  # type: ignore[union-attr]
# a function where steps of fixed length stay, and where no method converges in twenty steps: beyond, rounding decides
PROBLEM_OPTIONS: dict[str, dict[str, Any]] = {
    "mgh": {"function": "penalty-1", "factor": 0.01},
    # without Tikhonov's term, inner iterations run into singular values of the size of rounding errors
    "ill-posed": {"alpha": 1e-2},
    "deblurring": {"alpha": 1e-2},
}
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


# ------------------------------------------------------------------------------------------------- structured problems
def bad_residual(bad: float) -> ResidualProblem:
    """Fifteen measurements, none of which is a number."""

    class BadBard(Bard):
        data = (bad,) * 15

    return ResidualProblem(BadBard)


class Solved(Rosenbrock):
    """From the minimiser, where the residual is zero."""

    start = (1.0, 1.0)


def sparse(**options: Any) -> LearningProblem:
    """Least squares for 20 weights, of which 4 are not zero, from 30 measurements."""
    return PROBLEMS.make("sparse-recovery", n=30, features=20, nonzeros=4, weight=0.1, **options).smooth  # type: ignore[attr-defined]


def spoilt(problem: LearningProblem, bad: float) -> LearningProblem:
    """With measurements that are all ``bad``."""
    train = problem.data.train
    return replace(problem, data=replace(problem.data, train=train._replace(C=train.C + bad)))


def aimless(problem: LearningProblem) -> LearningProblem:
    """With targets that are zero, from zero."""
    train = problem.data.train
    flat = replace(problem, data=replace(problem.data, train=train._replace(C=np.zeros_like(train.C))))
    flat.__dict__["start"] = np.zeros(flat.network.size)
    return flat


def factors(bad: float = 0.0) -> FactorisationProblem:
    """A matrix (12, 9) of rank 3."""
    A = np.random.default_rng(3).random((12, 3)) @ np.random.default_rng(4).random((3, 9))
    problem = FactorisationProblem("factors", "", A, 3)
    problem.A[...] += bad  # what it would not have been made with
    return problem


def hidden(**options: Any) -> LearningProblem:
    """Forty points of MATLAB's peaks in five classes, and three hidden features."""
    chosen = {"n": 50, "n_validation": 5, "n_test": 5, "width": 3, "alpha": 1e-2, **options}
    return PROBLEMS.make("single-layer-peaks", **chosen)  # type: ignore[return-value]


def hidden_and_stationary() -> LearningProblem:
    """Least squares to the target zero, which the last layer attains with whatever features."""
    problem = hidden(loss="least-squares", alpha=0.0)
    train = problem.data.train
    return replace(problem, data=replace(problem.data, train=train._replace(C=np.zeros_like(train.C))))


def with_term(problem: Any, h: Any) -> CompositeProblem:
    """The problem with a penalty or bounds."""
    return CompositeProblem("small", "", problem, h)


STRUCTURED: dict[str, Small] = {
    "residual": Small(lambda: ResidualProblem(Rosenbrock), bad_residual, lambda: ResidualProblem(Solved)),
    "blocks": Small(
        lambda: with_term(factors(), Box(0.0)),
        lambda bad: with_term(factors(bad), Box(0.0)),
        lambda: with_term(factors(), Box(0.25, 0.25)),
    ),
    "composite": Small(
        lambda: with_term(sparse(), L1(0.1)),
        lambda bad: with_term(spoilt(sparse(), bad), L1(0.1)),
        lambda: with_term(aimless(sparse()), L1(0.1)),
    ),
    "bounds": Small(
        lambda: with_term(small(), Box(-0.5, 0.5)),
        lambda bad: with_term(LEARNING.bad(bad), Box(-0.5, 0.5)),
        lambda: with_term(aimless(sparse()), Box(-0.3, 0.3)),
    ),
    "separable": Small(hidden, lambda bad: with_training_data(hidden(), lambda Y: Y * bad), hidden_and_stationary),
}
"""A kind of problem by the structure that a solver is for."""


def fits(name: str, provides: tuple[str, ...]) -> bool:
    """Whether the listed optimizer can minimise a problem of that structure."""
    entry = OPTIMIZERS[name]
    return not mismatch(provides, entry.needs, entry.accepts)


def small_for(name: str) -> Small:
    """The kind of small problem that the listed optimizer is for: of the structure that it needs, or makes use of."""
    entry = OPTIMIZERS[name]
    for structure, kind in STRUCTURED.items():
        if structure in entry.needs or (structure in entry.accepts and not entry.needs):
            assert fits(name, kind.plain().provides)  # type: ignore[attr-defined]
            return kind
    assert fits(name, small().provides), f"add a small problem that provides {entry.needs} to STRUCTURED"
    return LEARNING


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
