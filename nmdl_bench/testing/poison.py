"""A backend that punishes the use of a donated argument: it holds NaN afterwards."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from nmdl_bench.backends.derivatives import DONATED
from nmdl_bench.backends.numpy import NumpyBackend
from nmdl_bench.contracts import NmdlError
from nmdl_bench.testing.trees import leaves, tree_map


class DonationError(NmdlError, AssertionError):
    """An argument was donated that may not be, such as read-only data or memory that stands twice in a state."""


class PoisonBackend(NumpyBackend):
    """NumPy, but functional: a donating verb returns a fresh array and overwrites its donated argument with NaN.

    The memory itself is overwritten, so that whatever else looks at it (a view, an alias in a state, a tape) shows it
    too. On NumPy, PyTorch and CuPy code that reads a donated argument computes with a half-updated value; here it
    computes with NaN. ``while_loop`` donates its state and ``compile`` what its ``donate`` names. Integers are left
    alone.
    """

    library: ClassVar[str] = "poison"

    def __init__(self, device: str = "cpu", dtype: str = "float64") -> None:
        super().__init__(device, dtype)
        for verb, position in DONATED.items():
            setattr(self, verb, _poisoning(verb, position, getattr(self, verb)))

    def while_loop(self, cond: Callable[[Any], Any], body: Callable[[Any], Any], state: Any) -> Any:
        return super().while_loop(cond, body, _take_away("while_loop", state))

    def compile(self, fn: Callable[..., Any], donate: tuple[int, ...] = ()) -> Callable[..., Any]:
        def compiled(*args: Any) -> Any:
            name = f"a function compiled with donate={donate}"
            return fn(*(_take_away(name, arg) if i in donate else arg for i, arg in enumerate(args)))

        return compiled


def _poisoning(verb: str, position: int, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        donated = args[position]
        fresh = [*args]
        fresh[position] = _own_copy(verb, donated)
        value = method(*fresh, **kwargs)
        _poison(donated)
        return value

    call.__doc__ = method.__doc__
    return call


def _own_copy(verb: str, x: Any) -> Any:
    if not isinstance(x, np.ndarray):
        return x
    if not x.flags.writeable:
        raise DonationError(f"{verb} is given a read-only array of shape {x.shape} to overwrite; pass xp.copy of it")
    return x.copy()


def _poison(x: Any) -> None:
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        x[...] = np.nan


def _take_away(verb: str, tree: Any) -> Any:
    """A copy of a donated tree, whose own arrays then hold NaN."""
    arrays = [leaf for leaf in leaves(tree) if isinstance(leaf, np.ndarray)]
    for a, b in combinations(arrays, 2):
        if np.shares_memory(a, b):
            raise DonationError(
                f"{verb} is given a state where arrays of shapes {a.shape} and {b.shape} share memory; "
                "copy one of them: JAX refuses to donate an array twice, and the others would overwrite both"
            )
    fresh = tree_map(lambda leaf: _own_copy(verb, leaf), tree)
    for array in arrays:
        _poison(array)
    return fresh
