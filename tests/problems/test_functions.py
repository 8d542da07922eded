"""Problems from plain functions: derivatives from every source, bounds, warnings, and wrong functions in a sentence."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import SOLVERS
from nmdl_bench.contracts import ConfigurationError, Stop
from nmdl_bench.problems import FunctionProblem, ResidualProblem
from nmdl_bench.problems.function_objective import FiniteDifferenceWarning
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_objective, numerical_backends, standins

NUMPY, TORCH, JAX = (get_backend(name) for name in ("numpy", "torch", "jax"))
X0 = [-1.2, 1.0, 0.5]
A = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0], [2.0, 0.5, 1.0], [0.25, 0.0, -1.0]])


def residual(xp: Any, x: Any, A: Any) -> Any:
    """``r = A x + (A x)^2 - 1`` by rows."""
    u = A @ x
    return u + u * u - 1


def jacobian(xp: Any, x: Any, A: Any) -> Any:
    return xp.reshape(1 + 2 * (A @ x), (-1, 1)) * A


def jvp(xp: Any, x: Any, v: Any, A: Any) -> Any:
    return (1 + 2 * (A @ x)) * (A @ v)


def vjp(xp: Any, x: Any, w: Any, A: Any) -> Any:
    return A.T @ ((1 + 2 * (A @ x)) * w)


def hessp(xp: Any, x: Any, v: Any, A: Any) -> Any:
    r, Av = residual(xp, x, A), A @ v
    return vjp(xp, x, jvp(xp, x, v, A), A) + A.T @ (2 * r * Av)


def value(xp: Any, x: Any, A: Any) -> Any:
    r = residual(xp, x, A)
    return 0.5 * xp.dot(r, r)


def gradient(xp: Any, x: Any, A: Any) -> Any:
    return vjp(xp, x, residual(xp, x, A), A)


GIVEN: list[dict[str, Any]] = [
    {},
    {"jacobian": jacobian},
    {"jvp": jvp},
    {"vjp": vjp},
    {"jvp": jvp, "vjp": vjp},
    {"jacobian": jacobian, "hessp": hessp},
]


def products(problem: FunctionProblem, xp: Any) -> dict[str, np.ndarray]:
    """All that the objective offers, at the start, along fixed directions."""
    rng = np.random.default_rng(0)
    v, w = rng.standard_normal(3), rng.standard_normal(4)
    with xp.scope():
        objective: Any = problem.bind(xp)
        f, tape = objective.forward(objective.x0)
        V, W = xp.asarray(v), xp.asarray(w)
        found = {"f": xp.zeros((1,)) + f, "g": objective.grad(tape), "Hv": objective.hessian(tape, V)}
        if problem.residual:
            found |= {"r": objective.residual(tape), "J": objective.jacobian(tape), "Jv": objective.jvp(tape, V)}
            found |= {"Jw": objective.vjp(tape, W), "Gv": objective.gauss_newton(tape, V)}
        return {name: xp.to_numpy(a) for name, a in found.items()}


def expected() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x, v, w = np.array(X0), rng.standard_normal(3), rng.standard_normal(4)
    J, r = jacobian(NUMPY, x, A), residual(NUMPY, x, A)
    exact = {"f": np.array([0.5 * r @ r]), "g": J.T @ r, "Hv": hessp(NUMPY, x, v, A), "r": r, "J": J, "Jv": J @ v}
    return exact | {"Jw": J.T @ w, "Gv": J.T @ (J @ v)}


@pytest.mark.parametrize("given", GIVEN, ids=lambda given: "+".join(given) or "nothing")
@pytest.mark.filterwarnings("ignore::nmdl_bench.problems.function_objective.FiniteDifferenceWarning")
def test_products_of_a_residual_from_every_source(given: dict[str, Any]) -> None:
    exact = expected()
    for xp in (NUMPY, TORCH, *standins()):
        for name, found in products(ResidualProblem("squares", residual, X0, args=[A], **given), xp).items():
            # the Hessian by differences of values, others by differences in one direction
            rough = 1e-6 if name == "Hv" and not given else 1e-8
            exactly = xp.automatic or "hessp" in given or ("jacobian" in given and name != "Hv")
            error = np.abs(found - exact[name]).max() / np.abs(exact[name]).max()
            assert error <= (1e-14 if exactly else rough), (name, xp)


@pytest.mark.parametrize("given", [{}, {"grad": gradient}, {"grad": gradient, "hessp": hessp}])
@pytest.mark.filterwarnings("ignore::nmdl_bench.problems.function_objective.FiniteDifferenceWarning")
def test_products_of_a_scalar_function_from_every_source(given: dict[str, Any]) -> None:
    exact = expected()
    for xp in (NUMPY, TORCH, *standins()):
        for name, found in products(FunctionProblem("squares", value, X0, args=[A], **given), xp).items():
            rough = 1e-6 if name == "Hv" and not given else 1e-8
            exactly = xp.automatic or {"f": "", "g": "grad", "Hv": "hessp"}[name] in ("", *given)
            error = np.abs(found - exact[name]).max() / np.abs(exact[name]).max()
            assert error <= (1e-13 if exactly else rough), (name, xp)


@pytest.mark.parametrize("xp", [TORCH, JAX], ids=repr)
def test_objective_of_a_residual(xp: Any) -> None:
    check_objective(ResidualProblem("squares", residual, X0, args=[A]).bind(xp))


def test_objective_of_a_residual_with_products_on_numpy() -> None:
    problem = ResidualProblem("squares", residual, X0, args=[A], jacobian=jacobian, hessp=hessp)
    check_objective(problem.bind(NUMPY), autodiff=["torch"])


def test_a_product_evaluates_a_given_jacobian_once() -> None:
    calls = []

    def counted(xp: Any, x: Any, A: Any) -> Any:
        calls.append(x)
        return jacobian(xp, x, A)

    objective: Any = ResidualProblem("squares", residual, X0, args=[A], jacobian=counted).bind(NUMPY)
    v = np.array([1.0, -2.0, 0.5])
    J = jacobian(NUMPY, np.array(X0), A)
    np.testing.assert_array_equal(objective.gauss_newton(objective.forward(objective.x0)[1], v), J.T @ (J @ v))
    assert len(calls) == 1


def test_a_gradient_that_is_the_point_itself_is_not_overwritten() -> None:
    problem = FunctionProblem("ball", lambda xp, x: 0.5 * xp.dot(x, x), [3.0, -4.0], grad=lambda xp, x: x)
    for xp in (NUMPY, TORCH, *standins()):
        result = solve(problem, SOLVERS.make("lbfgs"), xp)
        assert result.status == "converged", xp
        assert result.loss < 1e-30


# ------------------------------------------------------------------------------------------------------- warnings
def test_one_warning_a_problem_and_none_where_nothing_is_approximate() -> None:
    def on_all_and_again() -> None:
        for xp in (NUMPY, *standins()[:2]):
            problem = FunctionProblem("squares", value, X0, args=[A])
            products(problem, xp)
            products(problem, xp)

    with pytest.warns(FiniteDifferenceWarning, match="problem 'squares': the gradient is taken by finite") as caught:
        on_all_and_again()
    assert len(caught) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        products(FunctionProblem("squares", value, X0, args=[A]), TORCH)
        products(ResidualProblem("squares", residual, X0, args=[A], jacobian=jacobian, hessp=hessp), NUMPY)
        solve(FunctionProblem("squares", value, X0, args=[A], grad=gradient), SOLVERS.make("lbfgs"), NUMPY)


def test_a_warning_names_what_is_missing() -> None:
    with pytest.warns(FiniteDifferenceWarning, match="the Hessian is taken by finite differences on numpy; give hessp"):
        products(ResidualProblem("squares", residual, X0, args=[A], jacobian=jacobian), NUMPY)


# ------------------------------------------------------------------------------------------------------- solving
@pytest.mark.filterwarnings("ignore::nmdl_bench.problems.function_objective.FiniteDifferenceWarning")
def test_all_backends_find_the_same_minimum() -> None:
    def distance(xp: Any, x: Any, a: Any) -> Any:
        d = x - a
        return xp.dot(d, d) + xp.total(xp.exp(x))

    problem = FunctionProblem("distance", distance, [3.0, -4.0, 0.0], args=[[1.0, 2.0, 3.0]])
    results = [solve(problem, SOLVERS.make("lbfgs"), xp, Stop(gtol=1e-8)) for xp in numerical_backends()]
    assert {result.status for result in results} == {"converged"}
    assert max(np.abs(result.x - results[0].x).max() for result in results) < 1e-7
    x = results[0].x
    assert np.abs(2 * (x - [1, 2, 3]) + np.exp(x)).max() < 1e-7


def test_equal_functions_are_compiled_once_and_data_are_no_part_of_it() -> None:
    traces = []

    def counted(xp: Any, x: Any, a: Any) -> Any:
        traces.append(xp.library)
        return xp.dot(x - a, x - a)

    def minimiser(a: float) -> float:
        return solve(FunctionProblem("shift", counted, [0.0, 0.0], args=[a]), SOLVERS.make("steepest-descent"), JAX).x[
            0
        ]

    assert minimiser(1.0) == pytest.approx(1.0)
    count = len(traces)
    assert minimiser(2.0) == pytest.approx(2.0)
    assert len(traces) == count


# ------------------------------------------------------------------------------------------------------- bounds
def test_bounds_are_structure_with_a_projection() -> None:
    lower, upper = [0.0, -np.inf, 0.5], 1.0
    for xp in (NUMPY, TORCH, *standins()):
        problem = ResidualProblem("squares", residual, X0, args=[A], bounds=(lower, upper), jacobian=jacobian)
        assert problem.provides == ("gauss-newton", "residual", "composite", "bounds")
        np.testing.assert_array_equal(problem.start, [0.0, 1.0, 0.5])
        with xp.scope():
            objective: Any = problem.bind(xp)
            v = xp.asarray([-3.0, -3.0, 3.0])
            np.testing.assert_array_equal(xp.to_numpy(objective.prox(v, xp.s.const(1.0))), [0.0, -3.0, 1.0])
            assert np.isnan(xp.to_numpy(objective.prox(v * np.nan, xp.s.const(1.0)))).all()
            np.testing.assert_array_equal(xp.to_numpy(v), [-3.0, -3.0, 3.0])
            for x, outside in ((objective.x0, 0.0), (v, np.inf)):
                assert xp.to_numpy(xp.zeros((1,)) + objective.penalty(x)) == outside
            np.testing.assert_array_equal(xp.to_numpy(objective.lower), lower)
            np.testing.assert_array_equal(xp.to_numpy(objective.upper), [1.0, 1.0, 1.0])
    assert FunctionProblem("f", value, X0, args=[A]).provides == ()
    with pytest.raises(ConfigurationError, match="LBFGS cannot minimise 'squares': it is for smooth problems"):
        solve(problem, SOLVERS.make("lbfgs"), NUMPY)


def test_metrics_are_the_users() -> None:
    problem = FunctionProblem("f", value, X0, args=[A], grad=gradient, measures=lambda x: {"first": float(x[0])})
    result = solve(problem, SOLVERS.make("lbfgs"), TORCH)
    assert result.metrics == {"first": result.x[0]}


# ------------------------------------------------------------------------------------------------------- wrong use
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: FunctionProblem("p", value, [[1.0]]), r"x0 of problem 'p' must be a vector, not of shape \(1, 1\)"),
        (lambda: FunctionProblem("p", value, []), r"must be a vector, not of shape \(0,\)"),
        (lambda: FunctionProblem("p", value, [1.0, np.nan]), "x0 of problem 'p' must be finite"),
        (lambda: FunctionProblem("p", value, ["a"]), "x0 of problem 'p' must be a vector of numbers"),
        (lambda: FunctionProblem("p", 3, [1.0]), "f of problem 'p' must be a function, not 3"),
        (lambda: FunctionProblem("p", value, [1.0], grad=3), "grad of problem 'p' must be a function, not 3"),
        (lambda: FunctionProblem("p", value, [1.0], args=["a"]), r"args\[0\] of problem 'p' must be an array of real"),
        (lambda: FunctionProblem("p", value, [1.0], tau=0.0), r"tau must lie in \(0, 1\), not 0.0"),
        (lambda: FunctionProblem("p", value, [1.0], bounds=3), "bounds of problem 'p' must be"),
        (lambda: FunctionProblem("p", value, [1.0], bounds=([0, 0], 1)), "each a number or a vector of 1"),
        (lambda: FunctionProblem("p", value, [1.0, 2.0], bounds=(0, [1, -1])), r"cross at x\[1\]: 0.0 to -1.0"),
        (lambda: FunctionProblem("p", value, [1.0], bounds=(np.nan, 1)), r"cross at x\[0\]"),
        (lambda: ResidualProblem("p", residual, [1.0], grad=gradient), "give jacobian or vjp instead of grad"),
    ],
)
def test_descriptions_that_cannot_work(make: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        make()


@pytest.mark.parametrize("xp", [NUMPY, TORCH, JAX], ids=repr)
def test_wrong_values_are_named(xp: Any) -> None:
    def twice(xp: Any, x: Any) -> Any:
        return 2 * x

    with pytest.raises(
        ConfigurationError, match=r"the function twice must return a scalar, not an array of shape \(2,"
    ):
        solve(FunctionProblem("p", twice, [1.0, 2.0]), SOLVERS.make("lbfgs"), xp)
    for bad, what in ((lambda xp, x: xp.dot(x, x), "a scalar"), (lambda xp, x: xp.stack([x, x]), "an array of shape")):
        with pytest.raises(ConfigurationError, match=rf"must return a vector \(m,\), not {what}"):
            solve(ResidualProblem("p", bad, [1.0, 2.0]), SOLVERS.make("lbfgs"), xp)
