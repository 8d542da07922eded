"""The parameters beta against their papers' formulas, and against linear conjugate gradients."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from functions import XP, quadratic

from nmdl_bench.contracts import UnknownNameError
from nmdl_bench.optimizers import NonlinearCG
from nmdl_bench.optimizers.descent import Step, Turn
from nmdl_bench.optimizers.nonlinear_cg import BETAS, Conjugate


def turn(beta: str, g: np.ndarray, g_new: np.ndarray, d: np.ndarray, t: float = 1.0) -> Turn:
    step = Step(None, None, g.copy(), g_new, 0.0, t, None, None, d.copy(), g @ d, g_new @ d)  # type: ignore[arg-type]
    return Conjugate(beta).update(SimpleNamespace(xp=XP), (), step)  # type: ignore[arg-type]


def formulas(g: np.ndarray, G: np.ndarray, d: np.ndarray) -> dict[str, float]:
    """With the vectors of the papers."""
    y = G - g
    hager_zhang = (y - 2 * d * (y @ y) / (d @ y)) @ G / (d @ y)
    least = -1 / (np.linalg.norm(d) * min(0.01, np.linalg.norm(g)))
    return {
        "fletcher-reeves": (G @ G) / (g @ g),
        "polak-ribiere": max((y @ G) / (g @ g), 0.0),
        "hestenes-stiefel": (y @ G) / (d @ y),
        "dai-yuan": (G @ G) / (d @ y),
        "hager-zhang": max(hager_zhang, least),
    }


@pytest.mark.parametrize("beta", BETAS)
def test_directions_are_the_papers(beta: str) -> None:
    rng, ascents, kept = np.random.default_rng(1), 0, 0
    for scale in (1.0, 1e-3, 30.0):
        for _ in range(20):
            g, G, d = rng.standard_normal(5), scale * rng.standard_normal(5), rng.standard_normal(5)
            found = turn(beta, g, G, d, 0.7)
            expected = -G + formulas(g, G, d)[beta] * d
            ascents, kept = ascents + (expected @ G >= 0), kept + (expected @ G < 0)
            expected = expected if expected @ G < 0 else -G  # no descent: from steepest descent anew
            np.testing.assert_allclose(found.d, expected, rtol=1e-9, atol=1e-12)
            assert found.t * np.linalg.norm(found.d) == pytest.approx(0.7 * np.linalg.norm(d))
    assert kept > 10
    assert ascents > 0 or beta == "hager-zhang"  # which always descends (theorem 1.1 there)


def test_the_truncation_of_hager_and_zhang_is_met() -> None:
    g, G, d = np.array([1.0, 0.0]), np.array([100.0, 1.0]), np.array([0.0, 1e-6])
    beta = formulas(g, G, d)["hager-zhang"]
    y = G - g
    assert beta > (y - 2 * d * (y @ y) / (d @ y)) @ G / (d @ y)
    np.testing.assert_allclose(turn("hager-zhang", g, G, d).d, -G + beta * d, rtol=1e-12)


@pytest.mark.parametrize("beta", ["polak-ribiere", "hager-zhang"])
def test_gradients_that_hardly_change_do_not_cancel(beta: str) -> None:
    g, d = np.array([1.0, 2.0, -1.0]), 2.0**30 * np.array([1.0, -2.0, 0.0])
    G = g + 2.0**-30 * np.array([3.0, 1.0, 2.0])
    expected = formulas(g, G, d)[beta] * d
    assert np.linalg.norm(expected) > 0.1
    np.testing.assert_allclose(turn(beta, g, G, d).d, expected - G, rtol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
def test_on_quadratics_with_exact_steps_all_are_linear_conjugate_gradients(beta: str) -> None:
    function, A = quadratic(20, 50.0)
    x, b = function.x0.copy(), A @ np.ones(20)
    g = A @ x - b
    d, p, r = -g, -g, -g
    for _ in range(10):
        np.testing.assert_allclose(d, p, rtol=1e-6, atol=1e-6 * np.linalg.norm(p))
        t = -(g @ d) / (d @ A @ d)
        x = x + t * d
        g_new = A @ x - b
        d, g = turn(beta, g, g_new, d, t).d, g_new
        r_new = r - (r @ r) / (p @ A @ p) * (A @ p)  # Hestenes and Stiefel (1952)
        p, r = r_new + (r_new @ r_new) / (r @ r) * p, r_new


@pytest.mark.parametrize("search", ["wolfe", "more-thuente", "hager-zhang"])
@pytest.mark.parametrize("beta", BETAS)
def test_all_of_them_converge(beta: str, search: str) -> None:
    function, _ = quadratic(30, 100.0)
    optimizer: Any = NonlinearCG(beta, search=search)
    state = optimizer.init(function, function.x0)
    while state.g_norm > 1e-6:
        assert state.counts.forward < 500
        assert not state.stalled
        state = optimizer.step(function, state)
    np.testing.assert_allclose(state.x, np.ones(30), atol=1e-5)


def test_unknown_betas_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'dai-yuan'"):
        NonlinearCG("dai-yan")
