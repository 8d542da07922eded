"""The comparison of convolutions with each library's own."""

import math

import numpy as np
import pytest

from benchmarks import contest, convolutions
from nmdl_bench.measure.remote import RemoteTimer


@pytest.fixture(scope="module")
def rows():
    return convolutions.compare(["numpy", "torch", "jax", "cupy:cuda:99"], "float32", rounds=3)


def test_ours_and_the_libraries_own_are_measured_side_by_side(rows):
    for row, (library, idiom) in zip(rows, (("numpy", "autograd"), ("torch", "autograd"), ("jax", "autodiff"))):
        assert (row.backend, row.case, row.dtype, row.idiom, row.reason) == (library, "float32", "float32", idiom, "")
        assert row.ratio.n == 3
        assert 0 < row.ratio.value < math.inf
        assert row.ours == np.median(row.samples) > 0
    assert rows[3].reason.startswith("not usable here: ")
    lines = contest.table(rows, "dtype", "library's own", convolutions.WORDS).splitlines()
    assert len(lines) == 2 + 4
    assert {line.count("|") for line in lines} == {8}


def test_both_gradients_reach_the_comparison(tmp_path):
    answers = {}
    for target in ("convolution_numpy:ours", "convolution_torch:autograd"):
        path = tmp_path / "answer.npz"
        spec = "numpy" if "numpy" in target else "torch"
        options = {"spec": spec, "dtype": "float64", "answer": str(path)}
        with RemoteTimer(target, options, path=[contest.TARGETS]), np.load(path) as found:
            answers[target] = float(found["value"]), found["gradient"]
    assert all(g.shape == (16 * 16 * 9 + 16 * 16 * 32 * 32,) for _, g in answers.values())
    assert contest.deviation(list(answers.values())) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("library", convolutions.LIMITS)
def test_limits_hold_in_float32(library):
    [row] = convolutions.compare([library], "float32", rounds=40)
    assert row.ratio.value <= convolutions.LIMITS[library]
