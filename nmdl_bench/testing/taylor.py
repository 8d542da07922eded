"""What every derivative check shares: Taylor remainders, adjoint identities, symmetry."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from nmdl_bench.testing.errors import require

STEPS = 2.0 ** -np.arange(10, 17, 2)
"""Small, so that the kink of a ReLU is seldom crossed."""
LONG_STEPS = 2.0 ** -np.arange(5, 12, 2)
"""For remainders of third order, which round-off covers sooner; for smooth functions only."""
ROUND_OFF = 1e-12


def check_taylor(
    what: str, f: Callable[[float], np.ndarray], f0: np.ndarray, slope: np.ndarray, floor: float = ROUND_OFF
) -> None:
    """First-order remainders ``|f(t) - f0 - t slope|`` fall like t^2, until round-off covers them.

    Each quarter of the step has to divide the remainder by at least 10 (16 in the limit) at some step, and never leave
    it where a wrong slope would: that divides it by 4. In float64 only.

    Parameters
    ----------
    what : str
        Name in the message.
    f : callable
        The function along a line, of the step.
    f0, slope : np.ndarray
        Its value and derivative at 0.
    floor : float
        What covers a remainder, relative to the value (and at least to 1).
    """
    _check_remainders(what, STEPS, lambda t: f(t) - f0 - t * slope, _covered(f0, floor), 10, 16)


def check_second_order(
    what: str, f: Callable[[float], float], f0: float, slope: float, curvature: float, floor: float = ROUND_OFF
) -> None:
    """Second-order remainders ``|f(t) - f0 - t slope - t^2/2 curvature|`` of a smooth function fall like t^3.

    Parameters
    ----------
    what, f, f0, slope, floor
        As for :func:`check_taylor`.
    curvature : float
        Second derivative at 0; a wrong one divides the remainder by 16 where 64 is right.
    """
    _check_remainders(
        what, LONG_STEPS, lambda t: f(t) - f0 - t * slope - 0.5 * t**2 * curvature, _covered(f0, floor), 40, 64
    )


def _covered(f0: np.ndarray | float, floor: float) -> float:
    return floor * max(1.0, float(np.abs(f0).max()))


def _check_remainders(
    what: str, steps: np.ndarray, remainder: Callable[[float], Any], floor: float, least: float, limit: float
) -> None:
    remainders = [float(np.abs(remainder(t)).max()) for t in steps]
    for coarse, fine in pairwise(remainders):
        if fine <= floor:
            return
        last = coarse / fine
    require(
        last >= least,
        f"{what}: Taylor remainders {', '.join(f'{r:.3g}' for r in remainders)} at steps divided by 4 "
        f"do not fall by {limit}: the derivative is wrong",
    )


def check_adjoint(what: str, Jv: np.ndarray, w: np.ndarray, v: np.ndarray, JTw: np.ndarray, tolerance: float) -> None:
    """``<J v, w> = <v, J^T w>`` up to ``tolerance |J v| |w|``."""
    left, right = float(np.vdot(Jv, w)), float(np.vdot(v, JTw))
    scale = max(float(np.linalg.norm(Jv) * np.linalg.norm(w)), float(np.linalg.norm(v) * np.linalg.norm(JTw)))
    require(
        abs(left - right) <= tolerance * scale,
        f"{what}: <J v, w> = {left!r} but <v, J^T w> = {right!r}: jvp and vjp are not adjoint",
    )


def check_symmetric(
    what: str, product: Callable[[np.ndarray], np.ndarray], draw: Callable[[], np.ndarray], tolerance: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """``<H u, v> = <u, H v>`` for two draws, which are returned with their products."""
    u, v = draw(), draw()
    Hu, Hv = product(u), product(v)
    scale = float(np.linalg.norm(Hu) * np.linalg.norm(v) + np.linalg.norm(u) * np.linalg.norm(Hv))
    left, right = float(np.vdot(Hu, v)), float(np.vdot(u, Hv))
    require(
        abs(left - right) <= tolerance * scale, f"{what}: <H u, v> = {left!r} but <u, H v> = {right!r}: not symmetric"
    )
    return [(u, Hu), (v, Hv)]


def check_symmetric_psd(
    what: str, product: Callable[[np.ndarray], np.ndarray], draw: Callable[[], np.ndarray], tolerance: float
) -> None:
    """:func:`check_symmetric`, and ``<v, H v> >= 0`` for both draws."""
    for p, Hp in check_symmetric(what, product, draw, tolerance):
        least = -tolerance * float(np.linalg.norm(p) * np.linalg.norm(Hp))
        require(np.vdot(p, Hp) >= least, f"{what}: <v, H v> = {float(np.vdot(p, Hp))!r} is negative")
