"""The listed problems with a penalty or with bounds: linear models, all convex, and a matrix factorisation.

Penalties and bounds are on weights alone; a linear model's intercepts are free.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import PROBLEMS, Array, ConfigurationError, Problem
from nmdl_bench.data import Dataset, from_parts, load
from nmdl_bench.networks.architectures import resnet
from nmdl_bench.problems.composite import CompositeProblem, structure_of
from nmdl_bench.problems.factorisation import FactorisationProblem
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.problems.minima import reference_minimum
from nmdl_bench.problems.penalties import L1, Box, Parts, Penalty

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

_SKLEARN = ("sklearn",)
Build = Callable[..., tuple[Problem, Penalty]]


def _listed(name: str, summary: str, provides: tuple[str, ...], requires: tuple[str, ...] = ()) -> Any:
    """Register the problem whose smooth part and penalty a function of its options makes."""

    def add(build: Build) -> Build:
        parameters = inspect.signature(build).parameters

        @PROBLEMS.register(name, summary, requires=requires, provides=provides)
        @functools.wraps(build)
        def make(**options: Any) -> CompositeProblem:
            chosen = {option: value for option, value in options.items() if value != parameters[option].default}
            smooth, h = build(**options)
            return CompositeProblem(name, summary, smooth, h, smooth.tau, reference_minimum(name, chosen))

        return build

    return add


def _linear(data: Dataset, loss: str, alpha: float, seed: int, tau: float) -> LearningProblem:
    """A linear model of ``data`` with intercept, and ``alpha/2 |x|^2``."""
    network = resnet(data.features, data.classes, 1, 0)
    return LearningProblem(data.name, f"linear model of {data.name}", data, network, loss, alpha, seed, tau)


def _sparse(problem: LearningProblem, weight: float) -> tuple[LearningProblem, Parts]:
    """With ``weight`` times the sum of the weights' absolute values."""
    return problem, Parts(((0, problem.data.features * problem.data.classes, L1(weight)),))


def _between(problem: LearningProblem, lower: float, upper: float) -> tuple[LearningProblem, Box]:
    """With bounds of the weights."""
    weights, free = problem.data.features * problem.data.classes, problem.data.classes
    return problem, Box((lower,) * weights + (-inf,) * free, (upper,) * weights + (inf,) * free)


_PENALISED, _BOUNDED = structure_of(L1(1.0)), structure_of(Box())


# ---------------------------------------------------------------------------------------------------------- penalties
@_listed("lasso", "lasso on 442 diabetes patients (convex)", _PENALISED, _SKLEARN)
def _lasso(weight: float = 0.05, alpha: float = 0.0, n: int | None = None, tau: float = 0.1, seed: int = 0) -> Any:
    """Tibshirani (1996)."""
    return _sparse(_linear(load("diabetes", seed=seed, n=n), "least-squares", alpha, seed, tau), weight)


@_listed("sparse-logistic-digits", "multinomial logistic regression on digits with an l1 penalty (convex)", _PENALISED, _SKLEARN)  # fmt: skip  # noqa: E501
def _sparse_logistic_digits(
    weight: float = 1e-3, alpha: float = 0.0, n: int | None = None, tau: float = 0.1, seed: int = 0
) -> Any:
    return _sparse(_linear(load("digits", seed=seed, n=n), "cross-entropy", alpha, seed, tau), weight)


@dataclass(eq=False)
class RecoveryProblem(LearningProblem):
    """Linear regression whose true weights are known."""

    truth: Any = None

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """Those of regression, and ``error``: the distance of the weights to the true ones, relative to their norm."""
        found = xp.to_numpy(x)[: len(self.truth)]
        error = float(np.linalg.norm(found - self.truth) / np.linalg.norm(self.truth))
        return {**super().metrics(xp, x), "error": error}


@_listed("sparse-recovery", "lasso on random measurements of a sparse vector (convex)", _PENALISED)
def _sparse_recovery(
    weight: float = 0.05,
    n: int = 200,
    features: int = 500,
    nonzeros: int = 20,
    noise: float = 0.01,
    tau: float = 0.1,
    seed: int = 0,
) -> Any:
    """Gaussian measurements of a vector of ones and minus ones, in fewer numbers than it has elements."""
    if not 0 < nonzeros <= features or n < 1:
        raise ConfigurationError(f"nonzeros = {nonzeros!r} must be from 1 to features = {features!r}, and n at least 1")
    rng = np.random.Generator(np.random.Philox(seed))
    truth = np.zeros(features)
    truth[rng.permutation(features)[:nonzeros]] = rng.choice([-1.0, 1.0], nonzeros)
    A = rng.standard_normal((2 * n, features))
    c = (A @ truth + noise * rng.standard_normal(2 * n))[:, None]
    data = from_parts("sparse-recovery", [(A[:n], c[:n]), (A[:0], c[:0]), (A[n:], c[n:])], standardise=False)
    linear = _linear(data, "least-squares", 0.0, seed, tau)
    fields = (linear.name, linear.summary, data, linear.network, linear.loss, 0.0, seed, tau)
    return _sparse(RecoveryProblem(*fields, truth=truth), weight)


# ------------------------------------------------------------------------------------------------------------- bounds
@_listed("nonnegative-least-squares", "digits' indicators by non-negative weights (convex)", _BOUNDED, _SKLEARN)
def _nonnegative_least_squares(alpha: float = 1e-4, n: int | None = None, tau: float = 0.1, seed: int = 0) -> Any:
    """Lawson and Hanson (1974), chapter 23, for ten right-hand sides, with a little of Tikhonov's term."""
    return _between(_linear(load("digits", seed=seed, n=n), "least-squares", alpha, seed, tau), 0.0, inf)


@_listed("bounded-logistic-digits", "multinomial logistic regression on digits, weights bounded (convex)", _BOUNDED, _SKLEARN)  # fmt: skip  # noqa: E501
def _bounded_logistic_digits(
    bound: float = 0.2, alpha: float = 1e-4, n: int | None = None, tau: float = 0.1, seed: int = 0
) -> Any:
    return _between(_linear(load("digits", seed=seed, n=n), "cross-entropy", alpha, seed, tau), -bound, bound)


@_listed("bounded-logistic-breast-cancer", "binary logistic regression on breast masses, weights bounded (convex)", _BOUNDED, _SKLEARN)  # fmt: skip  # noqa: E501
def _bounded_logistic_breast_cancer(
    bound: float = 0.5, alpha: float = 1e-4, n: int | None = None, tau: float = 0.1, seed: int = 0
) -> Any:
    samples = load("breast-cancer", seed=seed, n=n)
    return _between(_linear(samples, "binary-cross-entropy", alpha, seed, tau), -bound, bound)


@_listed("nonnegative-matrix-factorisation", "digits as sums of non-negative parts", (*_BOUNDED, "blocks"), _SKLEARN)
def _nonnegative_matrix_factorisation(rank: int = 8, n: int = 200, tau: float = 0.1, seed: int = 0) -> Any:
    """Lee and Seung (1999), with the squared Frobenius norm; pixels from 0 to 1."""
    pixels = load("digits", seed=seed, n=n, n_validation=0, n_test=0, standardise=False).train.Y / 16
    name = "nonnegative-matrix-factorisation"
    return FactorisationProblem(name, "digits as sums of parts", pixels, rank, seed, tau), Box(0.0)
