"""Against other people's and textbook versions: torch.optim, schedules, the dense BFGS update, the Wolfe conditions."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from optimizer_cases import small

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.optimizers import LBFGS, SGD, Adam, Nesterov, SteepestDescent
from nmdl_bench.optimizers.descent import Step
from nmdl_bench.optimizers.lbfgs import CompactInverse
from nmdl_bench.optimizers.line_search import Armijo, StrongWolfe
from nmdl_bench.optimizers.schedules import Schedule
from nmdl_bench.testing import trajectory
from nmdl_bench.testing.optimizers import _indices

XP = get_backend("numpy")

OURS_AND_TORCHS: list[tuple[Any, Any]] = [
    (SGD(step_size=0.05, momentum=0.0), lambda p: torch.optim.SGD(p, lr=0.05)),
    (SGD(step_size=0.05, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
    (SGD(step_size=0.05, batch_size=7), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
    (Nesterov(step_size=0.05), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    (
        Nesterov(step_size=0.05, momentum=0.5, batch_size=7),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.5, nesterov=True),
    ),
    (Adam(step_size=0.02), lambda p: torch.optim.Adam(p, lr=0.02)),
    (
        Adam(step_size=0.02, beta1=0.5, beta2=0.9, epsilon=1e-3, batch_size=7),
        lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.5, 0.9), eps=1e-3),
    ),
]


@pytest.mark.parametrize(("ours", "make"), OURS_AND_TORCHS)
def test_trajectories_equal_those_of_torch(ours: Any, make: Any) -> None:
    problem = small()
    found = trajectory(ours, problem, XP, steps=30)
    objective = problem.bind(XP)
    parameter = torch.nn.Parameter(torch.tensor(np.array(problem.start)))
    optimizer = make([parameter])
    order = _indices(ours, objective.n_samples, 0)
    for expected in found.x[1:]:
        _, tape = objective.forward(parameter.detach().numpy().copy(), next(order))
        parameter.grad = torch.tensor(objective.grad(tape))
        optimizer.step()
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-11, atol=1e-14)


def test_schedules() -> None:
    k = np.arange(0, 31)
    shares = {
        "constant": np.ones(31),
        "inverse-time": 1 / (1 + k * (1 / 0.1 - 1) / 20),
        "exponential": 0.1 ** (k / 20),
        "cosine": 0.1 + 0.9 * (1 + np.cos(np.pi * np.minimum(k / 20, 1))) / 2,
    }
    for shape, share in shares.items():
        schedule = Schedule(0.5, shape, horizon=20, final=0.1)
        numbers = schedule.init(XP)
        np.testing.assert_allclose([schedule.at(XP, numbers, int(i)) for i in k], 0.5 * share, rtol=1e-13)
        assert schedule.at(XP, numbers, 0) == 0.5
        assert shape == "constant" or schedule.at(XP, numbers, 20) == pytest.approx(0.05, rel=1e-13)


def test_a_schedule_reaches_the_step() -> None:
    """A plain step is the gradient times the scheduled size."""
    problem = small()
    optimizer = SGD(step_size=0.1, momentum=0.0, schedule="exponential", horizon=4, final=0.5)
    found, objective = trajectory(optimizer, problem, XP, steps=8), problem.bind(XP)
    for k, (x, x_next) in enumerate(pairwise(found.x)):
        g = objective.grad(objective.forward(x)[1])
        np.testing.assert_allclose(x - x_next, 0.1 * 0.5 ** (k / 4) * g, rtol=1e-9, atol=1e-15)


# --------------------------------------------------------------------------------------------------------- L-BFGS
def dense_bfgs_direction(pairs: list[tuple[np.ndarray, np.ndarray]], g: np.ndarray) -> np.ndarray:
    """``-H g`` with Nocedal and Wright (2006), eq. 6.17, from ``gamma I`` (eq. 7.20) over the pairs, oldest first."""
    n = g.size
    s, y = pairs[-1]
    H = (s @ y) / (y @ y) * np.eye(n)
    for s, y in pairs:
        rho = 1 / (y @ s)
        V = np.eye(n) - rho * np.outer(y, s)
        H = V.T @ H @ V + rho * np.outer(s, s)
    return -H @ g


def updated(
    direction: Any, xp: Any, memory: Any, x: Any, x_new: Any, g: Any, g_new: Any, t: Any
) -> tuple[Any, Any, Any]:
    """Memory, direction and first trial after a step; these directions ask for no value, tape or counts."""
    return direction.update(SimpleNamespace(xp=xp), memory, Step(x, x_new, g, g_new, None, t, None, None))[:3]


@pytest.mark.parametrize("memory", [1, 2, 5])
@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_the_direction_is_that_of_dense_bfgs(library: str, memory: int) -> None:
    xp, rng, n = get_backend(library), np.random.default_rng(memory), 12
    inverse = CompactInverse(memory)
    A = rng.standard_normal((n, n))
    A = A @ A.T + n * np.eye(n)
    x, kept = rng.standard_normal(n), []
    state, g = inverse.init(xp, xp.asarray(x)), A @ x
    update = xp.compile(lambda memory, *step: updated(inverse, xp, memory, *step), donate=(0,))
    for k in range(3 * memory + 2):
        x_new = x + rng.standard_normal(n)
        g_new = A @ x_new
        if k == memory + 1:  # no curvature along this step: the pair is skipped, and the others stay
            g_new = g - (x_new - x)
        else:
            kept = [*kept, (x_new - x, g_new - g)][-memory:]
        args = (xp.asarray(x), xp.asarray(x_new), xp.asarray(g), xp.asarray(g_new), xp.s.const(1.0))
        state, d, t = update(state, *args)
        np.testing.assert_allclose(xp.to_numpy(d), dense_bfgs_direction(kept, g_new), rtol=1e-9, atol=1e-11)
        assert float(t) == 1.0
        x, g = x_new, g_new


def test_without_pairs_the_direction_is_steepest_descent() -> None:
    inverse, g = CompactInverse(3), np.array([1.0, -2.0])
    x = np.zeros(2)
    _, d, _ = updated(inverse, XP, inverse.init(XP, x), x.copy(), x.copy(), g.copy(), g, 1.0)  # a step of length zero
    np.testing.assert_array_equal(d, -g)


# --------------------------------------------------------------------------------------------------- line searches
def accepted_steps(optimizer: Any, steps: int) -> list[tuple[float, float, float, float, float]]:
    """For every accepted trial: t, f and slope before, f and slope after, along the direction."""
    problem = small()
    objective = problem.bind(XP)
    state, rows = optimizer.init(objective, objective.x0), []
    for _ in range(steps):
        d, g, f, t, k = state.d.copy(), state.g.copy(), state.f, state.search.t, state.k
        state = optimizer.step(objective, state)
        if state.k > k:
            rows.append((t, f, g @ d, state.f, state.g @ d))
    return rows


def test_accepted_steps_hold_the_strong_wolfe_conditions() -> None:
    for c2 in (0.9, 0.1):
        rows = accepted_steps(LBFGS(c2=c2), 150)
        assert len(rows) > 40
        for t, f, slope, f_t, slope_t in rows:
            assert slope < 0
            assert f_t <= f + 1e-4 * t * slope + 1e-15 * abs(f)
            assert abs(slope_t) <= c2 * abs(slope)


def test_accepted_steps_hold_armijos_condition() -> None:
    rows = accepted_steps(SteepestDescent(c1=0.3), 100)
    assert len(rows) > 30
    for t, f, slope, f_t, _ in rows:
        assert slope < 0
        assert f_t <= f + 0.3 * t * slope + 1e-15 * abs(f)


def _search(search: Any, phi: Any, slope: Any, t: float) -> tuple[Any, int]:
    """Run a search along one function until it accepts or fails."""
    state, gradients = search.start(XP, t, phi(0.0), slope(0.0)), 0
    while not (state.accepted or state.failed):
        f_t = phi(state.t)
        if search.is_low(XP, state, f_t):
            gradients += 1
            state = search.low(XP, state, f_t, slope(state.t))
        else:
            state = search.high(XP, state, f_t)
    return state, gradients


# More and Thuente (1994), eqs. 5.1 and 5.2, and two that leave floating point
FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "rational": (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
    "steep": (
        lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
        lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3,
    ),
    "wall": (lambda t: -t if t < 1 else float("inf"), lambda t: -1.0),
    "logarithm": (
        lambda t: -t - float(np.log(1 - t)) / 9 if t < 1 else float("nan"),
        lambda t: -1 + 1 / (9 * (1 - t)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("t", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("name", ["rational", "steep", "logarithm"])
def test_strong_wolfe_from_near_and_far(name: str, t: float) -> None:
    phi, slope = FUNCTIONS[name]
    # the steep one starts with a slope of 5e-7 and falls by 2.6: a tenth of that slope is below what values tell apart
    c2 = 0.9 if name == "steep" else 0.1
    state, gradients = _search(StrongWolfe(1e-4, c2), phi, slope, t)
    assert state.accepted
    assert phi(state.t) <= phi(0.0) + 1e-4 * state.t * slope(0.0)
    assert abs(slope(state.t)) <= c2 * abs(slope(0.0))
    assert gradients <= state.trials <= 25


@pytest.mark.parametrize("t", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_armijo_from_near_and_far(name: str, t: float) -> None:
    phi, slope = FUNCTIONS[name]
    state, _ = _search(Armijo(), phi, slope, t)
    assert state.accepted
    assert phi(state.t) <= phi(0.0) + 1e-4 * state.t * slope(0.0)


@pytest.mark.parametrize("search", [Armijo(), StrongWolfe()])
def test_a_search_up_the_hill_gives_up(search: Any) -> None:
    state, _ = _search(search, lambda t: t, lambda t: -1.0, 1.0)  # the slope lies
    assert state.failed
    assert state.trials <= search.max_trials


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Armijo(c1=0.0), "0 < c1"),
        (lambda: StrongWolfe(c1=0.9, c2=0.1), "c1 < c2"),
        (lambda: StrongWolfe(max_trials=0), "max_trials must be at least 1, not 0"),
        (lambda: LBFGS(memory=0), "memory must be at least 1, not 0"),
        (lambda: LBFGS(c2=2.0), "c2"),
        (lambda: SGD(momentum=1.0), r"momentum must lie in \[0, 1\), not 1.0"),
        (lambda: SGD(step_size=-1.0), "step"),
        (lambda: Nesterov(momentum=-0.1), "momentum must lie in"),
        (lambda: Adam(beta2=1.0), "beta2 must lie in"),
        (lambda: Adam(epsilon=0.0), "epsilon must be positive"),
        (lambda: Schedule(0.1, horizon=0), "horizon must be at least 1, not 0"),
        (lambda: Schedule(0.1, final=0.0), "final must lie in"),
    ],
)
def test_hyper_parameters_that_cannot_work(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_unknown_schedules_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cosine'"):
        SGD(schedule="cosin")
