"""Wall-clock time of calls whose work may be asynchronous."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Timed(NamedTuple, Generic[T]):
    """A call's value and its duration in seconds."""

    value: T
    seconds: float


def timed(call: Callable[[], T], synchronize: Callable[[], Any] | None = None) -> Timed[T]:
    """Call ``call`` and time it, with the device idle at both edges.

    Parameters
    ----------
    call : callable
        Takes no arguments.
    synchronize : callable, optional
        Waits until the device is idle (``xp.synchronize``); None where calls return when their work is done.
    """
    if synchronize is not None:
        synchronize()
    start = time.perf_counter()
    value = call()
    if synchronize is not None:
        synchronize()
    return Timed(value, time.perf_counter() - start)


def resolution(samples: int = 100) -> float:
    """Smallest step in seconds that the clock was seen to make: shorter calls have to be timed in a loop."""
    steps = []
    for _ in range(samples):
        start = end = time.perf_counter()
        while end == start:
            end = time.perf_counter()
        steps.append(end - start)
    return min(steps)
