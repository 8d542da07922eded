"""How many evaluations it takes, beside SciPy's versions of the same methods on the same functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from functions import FUNCTIONS, Function
from scipy import optimize

from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS

SCIPYS = {"lbfgs": "L-BFGS-B", "bfgs": "BFGS", "nonlinear-cg": "CG"}
MOST = 3000


def ours(name: str, function: Function, target: float, **options: Any) -> float:
    """Forwards until a value is at most ``target``."""
    optimizer: Any = SOLVERS.make(name, **options)
    state = optimizer.init(function, function.x0)
    while min(function.values) > target:
        assert not state.stalled
        assert len(function.values) < MOST
        state = optimizer.step(function, state)
    return float(len(function.values))


def theirs(method: str, function: Function, target: float) -> float:
    """The same of SciPy's."""

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        if len(function.values) < MOST:
            f, tape = function.forward(x)
            if f > target:
                return f, function.grad(tape)
        raise StopIteration

    options = {"gtol": 0.0, "maxiter": MOST} | ({"ftol": 0.0, "maxfun": MOST} if method == "L-BFGS-B" else {})
    with pytest.raises(StopIteration):
        optimize.minimize(value_and_grad, function.x0, jac=True, method=method, options=options)
    return float(len(function.values))


@pytest.mark.parametrize("name", SCIPYS)
def test_as_many_as_scipys_on_textbook_functions(name: str) -> None:
    ratios = []
    for make in FUNCTIONS.values():
        f0 = make().forward(make().x0)[0]
        for share in (1e-5, 1e-10):
            ratios.append(ours(name, make(), share * f0) / theirs(SCIPYS[name], make(), share * f0))
    assert np.exp(np.mean(np.log(ratios))) <= 1.1


def logistic(alpha: float) -> tuple[Any, Callable[[], Function]]:
    """Logistic regression on digits, and how to make a function of it that remembers its values."""
    objective: Any = PROBLEMS.make("logistic-digits", alpha=alpha).bind(get_backend("numpy"))

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        f, tape = objective.forward(x)
        return f, objective.grad(tape)

    return objective, lambda: Function(value_and_grad, objective.x0)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1e-2, 1e-4])
def test_on_logistic_regression_all_reach_small_gaps_in_time(alpha: float) -> None:
    """At most twice the passes of the best peer, to a gap of 1e-10, or for gradient steps of 1e-8."""
    objective, function = logistic(alpha)
    x = optimize.minimize(
        function().value_and_grad, objective.x0, jac=True, method="L-BFGS-B", options={"maxiter": 300}
    ).x
    for _ in range(6):
        f, tape = objective.forward(x)
        H = np.stack([objective.hessian(tape, e) for e in np.eye(x.size)])
        x = x - np.linalg.solve(H, objective.grad(tape))
    f = objective.forward(x)[0]
    for gap, names in ((1e-10, ("lbfgs", "bfgs", "nonlinear-cg")), (1e-8, ("barzilai-borwein",))):
        best = min(theirs(method, function(), f * (1 + gap)) for method in ("L-BFGS-B", "CG"))
        for name in names:
            assert ours(name, function(), f * (1 + gap)) <= 2 * best, name
