"""A least-squares classifier of digits, whose weights are images (course, lecture 2)."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.data import load
from nmdl_bench.linalg import SVD, choose_gcv, tikhonov_solution
from nmdl_bench.linalg.parameter_choice import Spectrum
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent


class LeastSquaresImages(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings."""

    data: str = "mnist-5k"
    n: Annotated[int, Meta(ge=20)] | None = None
    low: float = 1e-8
    high: float = 1e2
    """Ends of the range of Tikhonov's parameters, relative to the largest singular value squared."""
    points: Annotated[int, Meta(ge=2)] = 41
    weak: float = 1e-7
    """The parameter of the first row of images, relative to the same."""
    seed: int = 0


def run(settings: LeastSquaresImages, tick: Tick = silent) -> Study:
    """Weights as images for a weak and for a chosen parameter, and the accuracy against the parameter."""
    data = load(settings.data, seed=settings.seed, **({} if settings.n is None else {"n": settings.n}))
    if data.image_shape is None or data.image_shape[0] != 1 or data.train.labels is None:
        raise ConfigurationError(f"data = {settings.data!r} must be grey images with classes, such as 'mnist-5k'")
    xp = get_backend("numpy")
    mean = data.train.Y.mean(axis=0)
    Y, C = data.train.Y - mean, data.train.C - data.train.C.mean(axis=0)
    tick("singular values", 0.1)
    svd = SVD(*xp.svd(Y))
    scale = float(svd.sigma[0] ** 2)

    def weights(alpha: float) -> np.ndarray:
        return np.stack([tikhonov_solution(xp, svd, c, alpha) for c in C.T], axis=1)

    alphas = np.geomspace(settings.low, settings.high, settings.points)
    accuracy: dict[str, list[float]] = {"training": [], "validation": []}
    for i, alpha in enumerate(alphas):
        tick(f"alpha = {alpha:.1e}", 0.2 + 0.8 * i / len(alphas))
        W = weights(alpha * scale)
        for name, part in (("training", data.train), ("validation", data.validation)):
            found = ((part.Y - mean) @ W + data.train.C.mean(axis=0)).argmax(axis=1)
            accuracy[name].append(float(np.mean(found == part.labels)))
    best = float(alphas[int(np.argmax(accuracy["validation"]))])
    c2 = sum((svd.U.T @ c) ** 2 for c in C.T)
    rest = float(sum(np.sum((c - svd.U @ (svd.U.T @ c)) ** 2) for c in C.T))
    by_gcv = float(choose_gcv(xp, Spectrum(svd.sigma, np.sqrt(c2), rest, float(len(Y))))) / scale

    images = {}
    rows, columns = (index.ravel().astype(float) for index in np.indices(data.image_shape[1:]))
    for how, alpha in (("weak", settings.weak), ("chosen", best)):
        W = weights(alpha * scale)
        panels = [
            pd.DataFrame({"panel": f"class {k}", "scale": how, "row": rows, "column": columns, "value": W[:, k]})
            for k in range(data.classes)
        ]
        images[how] = joined(panels)
    at: dict[str, Any] = {"x_label": r"$\alpha\,/\,\sigma_1^2$", "y_label": "accuracy"}
    curves = [band("accuracy", name, alphas, np.array(values), **at) for name, values in accuracy.items()]
    for name, chosen in (("best on validation", best), ("cross-validation", by_gcv)):
        height = np.interp(np.log(chosen), np.log(alphas), accuracy["validation"])
        curves.append(band("accuracy", name, [chosen], np.array([height]), role="mark", **at))
    name = f"{len(Y):,} images of {settings.data}"
    caption = (
        f"Rows of the weights of a linear classifier of {name}, fitted to the classes' indicators by least squares "
        "with alpha/2 |W|^2, as images: red pixels speak for a class, blue ones against it. "
    )
    weak = (
        f"{caption}alpha = {settings.weak:.0e} sigma_1^2, too little: pixels at the rims, which few images use, get "
        "the largest weights, and fit the noise."
    )
    right = f"{caption}alpha = {best:.1e} sigma_1^2, the best on the validation part: pen strokes show."
    told = (
        "Fraction of images classified rightly, against Tikhonov's parameter relative to the largest singular value "
        f"squared. Rings: the best on the {len(data.validation.Y):,} images of the validation part ({best:.1e}), and "
        f"the choice of generalised cross-validation, which has seen the training part alone ({by_gcv:.1e})."
    )
    facts = [
        {"alpha / sigma_1^2": alpha, **{part: values[i] for part, values in accuracy.items()}}
        for i, alpha in enumerate(alphas)
    ]
    pictures = [
        Picture("weights-weak", "kernels", "Weights with little regularisation", weak, images["weak"]),
        Picture("weights", "kernels", "Weights with the right regularisation", right, images["chosen"]),
        Picture("accuracy", "bands", "Accuracy and regularisation", told, joined(curves)),
    ]
    return Study(pictures, facts)
