"""The script that finds reference minima finds those that the package holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.minima import LONG, described, main, refined, rough
from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS
from nmdl_bench.problems.minima import MINIMA

QUICK = ["ridge", "lasso", "logistic-breast-cancer", "bounded-logistic-breast-cancer"]


@pytest.mark.parametrize("name", QUICK)
def test_minima_are_found_again(name: str) -> None:
    model, kinks = described(PROBLEMS.make(name))
    f, left, free = refined(model, kinks, rough(model, kinks))
    ((options, minimum), *_) = MINIMA[name]
    assert options == {}
    assert float(f) == pytest.approx(minimum, rel=2e-16)
    assert left < 1e-15
    assert 0 < free <= len(kinks.weight)


def test_a_wrong_set_of_free_parameters_is_corrected() -> None:
    for name in ("lasso", "bounded-logistic-breast-cancer"):
        model, kinks = described(PROBLEMS.make(name))
        start = rough(model, kinks)
        held = (start == 0) & (kinks.weight > 0) | (start == kinks.lower) | (start == kinks.upper)
        one, other = np.flatnonzero(held)[0], np.flatnonzero(~held)[0]
        start[one] = 0.1  # this one is not to be free
        start[other] = max(kinks.lower[other], -1.0) if np.isfinite(kinks.lower[0]) else 0.0  # and this one is
        assert float(refined(model, kinks, start)[0]) == pytest.approx(MINIMA[name][0][1], rel=2e-16)


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in (*QUICK, "sparse-recovery")]
    + [(name, {"n": 60}) for name in ("logistic-digits", "ridge-digits", "nonnegative-least-squares")],
)
def test_its_objective_is_the_packages(name: str, options: dict[str, Any]) -> None:
    xp = get_backend("numpy")
    problem = PROBLEMS.make(name, **options)
    model, kinks = described(problem)
    objective = problem.bind(xp)
    x = np.random.default_rng(0).standard_normal(objective.x0.size)
    f, tape = objective.forward(x)
    ours, g = model.value_and_grad(x.astype(LONG))
    assert f == pytest.approx(float(ours), rel=1e-13)
    np.testing.assert_allclose(objective.grad(tape), g.astype(float), rtol=1e-11, atol=1e-13)
    v = np.random.default_rng(1).standard_normal(x.size)
    np.testing.assert_allclose(objective.hessian(tape, v), model.hessian(x)(v), rtol=1e-10, atol=1e-12)
    if kinks.weight.any():
        assert objective.penalty(x) == pytest.approx(kinks.weight @ np.abs(x), rel=1e-13)


def test_the_table_is_printed_as_the_package_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    main(["lasso"])
    printed = capsys.readouterr().out
    for options, minimum in MINIMA["lasso"]:
        assert f"({options!r}, {minimum!r})," in printed
