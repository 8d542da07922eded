"""Data sets drawn from formulas, after the course *Numerical Methods for Deep Learning* (Ruthotto and Haber)."""

from __future__ import annotations

import math

import numpy as np

from nmdl_bench.data.dataset import Dataset, from_parts
from nmdl_bench.data.sampling import Streams, check_count, check_real, part_sizes, stratified_split, streams

PEAKS_CLASSES = 5
PEAKS_NODES = 256
SPIRALS_INNER_RADIUS = 0.1


def peaks_function(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """MATLAB's ``peaks``: a sum of scaled and translated Gaussians of two variables, usually on [-3, 3]^2."""
    return (
        3 * (1 - x) ** 2 * np.exp(-(x**2) - (y + 1) ** 2)
        - 10 * (x / 5 - x**3 - y**5) * np.exp(-(x**2) - y**2)
        - np.exp(-((x + 1) ** 2) - y**2) / 3
    )


def peaks(
    *,
    n: int = 8000,
    noise: float = 0.0,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """Level sets of MATLAB's peaks function: 2 features, 5 classes.

    The function's values on a 256 x 256 grid of [-3, 3]^2 fall in five bins of equal width h, class i being
    (min + i h, min + (i + 1) h] and the minimum belonging to class 0. Every part draws ceil(size / 5) nodes of every
    class, with replacement, so that part sizes are rounded up to multiples of 5.

    Parameters
    ----------
    n
        Points in all (np in the course).
    noise
        Standard deviation of the normal deviates that are added to the coordinates, after they have been classified.
    n_validation, n_test
        Points of these parts; None for a tenth and a fifth of ``n``.
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`.
    """
    rng = streams(seed)
    sizes = part_sizes(check_count("n", n, minimum=PEAKS_CLASSES), n_validation, n_test)
    axis = np.linspace(-3, 3, PEAKS_NODES)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    values = peaks_function(x, y)
    width = (values.max() - values.min()) / PEAKS_CLASSES
    node_class = np.searchsorted(values.min() + width * np.arange(1, PEAKS_CLASSES), values, side="left")
    nodes_of = [np.flatnonzero(node_class == c) for c in range(PEAKS_CLASSES)]
    parts = []
    for size in sizes:
        per_class = -(-size // PEAKS_CLASSES)
        nodes = np.concatenate([nodes[rng.draw.integers(len(nodes), size=per_class)] for nodes in nodes_of])
        nodes = rng.split.permutation(nodes)
        parts.append((np.stack([x[nodes], y[nodes]], axis=1), node_class[nodes]))
    return from_parts("peaks", _noisy(parts, noise, rng), classes=PEAKS_CLASSES, standardise=standardise)


def peaks_regression(
    *,
    n: int = 2000,
    noise: float = 0.0,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """MATLAB's peaks function to be regressed on its arguments: 2 features, 1 target.

    Points uniform on [-3, 3]^2, with the function's value there as target.

    Parameters
    ----------
    n
        Points in all.
    noise
        Standard deviation of the normal deviates that are added to the targets of the training part.
    n_validation, n_test
        Points of these parts; None for a tenth and a fifth of ``n``.
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`; targets keep their scale.
    """
    rng = streams(seed)
    sizes = part_sizes(check_count("n", n, minimum=1), n_validation, n_test)
    parts = []
    for size in sizes:
        Y = 6 * rng.draw.random((size, 2)) - 3
        parts.append((Y, peaks_function(Y[:, :1], Y[:, 1:])))
    (Y, C), *others = parts
    C = C + check_real("noise", noise) * rng.noise.standard_normal(C.shape)
    return from_parts("peaks-regression", [(Y, C), *others], standardise=standardise)


def spirals(
    *,
    n: int = 1000,
    arms: int = 2,
    turns: float = 1.5,
    noise: float = 0.0,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """Intertwined Archimedean spirals, one class an arm: 2 features.

    Arm a is ``r (cos phi, sin phi)``, ``phi = 2 pi (turns r + a / arms)``, with r^2 uniform on [0.01, 1]: about as
    many points on every piece of equal length, and none near the centre, where the arms would meet.

    Parameters
    ----------
    n
        Points in all, equally many an arm; the first arms have one more where ``arms`` does not divide ``n``.
    arms
        Number of spirals, at least 2.
    turns
        Turns of an arm about the centre, above 0.
    noise
        Standard deviation of the normal deviates that are added to the coordinates (the outer radius is 1).
    n_validation, n_test
        Points of these parts; None for a tenth and a fifth of ``n``. The split is stratified by class.
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`.
    """
    rng = streams(seed)
    arms = check_count("arms", arms, minimum=2)
    n = check_count("n", n, minimum=arms)
    labels = np.arange(n) % arms
    inner = SPIRALS_INNER_RADIUS**2
    r = np.sqrt(inner + (1 - inner) * rng.draw.random(n))
    phi = 2 * math.pi * (check_real("turns", turns, positive=True) * r + labels / arms)
    points = np.stack([r * np.cos(phi), r * np.sin(phi)], axis=1)
    return _split("spirals", points, labels, noise, part_sizes(n, n_validation, n_test), rng, standardise)


def ellipses(
    *,
    n: int = 2800,
    aspect: float = 0.4,
    noise: float = 0.0,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """An ellipse inside an elliptic ring: 2 features, 2 classes.

    Points ``(r cos phi, aspect r sin phi)`` with phi uniform and r uniform on [0, 1] for class 0, on [1, 2] for
    class 1. The defaults give 1,000 training and 200 test points a class, as in the course.

    Parameters
    ----------
    n
        Points in all, half of them a class.
    aspect
        Ratio of the axes, above 0; 1 for circles.
    noise
        Standard deviation of the normal deviates that are added to the coordinates.
    n_validation, n_test
        Points of these parts; None for a seventh of ``n`` each. The split is stratified by class.
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`.
    """
    return _rings("ellipses", n, aspect, noise, n_validation, n_test, seed, standardise)


def circles(
    *,
    n: int = 2800,
    aspect: float = 0.4,
    noise: float = 0.0,
    n_validation: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    standardise: bool = True,
) -> Dataset:
    """The same law as :func:`ellipses`, under the name that the research codes use ("circle"): 2 features, 2 classes.

    Options and defaults are those of :func:`ellipses`, the ratio of the axes included; ``aspect=1`` gives true circles.
    """
    return _rings("circles", n, aspect, noise, n_validation, n_test, seed, standardise)


def swiss_roll(*, n: int = 513, noise: float = 0.0, seed: int = 0, standardise: bool = True) -> Dataset:
    """Two spirals of two turns side by side, the course's Swiss roll: 2 features, 2 classes.

    The angles are ``n`` equidistant values on [0, 4 pi] with radii equidistant on [0, 1] for class 0 and on
    [0.2, 1.2] for class 1. The first, third, ... angle are for training and the others for validation, as in the
    course. The test part, which the course lacks, lies between them: one angle drawn uniformly in each of the
    n - 1 intervals, on both spirals. With the defaults: 514, 512 and 1,024 points.

    Parameters
    ----------
    n
        Angles, at least 3.
    noise
        Standard deviation of the normal deviates that are added to the coordinates of all parts.
    seed, standardise
        As for :func:`nmdl_bench.data.load` and :func:`nmdl_bench.data.from_parts`. Without noise, the seed only
        draws the test angles and the order of the samples.
    """
    rng = streams(seed)
    n = check_count("n", n, minimum=3)
    grid = np.arange(n, dtype=float)
    between = grid[:-1] + rng.test.random(n - 1)
    parts = []
    for position in (grid[::2], grid[1::2], between):
        t = position / (n - 1)
        angle = 4 * math.pi * t
        direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = np.concatenate([t[:, None] * direction, (0.2 + t)[:, None] * direction])
        labels = np.repeat([0, 1], len(t))
        order = rng.split.permutation(len(labels))
        parts.append((points[order], labels[order]))
    return from_parts("swiss-roll", _noisy(parts, noise, rng), classes=2, standardise=standardise)


def _rings(
    name: str,
    n: int,
    aspect: float,
    noise: float,
    n_validation: int | None,
    n_test: int | None,
    seed: int,
    standardise: bool,
) -> Dataset:
    rng = streams(seed)
    n = check_count("n", n, minimum=2)
    labels = np.arange(n) % 2
    r = labels + rng.draw.random(n)
    phi = 2 * math.pi * rng.draw.random(n)
    points = np.stack([r * np.cos(phi), check_real("aspect", aspect, positive=True) * r * np.sin(phi)], axis=1)
    return _split(name, points, labels, noise, part_sizes(n, n_validation, n_test, (7, 7)), rng, standardise)


def _split(
    name: str,
    points: np.ndarray,
    labels: np.ndarray,
    noise: float,
    sizes: list[int],
    rng: Streams,
    standardise: bool,
) -> Dataset:
    """Add noise to all points, then split them, so that a point's noise does not depend on the part sizes."""
    ((points, labels),) = _noisy([(points, labels)], noise, rng)
    test, validation, train = stratified_split(labels, [sizes[2], sizes[1]], rng.split)
    parts = [(points[at], labels[at]) for at in (train, validation, test)]
    return from_parts(name, parts, classes=int(labels.max()) + 1, standardise=standardise)


def _noisy(
    parts: list[tuple[np.ndarray, np.ndarray]], noise: float, rng: Streams
) -> list[tuple[np.ndarray, np.ndarray]]:
    deviation = check_real("noise", noise)
    return [(points + deviation * rng.noise.standard_normal(points.shape), labels) for points, labels in parts]
