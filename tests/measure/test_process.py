"""Worker processes under limits, and the timer that runs any callable in one."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from nmdl_bench.measure.interleave import interleave
from nmdl_bench.measure.process import WorkerError, WorkerProcess, worker_environment
from nmdl_bench.measure.remote import RemoteTimer

HERE = str(Path(__file__).resolve().parent)


def timer(factory, options=None, **more):
    return RemoteTimer(f"remote_targets:{factory}", options, path=[HERE], **more)


def test_times_memory_and_first_call():
    with timer("sleeper", {"seconds": 0.02, "first": 0.2}) as remote:
        assert 0.02 <= remote.seconds() < 1
        assert 0.02 < remote.first_call < 2
        assert remote.number == 1
    with timer("allocator", {"mebibytes": 64}) as remote:
        assert 60 * 2**20 < remote.memory() < 100 * 2**20


def test_short_calls_are_repeated_within_a_sample():
    with timer("sleeper", {"seconds": 0.0, "first": 0.0}) as remote:
        assert remote.number > 100
        assert 0 < remote.seconds() < 1e-3


def test_remote_timers_interleave():
    with timer("sleeper", {"seconds": 0.01}) as a, timer("sleeper", {"seconds": 0.25}) as b:
        samples = interleave({"a": a.seconds, "b": b.seconds}, 2, own_clock=True)
    assert max(samples["a"]) < min(samples["b"])


def test_what_the_target_finds():
    """Threads are pinned before import, Ctrl-C is ignored, stdout is no one's, memory pressure hits it first."""
    os.environ["NMDL_PROBE"] = "kept"
    try:
        with timer("teller", {"folder": HERE}, threads=3, cpus=[min(os.sched_getaffinity(0))]) as remote:
            facts = remote._ask({"verb": "make", "target": "remote_targets:told", "options": {}, "path": []})
    finally:
        del os.environ["NMDL_PROBE"]
    assert facts["number"] >= 1


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("no_such_module:f", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("remote_targets:none", "AttributeError: module 'remote_targets' has no attribute 'none'"),
        ("remote_targets:broken", "ValueError: cannot be made"),
    ],
)
def test_target_that_cannot_be_made(target, sentence):
    with pytest.raises(WorkerError, match=sentence) as caught:
        RemoteTimer(target, path=[HERE])
    assert caught.value.status == "error"


def test_time_limit_kills_and_says_so():
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"killed after its time limit of 1\.5 s") as caught:
        timer("sleeper", {"seconds": 30.0}, time_limit=1.5)
    assert caught.value.status == "timeout"
    assert time.monotonic() - began < 5


def started(mebibytes_of_child=0):
    """A worker process that serves requests of the timer."""
    worker = WorkerProcess("nmdl_bench.measure.remote")
    options = {"mebibytes": mebibytes_of_child} if mebibytes_of_child else {}
    name = "parent" if mebibytes_of_child else "sleeper"
    made = worker.request({"verb": "make", "target": f"remote_targets:{name}", "options": options, "path": [HERE]})
    assert "error" not in made
    return worker


def test_memory_of_its_own_processes_counts_and_they_end_with_it():
    with started(mebibytes_of_child=200) as worker:
        family = psutil.Process(worker.pid).children(recursive=True)
        assert family
        with pytest.raises(WorkerError, match=r"killed at 0\.\d\d GiB, over its memory limit of 0\.15 GiB") as caught:
            worker.request({"verb": "time", "number": 100}, memory_limit=0.15 * 2**30, time_limit=20)
        assert caught.value.status == "out_of_memory"
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    with pytest.raises(WorkerError, match="gone already"):
        worker.request({})


def test_killed_from_outside():
    with started() as worker:
        threading.Timer(0.2, os.kill, (worker.pid, signal.SIGKILL)).start()
        with pytest.raises(WorkerError, match=r"worker was killed by signal 9 \(SIGKILL\)"):
            worker.request({"verb": "time", "number": 1000}, time_limit=20)


def test_killed_while_idle():
    with started() as worker:
        os.kill(worker.pid, signal.SIGKILL)
        time.sleep(0.1)
        with pytest.raises(WorkerError, match="killed by signal 9"):
            worker.request({"verb": "time", "number": 1}, time_limit=20)


def test_worker_that_cannot_start():
    with WorkerProcess("nmdl_bench.no_such_module") as worker, pytest.raises(WorkerError) as caught:
        worker.request({}, time_limit=20)
    assert str(caught.value).startswith("worker ended by itself with exit code 1; its last words: ")
    assert str(caught.value).endswith("No module named nmdl_bench.no_such_module")


def test_interrupt_in_the_parent_ends_the_worker():
    with started() as worker:
        process = psutil.Process(worker.pid)
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            worker.request({"verb": "time", "number": 1000}, time_limit=20)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_environment_makes_this_installation_importable():
    found = worker_environment(2, {"EXTRA": "1"})
    assert found["OMP_NUM_THREADS"] == "2"
    assert found["EXTRA"] == "1"
    assert found["JAX_ENABLE_COMPILATION_CACHE"] == "false"
    root = str(Path(sys.modules["nmdl_bench"].__file__ or "").resolve().parents[1])
    assert root in found.get("PYTHONPATH", "").split(os.pathsep) or root in sys.path
