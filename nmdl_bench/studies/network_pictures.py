"""Every picture that applies to a network at a point."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from nmdl_bench.backends.trees import tree_map
from nmdl_bench.contracts import Layer, Objective
from nmdl_bench.diagnostics import energy, kernels, landscape, spectra, trajectory
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.studies.inspection import Subject
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, grid_rows, joined, silent
from nmdl_bench.studies.stability import spectrum_rows
from nmdl_bench.studies.swiss_roll import region_rows

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

_SAMPLES = 16
"""Whose growth and energy are drawn."""
_FEW = 4
"""Whose eigenvalues are drawn."""
_STEPS = 24
"""Steps at which eigenvalues are drawn, at most."""
_SIDE, _SIDE_OF_IMAGES = 31, 21
"""Points each way of a landscape, odd; of a network on images."""
_TRAINING, _TRAINING_IMAGES = 2048, 256
"""Training samples that a landscape is over, at most; of a network on images."""
_WORK = 4e9
"""Operations for the norms of a sample's propagators up to which growth is that of the worst perturbation."""


def pictures(subject: Subject, xp: Backend, tick: Tick = silent, seed: int = 0) -> Study:
    """Spectra, growth, energy, decision regions, landscape and kernels, as far as they apply.

    Parameters
    ----------
    subject : Subject
        Network, parameters and features.
    xp : Backend
        Where products with the network's derivatives are formed.
    tick : callable
        Told of progress.
    seed : int
        Draws directions.
    """
    found: list[Picture] = []
    left_out: list[str] = []
    with xp.scope():
        for done, part in enumerate((_along_depth, _regions, _landscape, _kernels)):
            tick(part.__name__.strip("_").replace("_", " "), done / 4)
            made, missing = part(subject, xp, np.random.Generator(np.random.Philox(seed)))
            found += made
            left_out += missing
    return Study(found, [], left_out)


