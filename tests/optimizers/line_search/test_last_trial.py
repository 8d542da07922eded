"""Searches whose trials or bracket are used up: the best point is better than none, unless it is a rounding error."""

from __future__ import annotations

from math import nan
from typing import Any

import pytest
from searching import XP, run

from nmdl_bench.backends import get_backend
from nmdl_bench.optimizers.line_search import MoreThuente, StrongWolfe
from nmdl_bench.optimizers.line_search.base import begin, or_best


def kink(t: float) -> float:
    return abs(t - 0.7) + 0.1 * t


def slope(t: float) -> float:
    return 1.1 if t > 0.7 else -0.9


@pytest.mark.parametrize("library", ["numpy", "jax"])
@pytest.mark.parametrize("kind", [StrongWolfe, MoreThuente])
def test_the_best_point_is_one_trial_more(kind: Any, library: str) -> None:
    """At a kink no slope is small enough."""
    found = run(kind(1e-4, 0.1, 10), (kink, slope), 0.4, get_backend(library))
    assert bool(found.state.accepted)
    assert bool(found.state.last)
    assert len(found.trials) <= 11
    best = found.trials[-1]
    assert best in found.trials[:-1]
    assert kink(best) <= kink(0.0) - 1e-4 * best * 0.9
    assert kink(best) == min(map(kink, found.trials))


@pytest.mark.parametrize(
    ("decrease", "df_lo", "lo", "taken"),
    [
        (0.1, -0.5, 0.4, True),
        (0.1, 0.5, 0.4, True),
        (0.1, -0.5, 0.0, False),  # there is no best point
        (0.1, nan, 0.4, False),
        (3e-5, -0.5, 0.4, False),  # less than c1 times what the slope foretells
        (3 * XP.eps, -1e-16, 0.4, False),  # a rounding error
        (0.0, 0.0, 0.4, False),
    ],
)
def test_what_is_taken(decrease: float, df_lo: float, lo: float, taken: bool) -> None:
    search = begin(XP, 1e-4, 0.1, 0.9, 1.0, -0.9 if decrease > 1e-14 else -1e-16, None)
    search = search._replace(lo=lo, f_lo=1.0 - decrease, df_lo=df_lo)
    assert or_best(XP, search) == search  # which has not given up
    found = or_best(XP, search._replace(failed=True))
    assert found.last == taken
    assert found.failed != taken
    assert found.t == (lo if taken else 0.9)
