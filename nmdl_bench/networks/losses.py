"""Losses: means over samples of a convex function of the network's output ``S`` (n, k) and the targets ``C`` (n, k)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

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

    def forward(self, xp: Backend, S: Array, C: Array) -> tuple[Scalar, ResidualTape]:
        _check_shapes(S, C)
        R = S - C
        return 0.5 / C.shape[0] * xp.total(R * R), ResidualTape(R)

    def grad(self, xp: Backend, tape: ResidualTape) -> Array:
        return tape.R * (1 / tape.R.shape[0])

    def hessian(self, xp: Backend, tape: ResidualTape, V: Array) -> Array:
        return V * (1 / tape.R.shape[0])


LOSSES: dict[str, Loss] = {loss.name: loss for loss in (SoftmaxCrossEntropy(), LeastSquares())}


def get_loss(name: str) -> Loss:
    """The loss called ``name``; an unknown name is an :class:`~nmdl_bench.contracts.UnknownNameError`."""
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    return LOSSES[name]
