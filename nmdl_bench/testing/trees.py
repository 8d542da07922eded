"""Trees of arrays, as the interface's control flow passes them: dicts, tuples, named tuples, lists, None and leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


def tree_map(fn: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with ``fn`` applied to each leaf; None stays None."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {name: tree_map(fn, value) for name, value in tree.items()}
    if isinstance(tree, tuple | list):
        values = [tree_map(fn, value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return fn(tree)


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves in order; None is none."""
    if tree is None:
        return
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    if isinstance(tree, tuple | list):
        for value in tree:
            yield from leaves(value)
    else:
        yield tree


def flat(tree: Any) -> np.ndarray:
    """The leaves of a tree of NumPy arrays as one vector."""
    return np.concatenate([np.zeros(0), *map(np.ravel, leaves(tree))])
