"""The worker's side of :mod:`nmdl_bench.measure.process`: settle in, then answer requests until the parent is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from nmdl_bench.measure import threads, wire

_PR_SET_PDEATHSIG = 1


def settle() -> tuple[int, int]:
    """Prepare this process to be a worker, before any array library is imported; return its pipes (read, write).

    It dies with its parent, leaves Ctrl-C to the parent, is the first that the kernel picks when memory runs out, and
    stays on the CPUs that the parent chose. The command line holds the two file descriptors, the parent's process id
    and the CPUs (``"2,3"``, or ``"-"`` for no pinning).
    """
    read, write, parent, cpus = sys.argv[1:5]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(int(parent))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    if cpus != "-":
        threads.pin([int(cpu) for cpu in cpus.split(",")])
    return int(read), int(write)


def answer(read: int, write: int, handle: Callable[[Any], Any]) -> None:
    """Answer each message with ``handle(message)`` until the parent closes its end."""
    inbox = wire.Inbox(read)
    while True:
        try:
            message = inbox.receive()
        except EOFError:
            return
        try:
            wire.send(write, handle(message))
        except BrokenPipeError:
            return


def _die_with(parent: int) -> None:
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before this process could ask to be told
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
