"""Factories that the tests of remote timers run in worker processes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from typing import Any


def sleeper(seconds: float = 0.05, first: float = 0.0) -> Any:
    waits = [first]

    def call() -> None:
        time.sleep(seconds + (waits.pop() if waits else 0.0)) if seconds + sum(waits) else None

    return call


def allocator(mebibytes: int) -> Any:
    def call() -> None:
        bytearray(mebibytes * 2**20).count(1)

    return call


def teller(folder: str) -> Any:
    assert folder in sys.path
    print("to nobody")
    return lambda: None


def told() -> Any:
    assert "numpy" not in sys.modules
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["NMDL_PROBE"] == "kept"
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert len(os.sched_getaffinity(0)) == 1
    if os.path.exists("/proc/self/oom_score_adj"):
        with open("/proc/self/oom_score_adj") as file:
            assert file.read().strip() == "1000"
    return lambda: None


def parent(mebibytes: int) -> Any:
    program = f"import time\nx = b'1' * ({mebibytes} * 2**20)\nprint(len(x), flush=True)\ntime.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    calls = itertools.count()
    return lambda: time.sleep(60 if next(calls) > 20 else 0)  # after the warm-up


def broken() -> Any:
    raise ValueError("cannot be made")


def holder(held: int, needed: int) -> Any:
    """Holds something, and takes more during a call; beside it what an allocator of a device would say."""
    kept = bytearray(held * 2**20)
    kept[::4096] = b"1" * len(kept[::4096])
    calls = itertools.count()

    class Device:
        def memory_reset(self) -> None:
            self.reset = True

        def memory_peak(self) -> int:
            return 1000 + next(calls) if self.reset else 0

    def call() -> None:
        bytearray(needed * 2**20).count(1)
        next(calls)
        len(kept)

    return call, lambda *_: None, Device()


def environment_teller() -> Any:
    assert os.environ["MALLOC_MMAP_THRESHOLD_"] == "65536"
    return lambda: None
