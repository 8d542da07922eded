"""Phase planes of three small networks: unstable, overdamped, oscillating (Haber and Ruthotto 2017, example 1)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from msgspec import Struct, field

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.diagnostics.trajectory import states
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernels import DenseKernel
from nmdl_bench.networks.rhs import single
from nmdl_bench.studies.pictures import Picture, Study, Tick, joined, silent

_FIELD = 13
_KERNELS = {"K+": [[2.0, -2.0], [0.0, 2.0]], "K-": [[-2.0, 0.0], [2.0, -2.0]], "K0": [[0.0, -1.0], [1.0, 0.0]]}
_STARTS = ((0.1, 0.1), (-0.1, -0.1), (0.0, 0.5))


class PhasePlane(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings; the defaults are the paper's. Kernels act on columns, ``y' = s(K y)``, as printed there."""

    depth: int = 10
    time: float = 1.0
    activation: str = "tanh"
    kernels: dict[str, list[list[float]]] = field(default_factory=lambda: dict(_KERNELS))
    starts: tuple[tuple[float, float], ...] = _STARTS
    continued: int = 10
    """Times the paper's final time up to which a second row of panels goes on with the same step; 1: no second row."""


def run(settings: PhasePlane, tick: Tick = silent) -> Study:
    """A panel for each kernel: the field, and the features after each layer."""
    xp = get_backend("numpy")
    starts = np.asarray(settings.starts, dtype=float)
    frames, facts = [], []
    for longer in dict.fromkeys((1, settings.continued)):
        for name, rows in settings.kernels.items():
            K = np.asarray(rows, dtype=float)
            if K.shape != (2, 2):
                raise ConfigurationError(f"kernel {name!r} of a phase plane must be 2 x 2, not {rows!r}")
            rhs = single(DenseKernel(2, 2), settings.activation, bias=False)
            layer = Evolution(rhs, settings.depth * longer, settings.time * longer, number=1)
            theta = {"K": K.T[None]}  # samples are rows here
            S = states(xp, layer, theta, starts)
            panel = _title(name) + (f", $T = {layer.time:g}$" if settings.continued > 1 else "")
            frames += _rows(panel, S, layer, theta)
            if longer == 1:
                facts.append(
                    {
                        "kernel": name,
                        "eigenvalues": ", ".join(f"{v:.3g}" for v in np.linalg.eigvals(K)),
                        "distance of the first two starts": float(np.linalg.norm(starts[0] - starts[1])),
                        f"after {layer.depth} layers": float(np.linalg.norm(S[-1, 0] - S[-1, 1])),
                    }
                )
    caption = (
        f"Features of {len(starts)} inputs after each of the layers y <- y + h {settings.activation}(K y) "
        f"with h = {settings.time / settings.depth:g} (dots; rings: inputs; arrows: the field), for "
        + ", ".join(f"{name} = {rows}" for name, rows in settings.kernels.items())
        + f". Above {settings.depth} layers as in Haber and Ruthotto (2017), example 1"
        + (f", below {settings.continued} times as many with the same step" if settings.continued > 1 else "")
        + ". Eigenvalues with positive real part drive neighbours apart, with negative real part inputs together, and "
        "imaginary ones keep distances, but for forward Euler's own growth by sqrt(1 + h^2) a layer."
    )
    return Study([Picture("phase-plane", "phase", "Phase planes", caption, joined(frames))], facts)


def _title(name: str) -> str:
    return rf"$K_{{{name[1:]}}}$" if name.startswith("K") and len(name) > 1 else name


def _rows(panel: str, S: np.ndarray, layer: Evolution, theta: dict[str, np.ndarray]) -> list[pd.DataFrame]:
    xp = get_backend("numpy")
    depth, n, _ = S.shape
    paths = pd.DataFrame(
        {
            "panel": panel, "role": "trajectory", "line": np.tile([f"input {i + 1}" for i in range(n)], depth),
            "step": np.repeat(np.arange(depth), n), "x": S[..., 0].ravel(), "y": S[..., 1].ravel(), "u": np.nan,
            "v": np.nan,
        }
    )  # fmt: skip
    half = 0.5 * max(np.ptp(S[..., 0]), np.ptp(S[..., 1]))
    middle = 0.5 * (S.max(axis=(0, 1)) + S.min(axis=(0, 1)))
    x, y = (np.linspace(c - half, c + half, _FIELD) for c in middle)
    P = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    F, _ = layer.rhs.forward(xp, {"K": theta["K"][0]}, P)
    field = pd.DataFrame(
        {"panel": panel, "role": "field", "line": "", "step": np.nan, "x": P[:, 0], "y": P[:, 1], "u": F[:, 0],
         "v": F[:, 1]}
    )  # fmt: skip
    return [field, paths]
