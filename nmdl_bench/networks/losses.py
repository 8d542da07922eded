"""Losses: means over samples of a convex function of the network's output ``S`` (n, k) and the targets ``C`` (n, k)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from nmdl_bench.contracts import Array, ConfigurationError, Loss, Scalar, unknown

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def _check_shapes(S: Array, C: Array) -> None:
    if tuple(S.shape) != tuple(C.shape):  # they would broadcast
        raise ConfigurationError(f"the network's output has shape {tuple(S.shape)}, the targets {tuple(C.shape)}")


class SoftmaxTape(NamedTuple):
    """Probabilities and targets, each (n, k)."""

    P: Array
    C: Array


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """``E = (1/n) sum_i [ log sum_k exp S_ik - sum_k C_ik S_ik ]`` for rows of ``C`` that sum to one.

    Gradient ``(P - C) / n`` with the softmax ``P``; Hessian product ``(P * V - P * rowsum(P * V)) / n``. (Course,
    lecture 3, there with samples in columns.)
    """

    name: str = "cross-entropy"
    smooth: ClassVar[bool] = True

    def forward(self, xp: Backend, S: Array, C: Array) -> tuple[Scalar, SoftmaxTape]:
        _check_shapes(S, C)
        fit = xp.total(C * S)
        P, log_sum = xp.softmax(xp.copy(S))  # S may stand on a tape
        return (xp.total(log_sum) - fit) * (1 / C.shape[0]), SoftmaxTape(P, C)

    def grad(self, xp: Backend, tape: SoftmaxTape) -> Array:
        return xp.scale(1 / tape.C.shape[0], tape.P - tape.C)

    def hessian(self, xp: Backend, tape: SoftmaxTape, V: Array) -> Array:
        PV = tape.P * V
        return xp.scale(1 / tape.C.shape[0], PV - tape.P * xp.sum(PV, axis=1, keepdims=True))


class ResidualTape(NamedTuple):
    """Residual ``S - C`` (n, k)."""

    R: Array


@dataclass(frozen=True)
class LeastSquares:
    """``E = 1/(2n) |S - C|_F^2``; gradient ``(S - C) / n``, Hessian product ``V / n``."""

    name: str = "least-squares"
    smooth: ClassVar[bool] = True

    def forward(self, xp: Backend, S: Array, C: Array) -> tuple[Scalar, ResidualTape]:
        _check_shapes(S, C)
        R = S - C
        return 0.5 / C.shape[0] * xp.total(R * R), ResidualTape(R)

    def grad(self, xp: Backend, tape: ResidualTape) -> Array:
        return tape.R * (1 / tape.R.shape[0])

    def hessian(self, xp: Backend, tape: ResidualTape, V: Array) -> Array:
        return V * (1 / tape.R.shape[0])


class LogisticTape(NamedTuple):
    """Probabilities and targets, each (n, k)."""

    P: Array
    C: Array


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """``E = (1/n) sum_ik [ log(1 + exp S_ik) - C_ik S_ik ]`` for logits ``S`` and targets ``C`` in [0, 1].

    Each column is a yes-or-no question of its own. Gradient ``(P - C) / n`` with the logistic function
    ``P = 1 / (1 + exp(-S))``; Hessian product ``P (1 - P) V / n``, elementwise. (Course, lecture 3.)

    All is written in ``exp(-|S|)``, which cannot overflow, and ``log(1 + exp S) = max(S, 0) + log(1 + exp(-|S|))``. The
    large parts ``max(S, 0) - C S`` are subtracted element by element: their sums would cancel.
    """

    name: str = "binary-cross-entropy"
    smooth: ClassVar[bool] = True

    def forward(self, xp: Backend, S: Array, C: Array) -> tuple[Scalar, LogisticTape]:
        _check_shapes(S, C)
        E = xp.exp(-xp.abs(S))
        value = xp.total(xp.act_relu(S * 1) - C * S + xp.log1p(E)) * (1 / C.shape[0])
        larger = 1 / (1 + E)  # of P and 1 - P
        return value, LogisticTape(xp.where(S >= 0, larger, E * larger), C)

    def grad(self, xp: Backend, tape: LogisticTape) -> Array:
        return xp.scale(1 / tape.C.shape[0], tape.P - tape.C)

    def hessian(self, xp: Backend, tape: LogisticTape, V: Array) -> Array:
        return xp.scale(1 / tape.C.shape[0], tape.P * (1 - tape.P) * V)


class HuberTape(NamedTuple):
    """Residual ``S - C`` (n, k), clipped to [-delta, delta]."""

    R: Array


@dataclass(frozen=True)
class Huber:
    """``E = (1/n) sum_ik phi(S_ik - C_ik)``, ``phi(r) = r^2/2`` for ``|r| <= delta``, else ``delta (|r| - delta/2)``.

    With the clipped residual ``q = min(max(r, -delta), delta)``: ``phi = q (r - q/2)``, gradient ``q / n``, Hessian
    product ``[|r| < delta] V / n``. Outliers pull with bounded force (Huber 1964). The second derivative jumps at
    ``|r| = delta``, where that of outside is taken.

    Parameters
    ----------
    delta : float
        Where squares end, > 0.
    """

    delta: float = 1.0
    name: str = "huber"
    smooth: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.delta < inf:
            raise ConfigurationError(f"delta must be positive and finite, not {self.delta!r}")

    def forward(self, xp: Backend, S: Array, C: Array) -> tuple[Scalar, HuberTape]:
        _check_shapes(S, C)
        R = S - C
        edge = xp.zeros(R.shape) + self.delta
        Q = xp.where(self.delta < R, edge, xp.where(-self.delta > R, -edge, R))  # NaN stays NaN
        return xp.total(Q * (R - 0.5 * Q)) * (1 / C.shape[0]), HuberTape(Q)

    def grad(self, xp: Backend, tape: HuberTape) -> Array:
        return tape.R * (1 / tape.R.shape[0])

    def hessian(self, xp: Backend, tape: HuberTape, V: Array) -> Array:
        return xp.where(xp.abs(tape.R) < self.delta, V * (1 / tape.R.shape[0]), xp.zeros(V.shape))


LOSSES: dict[str, Loss] = {
    loss.name: loss for loss in (SoftmaxCrossEntropy(), LeastSquares(), BinaryCrossEntropy(), Huber())
}


def get_loss(name: str) -> Loss:
    """The loss called ``name``; an unknown name is an :class:`~nmdl_bench.contracts.UnknownNameError`."""
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    return LOSSES[name]
