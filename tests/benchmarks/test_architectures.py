"""The comparison of architectures."""

import json

import numpy as np
import pytest

from benchmarks import architectures as a
from nmdl_bench.backends import get_backend

ONE = "single, Euler"


def test_every_architecture_has_derivatives_and_differs_from_the_others():
    xp, values = get_backend("numpy"), set()
    for name in a.ARCHITECTURES:
        objective = a.problem(name).bind(xp)
        f, tape = objective.forward(objective.x0)
        assert np.isfinite(objective.grad(tape)).all()
        assert np.abs(objective.grad(tape)).max() > 0
        values.add((objective.x0.shape, round(f, 12)))
    assert len(values) == len(a.ARCHITECTURES)


def test_what_is_timed_is_named_and_positive():
    found = a.measure("numpy", 2, [ONE, "Hamiltonian, Verlet"])
    assert {name: {q: len(s) for q, s in each.items()} for name, each in found.items()} == {
        name: dict.fromkeys(a.QUANTITIES, 2) for name in (ONE, "Hamiltonian, Verlet")
    }
    assert all(type(s) is float and s > 0 for each in found.values() for samples in each.values() for s in samples)
    json.dumps(found, allow_nan=False)


def test_process_of_its_own_answers_or_says_why_not(monkeypatch):
    monkeypatch.setattr(a.subprocess, "run", lambda *_, **__: a.subprocess.CompletedProcess([], 0, '{"x": 1}', ""))
    assert a.measured("numpy") == {"x": 1}
    monkeypatch.undo()
    found = a.measured("numpy:elsewhere")
    assert list(found) == ["reason"]
    assert "UnavailableError" in found["reason"]


def test_lookups_of_the_cache():
    found = {"numpy": {ONE: {q: [0.1 * (i + 1)] for i, q in enumerate(a.QUANTITIES)}}, "cupy": {"reason": "no device"}}
    adapter = a.Architectures()
    adapter.setup(found, "numpy", ONE)
    assert adapter.track_value_and_gradient(found, "numpy", ONE) == {"samples": [0.1], "number": 1}
    assert adapter.track_gauss_newton(found, "numpy", ONE) == {"samples": [0.2], "number": 1}
    assert adapter.track_hessian(found, "numpy", ONE)["samples"] == [pytest.approx(0.3)]
    with pytest.raises(NotImplementedError, match="no device"):
        adapter.setup(found, "cupy", ONE)


def test_table_has_a_line_for_every_architecture_and_says_what_is_missing():
    each = {name: {q: [1e-3] for q in a.QUANTITIES} for name in a.ARCHITECTURES}
    lines = a.table({"numpy": each, "cupy": {"reason": "no device"}}).splitlines()
    assert lines[2] == f"| {ONE} | 1 | 1 | 1 |"
    assert len(lines) == 2 + len(a.ARCHITECTURES) + 2
    assert lines[-1] == "cupy: no device"
