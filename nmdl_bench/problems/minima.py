"""Reference minima of the listed convex problems, as ``python -m benchmarks.minima`` finds them.

Each is the least value of all that is minimised, for the options that differ from a problem's defaults. They come from
SciPy's and scikit-learn's solvers, refined by Newton steps on the free variables with gradients in extended precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MINIMA: dict[str, tuple[tuple[dict[str, Any], float], ...]] = {}
"""For each problem, options and minimum."""


def reference_minimum(name: str, chosen: Mapping[str, Any]) -> float | None:
    """Minimum of the problem ``name`` with options that differ from its defaults by ``chosen``; None if not known.

    The level ``tau`` makes no difference, nor does an option of the data that is given as None.
    """
    kept = {option: value for option, value in chosen.items() if option != "tau" and value is not None}
    return next((minimum for options, minimum in MINIMA.get(name, ()) if options == kept), None)
