"""Peak of a process's resident memory over a span of time.

On Linux the kernel's own high-water mark is used, reset at the start of the span (``/proc/self/clear_refs``; proc(5)),
so that short spikes count. Elsewhere, or where that file is not writable, the mark is that of the whole process life:
still an upper bound.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from functools import lru_cache


def rss() -> int:
    """Resident memory of this process in bytes."""
    status = _status()
    if "VmRSS" in status:
        return status["VmRSS"]
    import psutil

    return int(psutil.Process().memory_info().rss)


def trim() -> None:
    """Collect garbage, and hand freed heap pages back to the system where the C library can (glibc)."""
    gc.collect()
    release = _malloc_trim()
    if release is not None:
        release(0)


def reset_peak() -> bool:
    """Start a new span for :func:`peak`; false where the mark cannot be reset."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return False
    return True


def peak() -> int:
    """High-water mark of resident memory in bytes since :func:`reset_peak`, or since the process began."""
    status = _status()
    if "VmHWM" in status:
        # the counters of running threads reach VmHWM late by a few pages; VmRSS may be ahead of it
        return max(status["VmHWM"], status.get("VmRSS", 0))
    import psutil

    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return int(info.peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def _status() -> dict[str, int]:
    """``VmRSS`` and ``VmHWM`` in bytes from ``/proc/self/status``; empty where there is none."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            found[name] = int(value.split()[0]) * 1024
    return found


@lru_cache(maxsize=1)
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        release: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl has none
        return None
    return release
