"""Pin the threads of array libraries: by environment variables before import, and by CPU affinity.

Thread pools are sized when a library is imported, and each library reads variables of its own. XLA bounds only part of
its work by flags, so that affinity, where the system has it, is what holds for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

_POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NPROC",  # XLA's CPU client sizes its pools by it
)
_EIGEN = "--xla_cpu_multi_thread_eigen"


def thread_environment(threads: int, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables that hold BLAS, OpenMP and XLA to a number of threads.

    Parameters
    ----------
    threads : int
        At least 1.
    base : mapping, optional
        Environment whose ``XLA_FLAGS`` are kept beside ours; default ``os.environ``.

    Returns
    -------
    dict
        Variables to set before any array library is imported.
    """
    if threads < 1:
        raise ValueError(f"threads = {threads}: must be at least 1")
    flags = (os.environ if base is None else base).get("XLA_FLAGS", "")
    # what starts otherwise is the name of a file with flags, and can hold nothing else
    if not flags or flags.lstrip().startswith("--"):
        kept = [flag for flag in flags.split() if not flag.startswith(_EIGEN)]
        flags = " ".join([*kept, f"{_EIGEN}=false"] if threads == 1 else kept)
    return {name: str(threads) for name in _POOLS} | {"XLA_FLAGS": flags, "OMP_DYNAMIC": "FALSE"}


def choose_cpus(threads: int, sample: float = 0.1) -> tuple[int, ...]:
    """The idlest CPUs for ``threads`` threads, distinct cores first.

    Parameters
    ----------
    threads : int
        Number of CPUs wanted.
    sample : float
        Seconds over which the load is sampled.

    Returns
    -------
    tuple of int
        Empty where nothing should be pinned: no affinity on this system, or no more CPUs than threads.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) <= threads:
        return ()
    import psutil

    load = psutil.cpu_times_percent(interval=sample, percpu=True)
    idle = {cpu: getattr(load[cpu], "idle", 0.0) if cpu < len(load) else 0.0 for cpu in allowed}
    # among equally idle ones the highest: interrupts and short-lived processes tend to land on the first
    ranked = sorted(allowed, key=lambda cpu: (-round(idle[cpu] / 10), -cpu))
    cores: dict[str, list[int]] = {}
    for cpu in ranked:
        cores.setdefault(_core(cpu), []).append(cpu)
    first = [cpus[0] for cpus in cores.values()]
    rest = [cpu for cpus in cores.values() for cpu in cpus[1:]]
    return tuple(sorted((first + rest)[:threads]))


def _core(cpu: int) -> str:
    """Name of the physical core: the list of its hardware threads."""
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return str(cpu)


def pin(cpus: Sequence[int]) -> bool:
    """Hold this process, and threads that it starts from now on, to ``cpus``; say whether the system did so."""
    if not cpus or not hasattr(os, "sched_setaffinity"):
        return False
    try:
        os.sched_setaffinity(0, cpus)
    except OSError:  # a container may take CPUs away between the choice and now
        return False
    return True


def thread_facts() -> list[dict[str, object]]:
    """Thread pools as found in this process: kind, library, version and number of threads; no paths."""
    from threadpoolctl import threadpool_info

    keep = ("user_api", "internal_api", "version", "architecture", "threading_layer", "num_threads")
    return [{name: pool[name] for name in keep if pool.get(name) is not None} for pool in threadpool_info()]
