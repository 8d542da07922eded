import io

import pytest
from test_store import case

from nmdl_bench.runs import progress
from nmdl_bench.runs.executor import Measured, Started, Task
from nmdl_bench.runs.progress import Estimate, PlainProgress, RichProgress, duration


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


def test_estimate_learns_first_and_later_repeats_apart(clock):
    a, b = case(0), case(1)
    estimate = Estimate()
    estimate.begin([Task(a, (0, 1, 2)), Task(b, (0, 1, 2))])
    assert estimate.left() is None

    def measure(c, repeat, seconds, prepared, status="converged"):
        estimate.event(Started(c, repeat, prepared))
        clock.now += seconds
        estimate.event(Measured(c, repeat, {"status": status}))

    measure(a, 0, 10.0, prepared=False)
    assert estimate.left() == pytest.approx(2 * 10 + 10 + 2 * 10)
    measure(b, 0, 6.0, prepared=False)
    measure(a, 1, 1.0, prepared=True)
    assert estimate.left() == pytest.approx(1.0 + 2 * 1.0)
    measure(b, 1, 3.0, prepared=True)
    assert estimate.left() == pytest.approx(1.0 + 3.0)
    measure(b, 2, 3.0, prepared=True)
    measure(a, 2, 1.0, prepared=True)
    assert estimate.left() == 0.0


def test_estimate_forgets_what_a_failure_leaves_out(clock):
    estimate = Estimate()
    estimate.begin([Task(case(0), (0, 1, 2))])
    estimate.event(Started(case(0), 0, False))
    estimate.event(Measured(case(0), 0, {"status": "timeout"}))
    assert estimate.left() == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_plain_lines_are_few_but_tell_each_failure(clock):
    stream = io.StringIO()
    with PlainProgress(stream, interval=5.0) as lines:
        lines.begin([Task(case(0), tuple(range(100)))], stored=3)
        for repeat in range(100):
            lines.event(Started(case(0), repeat, True))
            clock.now += 0.5
            row = {"status": "error", "reason": "oh"} if repeat == 50 else {"status": "converged", "time": 0.5}
            lines.event(Measured(case(0), repeat, row))
    said = stream.getvalue().splitlines()
    assert said[0] == "100 repeats to measure, 3 in the store already"
    assert said[1].startswith(
        "[10/100, about 45 s left] b | s0 | numpy:cpu float64 | seed 0 | repeat 10: converged in 0.5 s"
    )
    assert any(line.endswith("repeat 51: error (oh)") for line in said)
    assert 10 <= len(said) <= 14


def test_bar_shows_what_runs_and_keeps_failures():
    from rich.console import Console

    stream = io.StringIO()
    with RichProgress(Console(file=stream, force_terminal=True, width=80)) as bar:
        bar.begin([Task(case(0), (0, 1)), Task(case(1), (0,))], stored=2)
        bar.event(Started(case(0), 0, False))
        bar._live.refresh()
        bar.event(Measured(case(0), 0, {"status": "converged", "time": 0.5, "wall": 0.6}))
        bar.event(Started(case(1), 0, False))
        bar._live.refresh()
        bar.event(Measured(case(1), 0, {"status": "timeout", "reason": "killed after its time limit of 1 s"}))
        bar._live.refresh()
    shown = stream.getvalue()
    assert "2 repeats are in the store already" in shown
    assert "estimating the time left" in shown
    for part in ("1/3", "2/3", "about 1 s left", "s1 | numpy:cpu float64 | seed 0 | repeat 1"):
        assert part in shown
    assert "repeat 1: timeout (killed after its" in shown


def test_time_left_runs_down_while_a_repeat_runs(clock):
    estimate = Estimate()
    estimate.begin([Task(case(0), (0, 1, 2))])
    estimate.event(Started(case(0), 0, False))
    clock.now += 10
    estimate.event(Measured(case(0), 0, {"status": "converged", "wall": 4.0}))
    assert estimate.left() == pytest.approx(8.0)
    estimate.event(Started(case(0), 1, True))
    clock.now += 3
    assert estimate.left() == pytest.approx(5.0)
    clock.now += 30
    assert estimate.left() == pytest.approx(4.0)
