"""The optimal schedule for reversing a chain of steps with few stored states.

Griewank and Walther (2000), Algorithm 799: with ``c`` stored states (the first one included), ``l`` steps can be
reversed by ``t(c, l) = r l - beta(c + 1, r - 1)`` steps forward, where ``beta(c, r) = binomial(c + r, c)`` and r is the
one integer with ``beta(c, r - 1) < l <= beta(c, r)``. No schedule needs fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import comb

import numpy as np

from nmdl_bench.networks.checks import check_sizes

ADVANCE, STORE, RESTORE, REVERSE = range(4)
"""Actions: one step forward; keep the state in a slot; take it from a slot; reverse the step that starts here."""


def forward_steps(slots: int, length: int) -> int:
    """``t(c, l)``: steps forward that reversing ``length`` steps with ``slots`` stored states takes at least.

    Not counted is the one evaluation with a tape that each step needs to be reversed.
    """
    check_sizes(slots=slots, length=length)
    r = 0
    while comb(slots + r, slots) < length:
        r += 1
    return r * length - (comb(slots + r, slots + 1) if r else 0)


@lru_cache(maxsize=4096)
def _split(slots: int, length: int) -> int:
    """How far to go before the next state is stored."""
    steps = range(1, length)
    cost = [m + forward_steps(slots - 1, length - m) + forward_steps(slots, m) for m in steps]
    return 1 + int(np.argmin(cost))


def _actions(slots: int, length: int) -> Iterator[tuple[int, int, int]]:
    """The schedule, from a stack of segments: first step, length, slot of its first state, slots, restore first."""
    yield STORE, 0, 0
    stack = [(0, length, 0, slots, False)]
    while stack:
        start, length, slot, slots, restore = stack.pop()
        if restore:
            yield RESTORE, start, slot
        while length > 1:
            m = _split(slots, length) if slots > 1 else length - 1
            yield from ((ADVANCE, start + i, 0) for i in range(m))
            stack.append((start, m, slot, slots, True))
            start, length = start + m, length - m
            if length > 1:
                yield STORE, start, slot + 1
                slot, slots = slot + 1, slots - 1
        yield REVERSE, start, 0


@lru_cache(maxsize=64)
def schedule(slots: int, length: int) -> np.ndarray:
    """Rows (action, step, slot) that reverse ``length`` steps; at their start the first state is at hand.

    Parameters
    ----------
    slots : int
        States that may be stored, the first one included.
    length : int
        Steps.

    Returns
    -------
    ndarray of int
        One row an action. The step of ADVANCE and REVERSE is the one that is taken or reversed.
    """
    check_sizes(slots=slots, length=length)
    return np.array(list(_actions(min(slots, length), length)), dtype=np.int32)
