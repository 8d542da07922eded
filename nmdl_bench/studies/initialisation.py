"""Exploding and vanishing features and gradients, by how weights are drawn (course, lecture 6)."""

from __future__ import annotations

from math import sqrt
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import unknown
from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.rhs import single
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent

_DRAWS = {
    "N(0, 1)": lambda rng, n: rng.standard_normal((n, n)),
    "U[-0.5, 0.5]": lambda rng, n: rng.uniform(-0.5, 0.5, (n, n)),
    "U[-0.05, 0.05]": lambda rng, n: rng.uniform(-0.05, 0.05, (n, n)),
    "Glorot": lambda rng, n: rng.standard_normal((n, n)) / sqrt(n),
}
"""The lecture's three, and the one that keeps the size of features."""
_RESIDUAL = "Glorot, residual"


class Initialisation(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings; 100 features and the first three draws are the lecture's."""

    width: Annotated[int, Meta(ge=1)] = 100
    depth: Annotated[int, Meta(ge=1)] = 20
    time: float = 1.0
    """Final time of the residual network; its step is ``time / depth``."""
    draws: tuple[str, ...] = (*_DRAWS, _RESIDUAL)
    seeds: tuple[int, ...] = tuple(range(10))


def run(settings: Initialisation, tick: Tick = silent) -> Study:
    """Norms of features along depth for linear and tanh layers, and of the loss's gradient on its way back."""
    frames, facts = [], []
    layers = np.arange(settings.depth + 1)
    for i, name in enumerate(settings.draws):
        if name not in (*_DRAWS, _RESIDUAL):
            raise unknown("draw of weights", name, (*_DRAWS, _RESIDUAL))
        tick(name, i / len(settings.draws))
        row: dict[str, Any] = {"weights": name}
        for activation, shown in (("identity", "linear layers"), ("tanh", "tanh layers")):
            found = [_norms(settings, name, activation, seed) for seed in settings.seeds]
            features, gradients = (np.stack(side, axis=1) for side in zip(*found))
            at: dict[str, Any] = {"x_label": "layer $j$", "log": True}
            frames.append(
                band(f"features, {shown}", name, layers, features, y_label=r"$\Vert Y_j\Vert\,/\,\Vert Y_0\Vert$", **at)
            )
            frames.append(
                band(
                    f"gradients, {shown}", name, layers, gradients,
                    y_label=r"$\Vert \nabla_{Y_j} E\Vert\,/\,\Vert \nabla_{Y_N} E\Vert$", **at,
                )
            )  # fmt: skip
            row[f"features, {shown}"] = float(np.median(features[-1]))
            row[f"gradients, {shown}"] = float(np.median(gradients[0]))
        facts.append(row)
    caption = (
        f"Norms of the features along {settings.depth} layers of width {settings.width}, and of the gradient with "
        f"respect to them on its way back, over those where each begins; {len(settings.seeds)} seeds (line: median, "
        "band: least to greatest). Y_(j+1) = s(Y_j K_j) with entries of K drawn as named, s the identity or tanh; the "
        f"residual network is Y_(j+1) = Y_j + h s(Y_j K_j) with h = {settings.time / settings.depth:g}. Weights of "
        "variance 1/n (Glorot and Bengio 2010) keep sizes through tens of layers, larger and smaller ones lose them "
        "exponentially; tanh caps features, but then gradients still explode."
    )
    return Study([Picture("initialisation", "bands", "Exploding and vanishing", caption, joined(frames))], facts)


def _norms(settings: Initialisation, name: str, activation: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``|Y_j| / |Y_0|`` and ``|dE/dY_j| / |dE/dY_N|`` for one random input and one random gradient at the end."""
    xp, n = get_backend("numpy"), settings.width
    rng = np.random.Generator(np.random.Philox(seed))
    is_residual = name == _RESIDUAL
    h = settings.time / settings.depth if is_residual else 1.0
    layer = single(DenseKernel(n, n), activation, bias=False)
    Y, features, kept = rng.standard_normal((1, n)), [], []
    for _ in range(settings.depth):
        blocks = {"K": _DRAWS["Glorot" if is_residual else name](rng, n)}
        features.append(np.linalg.norm(Y))
        A, tape = layer.forward(xp, blocks, Y)
        kept.append((blocks, tape))
        Y = Y + h * A if is_residual else A
    features.append(np.linalg.norm(Y))
    Z: Any = rng.standard_normal((1, n))
    gradients = [np.linalg.norm(Z)]
    for blocks, tape in reversed(kept):
        _, W = layer.vjp(xp, blocks, tape, h * Z)
        Z = Z + W if is_residual else W
        gradients.append(np.linalg.norm(Z))
    return np.array(features) / features[0], np.array(gradients[::-1]) / gradients[0]
