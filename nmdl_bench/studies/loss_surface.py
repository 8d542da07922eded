"""The Frobenius norm against cross-entropy, as functions of a linear classifier's weights (course, lecture 3)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.networks.losses import get_loss
from nmdl_bench.studies.pictures import Picture, Study, Tick, grid_rows, joined, silent


class LossSurface(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings; samples and truth are the lecture's."""

    samples: Annotated[int, Meta(ge=2)] = 500
    normal: tuple[float, float] = (3.0, 2.0)
    offset: float = 1.0
    """The classes are those of the sign of ``normal . y + offset``."""
    low: float = -8.0
    high: float = 8.0
    points: Annotated[int, Meta(ge=2)] = 121
    flipped: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    """Share of the labels that are wrong in the noisy case."""
    seed: int = 0


def surfaces(settings: LossSurface, Y: np.ndarray, c: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
    """``1/(2n) |S - c|^2`` and the cross-entropy of ``1 / (1 + exp(-S))`` for ``S = Y w + b`` at all weights w (m, 2).

    ``b`` is that of the truth. The Frobenius norm is of the linear output against -1 and 1.
    """
    xp = get_backend("numpy")
    squares, entropy = get_loss("least-squares"), get_loss("binary-cross-entropy")
    found: dict[str, list[float]] = {"Frobenius": [], "cross-entropy": []}
    for weights in w:
        S = (Y @ weights + settings.offset)[:, None]
        found["Frobenius"].append(squares.forward(xp, S, 2 * c[:, None] - 1)[0])
        found["cross-entropy"].append(entropy.forward(xp, S, c[:, None])[0])
    return {name: np.array(values) for name, values in found.items()}


def run(settings: LossSurface, tick: Tick = silent) -> Study:
    """Maps of both, for labels as they are and with some flipped; where each is least, and what that classifies."""
    rng = np.random.Generator(np.random.Philox(settings.seed))
    Y = rng.standard_normal((settings.samples, 2))
    clean = (Y @ np.array(settings.normal) + settings.offset > 0).astype(float)
    wrong = rng.random(settings.samples) < settings.flipped
    cases = {"clean": clean, "noisy": np.where(wrong, 1 - clean, clean)}
    axis = np.linspace(settings.low, settings.high, settings.points)
    w = np.stack([a.ravel() for a in np.meshgrid(axis, axis)], axis=1)
    frames, facts = [], []
    for i, (case, c) in enumerate(cases.items()):
        tick(case, i / len(cases))
        for name, values in surfaces(settings, Y, c, w).items():
            best = w[values.argmin()]
            frames.append(_map(f"{name}, {case} labels", name, axis, values, best))
            decided = (Y @ best + settings.offset > 0).astype(float)
            facts.append(
                {"loss": name, "labels": case, "least value": values.min(), "at w1": best[0], "at w2": best[1],
                 "slope w2 / w1": best[1] / best[0], "true classes found": np.mean(decided == clean)}
            )  # fmt: skip
    caption = (
        f"Two losses of a linear classifier of {settings.samples} normal points as functions of its two weights, the "
        "bias being that of the truth: 1/(2n) |Y w + b - c|^2 with c = -1 or 1, and the cross-entropy of "
        "1 / (1 + exp(-(Y w + b))). "
        f"Classes: the sign of {settings.normal[0]:g} y_1 + {settings.normal[1]:g} y_2 + {settings.offset:g}; below, "
        f"{100 * settings.flipped:g} % of them are wrong. Crosses mark the least value on the map. The quadratic's "
        "level lines are ellipses around its minimum, and a point far on the right side costs as much as one on the "
        "wrong side. Cross-entropy is almost flat towards large weights in the right direction, where clean labels "
        "have no minimum at all, and steep everywhere else. Colours are logarithmic where values span more than a "
        "factor of 30."
    )
    return Study([Picture("surfaces", "maps", "Frobenius norm against cross-entropy", caption, joined(frames))], facts)


def _map(panel: str, scale: str, axis: np.ndarray, values: np.ndarray, best: np.ndarray) -> pd.DataFrame:
    columns = {
        "panel": panel, "scale": scale, "x_label": "$w_1$", "y_label": "$w_2$", "v_label": "", "columns_wanted": 2,
        "mark_x": best[0], "mark_y": best[1],
    }  # fmt: skip
    return grid_rows(columns, axis, axis, {"value": values.reshape(len(axis), len(axis))})
