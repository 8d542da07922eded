"""One array library a file behind one small interface: ``xp = get_backend("torch:cuda:0", "float32")``."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nmdl_bench.contracts import UnavailableError, unknown

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

_OWN = {"numpy": "NumpyBackend", "torch": "TorchBackend", "jax": "JaxBackend", "cupy": "CupyBackend"}
ENTRY_POINTS = "nmdl_bench.backends"


@lru_cache(maxsize=1)
def _plugged() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def libraries() -> list[str]:
    """Names of the array libraries that this installation knows, installed or not."""
    return [*_OWN, *_plugged()]


def installed() -> list[str]:
    """Those of :func:`libraries` that can be imported (found without importing them)."""
    return [name for name in libraries() if name not in _OWN or importlib.util.find_spec(name) is not None]


def split_spec(spec: str) -> tuple[str, str]:
    """``"torch:cuda:0"`` as ``("torch", "cuda:0")``; without a device, the library's default one.

    Raises
    ------
    UnknownNameError
        The library is not among :func:`libraries`.
    """
    library, _, device = str(spec).partition(":")
    if library not in libraries():
        error = unknown("backend", library, libraries())
        error.args = (f"{error.args[0]}; installed: {', '.join(installed())}",)
        raise error
    return library, device or ("cuda:0" if library == "cupy" else "cpu")


def get_backend(spec: str, dtype: str = "float64") -> Backend:
    """The backend for ``"library"`` or ``"library:device"``.

    Parameters
    ----------
    spec : str
        Such as ``"numpy"``, ``"torch:cpu"``, ``"torch:cuda:0"``, ``"jax:cpu"``, ``"cupy"``.
    dtype : str
        ``"float64"`` or ``"float32"``. On JAX, asking for float64 turns x64 on for the process.

    Raises
    ------
    UnknownNameError
        No such library.
    UnavailableError
        Not installed, or no such device here.
    ConfigurationError
        No such dtype.
    """
    library, device = split_spec(spec)
    if library in _plugged():
        return _plugged()[library].load()(device, dtype)
    try:
        module = importlib.import_module(f"nmdl_bench.backends.{library}")
        make = getattr(module, _OWN[library])
        return make(device, dtype)
    except ImportError as error:
        if isinstance(error, UnavailableError):
            raise
        extra = "cupy-cuda13x" if library == "cupy" else library
        raise UnavailableError(f"{library} is not usable here ({error}); pip install 'nmdl-bench[{extra}]'") from error


def backend_rows() -> list[dict[str, Any]]:
    """What ``nmdl-bench doctor`` shows: one row a library, each probed in a process of its own."""
    from nmdl_bench.backends.probe import probe

    return [probe(name) for name in libraries()]
