from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from nmdl_bench import backends
from nmdl_bench.backends import get_backend, installed, libraries, split_spec
from nmdl_bench.backends.numpy import NumpyBackend
from nmdl_bench.contracts import ConfigurationError, UnavailableError, UnknownNameError


def test_specs_are_split() -> None:
    assert split_spec("torch:cuda:0") == ("torch", "cuda:0")
    assert split_spec("jax:cpu") == ("jax", "cpu")
    assert split_spec("numpy") == ("numpy", "cpu")
    assert split_spec("cupy") == ("cupy", "cuda:0")


def test_an_unknown_library_is_named_with_the_nearest_and_the_installed_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown backend 'tourch'; did you mean 'torch'") as caught:
        get_backend("tourch")
    assert f"installed: {', '.join(installed())}" in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "double", "", 64])
def test_an_unknown_dtype_is_refused(dtype: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"unknown dtype {dtype!r}; known: float32, float64"):
        get_backend("numpy", dtype)


@pytest.mark.parametrize(
    "spec", ["numpy:cuda:0", "torch:cuda:99", "torch:nonsense", "jax:cuda:99", "jax:cpu:99", "jax:x", "cupy:cpu"]
)
def test_a_device_that_is_not_there_is_one_sentence(spec: str) -> None:
    library = spec.partition(":")[0]
    with pytest.raises(UnavailableError) as caught:
        get_backend(spec)
    assert library in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cupy_without_a_gpu_is_one_sentence() -> None:
    import cupy

    if cupy.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UnavailableError, match="cupy finds no CUDA device or driver here"):
        get_backend("cupy")


def test_a_library_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nmdl_bench.backends.torch", None)
    with pytest.raises(UnavailableError, match=r"torch is not usable here .*; pip install 'nmdl-bench\[torch\]'"):
        get_backend("torch")


class PluggedBackend(NumpyBackend):
    library = "plugged"


def test_an_entry_point_adds_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def load(self) -> type[PluggedBackend]:
            return PluggedBackend

    monkeypatch.setattr(backends, "_plugged", lambda: {"plugged": Point()})
    assert "plugged" in libraries()
    xp = get_backend("plugged:cpu", "float32")
    assert xp.key == ("plugged", "cpu", "float32")


def test_backends_are_independent() -> None:
    first, second = get_backend("numpy", "float64"), get_backend("numpy", "float32")
    assert (first.dtype_name, second.dtype_name) == ("float64", "float32")
    assert first.zeros((1,)).dtype == "float64"
    assert repr(second) == "<numpy:cpu float32>"


def test_a_missing_device_module_error_is_not_taken_for_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise UnavailableError("the driver is too old; install a newer one")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(UnavailableError, match="the driver is too old"):
        get_backend("numpy")
