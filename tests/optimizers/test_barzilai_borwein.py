"""Spectral steps against their formulas, and that the value rises and falls."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from functions import XP, quadratic

from nmdl_bench.contracts import UnknownNameError
from nmdl_bench.optimizers import BarzilaiBorwein
from nmdl_bench.optimizers.barzilai_borwein import RULES, SpectralStep
from nmdl_bench.optimizers.descent import Step


def lengths(rule: str, pairs: list[tuple[np.ndarray, np.ndarray]], g: np.ndarray) -> list[float]:
    """First trials after steps ``s`` along which the gradient changes by ``y`` to ``g``."""
    direction, found = SpectralStep(rule), []
    memory = direction.init(XP, g)
    for s, y in pairs:
        step = Step(np.zeros(g.size), s.copy(), g - y, g, 0.0, 1.0, None, None)  # type: ignore[arg-type]
        memory, d, t, _ = direction.update(SimpleNamespace(xp=XP), memory, step)  # type: ignore[arg-type]
        np.testing.assert_array_equal(d, -g)
        found.append(t)
    return found


def test_lengths_are_the_papers() -> None:
    rng = np.random.default_rng(0)
    A = np.diag([1.0, 3.0, 100.0])
    pairs = [(s, A @ s) for s in rng.standard_normal((12, 3)) * [1.0, 1.0, 0.05]]
    long = np.array([s @ s / (s @ y) for s, y in pairs])
    short = np.array([s @ y / (y @ y) for s, y in pairs])
    g = rng.standard_normal(3)
    np.testing.assert_allclose(lengths("long", pairs, g), long, rtol=1e-12)
    np.testing.assert_allclose(lengths("short", pairs, g), short, rtol=1e-12)
    np.testing.assert_allclose(lengths("alternating", pairs, g), np.where(np.arange(12) % 2, short, long), rtol=1e-12)
    least = np.array([short[max(k - 4, 0) : k + 1].min() for k in range(12)])
    ratios = short / long
    assert 0 < np.sum(ratios < 0.5) < 12
    np.testing.assert_allclose(lengths("adaptive", pairs, g), np.where(ratios < 0.5, least, long), rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_without_curvature_the_step_is_one_long_within_bounds(rule: str) -> None:
    s = np.array([1.0, 0.0])
    for size, expected in ((5.0, 1.0), (0.01, 100.0), (1e-9, 1e5)):
        for y in (-s, 0 * s):
            assert lengths(rule, [(s, y)], np.array([0.0, size]))[0] == pytest.approx(expected)


@pytest.mark.parametrize("search", ["grippo", "zhang-hager"])
@pytest.mark.parametrize("rule", RULES)
def test_it_converges_and_not_monotonically(rule: str, search: str) -> None:
    function, _ = quadratic(30, 1e3)
    optimizer: Any = BarzilaiBorwein(rule, search)
    state, accepted = optimizer.init(function, function.x0), []
    while state.g_norm > 1e-7:
        assert state.counts.forward < 1000
        state = optimizer.step(function, state)
        accepted.append(state.f)
    np.testing.assert_allclose(state.x, np.ones(30), atol=1e-6)
    assert rule == "short" or np.any(np.diff(accepted) > 0)


def test_unknown_names_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'short'"):
        BarzilaiBorwein("shorts")
    with pytest.raises(UnknownNameError, match="did you mean 'grippo'"):
        BarzilaiBorwein(search="gripo")
