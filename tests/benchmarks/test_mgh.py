"""The comparison on the test functions: its counts, its misses, its experiment file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import mgh
from nmdl_bench.contracts import Stop
from nmdl_bench.problems.mgh import FUNCTIONS, TestProblem
from nmdl_bench.runs.experiment import load
from nmdl_bench.runs.run import plan

FILE = Path(__file__).resolve().parents[2] / "reports" / "mgh.toml"


def test_counts_and_misses() -> None:
    found = mgh.outcomes(["lbfgs", "scipy-lbfgsb"], ["beale", "jennrich-sampson"], [1.0, 100.0], Stop(500, gtol=0.0))
    by = {(o.solver, o.function, o.factor): o for o in found}
    assert len(by) == 8
    for solver in ("lbfgs", "scipy-lbfgsb"):
        assert by[solver, "beale", 1.0].where == "global minimum"
        assert by[solver, "jennrich-sampson", 100.0].where == "the start overflows"
        assert not by[solver, "jennrich-sampson", 100.0].solved
    assert by["lbfgs", "jennrich-sampson", 1.0].solved
    table = mgh.table(found)
    assert "| solver       |   start x 1 |   start x 100 |   of 4 |   other known points |   evaluations |" in table
    far = int(by["lbfgs", "beale", 100.0].solved)
    assert f"| lbfgs        |           2 |             {far} |      {far + 2} |" in table
    misses = mgh.misses(found)
    assert "| jennrich-sampson x 100 | the start overflows |" in misses
    assert "| scipy-lbfgsb |" not in misses  # a peer's misses are its own


def test_a_solver_that_breaks_off_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise FloatingPointError("no")

    monkeypatch.setattr(mgh, "solve", broken)
    (outcome,) = mgh.outcomes(["lbfgs"], ["beale"], [1.0])
    assert (outcome.solved, outcome.status) == (False, "error")
    assert outcome.where.startswith("FloatingPointError: no")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "outcomes.json"
    arguments = ["--solvers", "lbfgs", "--functions", "broyden-banded", "--factors", "1", "--json", str(written)]
    mgh.main(arguments)
    assert "| lbfgs    |           1 |      1 |" in capsys.readouterr().out
    assert json.loads(written.read_text())[0]["where"] == "global minimum"


def test_the_experiment_file_asks_for_all_functions_and_starts() -> None:
    spec = load(FILE).spec
    asked = [(problem.options["function"], problem.options["factor"]) for problem in spec.problems]
    assert asked == [(name, factor) for name in FUNCTIONS for factor in mgh.FACTORS]
    assert [solver.name for solver in spec.solvers] == [*mgh.OURS, *mgh.PEERS]
    for problem in spec.problems:
        TestProblem(**problem.options)
    assert len(plan(FILE).cases) == len(asked) * len(spec.solvers)
