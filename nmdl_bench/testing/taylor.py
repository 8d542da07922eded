"""What every derivative check shares: Taylor remainders and adjoint identities."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from nmdl_bench.testing.errors import require

STEPS = 2.0 ** -np.arange(10, 17, 2)
"""Small, so that the kink of a ReLU is seldom crossed."""
ROUND_OFF = 1e-12


def check_taylor(what: str, f: Callable[[float], np.ndarray], f0: np.ndarray, slope: np.ndarray) -> None:
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
    """
    floor = ROUND_OFF * max(1.0, float(np.abs(f0).max()))
    remainders = [float(np.abs(f(t) - f0 - t * slope).max()) for t in STEPS]
    for coarse, fine in pairwise(remainders):
        if fine <= floor:
            return
        last = coarse / fine
    require(
        last >= 10,
        f"{what}: Taylor remainders {', '.join(f'{r:.3g}' for r in remainders)} at steps divided by 4 "
        "do not fall by 16: the derivative is wrong",
    )


def check_adjoint(what: str, Jv: np.ndarray, w: np.ndarray, v: np.ndarray, JTw: np.ndarray, tolerance: float) -> None:
    """``<J v, w> = <v, J^T w>`` up to ``tolerance |J v| |w|``."""
    left, right = float(np.vdot(Jv, w)), float(np.vdot(v, JTw))
    scale = max(float(np.linalg.norm(Jv) * np.linalg.norm(w)), float(np.linalg.norm(v) * np.linalg.norm(JTw)))
    require(
        abs(left - right) <= tolerance * scale,
        f"{what}: <J v, w> = {left!r} but <v, J^T w> = {right!r}: jvp and vjp are not adjoint",
    )


def check_symmetric_psd(
    what: str, product: Callable[[np.ndarray], np.ndarray], draw: Callable[[], np.ndarray], tolerance: float
) -> None:
    """``<H u, v> = <u, H v>`` and ``<v, H v> >= 0`` for two draws."""
    u, v = draw(), draw()
    Hu, Hv = product(u), product(v)
    scale = float(np.linalg.norm(Hu) * np.linalg.norm(v) + np.linalg.norm(u) * np.linalg.norm(Hv))
    left, right = float(np.vdot(Hu, v)), float(np.vdot(u, Hv))
    require(
        abs(left - right) <= tolerance * scale, f"{what}: <H u, v> = {left!r} but <u, H v> = {right!r}: not symmetric"
    )
    for p, Hp in ((u, Hu), (v, Hv)):
        least = -tolerance * float(np.linalg.norm(p) * np.linalg.norm(Hp))
        require(np.vdot(p, Hp) >= least, f"{what}: <v, H v> = {float(np.vdot(p, Hp))!r} is negative")
