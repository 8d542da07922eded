"""Time any callable in a process of its own: for benchmarks that compare libraries without a sweep.

>>> with RemoteTimer("mypackage.kernels:torch_gradient", {"width": 64}) as ours:  # doctest: +SKIP
...     interleave({"torch": ours.seconds}, own_clock=True)
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nmdl_bench.measure import clock, memory, serve
from nmdl_bench.measure.process import WorkerError, WorkerProcess

_BATCH = 5e-3  # s: a sample repeats the call until it lasts so long, so that the clock's step does not count


class RemoteTimer:
    """A callable that lives, is warmed up and is timed in a worker process.

    Parameters
    ----------
    target : str
        ``"module:factory"``. The factory takes ``options`` and returns the callable to time; or it and a function that
        synchronises the device; or these and a backend, whose allocator :meth:`call_memory` asks.
    options : mapping
        Keyword arguments of the factory; what msgpack can hold.
    threads : int
        Threads that libraries may use.
    cpus : sequence of int
        CPUs that the process is held to.
    path : sequence of str
        Folders put before ``sys.path``, where the target's module is not installed.
    time_limit : float
        Seconds that one request may take.
    environment : mapping, optional
        Further environment variables of the process.
    warm : bool
        False where the factory has warmed up all there is: the callable is not called to find out how long it takes.

    Raises
    ------
    WorkerError
        The target cannot be imported or made, or a call failed.

    Attributes
    ----------
    first_call : float
        Seconds of the first call less those of a warm one: compilation and other first-time work.
    number : int
        Calls in a sample.
    """

    def __init__(
        self,
        target: str,
        options: Mapping[str, Any] | None = None,
        *,
        threads: int = 1,
        cpus: Sequence[int] = (),
        path: Sequence[str] = (),
        time_limit: float = 300.0,
        environment: Mapping[str, str] | None = None,
        warm: bool = True,
    ) -> None:
        self._limit = time_limit
        self._worker = WorkerProcess("nmdl_bench.measure.remote", threads=threads, cpus=cpus, environment=environment)
        made = self._ask(
            {"verb": "make", "target": target, "options": dict(options or {}), "path": list(path), "warm": warm}
        )
        self.first_call: float = made["first_call"]
        self.number: int = made["number"]

    def _ask(self, message: dict[str, Any]) -> Any:
        answer = self._worker.request(message, time_limit=self._limit)
        if "error" in answer:
            self._worker.kill()
            raise WorkerError("error", answer["error"])
        return answer

    def seconds(self) -> float:
        """One sample: seconds a call, the mean over :attr:`number` calls."""
        return float(self._ask({"verb": "time", "number": self.number})["seconds"])

    def memory(self) -> int:
        """Peak of resident memory in bytes during one call, over what the process held before making the callable."""
        return int(self._ask({"verb": "memory"})["bytes"])

    def call_memory(self) -> tuple[int, int | None]:
        """Peak of resident memory in bytes during one call, over what the process held just before it.

        Beside it, the peak of all that the device's allocator held, where the factory gave a backend that can tell.
        """
        answer = self._ask({"verb": "call_memory"})
        return int(answer["bytes"]), answer["device"]

    def close(self) -> None:
        """End the process."""
        self._worker.kill()

    def __enter__(self) -> RemoteTimer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server:
    """What the worker holds between requests."""

    call: Callable[[], Any]
    synchronize: Callable[[], Any] | None = None
    backend: Any = None
    baseline: int = 0

    def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            return getattr(self, "do_" + message.pop("verb"))(**message)
        except Exception as error:
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}"}

    def do_make(self, target: str, options: dict[str, Any], path: list[str], warm: bool = True) -> dict[str, Any]:
        sys.path[:0] = path
        module, _, name = target.partition(":")
        factory = getattr(importlib.import_module(module), name)
        memory.trim()
        self.baseline = memory.rss()
        made = factory(**options)
        self.call, self.synchronize, self.backend = (*(made if isinstance(made, tuple) else (made,)), None, None)[:3]
        if not warm:
            return {"first_call": 0.0, "number": 1}
        first = clock.timed(self.call, self.synchronize).seconds
        later = clock.timed(self.call, self.synchronize).seconds
        if later < _BATCH:  # so short that a process in between would count
            later = min(later, *(clock.timed(self.call, self.synchronize).seconds for _ in range(5)))
        return {"first_call": max(first - later, 0.0), "number": max(1, min(1000, round(_BATCH / max(later, 1e-7))))}

    def do_time(self, number: int) -> dict[str, Any]:
        def batch() -> None:
            for _ in range(number):
                self.call()

        return {"seconds": clock.timed(batch, self.synchronize).seconds / number}

    def do_memory(self) -> dict[str, Any]:
        memory.trim()
        memory.reset_peak()
        clock.timed(self.call, self.synchronize)
        return {"bytes": max(memory.peak() - self.baseline, 0)}

    def do_call_memory(self) -> dict[str, Any]:
        memory.trim()
        before = memory.rss()
        if self.backend is not None:
            self.backend.memory_reset()
        memory.reset_peak()
        clock.timed(self.call, self.synchronize)
        device = None if self.backend is None else self.backend.memory_peak()
        return {"bytes": max(memory.peak() - before, 0), "device": device}


if __name__ == "__main__":
    serve.answer(*serve.settle(), _Server().handle)
