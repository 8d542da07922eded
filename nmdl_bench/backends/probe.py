"""What an array library offers on this machine, found in a process of its own: libraries' thread pools do not mix."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from typing import Any

_DISTRIBUTIONS = {"cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy")}
_TIMEOUT = 120


def version(library: str) -> str:
    """Installed version of a library, or an empty string."""
    for distribution in _DISTRIBUTIONS.get(library, (library,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return ""


def probe(library: str) -> dict[str, Any]:
    """Row of one library: name, version, devices, usable, reason, blas, threads, float64."""
    row: dict[str, Any] = {
        "name": library, "version": version(library), "devices": [], "usable": False,
        "reason": "", "blas": "", "threads": None, "float64": False,
    }  # fmt: skip
    if not row["version"]:
        extra = "cupy-cuda13x" if library == "cupy" else library
        return row | {"reason": f"not installed; pip install 'nmdl-bench[{extra}]'"}
    command = [sys.executable, "-m", "nmdl_bench.backends.probe", library]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return row | {"reason": f"did not answer within {_TIMEOUT} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return row | {"reason": f"fails to start: {last}"}
    return row | json.loads(done.stdout.splitlines()[-1])


def _devices(library: str) -> list[str]:
    if library == "torch":
        import torch

        return ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if library == "jax":
        import jax

        gpus = [d for d in jax.devices() if d.platform == "gpu"]
        return ["cpu", *(f"cuda:{d.id}" for d in gpus)]
    if library == "cupy":
        import cupy

        return [f"cuda:{i}" for i in range(cupy.cuda.runtime.getDeviceCount())] if cupy.cuda.is_available() else []
    return ["cpu"]


def _describe(library: str) -> dict[str, Any]:
    """Run a product in float64 on the library's first device and say what served it."""
    import numpy as np
    from threadpoolctl import threadpool_info

    from nmdl_bench.backends import get_backend
    from nmdl_bench.contracts import UnavailableError

    try:
        devices = _devices(library)
        xp = get_backend(library, "float64")
        A = xp.asarray(np.eye(64))
        exact = xp.to_numpy(A @ A).dtype == np.float64
    except UnavailableError as error:
        return {"usable": False, "reason": str(error)}
    pools = threadpool_info()
    blas = [pool for pool in pools if pool["user_api"] == "blas"]
    row: dict[str, Any] = {"devices": devices, "usable": True, "float64": bool(exact)}
    if library == "numpy" and blas:
        row["blas"] = f"{blas[0]['internal_api']} {blas[0]['version']}"
        row["threads"] = blas[0]["num_threads"]
    elif library == "torch":
        import torch

        row["blas"] = "MKL" if torch.backends.mkl.is_available() else "OpenBLAS or Eigen"
        row["threads"] = torch.get_num_threads()
    elif library == "jax":
        import os

        row["blas"] = "XLA (Eigen, oneDNN)" if xp.device == "cpu" else "XLA (cuBLAS)"
        row["threads"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    elif library == "cupy":
        row["blas"] = "cuBLAS"
    return row


if __name__ == "__main__":
    print(json.dumps(_describe(sys.argv[1])))
