"""Penalties and bounds around smooth problems, the factorisation, and the listed ones with their minima."""

from __future__ import annotations

import pickle
from math import inf
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import ConfigurationError, Stop, UnknownNameError
from nmdl_bench.problems import BoundedObjective, CompositeObjective, CompositeProblem
from nmdl_bench.problems.factorisation import FactorisationProblem
from nmdl_bench.problems.minima import MINIMA, reference_minimum
from nmdl_bench.problems.penalties import L1, Box
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_objective

XP = get_backend("numpy")
PENALISED = ("lasso", "sparse-recovery", "sparse-logistic-digits")
BOUNDED = ("nonnegative-least-squares", "bounded-logistic-digits", "bounded-logistic-breast-cancer")
FACTORS = "nonnegative-matrix-factorisation"
FEW: dict[str, dict[str, Any]] = {"sparse-recovery": {"n": 20, "features": 12, "nonzeros": 3}}


def small(name: str) -> CompositeProblem:
    return PROBLEMS.make(name, **FEW.get(name, {"n": 40}))  # type: ignore[return-value]


@pytest.mark.parametrize("name", [*PENALISED, *BOUNDED, FACTORS])
def test_listed_problems_bind_and_say_what_they_provide(name: str) -> None:
    problem = small(name)
    assert tuple(problem.provides) == PROBLEMS[name].structure({})
    objective = problem.bind(XP)
    is_bounded = name not in PENALISED
    assert type(objective) is (BoundedObjective if is_bounded else CompositeObjective)
    assert ("bounds" in problem.provides) == is_bounded
    check_objective(objective, batches=name != FACTORS)
    f, tape = objective.forward(objective.x0)
    g = objective.grad(tape)
    value, measure = Evaluation(objective).norms(objective.x0)
    assert value == f + objective.penalty(objective.x0)
    assert measure == np.abs(objective.x0 - objective.prox(objective.x0 - g, 1.0)).max()
    if is_bounded:
        assert np.all((objective.lower <= objective.x0) & (objective.x0 <= objective.upper))
    metrics = problem.metrics(XP, objective.x0)
    assert 0 <= metrics["nonzeros"] <= 1
    assert set(problem.smooth.metrics(XP, objective.x0)) < set(metrics)


def test_weights_are_penalised_and_intercepts_free() -> None:
    for name, classes in (("lasso", 1), ("sparse-logistic-digits", 10)):
        objective = small(name).bind(XP)
        x = np.zeros(objective.x0.size)
        x[-classes:] = 5.0
        assert objective.penalty(x) == 0
        np.testing.assert_array_equal(objective.prox(x, 1.0), x)
        x[-classes - 1] = 1.0
        assert objective.penalty(x) > 0
    objective = small("nonnegative-least-squares").bind(XP)
    assert np.all(objective.lower[:-10] == 0)
    assert np.all(objective.lower[-10:] == -inf)
    assert np.all(objective.upper == inf)


def test_sparse_recovery_recovers() -> None:
    result = solve(PROBLEMS.make("sparse-recovery"), SOLVERS.make("fista"), XP, Stop(max_iterations=200, gtol=1e-9))
    assert result.metrics["error"] < 0.06
    assert result.metrics["nonzeros"] < 0.06
    assert result.metrics["rmse_test"] < 0.3


def test_bounds_are_data_and_penalties_text() -> None:
    smooth = small("bounded-logistic-breast-cancer").smooth
    one, other = (CompositeProblem("one", "", smooth, Box(-b, b)).bind(XP) for b in (0.1, 0.2))
    assert one.static == other.static
    assert hash(one.static) == hash(other.static)
    with_other = one.with_arrays(other.arrays)
    assert with_other.upper[0] == 0.2
    penalised = [CompositeProblem("one", "", smooth, L1(w)).bind(XP) for w in (0.1, 0.2)]
    assert penalised[0].static != penalised[1].static
    assert pickle.loads(pickle.dumps(with_other.static)) == with_other.static


