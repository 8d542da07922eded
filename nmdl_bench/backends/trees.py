"""Trees of arrays, as tapes and states are: dictionaries, tuples and named tuples of arrays and None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def tree_map(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """``f`` of corresponding leaves of trees of one structure; None stays None.

    Whatever is neither a dictionary nor a tuple is a leaf, what an eager ``scan`` stacked (a list) too.
    """
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {name: tree_map(f, value, *(other[name] for other in others)) for name, value in tree.items()}
    if isinstance(tree, tuple):
        values = [tree_map(f, *column) for column in zip(tree, *others)]
        return type(tree)(*values) if hasattr(tree, "_fields") else tuple(values)
    return f(tree, *others)
