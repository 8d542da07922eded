"""What the worker answers, asked in this process."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys

import pytest
from sweep_helpers import PLUGIN

from nmdl_bench.contracts import Stop, UnavailableError
from nmdl_bench.runs.store import unpack
from nmdl_bench.runs.worker import Session, describe

PROBLEM = {"verb": "problem", "key": "p", "name": "tests-bowl", "options": {"size": 5}, "seed": 3}


@pytest.fixture
def session():
    found = Session()
    answer = found.handle({"verb": "hello", "backend": "numpy:cpu", "dtype": "float64", "plugins": [str(PLUGIN)]})
    assert (answer["facts"]["library"], answer["facts"]["dtype"]) == ("numpy", "float64")
    assert "failure" not in found.handle(dict(PROBLEM))
    return found


def solver(name="tests-good", **options):
    stop = dataclasses.asdict(Stop(max_iterations=8))
    return {"problem": "p", "name": name, "options": options, "stop": stop, "seed": 3}


def test_start_of_a_problem(session):
    answer = session.handle(dict(PROBLEM))
    gradient = unpack(answer["gradient"])
    assert gradient.shape == (5,)
    assert answer["value"] > 0


def test_prepare_runs_twice_and_measure_once_each(session, monkeypatch):
    import nmdl_bench.solve

    stops = []
    true = nmdl_bench.solve.solve

    def spy(*arguments, **options):
        stops.append(options["stop"].max_iterations)
        return true(*arguments, **options)

    monkeypatch.setattr(nmdl_bench.solve, "solve", spy)
    for _ in range(2):
        assert session.handle({"verb": "prepare", "key": "c", **solver()})["compile_time"] >= 0
    assert stops == [2, 2]
    row = session.handle({"verb": "measure", "key": "c"})
    assert (row["status"], row["iterations"], row["n_forward"]) == ("max_iterations", 8, 8)
    assert stops == [2, 2, 8]


def test_reference_is_short(session):
    answer = session.handle({"verb": "reference", **solver(), "rows": 5})
    assert unpack(answer["history"]).shape == (5, 8)


def test_release_forgets(session):
    session.handle({"verb": "prepare", "key": "c", **solver()})
    assert session.handle({"verb": "release"}) == {}
    assert session.handle({"verb": "measure", "key": "c"})["failure"]["status"] == "error"


def test_failures_are_answers(session):
    failure = session.handle({"verb": "prepare", "key": "c", **solver(stp=1)})["failure"]
    assert failure["status"] == "error"
    assert "did you mean 'step'?" in failure["reason"]
    failure = session.handle({"verb": "prepare", "key": "c", **solver("tests-needs-more")})["failure"]
    assert failure["status"] == "unavailable"


class OutOfMemoryError(RuntimeError):
    """As PyTorch and CuPy call theirs."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("x"), "error"),
        (SystemExit(3), "error"),
        (UnavailableError("no x"), "unavailable"),
        (MemoryError("x"), "out_of_memory"),
        (OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
        (RuntimeError("shapes differ"), "error"),
        (ValueError("out of memory of the past"), "error"),
    ],
)
def test_status_of_an_exception(error, status):
    assert describe(error)["status"] == status


def test_out_of_memory_of_torch_and_jax_is_known():
    """Their real exceptions, raised by asking for too much."""
    import jax
    import torch

    for ask in (lambda: torch.empty(2**50), lambda: jax.numpy.zeros(2**46).block_until_ready()):
        with pytest.raises(Exception) as caught:
            ask()
        assert describe(caught.value)["status"] == "out_of_memory", caught.value


def test_worker_without_a_parent_leaves():
    command = [sys.executable, "-m", "nmdl_bench.runs.worker", "0", "1", "1", "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert done.returncode in (1, -signal.SIGKILL)


def test_memory_is_the_cases_own(session):
    """What another case keeps, and what reference runs leave behind, is not charged to this one."""
    session.handle({"verb": "prepare", "key": "light", **solver()})
    before = session.handle({"verb": "measure", "key": "light"})["memory_host"]
    session.handle({"verb": "prepare", "key": "hoards", **solver("tests-hoards")})
    session.handle({"verb": "reference", **solver("tests-hoards"), "rows": 5})
    hoarded = session.handle({"verb": "measure", "key": "hoards"})["memory_host"]
    after = session.handle({"verb": "measure", "key": "light"})["memory_host"]
    assert hoarded > 60 * 2**20
    assert after < before + 16 * 2**20
