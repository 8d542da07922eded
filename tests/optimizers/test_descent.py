"""The step that line-search methods share: what a restart keeps, and how it gets away from where searches end."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from functions import Function
from test_composite import XP, bounded

from nmdl_bench.catalogue import SOLVERS
from nmdl_bench.optimizers.descent import Turn, line_search_init, line_search_step
from nmdl_bench.optimizers.gradient_descent import ExactStep
from nmdl_bench.optimizers.line_search import Armijo, Fixed
from nmdl_bench.optimizers.projected import Arc, arc_init, arc_step, first_move
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


@pytest.mark.parametrize("kind", [ExactStep, Gradient, SpectralGradient])
def test_directions_without_options_are_equal(kind: Any) -> None:
    """Compiled functions are kept by their direction: one for all of its instances."""
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    with pytest.raises(FrozenInstanceError):
        kind().t = 1.0


def nearly_a_kink(x: np.ndarray) -> tuple[float, np.ndarray]:
    r = np.sqrt((x[0] - 0.3) ** 2 + 1e-16)
    return float(r + 0.5 * (x[1] - 2) ** 2), np.array([(x[0] - 0.3) / r, x[1] - 2])


def sphere(x: np.ndarray) -> tuple[float, np.ndarray]:
    return float(0.5 * x @ x), x.copy()


@pytest.mark.parametrize("search", ["wolfe", "more-thuente", "hager-zhang"])
@pytest.mark.parametrize("name", ["bfgs", "lbfgs", "nonlinear-cg"])
@pytest.mark.parametrize(
    ("function", "x0"), [(nearly_a_kink, [-1.2, 1.0]), (sphere, [1e16, -1e16])], ids=["kink", "far"]
)
def test_searches_whose_trials_are_used_up_go_on_from_their_best_point(
    function: Any, x0: list[float], name: str, search: str
) -> None:
    """A kink, to a search, and a minimum that is 1e16 times as far as the first trial."""
    problem, optimizer = Function(function, np.array(x0)), SOLVERS.make(name, search=search)
    state = optimizer.init(problem, problem.x0)
    while state.g_norm > 1e-6:
        assert not state.stalled
        assert state.counts.forward < 1000
        forward = state.counts.forward
        state = optimizer.step(problem, state)
        assert state.counts.forward == forward + 1  # one a step, whatever it is
    assert len(problem.values) == state.counts.forward


def test_after_the_best_point_of_a_search_the_direction_is_steepest_descent() -> None:
    problem, optimizer = Function(nearly_a_kink, np.array([-1.2, 1.0])), SOLVERS.make("nonlinear-cg")
    state, times = optimizer.init(problem, problem.x0), 0
    for _ in range(130):
        last = state.search.last
        k, state = state.k, optimizer.step(problem, state)
        if last:
            times += 1
            assert state.k == k + 1
            assert state.fresh
            np.testing.assert_array_equal(state.d, -state.g)
    assert times > 0


class Upward(Gradient):
    """The direction after each step is one of ascent."""

    def update(self, objective: Any, memory: Any, step: Any) -> Turn:
        return Turn((), step.g_new.copy(), 0.5, step.counts)


@pytest.mark.parametrize("search", [Fixed(), Armijo()], ids=["none", "armijo"])
def test_a_search_needs_a_direction_of_descent_and_whole_steps_do_not(search: Any) -> None:
    """Whole steps from round-off's direction are as small as it; along the negative gradient they could be any."""
    problem = Function(sphere, np.array([3.0, -4.0]))
    state = line_search_init(problem, problem.x0, search, Upward())
    state = line_search_step(problem, state, search, Upward())
    assert state.k == 1
    np.testing.assert_array_equal(state.d, state.g if search == Fixed() else -state.g)
    state = line_search_step(problem, state, search, Upward())
    assert state.k == 2
    assert (state.f > problem.values[1]) is (search == Fixed())


@pytest.mark.parametrize("name", ["bfgs", "lbfgs", "nonlinear-cg", "steepest-descent", "barzilai-borwein"])
def test_gradients_whose_square_overflows(name: str) -> None:
    K = np.array([1e160, 3e160])
    problem = Function(lambda x: (float(0.5 * x @ (K * x)), K * x), np.array([1.0, -2.0]))
    optimizer: Any = SOLVERS.make(name)
    with np.errstate(all="ignore"):
        state = optimizer.init(problem, problem.x0)
        assert state.search.t * np.linalg.norm(state.d) == pytest.approx(1.0)
        for _ in range(200):
            if state.g_norm <= 1e150:
                break
            assert not state.stalled
            state = optimizer.step(problem, state)
    assert state.g_norm <= 1e-4 * 6e160


def test_a_first_move_between_bounds_whose_square_overflows() -> None:
    objective: Any = bounded(-np.inf, np.inf).bind(XP)
    with np.errstate(over="ignore"):
        t = first_move(objective, objective.x0, np.full_like(objective.x0, 1e160))
    assert t == pytest.approx(1e-160 / np.sqrt(objective.x0.size), rel=1e-12, abs=0.0)
