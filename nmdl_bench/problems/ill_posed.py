"""The listed linear problems: an image to be deblurred, and a random ill-posed problem; the truth is known of both."""

from __future__ import annotations

import numpy as np

from nmdl_bench.contracts import PROBLEMS, ConfigurationError
from nmdl_bench.problems.linear import LinearProblem, Separable

_PROVIDES = LinearProblem.provides


def scene(size: int) -> np.ndarray:
    """An image (size, size) of a bright square, a disc, a ramp and a few points on black, between 0 and 1."""
    at = (np.arange(size) + 0.5) / size
    y, x = np.meshgrid(at, at, indexing="ij")
    image = np.where((abs(x - 0.27) < 0.14) & (abs(y - 0.3) < 0.17), 1.0, 0.0)
    image = np.where((x - 0.68) ** 2 + (y - 0.36) ** 2 < 0.19**2, 0.6, image)
    image = np.where((abs(y - 0.76) < 0.11) & (abs(x - 0.5) < 0.38), x, image)
    for px, py in ((0.12, 0.56), (0.5, 0.08), (0.9, 0.58)):
        image[int(py * size), int(px * size)] = 1.0
    return image


def blur(size: int, width: float) -> np.ndarray:
    """A Gaussian of standard deviation ``width`` pixels as a Toeplitz matrix (size, size); what is outside is black."""
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    kernel = np.exp(-(np.arange(-size, size + 1) ** 2) / (2 * width**2))
    return np.exp(-(distance**2) / (2 * width**2)) / kernel.sum()


def with_noise(clean: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Data with white noise of norm ``noise |clean|``."""
    error = rng.standard_normal(clean.shape)
    return clean + noise * np.linalg.norm(clean) / np.linalg.norm(error) * error


def _check(noise: float, **positive: float) -> None:
    if not 0 <= noise < float("inf"):
        raise ConfigurationError(f"noise must be non-negative and finite, not {noise!r}")
    for option, value in positive.items():
        if not 0 < value < float("inf"):
            raise ConfigurationError(f"{option} must be positive and finite, not {value!r}")


@PROBLEMS.register("deblurring", "a small image from its blurred and noisy view (linear least squares)", provides=_PROVIDES)  # fmt: skip  # noqa: E501
def _deblurring(
    size: int = 16, width: float = 1.0, noise: float = 0.01, alpha: float = 1e-3, tau: float = 1e-3, seed: int = 0
) -> LinearProblem:
    """Hansen, Nagy and O'Leary (2006): a separable Gaussian blur of ``width`` pixels, zero boundary conditions."""
    _check(noise, size=size, width=width)
    truth = scene(size).ravel()
    K, rng = blur(size, width), np.random.Generator(np.random.Philox(seed))
    b = with_noise((K @ scene(size) @ K.T).ravel(), noise, rng)
    summary = f"deblurring of {size} x {size} pixels"
    return LinearProblem("deblurring", summary, (K, K), b, alpha, truth, Separable(), tau)


@PROBLEMS.register("ill-posed", "a random matrix with decaying singular values (linear least squares)", provides=_PROVIDES)  # fmt: skip  # noqa: E501
def _ill_posed(
    rows: int = 80,
    columns: int = 60,
    condition: float = 1e6,
    smoothness: float = 1.0,
    noise: float = 0.01,
    alpha: float = 1e-4,
    tau: float = 1e-3,
    seed: int = 0,
) -> LinearProblem:
    """Singular values in geometric progression from 1 to ``1 / condition``; random singular vectors.

    The truth's coefficient along the i-th right singular vector is normal, times ``i^-smoothness``.
    """
    _check(noise, rows=rows, columns=columns)
    if not 1 <= condition < float("inf"):
        raise ConfigurationError(f"condition must be at least 1 and finite, not {condition!r}")
    rng, k = np.random.Generator(np.random.Philox(seed)), min(rows, columns)
    U, V = (np.linalg.qr(rng.standard_normal((size, k)))[0] for size in (rows, columns))
    A = (U * np.geomspace(1.0, 1 / condition, k)) @ V.T
    truth = V @ (rng.standard_normal(k) * np.arange(1.0, k + 1) ** -smoothness)
    summary = f"a random {rows} x {columns} matrix of condition {condition:g}"
    return LinearProblem("ill-posed", summary, A, with_noise(A @ truth, noise, rng), alpha, truth, tau=tau)
