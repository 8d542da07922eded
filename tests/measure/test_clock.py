import time

from nmdl_bench.measure.clock import resolution, timed


def test_waits_for_the_device_before_and_after():
    calls = []
    value, seconds = timed(lambda: calls.append("work") or 7, lambda: calls.append("wait"))
    assert value == 7
    assert calls == ["wait", "work", "wait"]
    assert seconds > 0


def test_time_of_the_device_counts():
    def wait():
        time.sleep(0.02)

    assert 0.02 <= timed(lambda: None, wait).seconds < 0.2


def test_resolution_is_fine_enough():
    assert 0 < resolution() < 1e-3
