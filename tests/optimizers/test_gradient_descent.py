"""Fixed steps against the formula, exact ones against the minimum along the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from functions import Function, quadratic, rosenbrock

from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.optimizers import GradientDescent


def test_fixed_steps_are_the_formula() -> None:
    function, A = quadratic(8, 50.0)
    optimizer: Any = GradientDescent(0.03)
    state, x = optimizer.init(function, function.x0), np.zeros(8)
    for k in range(40):
        state = optimizer.step(function, state)
        x = x - 0.03 * A @ (x - 1)
        np.testing.assert_allclose(state.x, x, rtol=1e-12)
        assert state.k == k + 1
    assert state.counts.forward == state.counts.gradient == 41


def test_fixed_steps_are_the_formula_where_the_gradients_square_overflows() -> None:
    function, optimizer = Function(lambda x: (0.0, np.full(2, 1e160)), np.zeros(2)), GradientDescent(1e-160)
    with np.errstate(over="ignore"):
        state: Any = optimizer.step(function, optimizer.init(function, function.x0))  # type: ignore[arg-type]
    np.testing.assert_allclose(state.x, -1.0)


def test_fixed_steps_converge_below_two_over_the_largest_curvature() -> None:
    for step_size, converges in ((1.95 / 50, True), (2.05 / 50, False)):
        function, _ = quadratic(8, 50.0)
        optimizer: Any = GradientDescent(step_size)
        state = optimizer.init(function, function.x0)
        f0 = state.f
        for _ in range(400):
            state = optimizer.step(function, state)
        assert (state.f < 1e-3 * f0) == converges
        assert (state.f > f0) != converges


def test_exact_steps_end_where_the_gradient_is_orthogonal() -> None:
    function, A = quadratic(8, 50.0)
    optimizer: Any = GradientDescent(rule="exact")
    state = optimizer.init(function, function.x0)
    for k in range(30):
        g = state.g.copy()
        assert state.search.t == pytest.approx((g @ g) / (g @ A @ g))
        state = optimizer.step(function, state)
        assert state.k == k + 1  # each is accepted at once
        assert abs(state.g @ g) <= 1e-10 * (g @ g)
    assert state.counts.hessian == 31
    assert state.counts.passes == 62


def test_exact_steps_are_shortened_where_the_function_is_no_quadratic() -> None:
    function = rosenbrock(2)
    optimizer: Any = GradientDescent(rule="exact")
    state, values = optimizer.init(function, np.array([0.0, 1.5])), []
    for _ in range(300):
        state = optimizer.step(function, state)
        values.append(state.f)
    assert np.all(np.diff(values) <= 0)
    assert values[-1] < 0.05
    assert state.counts.forward > state.k + 1


def test_where_the_function_is_concave_the_first_trial_is_one() -> None:
    function = Function(lambda x: (np.sum(np.cos(x)), -np.sin(x)), np.full(3, 0.1), lambda x: -np.diag(np.cos(x)))
    optimizer: Any = GradientDescent(rule="exact")
    state = optimizer.init(function, function.x0)
    assert state.search.t == 1.0
    for _ in range(30):
        state = optimizer.step(function, state)
    np.testing.assert_allclose(state.x, np.pi)


def test_hyper_parameters_that_cannot_work() -> None:
    with pytest.raises(ConfigurationError, match=r"step_size must be positive and finite, not 0.0"):
        GradientDescent(0.0)
    with pytest.raises(UnknownNameError, match="did you mean 'exact'"):
        GradientDescent(rule="exakt")
