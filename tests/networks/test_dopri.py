"""Adaptive integration: exact solutions, tolerances, step control, every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.networks.architectures import evolution
from nmdl_bench.networks.dopri import A, C, E, integrate
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.testing import numerical_backends

XP = get_backend("numpy")
CASES: dict[str, dict[str, Any]] = {
    "constant": {},
    "few controls": {"number": 2},
    "linear": {"controls": "linear", "number": 3},
    "leapfrog": {"integrator": "leapfrog"},
    "imex": {"integrator": "imex"},
    "two fields": {"rhs": "hamiltonian", "integrator": "verlet", "controls": "linear"},
    "normalised": {"norm": "batch"},
}


def case(name: str) -> tuple[Evolution, dict[str, np.ndarray], np.ndarray]:
    """A block of 4 features, its controls and features, exact in float32."""
    rng = np.random.Generator(np.random.Philox(1))
    made = evolution(4, 3, 2.0, **CASES[name])
    theta = {name: block.astype(np.float32).astype(float) for name, block in made.init(rng).items()}
    return made, theta, rng.standard_normal((5, 4)).astype(np.float32).astype(float)


def written_out(made: Evolution, theta: dict[str, np.ndarray], Y: np.ndarray) -> np.ndarray:
    """The same equation by another code, interval by interval."""
    number = made.grid.number
    intervals = number if made.controls == "constant" else number - 1
    second = made.integrator.name == "leapfrog"
    state = np.concatenate([Y, np.zeros_like(Y)], axis=1) if second else Y
    shape = state.shape

    def at(i: int, part: float) -> dict[str, np.ndarray]:
        if made.controls == "constant":
            return {name: block[i] for name, block in theta.items()}
        return {name: (1 - part) * block[i] + part * block[i + 1] for name, block in theta.items()}

    length = made.time / intervals
    for i in range(intervals):

        def f(t: float, y: np.ndarray, i: int = i) -> np.ndarray:
            U, w = y.reshape(shape), at(i, t / length)
            if second:
                return np.concatenate([U[:, 4:], made.rhs.forward(XP, w, U[:, :4])[0]], axis=1).ravel()
            F = made.rhs.forward(XP, w, U)[0]
            if "K_implicit" in w:
                F = F - w["K_implicit"] ** 2 * U
            return F.ravel()

        state = solve_ivp(f, (0, length), state.ravel(), "DOP853", rtol=1e-12, atol=1e-12).y[:, -1].reshape(shape)
    return state[:, :4]


def test_the_tableau_meets_the_conditions_of_order() -> None:
    c, b = np.array(C), np.array([*A[-1], 0.0])
    full = np.zeros((7, 7))
    for i, row in enumerate(A):
        full[i, : len(row)] = row
    np.testing.assert_allclose(full.sum(axis=1), c, atol=1e-15)
    for weights, order in ((b, 5), (b - np.array(E), 4)):
        for q in range(1, order + 1):
            assert weights @ c ** (q - 1) == pytest.approx(1 / q, abs=1e-15)
        assert weights @ full @ c == pytest.approx(1 / 6, abs=1e-15)
        assert weights @ full @ full @ c == pytest.approx(1 / 24, abs=1e-15)
        assert weights @ full @ c**2 == pytest.approx(1 / 12, abs=1e-15)


@pytest.mark.parametrize("name", CASES)
def test_solutions_are_those_of_another_code_and_errors_follow_the_tolerance(name: str) -> None:
    made, theta, Y = case(name)
    exact = written_out(made, theta, Y)
    steps = []
    for tolerance in (1e-4, 1e-7, 1e-10):
        found, accepted, _ = integrate(XP, made, theta, Y, tolerance, tolerance)
        steps.append(accepted)
        assert np.abs(found - exact).max() < 30 * tolerance
    assert steps[0] < steps[1] < steps[2]
    # order 5: 1e-3 of the tolerance takes about 4 times as many steps, and some more for the intervals' ends
    assert steps[2] < 6 * steps[1]


def test_a_linear_equation_is_a_matrix_exponential() -> None:
    made = evolution(3, 2, 1.5, activation="identity", number=1)
    rng = np.random.default_rng(0)
    K, Y = rng.standard_normal((3, 3)), rng.standard_normal((4, 3))
    found, _, _ = integrate(XP, made, {"K": K[None], "b": np.zeros((1, 3))}, Y, 1e-11, 1e-11)
    np.testing.assert_allclose(found, Y @ expm(1.5 * K), atol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_all_backends_take_the_same_steps(name: str, dtype: str) -> None:
    made, theta, Y = case(name)
    expected, *counts = integrate(XP, made, theta, Y, 1e-4, 1e-4)
    for xp in numerical_backends(dtype):
        if not xp.eager and (dtype == "float32" or name != "linear"):
            continue  # compiling takes seconds; the others are in the slow version
        check_backend(xp, made, theta, Y, expected, counts)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_jax_takes_the_same_steps(name: str, dtype: str) -> None:
    made, theta, Y = case(name)
    expected, *counts = integrate(XP, made, theta, Y, 1e-4, 1e-4)
    check_backend(get_backend("jax", dtype), made, theta, Y, expected, counts)


def check_backend(xp: Any, made: Evolution, theta: Any, Y: np.ndarray, expected: np.ndarray, counts: Any) -> None:
    with xp.scope():
        moved = {name: xp.asarray(block) for name, block in theta.items()}
        features = xp.asarray(Y)
        for _ in range(2):  # nothing that was given is spoilt
            found, *taken = integrate(xp, made, moved, features, 1e-4, 1e-4)
            assert taken == counts, xp
            np.testing.assert_allclose(
                xp.to_numpy(found), expected, atol=1e-12 if xp.dtype_name == "float64" else 3e-5, err_msg=repr(xp)
            )


def test_jax_compiles_once_for_all_values_and_tolerances() -> None:
    xp = get_backend("jax")
    made, theta, Y = case("constant")
    traces = []
    rhs = made.rhs
    forward = type(rhs).forward

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        traces.append(1)
        return forward(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(rhs), "forward", spy)
        counts = []
        for scale, tolerance in ((1.0, 1e-3), (0.5, 1e-6), (0.25, 1e-9)):
            moved = {name: xp.asarray(scale * block) for name, block in theta.items()}
            integrate(xp, made, moved, xp.asarray(scale * Y), tolerance, tolerance, max_steps=500)
            counts.append(len(traces))
    assert counts[0] == counts[1] == counts[2] < 30


def test_steps_are_refused_where_the_first_one_is_too_long() -> None:
    """A right-hand side that is flat at first and steep later."""
    made = evolution(1, 2, 8.0, activation="identity", controls="linear", number=2)
    theta = {"K": np.array([0.0, -60.0]).reshape(2, 1, 1), "b": np.zeros((2, 1))}
    found, steps, rejected = integrate(XP, made, theta, np.ones((1, 1)), 1e-8, 1e-8)
    assert rejected > 0
    assert steps > 50
    assert abs(found[0, 0] - np.exp(-60 * 8 / 2)) < 1e-7
    # explicit steps cannot outgrow the region of stability
    assert steps < 1000


def test_constant_states_and_zero_controls_take_few_steps() -> None:
    made = evolution(2, 5, 1.0)
    zero = {name: np.zeros(shape) for name, shape in made.shapes().items()}
    found, steps, rejected = integrate(XP, made, zero, np.ones((2, 2)))
    np.testing.assert_array_equal(found, 1.0)
    assert steps < 20
    assert rejected == 0
    assert integrate(XP, made, zero, np.zeros((2, 2)))[1] < 20


def test_no_value_is_no_exception_inside_but_one_outside() -> None:
    made, theta, Y = case("constant")
    with pytest.raises(ConfigurationError, match=r"max_steps = 2 do not reach the final time 2.0 at rtol = 1e-06"):
        integrate(XP, made, theta, Y, max_steps=2)
    with pytest.raises(ConfigurationError, match="max_steps = 50 do not reach"):
        integrate(XP, made, theta, np.full((2, 4), np.nan), max_steps=50)
    for options, words in (
        ({"rtol": 0.0}, "rtol must be positive and finite"),
        ({"atol": float("nan")}, "atol must be positive and finite"),
        ({"max_steps": 0}, "max_steps must be a positive integer"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            integrate(XP, made, theta, Y, **options)
