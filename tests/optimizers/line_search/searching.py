"""Searches along one function of one variable, and the functions that their authors test them on."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, inf, log, nan, pi, sin, sqrt
from typing import Any, NamedTuple

from nmdl_bench.backends import get_backend

XP = get_backend("numpy")
Along = tuple[Callable[[float], float], Callable[[float], float]]


class Run(NamedTuple):
    """How a search ended, its trials, and how many of them asked for a slope."""

    state: Any
    trials: list[float]
    gradients: int


def run(search: Any, along: Along, t: float, xp: Any = XP) -> Run:
    """Run a search along a function with its derivative until it accepts or fails."""
    (phi, slope), s = along, xp.s
    low = xp.compile(lambda state, f_t, df_t: search.low(xp, state, f_t, df_t))
    state, trials, gradients = search.start(xp, s.const(t), s.const(phi(0.0)), s.const(slope(0.0))), [], 0
    while not (bool(state.accepted) or bool(state.failed)):
        t = float(state.t)
        trials.append(t)
        f_t = s.const(phi(t))
        if bool(search.is_low(xp, state, f_t)):
            gradients += 1
            state = low(state, f_t, s.const(slope(t)))
        else:
            state = search.high(xp, state, f_t)
    return Run(state, trials, gradients)


def rational(beta: float) -> Along:
    """More and Thuente (1994), eq. 5.1."""
    return lambda t: -t / (t * t + beta), lambda t: (t * t - beta) / (t * t + beta) ** 2


def steep(beta: float) -> Along:
    """Their eq. 5.2."""
    return (
        lambda t: (t + beta) ** 5 - 2 * (t + beta) ** 4,
        lambda t: 5 * (t + beta) ** 4 - 8 * (t + beta) ** 3,
    )


def wavy(beta: float, waves: int) -> Along:
    """Their eq. 5.3: a rounded ``|1 - t|`` with waves on it."""

    def phi(t: float) -> float:
        base = 1 - t if t <= 1 - beta else t - 1 if t >= 1 + beta else (t - 1) ** 2 / (2 * beta) + beta / 2
        return base + 2 * (1 - beta) / (waves * pi) * sin(waves * pi / 2 * t)

    def slope(t: float) -> float:
        base = -1.0 if t <= 1 - beta else 1.0 if t >= 1 + beta else (t - 1) / beta
        return base + (1 - beta) * cos(waves * pi / 2 * t)

    return phi, slope


def yanai(beta1: float, beta2: float) -> Along:
    """Their eq. 5.4, of Yanai, Ozawa and Kaneko."""

    def gamma(beta: float) -> float:
        return sqrt(1 + beta * beta) - beta

    def phi(t: float) -> float:
        return gamma(beta1) * sqrt((1 - t) ** 2 + beta2**2) + gamma(beta2) * sqrt(t * t + beta1**2)

    def slope(t: float) -> float:
        left = gamma(beta1) * (t - 1) / sqrt((1 - t) ** 2 + beta2**2)
        return left + gamma(beta2) * t / sqrt(t * t + beta1**2)

    return phi, slope


SIX: list[Along] = [
    rational(2.0),
    steep(0.004),
    wavy(0.01, 39),
    yanai(0.001, 0.001),
    yanai(0.01, 0.001),
    yanai(0.001, 0.01),
]
"""The functions of their tables 1 to 6."""
STARTS = (1e-3, 1e-1, 1e1, 1e3)

FUNCTIONS: dict[str, Along] = {
    "rational": rational(2.0),
    "steep": steep(0.004),
    "wall": (lambda t: -t if t < 1 else inf, lambda t: -1.0),
    "logarithm": (lambda t: -t - log(1 - t) / 9 if t < 1 else nan, lambda t: -1 + 1 / (9 * (1 - t))),
}
"""Two of these, and two that leave floating point."""
