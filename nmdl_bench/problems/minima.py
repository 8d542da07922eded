"""Reference minima of the listed convex problems, as ``python -m benchmarks.minima`` finds them.

Each is the least value of all that is minimised, for the options that differ from a problem's defaults. They come from
SciPy's and scikit-learn's solvers, refined by Newton steps on the free variables with gradients in extended precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MINIMA: dict[str, tuple[tuple[dict[str, Any], float], ...]] = {
    "logistic-digits": (
        ({}, 0.293470303364403),
        ({"seed": 1}, 0.3041448375389781),
        ({"seed": 2}, 0.3079908115105389),
        ({"alpha": 0.0001}, 0.02374470306202292),
        ({"alpha": 0.0001, "seed": 1}, 0.026332521432765606),
        ({"alpha": 0.0001, "seed": 2}, 0.027212532918169264),
    ),
    "logistic-mnist-5k": (
        ({}, 0.2242653299749022),
        ({"alpha": 0.0001}, 0.018714553505637957),
    ),
    "logistic-breast-cancer": (
        ({}, 0.09997169481720755),
        ({"seed": 1}, 0.09561241942815293),
        ({"seed": 2}, 0.09953373386888173),
        ({"alpha": 0.0001}, 0.03401094000002629),
        ({"alpha": 0.0001, "seed": 1}, 0.030270264264107498),
        ({"alpha": 0.0001, "seed": 2}, 0.03325237691052174),
    ),
    "ridge": (
        ({}, 0.24053449576457714),
        ({"seed": 1}, 0.24035444075615353),
        ({"seed": 2}, 0.24132128458010513),
        ({"alpha": 0.0001}, 0.23750508196699757),
        ({"alpha": 0.0001, "seed": 1}, 0.23789380002176974),
        ({"alpha": 0.0001, "seed": 2}, 0.23895469406251213),
    ),
    "ridge-digits": (
        ({}, 0.15407081262379002),
        ({"seed": 1}, 0.1569193633130556),
        ({"seed": 2}, 0.15888793973207685),
        ({"alpha": 0.0001}, 0.14825344504352314),
        ({"alpha": 0.0001, "seed": 1}, 0.15099952093319519),
        ({"alpha": 0.0001, "seed": 2}, 0.15324663900337562),
    ),
    "lasso": (
        ({}, 0.2990441881600428),
        ({"seed": 1}, 0.2960629480883714),
        ({"seed": 2}, 0.2920781892158042),
    ),
    "sparse-recovery": (
        ({}, 0.9742100295948513),
        ({"seed": 1}, 0.972679886210478),
        ({"seed": 2}, 0.9718166397105746),
    ),
    "sparse-logistic-digits": (
        ({}, 0.17239644438899063),
        ({"seed": 1}, 0.1782072861996227),
        ({"seed": 2}, 0.1825815425414893),
    ),
    "nonnegative-least-squares": (
        ({}, 0.234569151721647),
        ({"seed": 1}, 0.24057166877096287),
        ({"seed": 2}, 0.23999721642053978),
    ),
    "bounded-logistic-digits": (
        ({}, 0.3639009623828671),
        ({"seed": 1}, 0.382919782678373),
        ({"seed": 2}, 0.3848509069903024),
    ),
    "bounded-logistic-breast-cancer": (
        ({}, 0.07349991546708533),
        ({"seed": 1}, 0.07059663142929946),
        ({"seed": 2}, 0.07363715669863495),
    ),
}
"""For each problem, options and minimum."""


def reference_minimum(name: str, chosen: Mapping[str, Any]) -> float | None:
    """Minimum of the problem ``name`` with options that differ from its defaults by ``chosen``; None if not known.

    The level ``tau`` makes no difference, nor does an option of the data that is given as None.
    """
    kept = {option: value for option, value in chosen.items() if option != "tau" and value is not None}
    return next((minimum for options, minimum in MINIMA.get(name, ()) if options == kept), None)
