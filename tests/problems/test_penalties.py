"""Proximal operators against minimisation by force, on every backend."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.problems.penalties import L1, Box, ElasticNet, GroupL21, Parts
from nmdl_bench.testing import numerical_backends

XP = get_backend("numpy")
BACKENDS = numerical_backends()
PENALTIES: list[Any] = [
    L1(0.7),
    L1(0.0),
    ElasticNet(0.4, 1.5),
    GroupL21(0.9, 3),
    Box(-0.5, 0.25),
    Box(0.0),
    Box((-inf, 0.0, 0.1, -1.0, 0.3, -inf), (inf, 0.2, 0.1, inf, 0.4, -2.0)),
    Parts(((0, 2, L1(1.0)), (3, 6, GroupL21(0.5, 3)))),
    Parts(((1, 4, Box(0.0)),)),
]
V = np.array([1.3, -0.2, 0.05, -2.0, 0.6, -0.9])


def by_force(h: Any, v: np.ndarray, t: float) -> np.ndarray:
    """``argmin h(x) + |x - v|^2 / 2t`` without derivatives, from points near the kinks too."""

    def value(x: np.ndarray) -> float:
        return h.value(XP, x) + float((x - v) @ (x - v)) / (2 * t)

    lower, upper = h.bounds(len(v)) if isinstance(h, Box) else (np.full(len(v), -inf), np.full(len(v), inf))
    best = np.clip(v, lower, upper)
    for _ in range(6):  # along coordinates, then by a simplex: convex, but with kinks that stop either
        for i in range(len(v)):

            def along(u: float, x: np.ndarray = best, i: int = i) -> float:
                return value(np.concatenate([x[:i], [u], x[i + 1 :]]))

            ends = (max(lower[i], -4.0), min(upper[i], 4.0))
            found = optimize.minimize_scalar(along, bounds=ends, method="bounded", options={"xatol": 1e-12})
            candidates = [found.x, best[i], np.clip(0.0, *ends), *ends]
            best[i] = min(candidates, key=along)
        options = {"xatol": 1e-10, "fatol": 1e-15, "maxiter": 4000, "maxfev": 4000}
        found = optimize.minimize(value, best, method="Nelder-Mead", options=options)
        best = found.x if found.fun < value(best) else best
    return best


@pytest.mark.parametrize("h", PENALTIES, ids=lambda h: f"{type(h).__name__}")
def test_the_prox_minimises(h: Any) -> None:
    found = h.prox(XP, V, 0.8)
    np.testing.assert_allclose(found, by_force(h, V, 0.8), atol=3e-5)
    rng = np.random.default_rng(0)
    least = h.value(XP, found) + (found - V) @ (found - V) / 1.6
    for size in (1.0, 1e-2, 1e-4):
        for x in found + size * rng.standard_normal((50, 6)):
            assert h.value(XP, x) + (x - V) @ (x - V) / 1.6 >= least - 1e-13


@pytest.mark.parametrize("h", PENALTIES, ids=lambda h: f"{type(h).__name__}")
def test_every_backend_gives_the_same(h: Any) -> None:
    value, moved = h.value(XP, h.prox(XP, V, 0.8)), h.prox(XP, V, 0.8)
    for xp in BACKENDS:
        v = xp.asarray(V)
        found = h.prox(xp, v, xp.s.const(0.8))
        np.testing.assert_allclose(xp.to_numpy(found), moved, rtol=1e-14, atol=1e-16)
        np.testing.assert_array_equal(xp.to_numpy(v), V)  # not donated
        assert float(h.value(xp, found)) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("h", PENALTIES, ids=lambda h: f"{type(h).__name__}")
def test_with_a_step_of_zero_it_projects_onto_the_domain(h: Any) -> None:
    found = h.prox(XP, V, 0.0)
    assert np.isfinite(h.value(XP, found))
    np.testing.assert_array_equal(h.prox(XP, found, 0.0), found)
    if np.isfinite(h.value(XP, V)):
        np.testing.assert_array_equal(found, V)


def test_values_by_hand() -> None:
    x = np.array([3.0, -4.0, 0.0, 0.0])
    assert L1(0.5).value(XP, x) == 3.5
    assert ElasticNet(0.5, 2.0).value(XP, x) == 3.5 + 25
    assert GroupL21(2.0, 2).value(XP, x) == 10
    assert Box(-4.0, 3.0).value(XP, x) == 0
    assert Box(-4.0, 2.9).value(XP, x) == Box(-3.9, 3.0).value(XP, x) == inf
    assert Parts(((1, 2, L1(1.0)), (2, 4, Box(0.0)))).value(XP, x) == 4


def test_zeros_are_exact_and_nan_stays() -> None:
    assert np.all(L1(1.0).prox(XP, V, 0.95)[[1, 2, 4, 5]] == 0)
    assert np.all(GroupL21(2.0, 3).prox(XP, V, 1.0)[:3] == 0)
    bad = np.array([nan, 1.0, 2.0])
    for h in (L1(1.0), ElasticNet(1.0, 1.0), GroupL21(1.0, 3), Box(0.0, 1.0)):
        assert np.isnan(h.prox(XP, bad, 0.5)[0])
    assert np.isnan(L1(1.0).value(XP, bad))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: L1(-1.0), "weight of a penalty must be non-negative and finite, not -1.0"),
        (lambda: ElasticNet(1.0, nan), "l2 of a penalty"),
        (lambda: GroupL21(1.0, 0), "size of at least 1, not 0"),
        (lambda: Box(1.0, 0.0), r"not \[1, 0\]"),
        (lambda: Box((0.0, 2.0), (1.0, 1.0)), r"not \[2, 1\]"),
        (lambda: Box(inf), "finite point"),
        (lambda: Box(nan), "lower <= upper"),
        (lambda: Parts(()), "not empty"),
        (lambda: Parts(((0, 3, L1(1.0)), (2, 4, L1(1.0)))), "not overlapping"),
    ],
)
def test_numbers_that_cannot_work(make: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make()
