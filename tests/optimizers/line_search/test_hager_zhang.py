"""Against a plain version of Hager and Zhang (2005), with loops; and where values no longer tell points apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from searching import FUNCTIONS, SIX, STARTS, XP, Along, run

from nmdl_bench.backends import get_backend
from nmdl_bench.optimizers.line_search import Armijo, HagerZhang, MoreThuente

epsilon, rho, gamma, theta = 1e-6, 5.0, 0.66, 0.5


class Plain:
    """Section 4 of the paper, as it is written; each evaluation is a trial."""

    def __init__(self, along: Along) -> None:
        self.phi, self.slope = along
        self.high = self.phi(0.0) + epsilon * abs(self.phi(0.0))
        self.trials: list[float] = []

    def at(self, t: float) -> tuple[float, float]:
        self.trials.append(t)
        return self.phi(t), self.slope(t)

    def u3(self, a: float, b: float) -> tuple[float, float]:
        while True:
            d = (1 - theta) * a + theta * b
            f, df = self.at(d)
            if df >= 0:
                return a, d
            if f <= self.high:
                a = d
            else:
                b = d

    def bracket(self, c: float) -> tuple[float, float]:
        a = 0.0
        while True:
            f, df = self.at(c)
            if df >= 0:
                return a, c
            if f > self.high:
                return self.u3(a, c)  # the paper starts from 0 here
            a, c = c, rho * c

    def secant(self, a: float, b: float) -> float:
        da, db = self.slope(a), self.slope(b)
        return (a * db - b * da) / (db - da) if db != da else np.nan

    def update(self, a: float, b: float, c: float) -> tuple[float, float]:
        if not a < c < b:
            return a, b
        f, df = self.at(c)
        if df >= 0:
            return a, c
        return (c, b) if f <= self.high else self.u3(a, c)

    def secant2(self, a: float, b: float) -> tuple[float, float]:
        c = self.secant(a, b)
        A, B = self.update(a, b, c)
        if not a < c < b:
            return A, B
        if c == B:
            return self.update(A, B, self.secant(b, B))
        if c == A:
            return self.update(A, B, self.secant(a, A))
        return A, B

    def run(self, c: float) -> Iterator[None]:
        a, b = self.bracket(c)
        while True:
            A, B = self.secant2(a, b)
            if gamma * (b - a) < B - A:
                A, B = self.update(A, B, (A + B) / 2)
            a, b = A, B
            yield


@pytest.mark.parametrize("table", range(6))
def test_trials_are_those_of_a_plain_version(table: int) -> None:
    starts = [*STARTS, *np.random.default_rng(table).lognormal(0, 2, 20)]
    for c2 in (0.9, 0.1, 0.01):
        search = HagerZhang(1e-3, c2)
        for t in starts:
            found, plain = run(search, SIX[table], float(t)), Plain(SIX[table])
            for _ in plain.run(float(t)):
                if len(plain.trials) >= len(found.trials):
                    break
            np.testing.assert_allclose(
                found.trials, plain.trials[: len(found.trials)], rtol=1e-9, err_msg=f"{search} from {t}"
            )
            assert found.state.accepted
            assert found.gradients == len(found.trials)


@pytest.mark.parametrize("table", range(6))
def test_accepted_trials_hold_wolfes_conditions(table: int) -> None:
    phi, slope = SIX[table]
    for t in STARTS:
        end = run(HagerZhang(1e-3, 0.5), (phi, slope), t).trials[-1]
        assert phi(end) <= phi(0.0) + 1e-3 * end * slope(0.0)
        assert slope(end) >= 0.5 * slope(0.0)


def test_slopes_see_a_minimum_that_values_do_not() -> None:
    """Values around 1 are exact to 1e-16: within 1e-8 of a minimum a parabola is flat to them, but not its slope."""
    distance = 1e-9

    def phi(t: float) -> float:
        return 1.0 + 0.5 * (t - distance) ** 2 - 2e-15 * (t < distance / 2)  # the start is lower, by rounding errors

    along = (phi, lambda t: t - distance)
    search = HagerZhang(0.05, 0.1)
    past = search.start(XP, 1.0, phi(0.0), -distance)._replace(
        accepted=True
    )  # a search before, from the same value: approximate conditions
    state = search.start(XP, 10 * distance, phi(0.0), -distance, past)
    assert state.memory.approximate
    while not (state.accepted or state.failed):
        assert search.is_low(XP, state, phi(state.t))
        state = search.low(XP, state, phi(state.t), along[1](state.t))
    assert state.accepted
    assert abs(state.t - distance) <= 0.1 * distance
    assert run(Armijo(), along, 10 * distance).state.t != pytest.approx(distance, rel=0.1)
    assert run(MoreThuente(0.1, 0.5), along, 10 * distance).state.failed


def test_approximate_conditions_wait_until_the_value_hardly_changes() -> None:
    search = HagerZhang()
    first = search.start(XP, 1.0, 1.0, -1.0)
    assert not first.memory.approximate
    second = search.start(XP, 1.0, 0.9, -1.0, first._replace(accepted=True))
    assert not second.memory.approximate
    assert float(second.memory.Q) == pytest.approx(1.7)
    assert float(second.memory.C) == pytest.approx((0.7 * 1.0 + 0.9) / 1.7)
    third = search.start(XP, 1.0, 0.8999, -1.0, second._replace(accepted=True))
    assert third.memory.approximate
    assert search.start(XP, 1.0, 0.1, -1.0, third._replace(accepted=True)).memory.approximate  # from then on


def test_a_search_from_the_same_point_is_no_sign_that_the_value_hardly_changes() -> None:
    search = HagerZhang()
    second = search.start(XP, 1.0, 0.5, -1.0, search.start(XP, 1.0, 1.0, -1.0)._replace(accepted=True))
    again = search.start(XP, 0.1, 0.5, -2.0, second._replace(failed=True))
    assert not again.memory.approximate
    assert (again.memory.C, again.memory.Q) == (second.memory.C, second.memory.Q)  # the value counts once


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_trials_are_those_of_numpy(library: str) -> None:
    search = HagerZhang(1e-3, 0.01)
    found = run(search, SIX[5], 1e1, get_backend(library))
    np.testing.assert_allclose(found.trials, run(search, SIX[5], 1e1).trials, rtol=1e-12)


@pytest.mark.parametrize("t", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_values_that_are_not_finite_are_walked_away_from(t: float) -> None:
    found = run(HagerZhang(1e-4, 0.1), FUNCTIONS["logarithm"], t)
    assert found.state.accepted
    assert len(found.trials) <= 15


def test_a_function_that_falls_up_to_a_wall_has_no_wolfe_step() -> None:
    """The best point is taken, by one trial more."""
    found = run(HagerZhang(), FUNCTIONS["wall"], 0.5)
    assert found.state.accepted
    assert found.state.last
    assert 0.99 < found.trials[-1] < 1
    assert len(found.trials) <= 51
