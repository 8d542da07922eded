"""Random features: singular values, the functions that they fit, and the errors (course, lecture 4)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.data import load
from nmdl_bench.data.synthetic import peaks_function
from nmdl_bench.networks.losses import get_loss
from nmdl_bench.optimizers.elimination import eliminate
from nmdl_bench.problems.single_layer import random_layer
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, grid_rows, joined, silent

NAMES = {"sin": "sin", "tanh": "tanh", "relu": "ReLU"}
"""Of activations in figures, where it is not their own."""


class RandomFeatures(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings."""

    activations: tuple[str, ...] = ("sin", "tanh", "relu")
    width: Annotated[int, Meta(ge=1)] = 200
    """Random features."""
    scale: Annotated[float, Meta(gt=0)] = 2.0
    """Of the frozen layer's weights; see :func:`nmdl_bench.problems.single_layer.random_layer`."""
    alpha: Annotated[float, Meta(ge=0)] = 1e-8
    """Weight of half squares of the last layer's weights."""
    samples: Annotated[int, Meta(ge=1)] = 2000
    points: Annotated[int, Meta(ge=2)] = 101
    """Of a map, in each direction."""
    seed: int = 0


def run(settings: RandomFeatures, tick: Tick = silent) -> Study:
    """Singular values of the features, maps of what they fit, and maps of the error."""
    xp, loss = get_backend("numpy"), get_loss("least-squares")
    data = load("peaks-regression", n=settings.samples, n_validation=0, n_test=0, seed=settings.seed, standardise=False)
    axis = np.linspace(-3, 3, settings.points)
    grid = np.stack([a.ravel() for a in np.meshgrid(axis, axis)], axis=1)
    truth = peaks_function(grid[:, 0], grid[:, 1])
    spectra, maps, errors, facts = [], [_map("peaks", "value", axis, truth)], [], []
    for i, activation in enumerate(settings.activations):
        name = NAMES.get(activation, activation)
        tick(name, i / len(settings.activations))
        # the points' standard deviation is sqrt(3): the layer is made for standardised ones
        layer, x = random_layer(2, settings.width, activation, settings.scale, settings.seed)
        Z = mapped_points(layer, x, data.train.Y)
        s = np.linalg.svd(Z, compute_uv=False)
        W = eliminate(xp, loss, Z, data.train.C, settings.alpha, np.zeros((Z.shape[1], 1))).W
        fit = (mapped_points(layer, x, grid) @ W)[:, 0]
        error = np.abs(fit - truth)
        spectra.append(
            band(
                "singular values of the features", name, np.arange(1, len(s) + 1), s, x_label="$i$",
                y_label=r"$\sigma_i$", log=True,
            )
        )  # fmt: skip
        maps.append(_map(name, "value", axis, fit))
        errors.append(_map(name, "error", axis, error))
        facts.append(
            {"activation": name, "condition of the features": s[0] / s[-1], "norm of the weights": np.linalg.norm(W),
             "root mean square on the samples": np.sqrt(np.mean((Z @ W - data.train.C) ** 2)),
             "root mean square on the map": np.sqrt(np.mean(error**2)), "largest error": error.max()}
        )  # fmt: skip
    told = f"{settings.width} random features s(Y K + b) of {settings.samples} points uniform on [-3, 3]^2"
    captions = (
        f"Singular values of {told}, and of the constant that the bias weighs. The smoother the activation, the faster "
        "they fall, and the more the weights depend on their regulariser.",
        f"MATLAB's peaks function, and what {told} fit to it: linear least squares for the last layer's weights alone, "
        f"with {settings.alpha:g}/2 times their square norm.",
        "Modulus of the error of these fits, on a logarithmic scale common to all.",
    )
    pictures = [
        Picture("singular-values", "bands", "Singular values of random features", captions[0], joined(spectra)),
        Picture("maps", "maps", "What random features fit", captions[1], joined(maps)),
        Picture("errors", "maps", "Errors of the fits", captions[2], joined(errors)),
    ]
    return Study(pictures, facts)


def mapped_points(layer: object, x: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Features of points on [-3, 3]^2, standardised first, with the constant one that the bias weighs."""
    A = layer.forward(get_backend("numpy"), x, Y / np.sqrt(3.0))[0]  # type: ignore[attr-defined]
    return np.concatenate([A, np.ones((len(Y), 1))], axis=1)


def _map(panel: str, scale: str, axis: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    columns = {
        "panel": panel, "scale": scale, "x_label": "$y_1$", "y_label": "$y_2$", "v_label": "",
        "columns_wanted": 2 if scale == "value" else 3, "mark_x": np.nan, "mark_y": np.nan,
    }  # fmt: skip
    return grid_rows(columns, axis, axis, {"value": values.reshape(len(axis), len(axis))})
