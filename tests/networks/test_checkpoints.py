"""The checkpoint schedule: valid, within its slots, as cheap as any can be, and followed to the step by evolutions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.networks.checkpoints import ADVANCE, RESTORE, REVERSE, STORE, forward_steps, schedule
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernels import ScalingKernel
from nmdl_bench.networks.rhs import single

GRID = [(c, length) for c in (1, 2, 3, 5, 8) for length in (1, 2, 3, 7, 12, 23, 40)]


@cache
def fewest(slots: int, length: int) -> int:
    """Steps forward of the best schedule by exhaustion: of all places to store the next state, the cheapest."""
    if length == 1:
        return 0
    if slots == 1:
        return length * (length - 1) // 2
    return min(m + fewest(slots - 1, length - m) + fewest(slots, m) for m in range(1, length))


def test_formula_is_the_optimum_over_all_schedules() -> None:
    for slots in range(1, 9):
        for length in range(1, 61):
            assert forward_steps(slots, length) == fewest(slots, length), (slots, length)


@pytest.mark.parametrize(("slots", "length"), GRID)
def test_schedule_reverses_every_step_from_its_own_state_within_the_slots(slots: int, length: int) -> None:
    held: dict[int, int] = {}
    at, reversed_steps, advanced = 0, [], 0
    for action, step, slot in schedule(slots, length).tolist():
        if action == STORE:
            assert at == step
            assert 0 <= slot < slots
            held[slot] = at
        elif action == RESTORE:
            at = held[slot]
            assert at == step
        elif action == ADVANCE:
            assert at == step
            at, advanced = at + 1, advanced + 1
        else:
            assert action == REVERSE
            assert at == step
            reversed_steps.append(step)
    assert reversed_steps == [*range(length - 1, -1, -1)]
    assert advanced == forward_steps(slots, length)


def test_known_values() -> None:
    """20 = beta(3, 3) steps, 3 states: r = 3, so 3 * 20 - beta(4, 2) = 45; as many states as steps repeat none."""
    assert forward_steps(3, 20) == 45
    assert forward_steps(1, 10) == 45
    assert forward_steps(10, 10) == 9
    assert forward_steps(5, 1) == 0


@pytest.mark.parametrize("sizes", [(0, 4), (2, 0)])
def test_nothing_is_scheduled_without_slots_or_steps(sizes: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError):
        schedule(*sizes)


@dataclass(frozen=True)
class Counting:
    """A right-hand side that notes each call; each step of Euler's method makes one."""

    inner: Any
    calls: list[str] = field(default_factory=list, compare=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def forward(self, *args: Any) -> Any:
        self.calls.append("forward")
        return self.inner.forward(*args)

    def jvp(self, *args: Any) -> Any:
        self.calls.append("jvp")
        return self.inner.jvp(*args)

    def vjp(self, *args: Any) -> Any:
        self.calls.append("vjp")
        return self.inner.vjp(*args)

    def dvjp(self, *args: Any) -> Any:
        self.calls.append("dvjp")
        return self.inner.dvjp(*args)


@pytest.mark.parametrize(("slots", "depth"), GRID)
def test_gradient_takes_the_formulas_steps_and_one_taped_evaluation_each(slots: int, depth: int) -> None:
    xp, rng = get_backend("numpy"), np.random.default_rng(0)
    rhs = Counting(single(ScalingKernel(2)))
    steps = Evolution(rhs, depth, memory="checkpoint", slots=slots)
    theta, Y = steps.init(rng), rng.standard_normal((3, 2))

    _, tape = steps.forward(xp, theta, Y)
    assert rhs.calls == ["forward"] * depth  # the last one is taped, and not repeated
    steps.vjp(xp, theta, tape, np.ones((3, 2)))
    assert rhs.calls.count("forward") == forward_steps(slots, depth) + depth
    assert rhs.calls.count("vjp") == depth

    once = rhs.calls.count("forward")
    steps.vjp(xp, theta, tape, np.ones((3, 2)))  # the tape serves again, from the states of the first sweep
    assert rhs.calls.count("forward") == once + (once - depth)


def test_hessian_product_takes_no_more_steps_than_a_gradient() -> None:
    xp, rng = get_backend("numpy"), np.random.default_rng(0)
    rhs = Counting(single(ScalingKernel(2)))
    steps = Evolution(rhs, 23, memory="checkpoint", slots=3)
    theta, Y = steps.init(rng), rng.standard_normal((3, 2))
    _, tape = steps.forward(xp, theta, Y)
    rhs.calls.clear()
    _, dtape = steps.jvp(xp, theta, tape, theta, None, keep=True)
    steps.dvjp(xp, theta, tape, dtape, theta, np.ones((3, 2)), np.ones((3, 2)))
    assert rhs.calls.count("forward") == rhs.calls.count("jvp") == forward_steps(3, 23) + 23
    assert rhs.calls.count("dvjp") == 23
