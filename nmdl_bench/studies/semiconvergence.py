"""Iterations on noisy data come near the truth, and leave it again (course, lecture 2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import PROBLEMS
from nmdl_bench.linalg import Solution, cgls, history_of, hybrid_lsqr, landweber, steepest_descent_ls
from nmdl_bench.problems.linear import LinearProblem
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent

Method = Callable[..., Solution]


class Semiconvergence(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings; matrix, truth, noise and the three a are the lecture's."""

    distances: tuple[float, ...] = (1.0, 1e-2, 1e-5)
    """The a in ``A = [1 1+a; 1 1+2a; 1 1+3a]``."""
    truth: tuple[float, float] = (1.0, 1.2)
    noise: float = 0.1
    """Standard deviation of the data's error, for the small problems."""
    iterations: Annotated[int, Meta(ge=2)] = 20_000
    """Of steepest descent with constant steps on the small problems."""
    condition: float = 1e6
    relative_noise: float = 0.03
    """Norm of the data's error relative to the data, for the ill-posed problem."""
    ill_posed_iterations: Annotated[int, Meta(ge=2)] = 1000
    tau: Annotated[float, Meta(ge=1)] = 1.01
    """Stopped is where the residual first falls below ``tau`` times the norm of the data's error (Morozov 1966)."""
    seed: int = 4


def small_matrix(a: float) -> np.ndarray:
    """The lecture's, whose columns are nearly parallel where a is small."""
    return np.array([[1, 1 + a], [1, 1 + 2 * a], [1, 1 + 3 * a]])


def run(settings: Semiconvergence, tick: Tick = silent) -> Study:
    """Error curves of steepest descent and CGLS on the small problems, and of more methods on an ill-posed one."""
    frames: list[pd.DataFrame] = []
    facts: list[dict[str, Any]] = []
    rng = np.random.Generator(np.random.Philox(settings.seed))
    e, x = settings.noise * rng.standard_normal(3), np.array(settings.truth)
    for i, a in enumerate(settings.distances):
        tick(f"a = {a:g}", i / (len(settings.distances) + 1))
        A = small_matrix(a)
        panel = rf"$a = {_power(a)}$, condition ${_power(np.linalg.cond(A))}$"
        methods: dict[str, Method] = {
            "constant steps": partial(
                landweber, weight=float(np.linalg.norm(A, 2)) ** -2, max_iterations=settings.iterations, rtol=0.0
            ),
            "steepest descent": partial(steepest_descent_ls, max_iterations=8, rtol=0.0),
            "CGLS": partial(cgls, max_iterations=2),
        }
        _add(frames, facts, panel, methods, (A, A @ x + e, x, float(np.linalg.norm(e))), settings)
    tick("ill-posed", 1 - 1 / (len(settings.distances) + 1))
    problem: LinearProblem = PROBLEMS.make(
        "ill-posed", condition=settings.condition, noise=settings.relative_noise, seed=settings.seed
    )  # type: ignore[assignment]
    error = float(np.linalg.norm(problem.b - problem.matrix @ problem.truth))
    most = settings.ill_posed_iterations
    methods = {
        "constant steps": partial(landweber, weight=1.0, max_iterations=most, rtol=0.0),
        "steepest descent": partial(steepest_descent_ls, max_iterations=most, rtol=0.0),
        "CGLS": partial(cgls, max_iterations=min(most, 60), rtol=0.0),
        "hybrid LSQR": _hybrid(min(most, 60)),
    }
    panel = rf"ill-posed, condition ${_power(settings.condition)}$"
    _add(frames, facts, panel, methods, (problem.matrix, problem.b, problem.truth, error), settings)
    caption = (
        "Error |x_k - x| / |x| of the iterates on noisy data b = A x + e. A = [1 1+a; 1 1+2a; 1 1+3a], x = "
        f"({settings.truth[0]:g}, {settings.truth[1]:g}), and e, of standard deviation {settings.noise:g}, is the same "
        "for all a. Last panel: a random matrix with singular values in geometric progression, errors of "
        f"{100 * settings.relative_noise:g} % of the data. Rings: where the discrepancy principle stops, at the first "
        f"residual below {settings.tau:g} |e|. All iterations take up large singular values first and small ones, with "
        "their noise, last: the error falls, and rises once noise comes in. Steepest descent with constant steps "
        "1 / sigma_1^2 (Landweber's iteration) takes up to sigma_1^2 / sigma_2^2 times as long for the second singular "
        "vector as for the first; with exact steps it is as fast as CGLS in two dimensions, where its second direction "
        "is the second singular vector all but exactly, and slower in more. Hybrid LSQR regularises the projected "
        "problems by weighted cross-validation, and ends where its criterion is flat."
    )
    return Study([Picture("semiconvergence", "bands", "Semiconvergence", caption, joined(frames))], facts)


def _hybrid(most: int) -> Method:
    def method(*args: Any, **options: Any) -> Solution:
        return hybrid_lsqr(*args, max_iterations=most, **options).solution

    return method


def _add(
    frames: list[pd.DataFrame],
    facts: list[dict[str, Any]],
    panel: str,
    methods: dict[str, Method],
    data: tuple[np.ndarray, np.ndarray, Any, float],
    settings: Semiconvergence,
) -> None:
    """A panel of error curves with their rings, and a fact for each method."""
    xp = get_backend("numpy")
    A, b, x, error = data
    size = float(np.linalg.norm(x))

    def watch(y: np.ndarray) -> float:
        return float(np.linalg.norm(y - x)) / size

    at: dict[str, Any] = {"x_label": "iteration $k$", "y_label": r"$\Vert x_k - x\Vert\,/\,\Vert x\Vert$", "log": True}
    for name, method in methods.items():
        history = history_of(xp, method(xp, lambda v: A @ v, lambda w: A.T @ w, b, watch=watch))
        k, errors = np.arange(len(history)), history[:, 2]
        shown = np.unique(np.geomspace(1, len(k) - 1, 400).round().astype(int))
        frames.append(band(panel, name, k[shown], errors[shown], **at))
        below = np.flatnonzero(history[1:, 0] <= settings.tau * error) + 1
        stopped = int(below[0]) if len(below) else None
        if stopped is not None and name != "hybrid LSQR":
            frames.append(band(panel, name, [stopped], errors[[stopped]], role="mark", **at))
        facts.append(
            {"problem": panel.replace("$", ""), "method": name, "least error": errors.min(),
             "at iteration": int(errors.argmin()), "stopped at": stopped,
             "error there": np.nan if stopped is None else errors[stopped], "last error": errors[-1]}
        )  # fmt: skip


def _power(value: float) -> str:
    """A number to be set, with a power of ten where it is large or small."""
    if 0.1 <= value < 1000:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    exponent = int(np.floor(np.log10(value) + 1e-9))
    multiple = f"{value / 10.0**exponent:.2g}"
    return rf"10^{{{exponent}}}" if multiple == "1" else rf"{multiple}\cdot 10^{{{exponent}}}"
