"""Every backend and stand-in against the interface."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.testing import check_backend, standins

STAND_INS = ("poison", "strict", "strict-scalar", "cupy", "torch-device")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("spec", ["numpy", "numpy:cpu", "torch", "torch:cpu"])
def test_library(spec: str, dtype: str) -> None:
    check_backend(get_backend(spec, dtype))


def test_jax_in_float64() -> None:
    check_backend(get_backend("jax", "float64"))


def test_jax_in_float32_without_x64() -> None:
    # x64 holds for a whole process, and float64 tests have it on: float32 is only itself in a process of its own
    program = """
import jax
from nmdl_bench.backends import get_backend
from nmdl_bench.networks.layers import EulerBlock
from nmdl_bench.testing import check_backend, check_layer
xp = get_backend("jax:cpu", "float32")
check_backend(xp)
check_layer(EulerBlock(3, 2), xp, 3, autodiff=())
assert not jax.config.jax_enable_x64
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", STAND_INS)
def test_stand_in(name: str, dtype: str) -> None:
    backends = {xp.library: xp for xp in standins(dtype)}
    assert set(backends) == set(STAND_INS)
    check_backend(backends[name])
