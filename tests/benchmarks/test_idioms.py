"""The comparison with each library's own idiom."""

import json
import math

import numpy as np
import pytest

from benchmarks import contest, idioms
from nmdl_bench.measure.stats import paired_ratio


@pytest.fixture(scope="module")
def rows():
    return idioms.compare(["numpy", "torch", "jax", "cupy:cuda:99"], 4, rounds=3)


def test_ours_and_idioms_are_measured_side_by_side(rows):
    for row, library in zip(rows, ("numpy", "torch", "jax")):
        assert (row.backend, row.case, row.dtype, row.reason) == (library, 4, "float64", "")
        assert row.ratio.n == 3
        assert 0 < row.ratio.value < math.inf
        assert row.ours == np.median(row.samples) > 0
        assert row.memory_ours > 0
        assert row.memory_theirs > 0


def test_backend_that_is_not_usable_is_a_row_that_says_so(rows):
    assert rows[3].ratio is None
    assert rows[3].reason.startswith("not usable here: ")
    assert "\n" not in rows[3].reason


def test_table_has_a_line_for_every_row(rows):
    lines = contest.table(rows, "width", "its own idiom", idioms.WORDS).splitlines()
    assert len(lines) == 2 + 4
    assert {line.count("|") for line in lines} == {8}
    assert "not usable here" in lines[-1]


def test_rows_can_be_written_as_json(rows):
    from dataclasses import asdict

    assert json.loads(json.dumps([asdict(row) for row in rows]))[0]["backend"] == "numpy"


def test_deviation_sees_the_value_and_every_element_of_the_gradient():
    gradient = np.array([1.0, -2.0, 0.5])
    assert contest.deviation([(3.0, gradient), (3.0, gradient.copy())]) == 0
    assert contest.deviation([(3.0, gradient), (3.3, gradient)]) == pytest.approx(0.1)
    other = gradient + np.array([0, 0, 0.02])
    assert contest.deviation([(3.0, gradient), (3.0, gradient), (3.0, other)]) == pytest.approx(0.01)
    assert not contest.deviation([(3.0, gradient), (math.nan, gradient)]) <= 1


def test_nothing_is_timed_where_gradients_differ(monkeypatch):
    class Contest:
        def __init__(self, *_):
            self.answers = {"ours": (1.0, np.array([1.0, 2.0])), "module": (1.0, np.array([1.0, 2.002]))}

        def close(self):
            pass

    monkeypatch.setattr(contest, "Contest", Contest)
    monkeypatch.setattr(contest, "interleave", lambda *_, **__: pytest.fail("timed"))
    with pytest.raises(RuntimeError, match=r"differ by 1\.0e-03 at width 4 in float64"):
        idioms.compare(["torch"], 4)


def test_fastest_idiom_counts():
    class Timer:
        def memory(self):
            return 2**20

    held = object.__new__(contest.Contest)
    held.empty = contest.Row("jax", 4, "float64")
    held.timers = {"ours": Timer(), "unrolled": Timer(), "scanned": Timer()}
    row = held.row({"ours": [2.0] * 6, "unrolled": [4.0] * 6, "scanned": [1.0] * 6})
    assert row.idiom == "scanned"
    assert row.ratio == paired_ratio([2.0] * 6, [1.0] * 6)
