"""Round robin: what is compared is measured in turn, so that drift of the machine hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from nmdl_bench.measure.clock import timed

K = TypeVar("K", bound=Hashable)


def rounds(subjects: Sequence[K], count: int) -> Iterator[tuple[int, K]]:
    """Each subject once a round, starting one further on in each round.

    The shift keeps any subject from always coming first, where a clock frequency or a cache may favour it.

    Parameters
    ----------
    subjects : sequence
        What is compared.
    count : int
        Number of rounds.

    Yields
    ------
    tuple
        Round (from 0) and subject. The first round keeps the given order.
    """
    for r in range(count):
        shift = r % len(subjects) if subjects else 0
        for subject in (*subjects[shift:], *subjects[:shift]):
            yield r, subject


def interleave(
    subjects: Mapping[K, Callable[[], Any]],
    count: int = 10,
    *,
    warmup: int = 1,
    synchronize: Callable[[], Any] | None = None,
    own_clock: bool = False,
) -> dict[K, list[float]]:
    """Time callables round robin.

    Parameters
    ----------
    subjects : mapping
        Name to a callable without arguments.
    count : int
        Measured rounds.
    warmup : int
        Rounds before them that are not kept.
    synchronize : callable, optional
        Waits until the device is idle; see :func:`nmdl_bench.measure.clock.timed`.
    own_clock : bool
        The callables return the seconds that they measured themselves, as those of worker processes do
        (:class:`nmdl_bench.measure.remote.RemoteTimer`).

    Returns
    -------
    dict
        Name to ``count`` durations in seconds; those at the same index were measured side by side.
    """
    samples: dict[K, list[float]] = {name: [] for name in subjects}
    for r, name in rounds(list(subjects), warmup + count):
        value, seconds = timed(subjects[name], synchronize)
        if r >= warmup:
            samples[name].append(float(value) if own_clock else seconds)
    return samples
