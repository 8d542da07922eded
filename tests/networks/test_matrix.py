"""Every part of a network with every other: all values alone and all pairs of them, on all libraries.

Derivatives by hand against finite differences, each other, torch's and JAX's automatic differentiation. `make test`
takes a sample of the cases, `make test-all` all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
from covering import pairs
from matrix import (
    CASES,
    DEFAULT,
    FACTORS,
    IMPOSSIBLE,
    SINGLES,
    VECTOR_KERNELS,
    is_smooth,
    label,
    make,
    reason,
)

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.networks.activations import ACTIVATIONS
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.testing import autodiff_references, check_autodiff, check_layer, check_objective, numerical_backends

SAMPLE = [CASES[i] for i in np.random.default_rng(1).permutation(len(CASES))[:10]]
"""What `make test` runs, on backends that need no compilation."""
ON_JAX = max((case for case in SAMPLE if case["kernel"] in VECTOR_KERNELS), key=lambda case: len(label(case)))
"""The one of them that differs most from the default and has no convolutions, which take long to compile."""
LAYERS = [case for case in SINGLES if all(case[one] == DEFAULT[one] for one in ("loss", "regulariser", "dropout"))]
"""Those that differ in the time steps."""
COUNT = [0]
"""Cases done by this process."""
INNER = 1e-8
"""Where conjugate gradients run inside. They stop at 1e-12, but the derivatives of their iterates, which automatic
differentiation takes, converge later than the iterates (Gilbert 1992)."""


def _tolerance(case: dict[str, str], dtype: str) -> float:
    if dtype == "float32":
        return 1e-3 if case["integrator"] == "imex-cg" else 1e-4
    return INNER if case["integrator"] == "imex-cg" else 1e-12


def _training(objective: Any) -> Any:
    """The objective of the first epoch: with dropout's masks where there are any."""
    return objective.with_arrays(objective.redraw(0, 0))


def _check(case: dict[str, str], libraries: tuple[str, ...], compiled: tuple[str, ...]) -> None:
    """Finite differences on NumPy, automatic differentiation on all backends; JAX in the precisions ``compiled``."""
    problem = make(case)
    reference = _training(problem.bind(get_backend("numpy")))
    check_objective(
        reference,
        autodiff=(),
        smooth=is_smooth(case),
        batches=case["normalisation"] != "batch",
        tolerance=_tolerance(case, "float64"),
    )
    references = autodiff_references(reference, libraries, compiled=False)
    for dtype in ("float64", "float32"):
        for xp in numerical_backends(dtype):
            if xp.eager or dtype in compiled:
                objective = _training(problem.bind(xp))
                check_autodiff(objective, references=references, tolerance=_tolerance(case, dtype))


@pytest.fixture
def _forgets() -> Iterator[None]:
    """What JAX compiled for one case hardly serves another; kept for all of them it fills the memory."""
    yield
    COUNT[0] += 1
    if COUNT[0] % 5 == 0:
        jax.clear_caches()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("_forgets")
@pytest.mark.parametrize("case", CASES, ids=label)
def test_pairs_of_parts(case: dict[str, str]) -> None:
    # compilation takes most of the time; the precision changes nothing in what is compiled but the constants' types
    _check(case, ("torch", "jax"), compiled=("float64", "float32") if case in SINGLES else ("float64",))


@pytest.mark.parametrize("case", SAMPLE, ids=label)
def test_a_sample_of_the_pairs(case: dict[str, str]) -> None:
    _check(case, ("torch",), compiled=())


def test_one_of_the_pairs_on_jax() -> None:
    problem = make(ON_JAX)
    references = autodiff_references(_training(problem.bind(get_backend("numpy"))), ("torch",))
    objective = _training(problem.bind(get_backend("jax")))
    check_autodiff(objective, references=references, tolerance=_tolerance(ON_JAX, "float64"))


def _check_steps(case: dict[str, str], xp: Any, libraries: tuple[str, ...]) -> None:
    """The time steps as a layer: what an objective does not show, such as tapes, variants, evaluation mode."""
    shape: tuple[int, ...] = make(case).data.train.Y.shape[1:]
    for layer in make(case).network.layers:
        if isinstance(layer, Evolution):
            smooth, tolerance = ACTIVATIONS[case["activation"]].smooth, _tolerance(case, xp.dtype_name)
            check_layer(layer, xp, shape, 3, libraries, smooth=smooth, tolerance=tolerance)
        shape = layer.output(shape)


@pytest.mark.parametrize("case", LAYERS, ids=label)
def test_steps_alone(case: dict[str, str]) -> None:
    _check_steps(case, get_backend("numpy"), ("torch",))


@pytest.mark.slow
@pytest.mark.parametrize("case", LAYERS, ids=label)
def test_steps_alone_on_all_backends(case: dict[str, str]) -> None:
    for dtype in ("float64", "float32"):
        for xp in numerical_backends(dtype):
            if xp.eager:
                _check_steps(case, xp, ())


def test_cases_hold_every_value_and_every_pair() -> None:
    held = {pair for case in CASES for pair in pairs({factor: [value] for factor, value in case.items()})}
    every = set(pairs(FACTORS))
    assert held | set(IMPOSSIBLE) == every
    assert not held & set(IMPOSSIBLE)
    assert all(reason(case) is None for case in CASES)
    assert len(CASES) == len({tuple(case.items()) for case in CASES})
    assert DEFAULT in SINGLES
    assert {value for case in SINGLES for value in case.items()} == {
        (factor, value) for factor, values in FACTORS.items() for value in values
    }


@pytest.mark.parametrize("pair", IMPOSSIBLE, ids=lambda pair: "+".join(value for _, value in pair))
def test_impossible_pairs_are_refused(pair: Any) -> None:
    """What the matrix leaves out does not work indeed, and says why."""
    with pytest.raises(ConfigurationError):
        _output(make({**DEFAULT, **dict(pair)}))


def _output(problem: LearningProblem) -> tuple[int, ...]:
    return problem.network.output(problem.data.train.Y.shape[1:])
