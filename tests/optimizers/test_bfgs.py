"""The dense BFGS direction against the textbook's update."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from functions import XP, Function, quadratic

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.optimizers import BFGS
from nmdl_bench.optimizers.bfgs import LARGEST, DenseInverse
from nmdl_bench.optimizers.descent import Step


def textbook(H: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Nocedal and Wright (2006), eq. 6.17."""
    rho = 1 / (y @ s)
    V = np.eye(s.size) - rho * np.outer(y, s)
    return V.T @ H @ V + rho * np.outer(s, s)


def turned(xp: Any, inverse: DenseInverse, memory: Any, *numbers: Any) -> tuple[Any, Any]:
    x, x_new, g, g_new, t, d = numbers
    turn = inverse.update(
        SimpleNamespace(xp=xp), memory, Step(x, x_new, g, g_new, None, t, None, None, d, xp.dot(g, d))
    )  # type: ignore[arg-type]
    return turn.memory, turn.d


@pytest.mark.parametrize("scaling", ["initial", "self"])
@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_the_direction_is_the_textbooks(library: str, scaling: str) -> None:
    xp, rng, n = get_backend(library), np.random.default_rng(3), 9
    inverse, A = DenseInverse(scaling), quadratic(n, 100.0)[1]
    update = xp.compile(lambda *args: turned(xp, inverse, *args), donate=(0,))
    x = rng.standard_normal(n)
    g, memory, H = A @ x, inverse.init(xp, xp.asarray(x)), np.eye(n)
    d, empty, scaled = -g, True, 0
    for k in range(12):
        t = rng.uniform(0.05, 0.5)
        x_new = x + t * d
        g_new = A @ x_new
        if k in (0, 5):  # no curvature along the step: the pair is skipped, be it the first or a later one
            g_new = g - 0.1 * (x_new - x)
        else:
            s, y = x_new - x, g_new - g
            if empty:
                H, empty = (y @ s) / (y @ y) * np.eye(n), False
            elif scaling == "self":
                factor = max(1.0, s @ np.linalg.solve(H, s) / (y @ s))
                H, scaled = factor * H, scaled + (factor > 1)
            H = textbook(H, s, y)
        memory, found = update(memory, *map(xp.asarray, (x, x_new, g, g_new)), xp.s.const(t), xp.asarray(d))
        np.testing.assert_allclose(xp.to_numpy(found), -H @ g_new, rtol=1e-8, atol=1e-10)
        x, g, d = x_new, g_new, -H @ g_new
    assert scaled > 0 or scaling == "initial"
    assert np.linalg.eigvalsh(H)[0] > 0


def test_the_matrix_becomes_the_inverse_hessian_of_a_quadratic() -> None:
    """With strict slopes the directions are conjugate, and n of them say all (Nocedal and Wright 2006, theorem 6.4)."""
    function, A = quadratic(6, 10.0)
    optimizer = BFGS("initial", c2=1e-3, max_trials=50)
    state = optimizer.init(function, function.x0)  # type: ignore[arg-type]
    while state.k < 9 and state.g_norm > 1e-9:
        state = optimizer.step(function, state)  # type: ignore[arg-type]
    H = state.memory.theta * (np.eye(6) + state.memory.N)
    np.testing.assert_allclose(H, np.linalg.inv(A), atol=0.02)
    assert XP.dot(state.g, state.d) < 0


def test_too_many_parameters_are_refused() -> None:
    function = Function(lambda x: (0.0, x), np.zeros(LARGEST + 1))
    with pytest.raises(ConfigurationError, match=f"n = {LARGEST + 1} parameters; use lbfgs"):
        BFGS().init(function, function.x0)  # type: ignore[arg-type]


def test_unknown_scalings_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'initial'"):
        BFGS("intial")
