"""Peak memory against depth: what is measured, what is said of it, and that it is bounded."""

import json
import math
from dataclasses import asdict

import pandas as pd
import pytest

from benchmarks import memory
from nmdl_bench.measure.process import WorkerError


def row(mode, depth, peak, backend="numpy", reason=""):
    return memory.Row(backend, mode, depth, 8, 2**20, 5120, peak, reason)


@pytest.fixture(scope="module")
def measured():
    small = {"samples": 4096, "width": 8}
    return {(mode, depth): memory.measure("numpy", mode, depth, **small) for mode in memory.MODES for depth in (8, 64)}


def test_modes_differ_as_they_promise(measured):
    peak = {case: row.peak for case, row in measured.items()}
    assert all(row.reason == "" for row in measured.values())
    assert peak["reversible", 64] <= 1.1 * peak["reversible", 8]
    assert peak["checkpoint", 64] <= 1.1 * peak["checkpoint", 8]
    assert peak["all", 64] >= 4 * peak["all", 8]
    assert peak["reversible", 64] < peak["checkpoint", 64] < peak["all", 64]


def test_sizes_of_state_and_gradient_are_the_networks_own(measured):
    import sys

    sys.path.insert(0, memory.TARGETS)
    try:
        from memory import network
    finally:
        sys.path.remove(memory.TARGETS)
    assert measured["all", 64].gradient == 8 * network("all", 64, 8, 8).size
    assert measured["all", 64].state == 4096 * 8 * 8
    assert memory.SAMPLES * memory.WIDTH * 8 >= 2**20


def test_backend_that_is_not_usable_is_a_row_that_says_so():
    found = memory.measure("torch:cuda:99", "all", 8)
    assert found.reason.startswith("not usable here: ")
    assert found.peak == 0


def test_peak_on_a_device_is_net_of_parameters_and_data(monkeypatch):
    class Timer:
        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def call_memory(self):
            return 7, 10_000_000

    monkeypatch.setattr(memory, "RemoteTimer", Timer)
    found = memory.measure("torch:cuda:0", "all", 8, samples=1000, width=8)
    assert found.peak == 10_000_000 - found.state - 2 * found.gradient


def test_what_would_take_too_much_memory_is_left_out(monkeypatch):
    class Memory:
        available = 1000

    measured = []

    def measure(backend, mode, depth):
        measured.append(depth)
        return row(mode, depth, 10 * depth)

    monkeypatch.setattr(memory, "measure", measure)
    monkeypatch.setattr(memory.psutil, "virtual_memory", Memory)
    rows = list(memory.sweep(["numpy"], ["all"], [16, 32, 64, 128]))
    assert measured == [16, 32]
    assert [r.reason for r in rows] == ["", "", *["needs too much memory"] * 2]


def test_growth_and_table():
    rows = [
        row("all", 32, 2**24),
        row("all", 1024, 2**29),
        row("reversible", 32, 2**23),
        row("reversible", 1024, 2**23),
    ]
    rows += [row("all", 32, 0, "cupy", "not usable here: none"), row("all", 1024, 0, "cupy", "not usable here: none")]
    assert memory.growth(rows[:2]) == 31
    assert memory.growth(rows[2:4]) == 0
    assert math.isnan(memory.growth(rows[4:]))
    lines = memory.table(rows).splitlines()
    assert "| numpy | all tapes | 16.0 MiB | 512.0 MiB | x 32 |" in lines
    assert "| numpy | reversible | 8.0 MiB | 8.0 MiB | +0.0 % |" in lines
    assert lines[-1] == "cupy: not usable here: none"


@pytest.mark.parametrize(("peak", "code"), [(105, 0), (111, 1)])
def test_command_fails_where_the_reversible_network_grows(monkeypatch, tmp_path, capsys, peak, code):
    monkeypatch.setattr(
        memory, "measure", lambda b, m, d: row(m, d, 2**20 * (100 if d == 32 or m != "reversible" else peak), b)
    )
    arguments = ["--backends", "numpy", "torch", "--depths", "1024", "32", "--output", str(tmp_path)]
    assert memory.main(arguments) == code
    assert "| torch | 8 checkpoints |" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "memory.csv")) == 2 * 3 * 2
    assert {p.suffix for p in tmp_path.glob("memory-column.*")} == {".pdf", ".svg", ".png"}


def test_asv_gets_a_float_or_skips(monkeypatch):
    monkeypatch.setattr(memory, "measure", lambda *_, **__: row("all", 16, 5))
    value = memory.Memory().track_peak("numpy", "all", 16)
    assert type(value) is float
    json.dumps(asdict(row("all", 16, 5)) | {"value": value}, allow_nan=False)
    monkeypatch.setattr(memory, "measure", lambda *_, **__: row("all", 16, 0, reason="not usable here"))
    with pytest.raises(NotImplementedError, match="not usable here"):
        memory.Memory().track_peak("cupy", "all", 16)


def test_worker_that_fails_is_a_row(monkeypatch):
    def fail(*_, **__):
        raise WorkerError("out_of_memory", "killed")

    monkeypatch.setattr(memory, "RemoteTimer", fail)
    assert memory.measure("numpy", "all", 8).reason == "not usable here: killed"
