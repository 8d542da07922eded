"""The strong Wolfe search of the textbook, along one function."""

from __future__ import annotations

from math import nan

import pytest
from searching import FUNCTIONS, run

from nmdl_bench.contracts import UnknownNameError
from nmdl_bench.optimizers.line_search import WOLFE, StrongWolfe, wolfe_search


@pytest.mark.parametrize("t", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("name", ["rational", "steep", "logarithm"])
def test_strong_wolfe_from_near_and_far(name: str, t: float) -> None:
    phi, slope = FUNCTIONS[name]
    # the steep one starts with a slope of 5e-7 and falls by 2.6: a tenth of that slope is below what values tell apart
    c2 = 0.9 if name == "steep" else 0.1
    found = run(StrongWolfe(1e-4, c2), (phi, slope), t)
    end = found.trials[-1]
    assert found.state.accepted
    assert phi(end) <= phi(0.0) + 1e-4 * end * slope(0.0)
    assert abs(slope(end)) <= c2 * abs(slope(0.0))
    assert found.gradients <= len(found.trials) <= 25


@pytest.mark.parametrize(("trials", "t"), [(1, 1.0), (4, 820.0)])
def test_the_last_trial_is_taken_where_a_function_falls_for_ever(trials: int, t: float) -> None:
    found = run(StrongWolfe(max_trials=trials), (lambda t: -t, lambda t: -1.0), 1.0).state
    assert found.accepted
    assert not found.failed
    assert found.t == t
    found = run(StrongWolfe(max_trials=trials), (lambda t: -t, lambda t: -1.0 if t == 0 else nan), 1.0).state
    assert found.failed


def test_searches_by_name() -> None:
    for name, kind in WOLFE.items():
        assert wolfe_search(name, 1e-3, 0.5, 7) == kind(1e-3, 0.5, 7)
    with pytest.raises(UnknownNameError, match="did you mean 'more-thuente'"):
        wolfe_search("more-thuentes", 1e-4, 0.9, 20)