def _along_depth(subject: Subject, xp: Backend, rng: np.random.Generator) -> tuple[list[Picture], list[str]]:
    places = trajectory.evolutions(subject.network)
    if not places:
        return [], ["spectra, growth and energy: the network has no time steps"]
    x, Y = xp.asarray(subject.x), xp.asarray(subject.Y[:_SAMPLES])
    # statistics of normalisation are those of many samples, not of the few that are drawn
    aux = subject.network.statistics(xp, x, xp.asarray(subject.Y[:512]))
    dots, growths, energies = [], [], []
    left_out: list[str] = []
    several = len(places) > 1
    kinds = set()
    for i, layer in places:
        name = f"layer {i}" if several else "time steps"
        U, blocks, own = trajectory.before(xp, subject.network, x, Y, i, aux)
        p = prod(int(m) for m in U.shape[1:])
        times = np.linspace(0, layer.time, layer.depth + 1)
        if p > trajectory.MOST_FEATURES:
            left_out.append(f"spectrum of layer {i}: {p:,} features are more than {trajectory.MOST_FEATURES}")
        else:
            few = max(1, min(_FEW, 1024 // p))  # eigenvalues cost p^3
            kept = np.unique(np.linspace(0, layer.depth - 1, min(layer.depth, _STEPS)).round().astype(int))
            lam = spectra.scale(layer) * spectra.eigenvalues(xp, layer, blocks, U[:few, ...], own, kept.tolist())
            rows = spectrum_rows(name, layer, lam, layer.time)
            rows["time"] = np.repeat(times[kept], lam.shape[1] * lam.shape[2])
            dots.append(rows)
        exact = p <= trajectory.MOST_FEATURES and p**3 * (layer.depth + 1) <= _WORK
        kinds.add(exact)
        if exact:
            grown = trajectory.growth(xp, layer, blocks, U[: max(1, min(_SAMPLES, 2048 // p)), ...], own)
        else:
            grown = trajectory.random_growth(xp, layer, blocks, U, rng, own)
        growths.append(
            band(
                name,
                "growth",
                times,
                grown,
                x_label="time $t$",
                y_label=r"$\Vert dY(t)\Vert\,/\,\Vert dY(0)\Vert$",
                log=True,
            )
        )
        energies += _energy_bands(name, layer, xp, blocks, U, own, times)
    found = []
    words = f"{subject.name} at {subject.point}"
    if dots:
        caption = (
            "Eigenvalues of the right-hand side's Jacobian times the step size, where steps begin, for at "
            f"most {_FEW} inputs (light: first steps; dark: last). Shaded: where the integrator does "
            f"not amplify. {words}."
        )
        found.append(Picture("spectra", "spectra", "Spectra and stability", caption, joined(dots)))
    worst = {True: "the worst perturbation of each", False: "a random perturbation of each"}
    how = " and ".join(worst[kind] for kind in sorted(kinds, reverse=True))
    caption = (
        f"Factor by which {how} of at most {len(Y)} inputs has grown through the steps (line: median, band: least to "
        f"greatest). {words}."
    )
    found.append(Picture("growth", "bands", "Growth of perturbations", caption, joined(growths)))
    caption = (
        f"Norms of the features of {len(Y)} inputs along the steps, and the energy where the right-hand side derives "
        "from a potential: a Hamiltonian is conserved, and a potential falls, while the controls are constant; trained "
        f"controls vary in time. Line: median, band: least to greatest. {words}."
    )
    found.append(Picture("energy", "bands", "Energy and norms", caption, joined(energies)))
    return found, left_out


def _energy_bands(
    name: str, layer: Evolution, xp: Backend, blocks: Any, U: Any, aux: Any, times: np.ndarray
) -> list[pd.DataFrame]:
    S = trajectory.states(xp, layer, blocks, U, aux)
    frames = []
    known = energy.energy(xp, layer, blocks, S)
    if known is not None:
        label = "$H$" if known.kind == "Hamiltonian" else r"$\Phi$"
        frames.append(band(f"{known.kind}, {name}", label, times, known.values, x_label="time $t$", y_label="energy"))
    for field, norms in energy.field_norms(xp, layer, S).items():
        shown = rf"$\Vert {field[1]}\Vert$"
        frames.append(band(f"norms, {name}", shown, times, norms, x_label="time $t$", y_label="norm of features"))
    return frames


def _regions(subject: Subject, xp: Backend, rng: np.random.Generator) -> tuple[list[Picture], list[str]]:
    problem = subject.problem
    if problem is None or problem.data.train.labels is None or subject.shape != (2,):
        return [], ["decision regions: they are drawn for classification of two features"]
    caption = (
        "What the network decides on the plane (pale, the paler the less clear-cut), the training points, and crosses "
        f"where points of the other parts are classified wrongly. {subject.name} at {subject.point}."
    )
    return [
        Picture("regions", "regions", "Decision regions", caption, region_rows(subject.name, problem, subject.x))
    ], []


def _landscape(subject: Subject, xp: Backend, rng: np.random.Generator) -> tuple[list[Picture], list[str]]:
    if subject.problem is None:
        return [], ["landscape: a network without data has no objective"]
    problem, x = subject.problem, subject.x
    on_images = any(len(layer.output(shape)) == 3 for layer, shape in _inputs(subject))
    side, most = (_SIDE_OF_IMAGES, _TRAINING_IMAGES) if on_images else (_SIDE, _TRAINING)
    bound = problem.bind(xp)
    n = min(most, bound.n_samples)
    objective = cast(Objective, bound.with_arrays(tree_map(lambda a: a[:n, ...], bound.arrays)))
    axis = np.linspace(-1, 1, side)
    one, other = (landscape.filter_normalised(subject.network, x, rng) for _ in range(2))
    values = landscape.plane(objective, x, one, other, axis, axis).T
    at = {"mark_x": 0.0, "mark_y": 0.0, "v_label": "", "columns_wanted": 2}
    labels = {"x_label": "first direction", "y_label": "second direction"}
    frames = [
        grid_rows({"panel": "random directions", "scale": "random", **labels, **at}, axis, axis, {"value": values})
    ]
    curved, V = landscape.steepest_directions(objective, x, rng)
    # as far as a quadratic of that curvature would rise by the objective itself
    f0 = abs(float(values[side // 2, side // 2])) or 1.0
    reach = [float(np.sqrt(2 * max(f0, 1e-2) / max(abs(c), 1e-12))) for c in curved]
    a, b = (r * axis for r in reach)
    steep = landscape.plane(objective, x, V[0], V[1], a, b).T
    labels = {"x_label": rf"along $v_1$, $\lambda_1 = {_number(curved[0])}$",
              "y_label": rf"along $v_2$, $\lambda_2 = {_number(curved[1])}$"}  # fmt: skip
    frames.append(
        grid_rows({"panel": "Hessian's eigenvectors", "scale": "steep", **labels, **at}, a, b, {"value": steep})
    )
    caption = (
        f"The objective over {n} training samples on two planes through the point (cross): along two random directions "
        "whose filters have the norms of the network's own (Li et al. 2018), 1 being as far as the weights are long; "
        "and along the Hessian's eigenvectors of largest curvature, in the parameters' own unit. "
        f"{subject.name} at {subject.point}."
    )
    return [Picture("landscape", "maps", "Loss landscape", caption, joined(frames))], []


def _inputs(subject: Subject) -> Iterator[tuple[Layer, tuple[int, ...]]]:
    """Each layer and the shape of a sample that enters it."""
    shape = tuple(subject.shape)
    for layer in subject.network.layers:
        yield layer, shape
        shape = layer.output(shape)


def _number(value: float) -> str:
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return rf"{mantissa}\cdot 10^{{{int(exponent)}}}"


def _kernels(subject: Subject, xp: Backend, rng: np.random.Generator) -> tuple[list[Picture], list[str]]:
    pixels = None if subject.problem is None else subject.problem.data.image_shape
    frames = []
    for image in kernels.images(subject.network, subject.x, pixels):
        row, column = np.nonzero(np.isfinite(image.values))
        step = f", step {image.step + 1}" if image.step >= 0 else ""
        frames.append(
            pd.DataFrame(
                {"panel": f"layer {image.layer}: {image.block}{step}", "scale": f"{image.layer} {image.block}",
                 "row": row.astype(float), "column": column.astype(float), "value": image.values[row, column]}
            )
        )  # fmt: skip
    if not frames:
        return [], ["kernels: the network has none that is a matrix or stencils"]
    caption = (
        "Kernels: matrices with inputs downwards and outputs across (antisymmetric ones as K - K^T), or stencils side "
        f"by side, a row for each output channel (at most {kernels.MOST_CHANNELS} each way), or columns of the first "
        "kernel as images. Blue is negative, red positive; all steps of a layer share colours. "
        f"{subject.name} at {subject.point}."
    )
    return [Picture("kernels", "kernels", "Kernels", caption, joined(frames))], []
