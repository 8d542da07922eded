"""What the targets share: the problem, ours on it, and the answer that the parent compares.

This folder is no package: asv would import each of its modules, whether the library is installed or not. Worker
processes find the modules by path (:class:`nmdl_bench.measure.remote.RemoteTimer`), one library each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nmdl_bench.catalogue  # noqa: F401
from nmdl_bench.backends import get_backend
from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import PROBLEMS

SAMPLES, DEPTH = 1000, 8
Factory = tuple[Callable[[], Any], Callable[[], Any]]
"""A callable to time, and what waits for the device."""


def make_problem(width: int) -> Any:
    """Opening layer, eight Euler steps and a classifier over 1,000 samples of peaks; no regulariser."""
    sizes = {"n": SAMPLES, "n_validation": 0, "n_test": 0}
    return PROBLEMS.make("peaks", seed=0, width=width, depth=DEPTH, alpha=0.0, **sizes)


def blocks(problem: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Initial weights and biases of every affine map: opening layer, steps, classifier."""
    opening, steps, classifier = problem.network.unpack(np, problem.start)
    return [(opening["K"], opening["b"]), *zip(steps["K"], steps["b"]), (classifier["K"], classifier["b"])]


def flat(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The inverse of :func:`blocks`, for gradients."""
    middle = parts[1:-1]
    named = [*parts[0], *(K for K, _ in middle), *(b for _, b in middle), *parts[-1]]
    return np.concatenate([np.asarray(part, dtype=np.float64).ravel() for part in named])


def write(path: str, value: Any, gradient: np.ndarray) -> None:
    """Leave value and gradient for the parent, which holds them against NumPy's in float64."""
    np.savez(path, value=float(value), gradient=gradient)


def ours(spec: str, dtype: str, width: int, answer: str = "") -> Factory:
    """Value and gradient as :func:`nmdl_bench.solve.solve` evaluates them."""
    xp = get_backend(spec, dtype)
    # entered for good: this process does nothing else
    xp.scope().__enter__()
    objective = make_problem(width).bind(xp)
    evaluation = Evaluation(objective)

    def call() -> Any:
        value = evaluation.value_and_grad(objective.x0)
        xp.synchronize(value)
        return value

    if answer:
        f, g = call()
        write(answer, f, xp.to_numpy(g))
    return call, xp.synchronize
