"""Where a number was measured: packages, processor, system, the code's commit. No paths, no host names."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "nmdl-bench", "numpy", "scipy", "torch", "jax", "jaxlib", "cupy-cuda12x", "cupy-cuda13x", "cupy", "optax",
    "scikit-learn", "mlxtend", "msgspec",
)  # fmt: skip
_DISTRIBUTIONS = {
    "sklearn": ("scikit-learn",),
    "jax": ("jax", "jaxlib"),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
}


def version(distribution: str) -> str | None:
    """Installed version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def versions_of(module: str) -> dict[str, str]:
    """Versions of the distributions behind an import name, without importing it; empty where it is not installed."""
    names = _DISTRIBUTIONS.get(module)
    if names is None:
        names = (module,) if version(module) else tuple(metadata.packages_distributions().get(module, ()))
    return {name: found for name in names if (found := version(name))}


@lru_cache(maxsize=1)
def cpu_model() -> str:
    """Name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("model name", "Model", "cpu model")):
                    return line.partition(":")[2].strip()
    except OSError:
        if sys.platform == "darwin":
            return _output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def gpus() -> tuple[dict[str, str], ...]:
    """Name, memory and driver of each NVIDIA GPU, as its driver tells."""
    fields = ("name", "memory.total", "driver_version")
    lines = _output("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader").splitlines()
    rows = [[value.strip() for value in line.split(",")] for line in lines]
    return tuple(dict(zip(("name", "memory", "driver"), row, strict=True)) for row in rows if len(row) == len(fields))


def device_kind(device: str) -> str:
    """What ``"cpu"`` or ``"cuda:N"`` is on this machine: the processor's or the GPU's name."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return cpu_model()
    found = gpus()
    n = int(index) if index.isdigit() else 0
    return found[n]["name"] if n < len(found) else "none"


def commit(folder: Path | None = None) -> dict[str, Any]:
    """Git commit of the package's source, and whether the tree differs from it; empty where it is not in a git tree.

    Parameters
    ----------
    folder : Path, optional
        Where to look; default the folder of this package.
    """
    folder = folder or Path(__file__).resolve().parents[1]
    head = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    if not head:
        return {}
    # an installed package may lie in an environment inside somebody else's tree
    if not _output("git", "-C", str(folder), "ls-files", "--", "."):
        return {}
    changed = _output("git", "--no-optional-locks", "-C", str(folder), "status", "--porcelain", "--", ".")
    return {"commit": head, "dirty": bool(changed)}


def provenance() -> dict[str, Any]:
    """Facts about this machine and installation, for JSON. Read without importing any array library."""
    import psutil

    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "cpus": os.cpu_count(),
        "cpus_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "gpus": list(gpus()),
        "packages": {name: found for name in PACKAGES if (found := version(name))},
        "source": commit(),
    }


def _output(*command: str) -> str:
    """Output of a command, or nothing where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
