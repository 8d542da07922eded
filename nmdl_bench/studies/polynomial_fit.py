"""Polynomials fitted to noisy samples: too stiff, about right, too supple (course, lecture 2)."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.polynomial import legendre

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.linalg import SVD, tikhonov_solution, truncated_solution
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent


class PolynomialFit(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings."""

    samples: Annotated[int, Meta(ge=2)] = 20
    noise: float = 0.25
    degrees: tuple[Annotated[int, Meta(ge=0)], ...] = (1, 6, 15)
    """Of the fits that are drawn."""
    regularised: tuple[Annotated[int, Meta(ge=0)], Annotated[float, Meta(gt=0)]] = (15, 0.3)
    """Degree and Tikhonov parameter of one fit more."""
    largest: Annotated[int, Meta(ge=0)] = 16
    """Largest degree of the error curves."""
    seeds: Annotated[int, Meta(ge=1)] = 50
    """Draws of samples and noise behind the error curves."""
    seed: int = 0


def truth(t: np.ndarray) -> np.ndarray:
    """What the samples are of, on [-1, 1]."""
    return np.sin(np.pi * t) + 0.3 * np.cos(2.5 * np.pi * t)


def run(settings: PolynomialFit, tick: Tick = silent) -> Study:
    """Fits of a few degrees, and the errors of all degrees."""
    highest = max(settings.largest, *settings.degrees, settings.regularised[0])
    if highest >= settings.samples:
        raise ConfigurationError(f"degrees must be below the {settings.samples} samples, not {highest}")
    t = np.linspace(-1, 1, 401)
    s, c = _draw(settings, settings.seed)
    frames = []
    at: dict[str, Any] = {"x_label": "$t$", "y_label": "$y$"}
    degree, alpha = settings.regularised
    fits = {f"degree {d}": (d, 0.0) for d in settings.degrees}
    fits[rf"degree {degree}, $\alpha = {alpha:g}$"] = (degree, alpha)
    for panel, (d, weight) in fits.items():
        frames.append(band(panel, "samples", s, c, role="points", **at))
        frames.append(band(panel, "truth", t, truth(t), **at))
        fitted = legendre.legval(t, _coefficients(s, c, d, weight))
        inside = np.abs(fitted) <= 2.5  # where it leaves, its values would squeeze all others
        frames.append(band(panel, "fit", t, np.where(inside, fitted, np.nan), **at))
    degrees = np.arange(settings.largest + 1)
    errors = np.empty((2, len(degrees), settings.seeds))
    for j in range(settings.seeds):
        tick(f"{settings.seeds} draws", j / settings.seeds)
        (s, c), (s_new, c_new) = _draw(settings, 1000 + j), _draw(settings, 2000 + j)
        for i in range(len(degrees)):
            w = _coefficients(s, c, i, 0.0)
            for part, (at_s, of_c) in enumerate(((s, c), (s_new, c_new))):
                errors[part, i, j] = np.sqrt(np.mean((legendre.legval(at_s, w) - of_c) ** 2))
    curves = []
    at = {"x_label": "degree", "y_label": "root mean square error", "log": True}
    quartiles = np.quantile(errors, [0.25, 0.5, 0.75], axis=2)
    for part, name in enumerate(("samples fitted", "other samples")):
        curves.append(band("error against degree", name, degrees, quartiles[:, part].T, **at))
    medians = np.median(errors, axis=2)
    best = int(medians[1].argmin())
    caption = (
        f"Polynomials fitted to {settings.samples} samples (dots) of a function with errors of standard "
        f"deviation {settings.noise:g}, by least squares: too few coefficients cannot follow the function, too many "
        f"follow the noise. Last panel: with Tikhonov's term alpha/2 |w|^2 on the coefficients in Legendre's basis."
    )
    told = (
        f"Root mean square error on the samples fitted and on as many others, over {settings.seeds} draws of samples "
        "and noise (lines: medians; bands: quartiles). The first falls throughout; the second is least at degree "
        f"{best}, and rises with the variance of the fit."
    )
    facts = [
        {"degree": i, "samples fitted": medians[0, i], "other samples": medians[1, i]} for i in range(len(degrees))
    ]
    pictures = [
        Picture("fits", "bands", "Under- and overfitting", caption, joined(frames)),
        Picture("errors", "bands", "Bias and variance", told, joined(curves)),
    ]
    return Study(pictures, facts)


def _draw(settings: PolynomialFit, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples, one at random in each of equal intervals, and their values with noise."""
    rng = np.random.Generator(np.random.Philox(seed))
    s = 2 * (np.arange(settings.samples) + rng.uniform(0, 1, settings.samples)) / settings.samples - 1
    return s, truth(s) + settings.noise * rng.standard_normal(settings.samples)


def _coefficients(s: np.ndarray, c: np.ndarray, degree: int, alpha: float) -> np.ndarray:
    """Of Legendre's polynomials, by singular values."""
    xp = get_backend("numpy")
    svd = SVD(*xp.svd(legendre.legvander(s, degree)))
    return tikhonov_solution(xp, svd, c, alpha) if alpha else truncated_solution(xp, svd, c, degree + 1)
