"""The L-curve, and other ways to choose Tikhonov's parameter, on an image to be deblurred (course, lecture 2)."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import PROBLEMS
from nmdl_bench.linalg import (
    SVD,
    choose_discrepancy,
    choose_gcv,
    choose_l_curve,
    choose_stochastic_gcv,
    spectrum,
    stochastic_traces,
    tikhonov_solution,
)
from nmdl_bench.linalg.parameter_choice import gcv, residual_squares, solution_squares, stochastic_gcv
from nmdl_bench.problems.linear import LinearProblem
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent


class LCurve(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings."""

    size: Annotated[int, Meta(ge=4)] = 32
    width: Annotated[float, Meta(gt=0)] = 1.5
    """Standard deviation of the blur in pixels."""
    noise: Annotated[float, Meta(gt=0)] = 0.03
    """Norm of the data's error relative to the data."""
    low: float = 1e-7
    high: float = 1.0
    """Ends of the range of parameters, relative to the largest singular value squared."""
    points: Annotated[int, Meta(ge=2)] = 161
    probes: Annotated[int, Meta(ge=1)] = 4
    steps: Annotated[int, Meta(ge=1)] = 80
    """Random vectors, and steps of each bidiagonalisation, of the stochastic trace."""
    seed: int = 0


def run(settings: LCurve, tick: Tick = silent) -> Study:
    """The curve with four choices on it, errors and cross-validation against the parameter, and the images."""
    xp = get_backend("numpy")
    problem: LinearProblem = PROBLEMS.make(
        "deblurring", size=settings.size, width=settings.width, noise=settings.noise, seed=settings.seed
    )  # type: ignore[assignment]
    A, b, x = problem.matrix, problem.b, np.asarray(problem.truth)
    tick("singular values", 0.0)
    svd = SVD(*xp.svd(A))
    at = spectrum(xp, svd, b)
    scale = float(svd.sigma[0] ** 2)
    alphas = scale * np.geomspace(settings.low, settings.high, settings.points)

    def error_at(alpha: float) -> float:
        return float(np.linalg.norm(tikhonov_solution(xp, svd, b, alpha) - x) / np.linalg.norm(x))

    errors = np.array([error_at(alpha) for alpha in alphas])
    tick("stochastic trace", 0.5)
    traces = stochastic_traces(
        xp, lambda v: A @ v, lambda w: A.T @ w, b, settings.steps, settings.probes, settings.seed
    )
    chosen = {
        "L-curve's corner": choose_l_curve(xp, at),
        "discrepancy principle": choose_discrepancy(xp, at, float(np.linalg.norm(b - A @ x))),
        "cross-validation": choose_gcv(xp, at),
        "cross-validation, stochastic": choose_stochastic_gcv(xp, traces),
        "least error": float(alphas[errors.argmin()]),
    }
    size_b, size_x = float(np.linalg.norm(b)), float(np.linalg.norm(x))
    r, X = np.sqrt(residual_squares(xp, at, alphas)) / size_b, np.sqrt(solution_squares(xp, at, alphas)) / size_x
    labels: dict[str, Any] = {
        "x_label": r"$\Vert A x_\alpha - b\Vert\,/\,\Vert b\Vert$",
        "y_label": r"$\Vert x_\alpha\Vert\,/\,\Vert x\Vert$", "log": True, "log_x": True,
    }  # fmt: skip
    curve = [band("L-curve", r"$x_\alpha$", r, X, **labels)]
    marked = {name: alpha for name, alpha in chosen.items() if name != "cross-validation, stochastic"}
    for name, alpha in marked.items():
        one = np.array([alpha])
        point = np.sqrt(residual_squares(xp, at, one)) / size_b, np.sqrt(solution_squares(xp, at, one)) / size_x
        curve.append(band("L-curve", name, *point, role="mark", **labels))
    labels = {
        "x_label": r"$\alpha\,/\,\sigma_1^2$",
        "y_label": r"$\Vert x_\alpha - x\Vert\,/\,\Vert x\Vert$",
        "log": True,
    }
    curve.append(band("error", r"$x_\alpha$", alphas / scale, errors, **labels))
    for name, alpha in marked.items():
        curve.append(band("error", name, [alpha / scale], np.array([error_at(alpha)]), role="mark", **labels))
    labels["y_label"] = r"$G(\alpha)$"
    lines = []
    for name, of, choice in (
        ("exact", lambda a: gcv(xp, at, a), "cross-validation"),
        ("stochastic trace", lambda a: stochastic_gcv(xp, traces, a), "cross-validation, stochastic"),
    ):
        lines.append(band("cross-validation", name, alphas / scale, of(alphas), **labels))
        one = np.array([chosen[choice]])
        lines.append(band("cross-validation", name, one / scale, of(one), role="mark", **labels))
    values = gcv(xp, at, alphas)
    facts = [
        {"choice": name, "alpha / sigma_1^2": alpha / scale, "error": error_at(alpha),
         "G / least G": float(gcv(xp, at, np.array([alpha]))[0] / values.min())}
        for name, alpha in chosen.items()
    ]  # fmt: skip
    images = [_image("truth", x, settings.size), _image("data", b, settings.size)]
    by_gcv = float(chosen["cross-validation"])
    shown = {
        r"too small, $\alpha$ / 100": by_gcv / 100,
        "L-curve's corner": chosen["L-curve's corner"],
        "cross-validation": by_gcv,
        r"too large, 100 $\alpha$": 100 * by_gcv,
    }
    for name, alpha in shown.items():
        found = tikhonov_solution(xp, svd, b, alpha)
        images.append(_image(f"{name}: {100 * error_at(alpha):.0f} %", found, settings.size))
    caption = (
        f"Deblurring of {settings.size} x {settings.size} pixels (Gaussian of {settings.width:g} pixels, errors of "
        f"{100 * settings.noise:g} % of the data) by Tikhonov's term alpha/2 |x|^2. Left: size of the solution against "
        "that of the residual as alpha runs from small (upper left) to large (lower right). Right: error of the "
        "solution against alpha. Rings: where the curve bends most, where the residual is as large as the data's "
        "error, where generalised cross-validation is least, and where the error is, which needs the truth."
    )
    told = (
        "Generalised cross-validation, exact and with its trace estimated from "
        f"{settings.probes} random vectors and {settings.steps} steps of bidiagonalisation each; rings: their minima."
    )
    seen = (
        "The truth, the data, and Tikhonov's solutions with their errors: for a hundredth of the parameter that "
        "cross-validation chooses, for two choices, and for a hundred times as much. Values are cut off below 0 and "
        "above 1."
    )
    pictures = [
        Picture("l-curve", "bands", "L-curve", caption, joined(curve)),
        Picture("cross-validation", "bands", "Cross-validation", told, joined(lines)),
        Picture("images", "images", "Images", seen, joined(images)),
    ]
    return Study(pictures, facts)


def _image(panel: str, values: np.ndarray, size: int) -> pd.DataFrame:
    rows, columns = np.indices((size, size))
    return pd.DataFrame(
        {"panel": panel, "scale": "all", "row": rows.ravel().astype(float), "column": columns.ravel().astype(float),
         "value": np.clip(values, 0, 1)}
    )  # fmt: skip
