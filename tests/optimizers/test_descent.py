"""The step that line-search methods share: what a restart keeps, and how it gets away from where searches end."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from test_composite import XP, bounded

from nmdl_bench.optimizers.gradient_descent import ExactStep, FixedStep
from nmdl_bench.optimizers.projected import Arc, arc_init, arc_step
from nmdl_bench.optimizers.projected_gradient import SpectralGradient
from nmdl_bench.optimizers.projected_lbfgs import FreeInverse
from nmdl_bench.optimizers.steepest_descent import Gradient


def test_a_restart_on_the_arc_keeps_the_numbers_of_the_state() -> None:
    arc, objective = Arc(max_trials=1), bounded().bind(XP)
    made, text = FreeInverse(4, 0.5), FreeInverse(4, 1e-3)
    assert made == text
    assert hash(made) == hash(text)
    state = arc_init(objective, objective.x0, arc, made)
    state, restarts = state._replace(t=1e-3), 0
    for _ in range(20):
        if state.k == 2:
            state = state._replace(t=1e6, d=-state.d)  # up the hill
        k, state = state.k, arc_step(objective, state, arc, text)
        restarts += bool(state.fresh) and k > 0
        assert state.memory.near == 0.5
    assert restarts > 0


@pytest.mark.parametrize("kind", [FixedStep, ExactStep, Gradient, SpectralGradient])
def test_directions_without_options_are_equal(kind: Any) -> None:
    """Compiled functions are kept by their direction: one for all of its instances."""
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    with pytest.raises(FrozenInstanceError):
        kind().t = 1.0
