"""A worker process under limits: whatever it does, the parent goes on with one sentence that says what happened.

Timings of array libraries that share a process disturb one another: their thread pools compete. A worker therefore
holds one library, with its threads pinned before import. Many may be alive, but only one is asked at a time; the others
block on their pipe.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import site
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgspec
import psutil

from nmdl_bench.measure import wire
from nmdl_bench.measure.threads import thread_environment

FailureStatus = Literal["timeout", "out_of_memory", "error"]
GIB = 2**30
_POLL = 0.04  # s between looks at the worker's memory: at 5 GB/s a worker overshoots its limit by 0.2 GB
_FAMILY = 0.5  # s between looks for processes that the worker started
_WORDS = 4096  # bytes kept of what the worker wrote to stderr


class WorkerError(Exception):
    """The worker was killed or died; ``status`` and ``reason`` (one line) go into the store."""

    def __init__(self, status: FailureStatus, reason: str) -> None:
        super().__init__(reason)
        self.status: FailureStatus = status
        self.reason = reason


ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": "2000000000", "MALLOC_MMAP_THRESHOLD_": "2000000000"}
"""Has glibc keep what arrays free. Else each large array gives its pages back and the next one faults them in again,
which on a virtual machine may cost as much as the arithmetic. What the caller has set stands."""


def worker_environment(threads: int, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a worker: threads pinned, no hidden caches, this very installation importable."""
    environment = ALLOCATOR | dict(os.environ) | thread_environment(threads)
    # several libraries' workers may share one GPU; compile times of a warm cache are none
    environment |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    environment |= {"PYTHONHASHSEED": "0"}
    root = str(Path(__file__).resolve().parents[2])
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    if root not in installed:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
    return environment | dict(extra or {})


class WorkerProcess:
    """``python -m MODULE`` behind two private pipes; see :mod:`nmdl_bench.measure.serve` for its side.

    Parameters
    ----------
    module : str
        Module to run.
    threads : int
        Threads that its libraries may use.
    cpus : sequence of int
        CPUs that it is held to; empty for all.
    environment : mapping, optional
        Further environment variables.
    """

    def __init__(
        self, module: str, *, threads: int = 1, cpus: Sequence[int] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        child_in, self._to_child = os.pipe()
        from_child, child_out = os.pipe()
        pinned = ",".join(map(str, cpus)) or "-"
        command = [sys.executable, "-P", "-m", module, str(child_in), str(child_out), str(os.getpid()), pinned]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a solver may print what it likes
            stderr=subprocess.PIPE,
            pass_fds=(child_in, child_out),
            env=worker_environment(threads, environment),
        )
        os.close(child_in)
        os.close(child_out)
        assert self._process.stderr is not None
        self._stderr = self._process.stderr.fileno()
        self._inbox = wire.Inbox(from_child)
        self._words = b""
        self._family: list[psutil.Process] = []
        self._family_time = 0.0
        self.alive = True

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def request(self, message: Any, *, time_limit: float | None = None, memory_limit: float | None = None) -> Any:
        """Send a message and wait for the answer.

        Parameters
        ----------
        message : object
            Anything that msgpack can hold.
        time_limit : float, optional
            Seconds after which the worker is killed.
        memory_limit : float, optional
            Bytes of resident memory, processes that it started included, above which it is killed.

        Raises
        ------
        WorkerError
            The worker ran past a limit or died. It is gone then; start another one.
        """
        if not self.alive:
            raise WorkerError("error", "the worker is gone already")
        kills = _oom_kills()
        start = time.monotonic()
        try:
            wire.send(self._to_child, message)
            return self._wait(start, time_limit, memory_limit)
        except (EOFError, BrokenPipeError):
            raise self._post_mortem(kills) from None
        except BaseException:  # a limit, or Ctrl-C in the parent
            self.kill()
            raise

    def _wait(self, start: float, time_limit: float | None, memory_limit: float | None) -> Any:
        poll = select.poll()
        poll.register(self._inbox.fd, select.POLLIN | select.POLLHUP)
        poll.register(self._stderr, select.POLLIN | select.POLLHUP)
        look = start
        while True:
            for fd, _ in poll.poll(_POLL * 1000):
                if fd == self._inbox.fd:
                    self._inbox.read()
                elif not self._listen():
                    poll.unregister(self._stderr)
            if (answer := self._inbox.pop()) is not None:
                return msgspec.msgpack.decode(answer)
            now = time.monotonic()
            if time_limit is not None and now - start > time_limit:
                raise WorkerError("timeout", f"killed after its time limit of {time_limit:g} s")
            if memory_limit is not None and now - look >= _POLL:
                look = now
                used = self._memory(now)
                if used > memory_limit:
                    reason = f"killed at {used / GIB:.2f} GiB, over its memory limit of {memory_limit / GIB:.2f} GiB"
                    raise WorkerError("out_of_memory", reason)

    def _memory(self, now: float) -> int:
        """Resident bytes of the worker and of what it started."""
        if now - self._family_time > _FAMILY:
            self._family_time = now
            try:
                worker = psutil.Process(self.pid)
                self._family = [worker, *worker.children(recursive=True)]
            except psutil.Error:
                self._family = []
        total = 0
        for process in self._family:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    def _listen(self) -> bool:
        """Keep the last of what the worker wrote to stderr; false when there will be no more."""
        data = os.read(self._stderr, 1 << 16)
        self._words = (self._words + data)[-_WORDS:]
        return bool(data)

    def _post_mortem(self, kills: int) -> WorkerError:
        """Say why the worker is gone."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            # whoever kills the whole process group means this process too: leave no verdict in the store then
            time.sleep(0.1)
        with contextlib.suppress(OSError):
            os.set_blocking(self._stderr, False)
            while self._listen():
                pass
        self.kill()
        if code == -signal.SIGKILL and _oom_kills() > kills:
            return WorkerError("out_of_memory", "killed by the system, which ran out of memory")
        lines = [line.strip() for line in self._words.decode(errors="replace").splitlines() if line.strip()]
        words = f"; its last words: {lines[-1][:300]}" if lines else ""
        if code < 0:
            try:
                name = f" ({signal.Signals(-code).name})"
            except ValueError:
                name = ""
            return WorkerError("error", f"worker was killed by signal {-code}{name}{words}")
        return WorkerError("error", f"worker ended by itself with exit code {code}{words}")

    def kill(self) -> None:
        """End the worker and what it started, at once; may be called again."""
        if not self.alive:
            return
        self.alive = False
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(self.pid).children(recursive=True)
        self._process.kill()
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.wait()
        os.close(self._to_child)
        os.close(self._inbox.fd)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _oom_kills() -> int:
    """How often the kernel has killed a process for want of memory, since boot (Linux)."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0
