"""How far a point is from stationary, for smooth and composite objectives alike."""

from __future__ import annotations

from nmdl_bench.contracts import Array, Objective, Scalar


def is_composite(objective: Objective) -> bool:
    """Whether it has a part ``h`` with ``penalty`` and ``prox``; see :data:`nmdl_bench.contracts.Structure`."""
    return hasattr(objective, "prox")


def measure(objective: Objective, x: Array, g: Array) -> Scalar:
    """``|g|_inf``; for composite objectives ``|x - prox(x - g, 1)|_inf``, which is zero exactly at stationary points.

    Parikh and Boyd (2014), section 4.2. With bounds it is the norm of the projected gradient.
    """
    xp = objective.xp
    if not is_composite(objective):
        return xp.norm_inf(g)
    return xp.norm_inf(x - objective.prox(x - g, xp.s.const(1.0)))  # type: ignore[attr-defined]


def total(objective: Objective, x: Array, f: Scalar) -> Scalar:
    """Value of all that is minimised, for the value ``f`` of the smooth part at ``x``."""
    return f + objective.penalty(x) if is_composite(objective) else f  # type: ignore[attr-defined]


def prox(objective: Objective, v: Array, t: Scalar) -> Array:
    """``prox_{t h}(v)``, or ``v`` itself where there is no ``h``; with t = 0 the projection onto its domain."""
    return objective.prox(v, t) if is_composite(objective) else v  # type: ignore[attr-defined]
