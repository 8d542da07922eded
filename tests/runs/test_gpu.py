"""A sweep on a CUDA device: needs one."""

from __future__ import annotations

import pytest
from sweep_helpers import sweep, write

from nmdl_bench.backends import backend_rows

pytestmark = pytest.mark.gpu


def test_backends_on_a_gpu_agree_and_report_the_memory_of_the_device(tmp_path):
    backends = [f"{row['name']}:cuda:0" for row in backend_rows() if "cuda:0" in row["devices"]]
    assert backends
    text = f"""
name = "gpu"
backends = {backends}
dtypes = ["float64", "float32"]
repeats = 2
[[problems]]
name = "spirals"
[[solvers]]
name = "lbfgs"
[stop]
max_iterations = 20
"""
    _, rows, _ = sweep(write(tmp_path, text), tmp_path / "s.sqlite")
    assert len(rows) == 2 * 2 * len(backends)
    for row in rows:
        assert row["agrees"] == 1, (row["library"], row["status"], row["reason"], row["agreement"])
        assert row["status"] in ("max_iterations", "converged")
    assert any(row["memory_device"] and row["memory_device"] > 0 for row in rows)
