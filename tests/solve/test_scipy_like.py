"""``minimize`` and ``least_squares``: SciPy's numbers from SciPy's calls on every library, and wrong calls."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from nmdl_bench import least_squares, minimize
from nmdl_bench.contracts import HISTORY_COLUMNS, ConfigurationError, UnknownNameError
from nmdl_bench.problems.function_objective import FiniteDifferenceWarning
from nmdl_bench.solve.scipy_like import _pairs
from nmdl_bench.testing import PoisonBackend

X0 = [-1.2, 1.0]


def banana(x: Any) -> Any:
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def banana_gradient(x: Any) -> Any:
    return np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])


def residual(xp: Any, x: Any) -> Any:
    return xp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def test_the_result_is_scipys() -> None:
    ours = minimize(banana, X0, jac=banana_gradient, tol=1e-9)
    theirs = optimize.minimize(banana, X0, jac=banana_gradient, method="L-BFGS-B")
    assert isinstance(ours, optimize.OptimizeResult)
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-5)
    assert ours.fun == pytest.approx(banana(ours.x), rel=1e-6, abs=1e-25)
    np.testing.assert_allclose(ours.jac, banana_gradient(ours.x), rtol=1e-12)
    assert (ours.success, ours.status, ours.message) == (True, 0, "converged: gradient below the tolerance")
    assert 0 < ours.nit <= ours.njev <= ours.nfev < 100
    assert ours.nhev == 0
    assert ours.history.shape[1] == len(HISTORY_COLUMNS)
    assert not set(theirs) - {"hess_inv"} - set(ours)  # what SciPy's result has, ours has


def test_limits_end_a_run() -> None:
    short = minimize(banana, X0, jac=banana_gradient, maxiter=3)
    assert (short.success, short.status, short.nit, short.message) == (False, 1, 3, "max_iterations: 3 iterations")
    few = minimize(banana, X0, jac=banana_gradient, maxfev=5)
    assert (few.status, few.nfev) == (1, 5)
    loose = minimize(banana, X0, jac=banana_gradient, tol=1e-1)
    assert loose.nit < minimize(banana, X0, jac=banana_gradient).nit


@pytest.mark.parametrize("backend", ["torch", "jax", PoisonBackend()], ids=str)
@pytest.mark.filterwarnings("ignore::nmdl_bench.problems.function_objective.FiniteDifferenceWarning")
def test_functions_of_either_form_on_any_library(backend: Any) -> None:
    plain = minimize(lambda x: ((x - 3) ** 2).sum(), [0.0, 1.0], backend=backend, method="steepest-descent")
    with_xp = minimize(
        lambda xp, x, a: xp.dot(x - a, x - a),
        [0.0, 1.0],
        args=([3.0, 3.0],),
        backend=backend,
        method="steepest-descent",
    )
    for found in (plain, with_xp):
        assert found.success
        assert isinstance(found.x, np.ndarray)
        np.testing.assert_allclose(found.x, [3.0, 3.0], atol=1e-6)


def test_float32() -> None:
    found = minimize(lambda x: ((x - 3) ** 2).sum(), [0.0], backend="torch", dtype="float32")
    assert found.success
    assert found.x.dtype == np.float32


def test_methods_by_name_with_options() -> None:
    one, many = (minimize(banana, X0, jac=banana_gradient, options={"memory": m}).nfev for m in (1, 10))
    assert one != many
    adam = minimize(banana, X0, jac=banana_gradient, method="adam", options={"step_size": 0.05}, maxiter=50)
    assert (adam.nit, adam.nfev, adam.status) == (50, 50, 1)


def test_least_squares_has_scipys_fields() -> None:
    ours = least_squares(residual, X0, lambda x: np.array([[-20 * x[0], 10], [-1, 0]]), method="lbfgs", tol=1e-10)
    theirs = optimize.least_squares(lambda x: [10 * (x[1] - x[0] ** 2), 1 - x[0]], X0)
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-6)
    np.testing.assert_allclose(ours.jac, theirs.jac, atol=1e-4)
    assert ours.fun.shape == (2,)
    assert ours.cost == pytest.approx(0.5 * ours.fun @ ours.fun)
    np.testing.assert_allclose(ours.grad, ours.jac.T @ ours.fun, atol=1e-12)
    assert ours.optimality == pytest.approx(np.abs(ours.grad).max())
    assert not set(theirs) - {"active_mask"} - set(ours)


def test_data_of_least_squares() -> None:
    t = np.linspace(0, 1, 20)

    def decay(xp: Any, x: Any, t: Any, y: Any) -> Any:
        return x[0] * xp.exp(-x[1] * t) - y

    with pytest.warns(FiniteDifferenceWarning):
        found = least_squares(decay, [1.0, 1.0], args=(t, 2 * np.exp(-3 * t)), method="lbfgs", tol=1e-10)
    np.testing.assert_allclose(found.x, [2.0, 3.0], atol=1e-5)


def test_bounds_in_scipys_forms() -> None:
    for bounds in ([(0, None), (None, 2)], optimize.Bounds([0, -np.inf], [np.inf, 2])):
        lower, upper = _pairs(bounds, 2) or ((), ())
        np.testing.assert_array_equal(lower, [0, -np.inf])
        np.testing.assert_array_equal(upper, [np.inf, 2])


def test_bounds_hold() -> None:
    found = minimize(banana, X0, jac=banana_gradient, bounds=[(None, 0.5), (0, None)], tol=1e-8)
    theirs = optimize.minimize(banana, X0, jac=banana_gradient, bounds=[(None, 0.5), (0, None)], tol=1e-12)
    assert found.success
    np.testing.assert_allclose(found.x, theirs.x, atol=1e-6)
    assert found.x[0] == 0.5
    fitted = least_squares(residual, X0, bounds=(-np.inf, 0.5), backend="torch", tol=1e-8)
    assert fitted.x[0] == 0.5
    np.testing.assert_allclose(fitted.x, [0.5, 0.25], atol=1e-7)


def test_levenberg_marquardt_is_the_method_for_residuals() -> None:
    found = least_squares(residual, X0, backend="torch", tol=1e-10)
    assert found.success
    assert found.nfev < 40
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-9)


def test_hessian_products_reach_methods() -> None:
    calls = []

    def hessp(x: Any, v: Any) -> Any:
        calls.append(x)
        H = [[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200]]
        return np.array(H) @ v

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = minimize(banana, X0, method="newton-tr", jac=banana_gradient, hessp=hessp, tol=1e-9)
    assert found.success
    assert found.nhev == len(calls) - 1 > 0  # the first is a look at what it returns
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-8)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: minimize(lambda x, a: x, [0.0]), ConfigurationError, r"called as fun\(x\), and <lambda>\(x, a\)"),
        (lambda: minimize(lambda xp: 0.0, [0.0]), ConfigurationError, r"as fun\(xp, x\), and <lambda>\(xp\) cannot"),
        (lambda: minimize(banana, X0, args=(1,)), ConfigurationError, r"called as fun\(x and 1 args\), and banana\(x:"),
        (lambda: minimize(banana, X0, hessp=banana), ConfigurationError, r"called as hessp\(x, v\), and banana"),
        (lambda: minimize(banana, X0, jac=True), ConfigurationError, "jac must be a function, not True"),
        (lambda: minimize(lambda x: x, [0.0, 1.0]), ConfigurationError, "must return a scalar, not an array of shape"),
        (lambda: least_squares(banana, X0, method="lbfgs"), ConfigurationError, r"a vector \(m,\), not a scalar"),
        (lambda: minimize(banana, X0, method="lbgfs"), UnknownNameError, "did you mean 'lbfgs'"),
        (lambda: minimize(banana, X0, options={"memry": 3}), UnknownNameError, "did you mean 'memory'"),
        (lambda: minimize(banana, X0, backend="tourch"), UnknownNameError, "did you mean 'torch'"),
        (lambda: minimize(banana, X0, method="torch-adam"), ConfigurationError, "not run on 'numpy', but on torch"),
        (lambda: minimize(banana, X0, bounds=3), ConfigurationError, "bounds must be a pair"),
        (lambda: minimize(banana, X0, (), "lbfgs", bounds=[(0, 1)] * 2), ConfigurationError, "for it: .*projected"),
        (lambda: minimize(banana, X0, maxiter=0), ConfigurationError, "maxiter must be at least 1"),
        (lambda: minimize(banana, X0, tol=-1.0), ConfigurationError, "tol must be a number, not negative"),
        (lambda: minimize(banana, X0, method="BFGS"), UnknownNameError, "did you mean 'bfgs'"),
        (lambda: minimize(banana, X0, maxiter="3"), ConfigurationError, "maxiter must be at least 1, a whole.*'3'"),
        (lambda: minimize(banana, X0, maxiter=3.5), ConfigurationError, "maxiter must be .* whole number, not 3.5"),
        (lambda: minimize(banana, X0, maxfev=0), ConfigurationError, "maxfev must be at least 1"),
        (lambda: minimize(banana, X0, max_time=-1), ConfigurationError, "max_time must be .*-1"),
        (lambda: minimize(banana, X0, tol="a"), ConfigurationError, "tol must be .*'a'"),
        (lambda: minimize(banana, X0, tol=float("nan")), ConfigurationError, "tol must be .*nan"),
        (lambda: minimize(banana, X0, seed="a"), ConfigurationError, "seed must be .*'a'"),
        (lambda: minimize(banana, X0, args=2.0), ConfigurationError, r"args must be a tuple.* not 2.0"),
        (lambda: minimize(banana, X0, options=[1]), ConfigurationError, r"options must be a mapping.* not \[1\]"),
        (lambda: minimize(banana, X0, backend=None), ConfigurationError, "backend must be a name .* not None"),
        (lambda: minimize(banana, X0, bounds=[(0, 1)]), ConfigurationError, "each of 2 variables"),
        (lambda: minimize(banana, X0, bounds=[(0, 1)] * 3), ConfigurationError, "each of 2 variables"),
        (lambda: minimize(banana, X0, bounds=[(2, 1)] * 2), ConfigurationError, r"cross at x\[0\]"),
        (lambda: minimize(banana, X0, bounds=[(np.inf, np.inf)] * 2), ConfigurationError, r"no number for x\[0\]"),
        (lambda: minimize(banana, X0, (), "fista", backend="numpy", bounds=[(-np.inf, -np.inf)] * 2),
         ConfigurationError, r"no number for x\[0\]"),
        (lambda: minimize(banana, [[1.0]]), ConfigurationError, "x0 of problem 'banana' must be a vector"),
    ],
)  # fmt: skip
def test_wrong_calls(call: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()


def test_a_constant_of_python_has_no_gradient_on_torch() -> None:
    with pytest.raises(ConfigurationError, match=r"fun returns 1.0, which torch cannot differentiate.* give jac"):
        minimize(lambda x: 1.0, X0, backend="torch")


def test_methods_named_for_a_problem_run_on_its_backend() -> None:
    with pytest.raises(ConfigurationError, match="needs residual") as caught:
        minimize(banana, X0, method="levenberg-marquardt")
    named = str(caught.value).split("methods for it: ")[1].split(", ")
    assert "lbfgs" in named
    assert "torch-adam" not in named


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (lambda x: None, "fun must return a scalar.* not None"),
        (lambda x: "a", "fun must return a scalar.* not 'a'"),
        (lambda x: [1.0, 2.0], r"fun must return a scalar.* not \[1.0, 2.0\].*least_squares"),
        (lambda x: x, "fun must return a scalar, not an array of shape"),
        (lambda x: (x * 1j).sum(), "fun must return real numbers, not .*complex128"),
        (lambda x: (x > 0).all(), "fun must return real numbers, not .*bool"),
    ],
)
def test_functions_that_return_no_real_scalar(backend: str, returned: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        minimize(returned, X0, backend=backend)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_derivatives_of_the_wrong_shape_or_type(backend: str) -> None:
    for jac in (lambda x: x[:1], lambda x: x[None], lambda x: 1.0, lambda x: None, lambda x: [1.0, 2.0]):
        with pytest.raises(ConfigurationError, match=r"jac must return an array of shape \(2,\)"):
            minimize(banana, X0, jac=jac, backend=backend)
    with pytest.raises(ConfigurationError, match=r"hessp must return an array of shape \(2,\), not of shape \(1,\)"):
        minimize(banana, X0, (), "newton-cg", hessp=lambda x, v: v[:1], backend=backend)
    for rank in (lambda x: x, lambda x: x[None]):
        with pytest.raises(ConfigurationError, match=r"jac must return an array of shape \(2, 2\)"):
            least_squares(residual, X0, rank, backend=backend)
    for r in (lambda x: x[:0], lambda x: x[None], lambda x: [1.0]):
        with pytest.raises(ConfigurationError, match=r"fun must return a vector \(m,\)"):
            least_squares(r, X0, backend=backend)
    if backend != "numpy":
        with pytest.raises(ConfigurationError, match=r"backend's library .*numpy.ndarray"):
            minimize(banana, X0, jac=lambda x: np.ones(2), backend=backend)


def test_the_package_alone_imports_nothing_heavy() -> None:
    heavy = {"torch", "jax", "cupy", "matplotlib", "pandas", "scipy", "numpy"}
    code = f"import sys, nmdl_bench; print(sorted({heavy!r} & set(sys.modules)), callable(nmdl_bench.minimize))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[] True"
    others = {"torch", "jax", "cupy", "matplotlib", "pandas"}
    code = f"import sys; from nmdl_bench import minimize; print(sorted({others!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
