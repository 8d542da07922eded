"""Composite and bounded objectives through the harness: what is recorded, and what converged means."""

from __future__ import annotations

import numpy as np
import pytest

from nmdl_bench.backends import compiled, get_backend
from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import HISTORY_COLUMNS, Stop
from nmdl_bench.problems import CompositeProblem
from nmdl_bench.problems.penalties import L1, Box
from nmdl_bench.solve import solve

LOSS, GRAD_NORM = HISTORY_COLUMNS.index("loss"), HISTORY_COLUMNS.index("grad_norm")


def problems() -> list[CompositeProblem]:
    smooth = PROBLEMS.make("logistic-breast-cancer", n=60)
    return [CompositeProblem("l1", "", smooth, L1(0.05)), CompositeProblem("box", "", smooth, Box(-0.2, 0.1))]


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("problem", problems(), ids=lambda problem: problem.name)
def test_total_values_and_residuals_are_recorded_and_decide(problem: CompositeProblem, library: str) -> None:
    xp, host = get_backend(library), get_backend("numpy")
    result = solve(problem, SOLVERS.make("fista"), xp, Stop(max_iterations=500, gtol=1e-8))
    assert (result.status, result.reason) == ("converged", "gradient below the tolerance")
    objective = problem.bind(host)
    f, tape = objective.forward(result.x)
    g = objective.grad(tape)
    assert result.loss == pytest.approx(f + objective.penalty(result.x), rel=1e-13)
    assert result.grad_norm == pytest.approx(np.abs(result.x - objective.prox(result.x - g, 1.0)).max(), abs=1e-12)
    assert np.abs(g).max() > 1e-3  # the smooth part's own gradient is far from zero
    assert result.history[-1, LOSS] == pytest.approx(result.loss, rel=1e-12)
    assert result.history[-1, GRAD_NORM] == pytest.approx(result.grad_norm, rel=1e-4, abs=1e-12)
    start = objective.x0
    assert result.history[0, LOSS] == pytest.approx(objective.forward(start)[0] + objective.penalty(start), rel=1e-13)
    assert np.all(np.isfinite(result.history[:, :LOSS]))
    assert "nonzeros" in result.metrics
    assert "nonzeros" in result.metric_history[-1]


@pytest.mark.parametrize("problem", problems(), ids=lambda problem: problem.name)
def test_parts_of_the_samples_add_up_and_the_penalty_counts_once(
    problem: CompositeProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    xp = get_backend("numpy")
    evaluation = Evaluation(problem.bind(xp))
    x = problem.start + 0.1 * np.random.default_rng(0).random(problem.start.size) * (problem.start < 0)
    at_once = evaluation.norms(x)
    monkeypatch.setattr(compiled, "WHOLE", 10)
    monkeypatch.setattr(compiled, "PART", 9)
    assert evaluation.norms(x) == pytest.approx(at_once, rel=1e-12)
    assert np.isfinite(at_once[0])


def test_a_point_outside_the_bounds_is_no_result() -> None:
    """Where a solver returns one, its value is infinite, and the run has diverged."""

    class Outside:
        needs = ("bounds",)

        def run(self, objective, x, stop, record, seed=0):  # type: ignore[no-untyped-def]
            from nmdl_bench.contracts import Counts, Result

            record.begin()
            record(0, None, x=x, counts=Counts(1, 1))
            return Result(x + 1.0, "converged", "it says", 1, Counts(1, 1))

    problem = problems()[1]
    result = solve(problem, Outside(), get_backend("numpy"))
    assert result.status == "diverged"
    np.testing.assert_array_equal(result.x, problem.start)