def test_a_problem_is_wrapped_once() -> None:
    with pytest.raises(ConfigurationError, match="has a penalty or bounds already; wrap a smooth one"):
        CompositeProblem("twice", "", small("lasso"), L1(1.0))
    with pytest.raises(ConfigurationError, match="tau"):
        CompositeProblem("level", "", small("lasso").smooth, L1(1.0), tau=0.0)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_derivatives_of_the_factorisation(library: str) -> None:
    A = np.random.default_rng(0).random((5, 4))
    problem = FactorisationProblem("small", "", A, 2, seed=1)
    objective = problem.bind(get_backend(library))
    check_objective(objective, batches=False)
    U, V = (np.reshape(problem.bind(XP).x0[block], (-1, 2)) for block in objective.blocks)
    assert float(objective.forward(objective.x0)[0]) == pytest.approx(0.5 * np.sum((U @ V.T - A) ** 2), rel=1e-13)
    assert problem.metrics(XP, problem.bind(XP).x0)["error"] == pytest.approx(
        np.linalg.norm(U @ V.T - A) / np.linalg.norm(A)
    )


def test_bad_factorisations_are_named() -> None:
    with pytest.raises(ConfigurationError, match="finite matrix"):
        FactorisationProblem("bad", "", np.array([[np.nan]]), 1)
    with pytest.raises(ConfigurationError, match="rank must be at least 1, not 0"):
        FactorisationProblem("bad", "", np.eye(2), 0)


# ------------------------------------------------------------------------------------------------------------- minima
def test_minima_are_given_for_their_options_alone() -> None:
    assert PROBLEMS.make("ridge").minimum == MINIMA["ridge"][0][1] == reference_minimum("ridge", {"tau": 0.5})
    assert PROBLEMS.make("ridge", alpha=1e-2, tau=0.01, seed=0, n=None).minimum == PROBLEMS.make("ridge").minimum
    assert PROBLEMS.make("ridge", seed=2).minimum == reference_minimum("ridge", {"seed": 2})
    for options in ({"alpha": 0.3}, {"n": 100}, {"seed": 77}, {"loss": "huber"}, {"n_test": 10}, {"depth": 1}):
        assert PROBLEMS.make("ridge", **options).minimum is None
    assert PROBLEMS.make("lasso").minimum == reference_minimum("lasso", {})
    assert PROBLEMS.make("lasso", weight=0.1).minimum is None
    assert PROBLEMS.make("spirals").minimum is None
    assert set(MINIMA) <= {entry.name for entry in PROBLEMS}


CHEAP = [
    (name, options, minimum)
    for name in ("ridge", "logistic-breast-cancer", "lasso", "sparse-recovery", "bounded-logistic-breast-cancer")
    for options, minimum in MINIMA[name]
]
HEAVY = [
    (name, options, minimum)
    for name in MINIMA
    if name not in {cheap for cheap, *_ in CHEAP} | {"logistic-mnist-5k"}
    for options, minimum in MINIMA[name]
]


def reach(name: str, options: dict[str, Any], minimum: float) -> None:
    """Our solvers come as near as they should, and not below."""
    problem = PROBLEMS.make(name, **options)
    provides = PROBLEMS[name].structure(options)
    solver = "projected-lbfgs" if "bounds" in provides else "fista" if "composite" in provides else "lbfgs"
    result = solve(problem, SOLVERS.make(solver), XP, Stop(max_iterations=6000, gtol=1e-9))
    assert problem.minimum == minimum
    assert -1e-14 <= (result.loss - minimum) / minimum <= 1e-11


@pytest.mark.parametrize(("name", "options", "minimum"), CHEAP)
def test_solvers_reach_the_minima(name: str, options: dict[str, Any], minimum: float) -> None:
    reach(name, options, minimum)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "minimum"), HEAVY)
def test_solvers_reach_the_minima_of_digits(name: str, options: dict[str, Any], minimum: float) -> None:
    reach(name, options, minimum)


def test_options_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'weight'"):
        PROBLEMS.make("lasso", wieght=1.0)
    with pytest.raises(ConfigurationError, match="weight of problem 'lasso' must be float, not 'much'"):
        PROBLEMS.make("lasso", weight="much")
    with pytest.raises(ConfigurationError, match="nonzeros = 9 must be from 1 to features = 8"):
        PROBLEMS.make("sparse-recovery", features=8, nonzeros=9)
    assert PROBLEMS.options("lasso") == ("weight", "alpha", "n", "tau", "seed")
