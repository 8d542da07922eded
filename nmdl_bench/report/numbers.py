"""Numbers as tables print them."""

from __future__ import annotations

import math


def significant(value: float, digits: int = 3) -> str:
    """``value`` with so many significant digits: ``0.0123``, ``123``, ``1.23e-05``; empty for NaN."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if -4 < exponent < 6:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{value:.{digits - 1}e}"


def count(value: float) -> str:
    """A count: whole where it is, else with three significant digits (a pass over part of the data is a fraction)."""
    if math.isfinite(value) and (value == round(value) or abs(value) >= 1000):
        return f"{value:.0f}"
    return significant(value)


def percent(value: float) -> str:
    """A fraction in percent, two decimals: a test part of 1,000 resolves 0.1, and 98.96 must not read as 99.0."""
    return "" if math.isnan(value) else f"{100 * value:.2f}"


def mebibytes(value: float) -> str:
    """Bytes in MiB, three significant digits."""
    return significant(max(value, 0.0) / 2**20) if math.isfinite(value) else ""
