from __future__ import annotations

import subprocess
from typing import Any

import pytest

from nmdl_bench.backends import backend_rows, probe

COLUMNS = {"name", "version", "devices", "usable", "reason", "blas", "threads", "float64"}


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in backend_rows()}


def test_there_is_a_row_for_each_library(rows: dict[str, dict[str, Any]]) -> None:
    assert list(rows)[:4] == ["numpy", "torch", "jax", "cupy"]
    assert all(set(row) == COLUMNS for row in rows.values())


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_an_installed_library_is_usable(rows: dict[str, dict[str, Any]], name: str) -> None:
    row = rows[name]
    assert row["usable"]
    assert row["float64"]
    assert row["devices"][0] == "cpu"
    assert row["threads"] >= 1
    assert row["blas"]
    assert row["version"][0].isdigit()
    assert row["reason"] == ""


def test_cupy_says_whether_there_is_a_gpu(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["cupy"]
    assert row["usable"] == bool(row["devices"])
    assert row["usable"] or "no CUDA device or driver" in row["reason"]


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probe._DISTRIBUTIONS, "cupy", ("no-such-distribution",))
    row = probe.probe("cupy")
    assert not row["usable"]
    assert row["reason"] == "not installed; pip install 'nmdl-bench[cupy-cuda13x]'"


def test_a_library_that_breaks_on_import_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(args, 1, "", "Traceback ...\nImportError: libfoo.so is missing\n")

    monkeypatch.setattr(subprocess, "run", crash)
    row = probe.probe("numpy")
    assert not row["usable"]
    assert row["reason"] == "fails to start: ImportError: libfoo.so is missing"

    def hang(*args: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired("numpy", 120)

    monkeypatch.setattr(subprocess, "run", hang)
    assert probe.probe("numpy")["reason"] == "did not answer within 120 s"
