"""Compiled functions are kept, but not without bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nmdl_bench.backends import compiled, get_backend
from nmdl_bench.problems import FunctionProblem


def test_what_is_unused_for_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_COMPILED", {})
    monkeypatch.setattr(compiled, "KEPT", 3)
    objective = FunctionProblem("f", lambda xp, x: xp.dot(x, x), [1.0]).bind(get_backend("numpy"))
    built = []

    def build(key: int) -> Callable[..., Any]:
        return compiled.compiled((key,), objective, lambda bare: built.append(key) or (lambda: key))

    for key in (1, 2, 3, 1, 4, 1, 3, 2):
        assert build(key)() == key
    assert built == [1, 2, 3, 4, 2]
    assert len(compiled._COMPILED) == 3
