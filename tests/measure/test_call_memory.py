"""Memory of one call in a process of its own."""

from pathlib import Path

from nmdl_bench.measure.remote import RemoteTimer

HERE = str(Path(__file__).parent)


def test_peak_of_a_call_is_over_what_was_held_and_the_device_is_asked():
    options = {"held": 64, "needed": 24}
    with RemoteTimer("remote_targets:holder", options, path=[HERE], warm=False) as timer:
        host, device = timer.call_memory()
        assert 24 <= host / 2**20 < 40
        assert device == 1001  # one call so far: nothing was warmed up
        assert (timer.number, timer.first_call) == (1, 0.0)
        assert timer.memory() >= 60 * 2**20  # which counts what the factory made


def test_callable_without_a_device_has_none():
    with RemoteTimer("remote_targets:allocator", {"mebibytes": 16}, path=[HERE]) as timer:
        host, device = timer.call_memory()
    assert device is None
    assert 15 * 2**20 <= host < 32 * 2**20


def test_process_gets_further_environment_variables():
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    with RemoteTimer("remote_targets:environment_teller", path=[HERE], environment=environment) as timer:
        assert timer.seconds() >= 0
