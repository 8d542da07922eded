"""Step-size schedules: the step of iteration k as a function of numbers that travel in the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING, Any

from nmdl_bench.contracts import ConfigurationError, Scalar, unknown

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def _constant(xp: Backend, k: Scalar, horizon: Scalar, final: Scalar) -> Scalar:
    return xp.s.const(1.0)


def _inverse_time(xp: Backend, k: Scalar, horizon: Scalar, final: Scalar) -> Scalar:
    # final = 1 / (1 + horizon r) for the rate r
    rate = xp.s.div(xp.s.div(xp.s.const(1.0), final) - 1, horizon)
    return xp.s.div(xp.s.const(1.0), rate * k + 1)


def _exponential(xp: Backend, k: Scalar, horizon: Scalar, final: Scalar) -> Scalar:
    return xp.s.pow(final, xp.s.div(k, horizon))


def _cosine(xp: Backend, k: Scalar, horizon: Scalar, final: Scalar) -> Scalar:
    share = xp.s.minimum(xp.s.div(k, horizon), xp.s.const(1.0))
    return final + 0.5 * (1 - final) * (1 + xp.s.cos(pi * share))


SHAPES: dict[str, Callable[..., Scalar]] = {
    "constant": _constant,
    "inverse-time": _inverse_time,
    "exponential": _exponential,
    "cosine": _cosine,
}


@dataclass(frozen=True)
class Schedule:
    """``step(k) = step * c(k)`` with ``c(0) = 1`` and ``c(horizon) = final`` (but for ``"constant"``).

    Parameters
    ----------
    step : float
        First step size, > 0.
    shape : str
        ``"constant"``; ``"inverse-time"``, ``1 / (1 + r k)`` (Robbins and Monro 1951); ``"exponential"``, ``final^(k
        / horizon)``; or ``"cosine"``, half a wave to ``final``, constant from there on (Loshchilov and Hutter 2017,
        eq. 5, without restarts).
    horizon : int
        Iterations until ``final`` is reached, >= 1.
    final : float
        Last share of ``step``, in (0, 1].
    """

    step: float
    shape: str = "constant"
    horizon: int = 1000
    final: float = 0.01

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise unknown("schedule", self.shape, SHAPES)
        if not 0 < self.step < float("inf"):
            raise ConfigurationError(f"step must be positive and finite, not {self.step!r}")
        if self.horizon < 1:
            raise ConfigurationError(f"horizon must be at least 1, not {self.horizon!r}")
        if not 0 < self.final <= 1:
            raise ConfigurationError(f"final must lie in (0, 1], not {self.final!r}")

    def init(self, xp: Backend) -> tuple[Scalar, Scalar, Scalar]:
        """The schedule's numbers, for the state."""
        return xp.s.const(self.step), xp.s.const(self.horizon), xp.s.const(self.final)

    def at(self, xp: Backend, numbers: tuple[Scalar, Scalar, Scalar], k: Any) -> Scalar:
        """Step size of iteration ``k``."""
        step, horizon, final = numbers
        return step * SHAPES[self.shape](xp, xp.s.real(k), horizon, final)
