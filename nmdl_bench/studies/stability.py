"""How perturbations grow through networks of equal size: stable designs against a plain residual network."""

from __future__ import annotations

from math import exp, sqrt
from typing import Annotated

import numpy as np
import pandas as pd
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import Blocks, ConfigurationError, unknown
from nmdl_bench.diagnostics import spectra
from nmdl_bench.diagnostics.trajectory import growth
from nmdl_bench.networks.architectures import evolution
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.rhs import TWO_FIELDS
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent

_LEAST = 0.5
"""Least singular value of every kernel, as a fraction of the largest."""
_MARGIN = 1.1
"""Of the Hamiltonian bounds: what tanh's curvature and the steps' size may add; see :func:`bound`."""
DESIGNS: dict[str, tuple[str, str, str]] = {
    "plain": ("single", "euler", "plain"),
    "antisymmetric": ("antisymmetric", "euler", "antisymmetric"),
    "parabolic": ("parabolic", "euler", "parabolic"),
    "hamiltonian": ("hamiltonian", "verlet", "Hamiltonian"),
    "hamiltonian-single": ("hamiltonian-single", "verlet", "Hamiltonian, one kernel"),
}
"""Right-hand side, integrator and name in figures."""


class Stability(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings of the study."""

    designs: tuple[str, ...] = tuple(DESIGNS)
    seeds: tuple[int, ...] = tuple(range(8))
    width: Annotated[int, Meta(ge=2)] = 8
    depth: Annotated[int, Meta(ge=1)] = 800
    time: float = 20.0
    omega: float = 2.0
    """Norm of the right-hand side's Jacobian at the origin, in every design."""
    gamma: float = 0.1
    """Damping of the antisymmetric design."""
    radius: float = 0.02
    """Norm of every sample's features at the start."""
    samples: Annotated[int, Meta(ge=1)] = 6


def make(settings: Stability, design: str, seed: int) -> tuple[Evolution, Blocks, np.ndarray]:
    """Layer, blocks and features of one design: the same widths, depth, time and size of weights in all of them.

    Each kernel is ``U diag(s) V^T`` with random rotations, ``s`` evenly spaced between its norm and half of it; the
    norm is such that the right-hand side's Jacobian at the origin has norm ``omega``. No biases, and one control, so
    that the origin is a steady state and the equation does not change with time.
    """
    if design not in DESIGNS:
        raise unknown("design", design, DESIGNS)
    rhs, integrator, _ = DESIGNS[design]
    gamma = settings.gamma if design == "antisymmetric" else 0.0
    layer = evolution(
        settings.width, settings.depth, settings.time, rhs=rhs, integrator=integrator, bias=False, gamma=gamma, number=1
    )
    rng = np.random.Generator(np.random.Philox(seed))
    p = settings.width // 2 if rhs in TWO_FIELDS else settings.width
    blocks = {}
    for name in layer.shapes():
        K = _rotation(rng, p) @ np.diag(np.linspace(_LEAST, 1, p)) @ _rotation(rng, p)
        if design == "antisymmetric":
            K = K / np.linalg.norm(K - K.T, 2)
        twice = design in ("parabolic", "hamiltonian")  # the Jacobian is -K^T K there
        blocks[name] = (sqrt(settings.omega) if twice else settings.omega) * K[None]
    Y = rng.standard_normal((settings.samples, settings.width))
    return layer, blocks, settings.radius * Y / np.linalg.norm(Y, axis=1, keepdims=True)


def _rotation(rng: np.random.Generator, p: int) -> np.ndarray:
    Q, R = np.linalg.qr(rng.standard_normal((p, p)))
    return Q * np.sign(np.diag(R))


def bound(settings: Stability, design: str) -> float:
    """What ``|dY_j / dY_0|_2`` of a design cannot exceed; infinite for the plain network.

    Raises
    ------
    ConfigurationError
        The settings are outside of what the bound is derived for: too few steps, or features too large.

    Notes
    -----
    With ``s'(X)`` in ``[1 - e, 1]`` along the trajectory, ``w = omega``, ``g = gamma``:

    - *parabolic*: the Jacobian ``-K^T diag(s') K`` is symmetric with eigenvalues in ``[-w, 0]``, so that each step has
      norm at most 1 where ``h w <= 2``, for all features and however the kernels vary in time (Ruthotto and Haber 2020,
      theorem 1). Bound: 1.
    - *antisymmetric*: ``diag(s') (A - g I)`` has the logarithmic norm ``e w / 2 - g (1 - e)`` at most, and a step of
      Euler's the norm ``1 + h (that) + h^2 (w + g)^2 / 2``. Bound: 1 where the sum of the last two is not positive:
      damping makes up for tanh's curvature and for Euler's growth on imaginary eigenvalues, given enough steps.
    - *Hamiltonian, one kernel*: at the origin a rotation. For a tangent ``(u, v)``, ``|u|^2 + |v|^2`` grows at a rate
      of ``e w`` at most.
    - *Hamiltonian*: at the origin ``|K_1 Z|^2 + |K_2 Y|^2`` is conserved, and elsewhere that of a tangent grows at a
      rate of ``e w`` at most; growth is thus bounded by the root of its condition, the ratio of the kernels' largest
      and least singular values.

    ``e <= |X|^2`` for ``s = tanh``. Contraction keeps the features, and so ``|X| <= |K| |Y|``, where they begin; for
    the Hamiltonian ones the energy does, up to the margin. Verlet's own energy is equivalent to the equation's up to
    ``(1 + h w / 2) / (1 - h w / 2)``. The factor by which both raise the Hamiltonian bounds is checked to be less than
    the margin, 10 %, which is taken in its place.
    """
    h, w, g = settings.time / settings.depth, settings.omega, settings.gamma
    if design == "plain":
        return float("inf")
    if design == "parabolic":
        _require(h * w <= 2, design, f"h omega = {h * w:g} is more than 2; raise depth")
        return 1.0
    if design == "antisymmetric":
        e = ((w + g) * settings.radius) ** 2
        rate = e * w / 2 - g * (1 - e) + h * (w + g) ** 2 / 2
        _require(rate <= 0, design, f"perturbations may grow at a rate of {rate:.2g}; raise depth or lower radius")
        return 1.0
    ratio = 1.0 if design == "hamiltonian-single" else 1 / _LEAST
    e = (w if design == "hamiltonian-single" else sqrt(w)) ** 2 * (settings.radius * _MARGIN) ** 2
    more = exp(e * w * settings.time / 2) * sqrt((1 + h * w / 2) / (1 - h * w / 2)) if h * w < 2 else float("inf")
    _require(more <= _MARGIN, design, f"curvature and steps may add a factor {more:.3g}; raise depth or lower radius")
    return ratio * _MARGIN


def _require(holds: bool, design: str, what: str) -> None:
    if not holds:
        raise ConfigurationError(f"no bound for design {design!r}: {what}")


def growths(settings: Stability, design: str) -> np.ndarray:
    """Largest growth of a perturbation over the samples, after each step, for each seed: (depth + 1, seeds)."""
    xp = get_backend("numpy")
    found = [growth(xp, *make(settings, design, seed)).max(axis=1) for seed in settings.seeds]
    return np.stack(found, axis=1)


def run(settings: Stability, tick: Tick = silent) -> Study:
    """Growth along depth with the bounds, and the spectra of the first seed."""
    frames, facts, dots = [], [], []
    xp = get_backend("numpy")
    for i, design in enumerate(settings.designs):
        label = DESIGNS[design][2] if design in DESIGNS else design
        tick(label, i / len(settings.designs))
        found, limit = growths(settings, design), bound(settings, design)
        times = np.linspace(0, settings.time, settings.depth + 1)
        kept = np.unique(np.linspace(0, settings.depth, 201).round().astype(int))
        frames.append(
            band(
                "growth of perturbations", label, times[kept], found[kept], x_label="time $t$",
                y_label=r"$\Vert\partial Y(t)/\partial Y(0)\Vert_2$", log=True,
                bound=limit if np.isfinite(limit) else float("nan"),
            )
        )  # fmt: skip
        facts.append(
            {"design": label, "bound": limit, "median": np.median(found.max(axis=0)), "least": found.max(axis=0).min(),
             "greatest": found.max()}
        )  # fmt: skip
        layer, blocks, Y = make(settings, design, settings.seeds[0])
        lam = spectra.scale(layer) * spectra.eigenvalues(xp, layer, blocks, Y[:2])[:: max(settings.depth // 20, 1)]
        dots.append(spectrum_rows(label, layer, lam, settings.time))
    h = settings.time / settings.depth
    caption = (
        f"Largest growth of a small perturbation of the features (2-norm of the propagator) through {settings.depth} "
        f"steps to T = {settings.time:g}, width {settings.width}, tanh, for {len(settings.seeds)} seeds (line: median, "
        f"band: least to greatest) and {settings.samples} inputs of norm {settings.radius:g}. The right-hand side's "
        f"Jacobian at the origin has norm {settings.omega:g} in all of them; the antisymmetric one is damped by "
        f"gamma = {settings.gamma:g}. Dashed: what growth cannot exceed, 1 for the parabolic and the damped "
        "antisymmetric design (each step contracts), and the square root of the conserved energy's condition, and "
        "10 % for curvature and steps, for the Hamiltonian ones. The plain network grows until tanh saturates."
    )
    seen = (
        f"Eigenvalues of the right-hand side's Jacobian times h = {h:g} along depth, for the first seed, and where "
        "the integrator does not amplify."
    )
    return Study(
        [
            Picture("growth", "bands", "Growth of perturbations", caption, joined(frames)),
            Picture("spectra", "spectra", "Spectra and stability regions", seen, joined(dots)),
        ],
        facts,
    )


def spectrum_rows(panel: str, layer: Evolution, values: np.ndarray, time: float) -> pd.DataFrame:
    """Rows of a ``spectra`` picture: scaled eigenvalues (steps, samples, p), at equally spaced steps."""
    steps, n, p = values.shape
    return pd.DataFrame(
        {
            "panel": panel, "region": str(spectra.region(layer.integrator)),
            "time": np.repeat(np.linspace(0, time, steps, endpoint=False), n * p), "real": values.real.ravel(),
            "imag": values.imag.ravel(),
        }
    )  # fmt: skip
