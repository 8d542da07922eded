"""Armijo's search and its non-monotone kin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from searching import FUNCTIONS, XP, run

from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.optimizers.line_search import Armijo, Fixed, Grippo, HagerZhang, MoreThuente, StrongWolfe, ZhangHager

SEARCHES = [Armijo(), Armijo(interpolation="cubic"), Grippo(), ZhangHager()]


@pytest.mark.parametrize("t", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("search", SEARCHES)
def test_the_decrease_from_near_and_far(search: Any, name: str, t: float) -> None:
    phi, slope = FUNCTIONS[name]
    found = run(search, (phi, slope), t)
    assert found.state.accepted
    assert phi(found.state.t) <= phi(0.0) + 1e-4 * found.state.t * slope(0.0)
    assert found.gradients == 1  # rejected trials ask for none


@pytest.mark.parametrize("search", [*SEARCHES, StrongWolfe(), MoreThuente(), HagerZhang()])
def test_a_search_up_the_hill_gives_up(search: Any) -> None:
    found = run(search, (lambda t: t, lambda t: -1.0), 1.0)  # the slope lies
    assert found.state.failed
    assert len(found.trials) <= search.max_trials


@pytest.mark.parametrize(("a", "b", "third"), [(0.7 / 0.0027, 5.0, 0.03), (40.0, 5.0, 0.05), (0.8 / 3e-6, 100.0, 0.01)])
def test_cubic_interpolation_minimises_the_cubic(a: float, b: float, third: float) -> None:
    """Of a function that is one, from the third trial on, within a tenth and a half of the trial before."""

    def phi(t: float) -> float:
        return a * t**3 + b * t**2 - t

    trials = run(Armijo(0.3, interpolation="cubic"), (phi, lambda t: -1.0), 1.0).trials
    np.testing.assert_allclose(trials[:3], [1.0, 0.1, third], rtol=1e-9)


def start(search: Any, values: list[float]) -> Any:
    """A search that begins at the last of the values, after searches that began at the others."""
    state = None
    for f in values:
        state = search.start(XP, 1.0, f, -1.0, state)
    return state


def test_grippo_compares_with_the_largest_of_the_last_values() -> None:
    search = Grippo(0.1, M=3)
    state = start(search, [9.0, 5.0, 7.0, 6.0])
    assert state.memory.values == (6.0, 7.0, 5.0)
    assert state.memory.reference == 7.0
    assert search.is_low(XP, state, 6.89)
    assert not search.is_low(XP, state, 6.91)
    assert start(Grippo(M=1), [9.0, 5.0, 7.0]).memory.reference == 7.0
    assert start(search, [9.0]).memory.reference == 9.0


def test_zhang_and_hager_compare_with_a_mean() -> None:
    search = ZhangHager(0.1, eta=0.5)
    state = start(search, [8.0, 4.0, 2.0])
    # with weights 1/4, 1/2, 1
    mean = (0.25 * 8 + 0.5 * 4 + 2) / 1.75
    assert state.memory.reference == pytest.approx(mean)
    assert search.is_low(XP, state, mean - 0.11)
    assert not search.is_low(XP, state, mean - 0.09)
    assert start(ZhangHager(eta=0.0), [8.0, 4.0, 2.0]).memory.reference == 2.0
    assert start(ZhangHager(eta=1.0), [8.0, 4.0, 3.0]).memory.reference == pytest.approx(5.0)


def test_without_a_search_every_step_is_taken() -> None:
    found = run(Fixed(), (lambda t: 1 + t, lambda t: -1.0), 3.0)
    assert found.state.accepted
    assert found.trials == [3.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Armijo(c1=0.0), "0 < c1"),
        (lambda: StrongWolfe(c1=0.9, c2=0.1), "c1 < c2"),
        (lambda: StrongWolfe(c2=1.0), "c2 < 1, not c1 = 0.0001, c2 = 1.0"),
        (lambda: MoreThuente(c2=1.0), "c2 < 1"),
        (lambda: HagerZhang(c2=1.0), "c2 < 1"),
        (lambda: Armijo(c1=1.0), "c1 < 1, not c1 = 1.0"),
        (lambda: StrongWolfe(max_trials=0), "max_trials must be at least 1, not 0"),
        (lambda: Grippo(M=0), "M, the number of past values, must be at least 1, not 0"),
        (lambda: ZhangHager(eta=1.5), r"eta must lie in \[0, 1\], not 1.5"),
        (lambda: HagerZhang(c2=1.5), "c2"),
        (lambda: HagerZhang(c1=0.6), "c1 < 1/2, not 0.6"),
    ],
)
def test_constants_that_cannot_work(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_unknown_interpolations_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cubic'"):
        Armijo(interpolation="qubic")
