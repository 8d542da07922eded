"""Few combinations of factors' values in which all pairs of values occur (Cohen, Dalal, Fredman and Patton 1997)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product

Factors = dict[str, Sequence[str]]
Case = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]
Reason = Callable[[Case], str | None]
"""Why a combination, which may lack factors, cannot be; None where it can."""


def pairs(factors: Factors) -> Iterator[Pair]:
    """All pairs of values of two factors, as ((factor, value), (factor, value))."""
    for a, b in combinations(factors, 2):
        for pair in product(factors[a], factors[b]):
            yield (a, pair[0]), (b, pair[1])


def complete(partial: Case, factors: Factors, reason: Reason, prefer: Callable[[Case, str], list[str]]) -> Case | None:
    """The first valid combination that holds ``partial``, trying values in the order of ``prefer``; None if none is."""
    if reason(partial):
        return None
    missing = [factor for factor in factors if factor not in partial]
    if not missing:
        return {factor: partial[factor] for factor in factors}
    for value in prefer(partial, missing[0]):
        if (found := complete({**partial, missing[0]: value}, factors, reason, prefer)) is not None:
            return found
    return None


def singles(factors: Factors, default: Case, reason: Reason) -> list[Case]:
    """Each value alone, the others at their defaults, or where those do not go with it, at the first values that do."""

    def nearest(partial: Case, factor: str) -> list[str]:
        return [default[factor], *(value for value in factors[factor] if value != default[factor])]

    found: list[Case] = []
    for factor, values in factors.items():
        for value in values:
            case = complete({factor: value}, factors, reason, nearest)
            if case is not None and case not in found:
                found.append(case)
    return found


def covering(factors: Factors, reason: Reason, start: Sequence[Case] = ()) -> tuple[list[Case], dict[Pair, str]]:
    """Valid cases, ``start`` first, that hold every pair of values which a valid case can hold.

    Greedy: each new case holds the first pair that is still missing, and takes for each factor in turn the value that
    brings most missing pairs. The same arguments give the same cases.

    Returns
    -------
    cases : list of dict
        Value of each factor.
    impossible : dict
        The pairs that no case can hold, each with a reason.
    """
    missing = dict.fromkeys(pairs(factors))
    cases = [*start]
    for case in cases:
        _strike(case, missing)
    impossible: dict[Pair, str] = {}

    def gain(partial: Case, factor: str) -> list[str]:
        def brought(value: str) -> int:
            return sum(_pair(factors, (factor, value), item) in missing for item in partial.items())

        return sorted(factors[factor], key=brought, reverse=True)

    while missing:
        pair = next(iter(missing))
        case = complete(dict(pair), factors, reason, gain)
        if case is None:
            impossible[pair] = reason(dict(pair)) or "no values of the other factors go with both"
            del missing[pair]
        else:
            cases.append(case)
            _strike(case, missing)
    return cases, impossible


def _strike(case: Case, missing: dict[Pair, None]) -> None:
    for pair in combinations(case.items(), 2):
        missing.pop(pair, None)


def _pair(factors: Factors, a: tuple[str, str], b: tuple[str, str]) -> Pair:
    order = list(factors)
    return (a, b) if order.index(a[0]) < order.index(b[0]) else (b, a)
