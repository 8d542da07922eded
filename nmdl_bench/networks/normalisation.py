"""Batch, instance and total-variation normalisation, with one formula for all three."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Tape, unknown
from nmdl_bench.networks.checks import check_positive, check_sizes
from nmdl_bench.networks.kernels import Shape, channel_sum, per_channel
from nmdl_bench.networks.parts import Plain

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

KINDS = ("batch", "instance", "tv")


class Statistics(NamedTuple):
    """Mean and reciprocal deviation of each channel, of shape (1, c) or (1, c, 1, 1)."""

    mu: Array
    r: Array


class NormTape(NamedTuple):
    """Normalised features ``y``, the factor ``r``, and the mean where there is one."""

    y: Array
    r: Array
    mu: Array | None


class FixedTape(NamedTuple):
    """Normalised features and the factor of given statistics, which do not depend on the input."""

    y: Array
    fixed: Array


class NormTangent(NamedTuple):
    """Derivatives of the input and of ``y``; None where the input does not vary."""

    dX: Array | None
    dy: Array | None


@dataclass(frozen=True)
class Normalise(Plain):
    """``A = scale * y + shift`` for normalised features ``y``, with a scale and a shift for each channel.

    Parameters
    ----------
    kind : str
        ``"batch"``: over samples and pixels of a channel (Ioffe and Szegedy 2015). ``"instance"``: over the pixels of
        one sample's channel (Ulyanov et al. 2016); over the features of a sample where they are a vector (layer
        normalisation). ``"tv"``: ``y = X / sqrt(sum over channels X^2 + eps)`` at each pixel (Ruthotto and Haber 2020,
        section 5).
    channels : int
        Features or channels.
    eps : float
        Keeps the root away from zero; the paper's 1e-3 by default.

    Notes
    -----
    With ``P`` subtracting the mean (batch, instance; the identity for tv) and ``m`` the mean over what is normalised
    (for tv the sum over channels), ``y = r P X`` and ``r = (m((P X)^2) + eps)^(-1/2)``. Then

    - ``dy = r (P dX - y m(y dX))``: ``dr = -r^3 m(P X dX) = -r^2 m(y dX)``
    - the Jacobian is symmetric: the adjoint of ``V`` is ``r (P V - y m(y V))``
    - its derivative is ``-m(y dX) r^2 (P V - y m(y V)) + r (P dV - dy m(y V) - y m(dy V) - y m(y dV))``

    In evaluation mode batch normalisation is given ``mu`` and ``r``: ``y = r (X - mu)``, an affine map.
    """

    kind: str
    channels: int
    eps: float = 1e-3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("normalisation", self.kind, KINDS)
        check_sizes(channels=self.channels)
        check_positive(eps=self.eps)

    def shapes(self) -> dict[str, Shape]:
        return {"scale": (self.channels,), "shift": (self.channels,)}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"scale": np.ones(self.channels), "shift": np.zeros(self.channels)}

    def output(self, shape: Shape) -> Shape:
        if len(shape) not in (1, 3) or shape[0] != self.channels:
            raise ConfigurationError(f"{self!r} takes {self.channels} channels, not samples of shape {tuple(shape)}")
        return tuple(shape)

    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, Tape]:
        if aux is not None:
            y, r = (Y - aux.mu) * aux.r, aux.r
            tape: Tape = FixedTape(y, r)
        else:
            mu = None if self.kind == "tv" else self._mean(xp, Y)
            PX = Y if mu is None else Y - mu
            r = 1 / xp.sqrt(self._mean(xp, PX * PX) + self.eps)
            y = PX * r
            tape = NormTape(y, r, mu)
        return y * per_channel(xp, theta["scale"], y) + per_channel(xp, theta["shift"], y), tape

    def jvp(
        self, xp: Backend, theta: Blocks, tape: Tape, dtheta: Blocks, dY: Array | None, keep: bool = False
    ) -> tuple[Array, Tape]:
        dA = tape.y * per_channel(xp, dtheta["scale"], tape.y) + per_channel(xp, dtheta["shift"], tape.y)
        dy = None
        if dY is not None:
            dy = self._derivative(xp, tape, dY)
            dA = dA + per_channel(xp, theta["scale"], dy) * dy
        return dA, NormTangent(dY, dy) if keep else None

    def vjp(self, xp: Backend, theta: Blocks, tape: Tape, Z: Array, inputs: bool = True) -> tuple[Blocks, Array | None]:
        blocks = {"scale": channel_sum(xp, tape.y * Z), "shift": channel_sum(xp, Z)}
        if not inputs:
            return blocks, None
        return blocks, self._derivative(xp, tape, per_channel(xp, theta["scale"], Z) * Z)

    def dvjp(
        self,
        xp: Backend,
        theta: Blocks,
        tape: Tape,
        dtape: NormTangent,
        dtheta: Blocks,
        Z: Array,
        dZ: Array,
        inputs: bool = True,
    ) -> tuple[Blocks, Array | None, Array | None]:
        dX, dy = dtape
        dscale = tape.y * dZ if dy is None else tape.y * dZ + dy * Z
        blocks = {"scale": channel_sum(xp, dscale), "shift": channel_sum(xp, dZ)}
        if not inputs:
            return blocks, None, None
        scale = per_channel(xp, theta["scale"], Z)
        V, dV = scale * Z, scale * dZ + per_channel(xp, dtheta["scale"], Z) * Z
        Zin, dZin = self._derivative(xp, tape, V), self._derivative(xp, tape, dV)
        if dX is not None and isinstance(tape, NormTape):
            y, r = tape.y, tape.r
            myV, mdyV = self._mean(xp, y * V), self._mean(xp, dy * V)
            dZin = dZin - r * self._mean(xp, y * dX) * Zin - r * (dy * myV + y * mdyV)
        return blocks, Zin, dZin

    def statistics(self, tape: Tape) -> Statistics | None:
        return Statistics(tape.mu, tape.r) if self.kind == "batch" and isinstance(tape, NormTape) else None

    def _derivative(self, xp: Backend, tape: Tape, V: Array) -> Array:
        """``r (P V - y m(y V))``, which is the Jacobian and its transpose."""
        if isinstance(tape, FixedTape):
            return tape.fixed * V
        PV = V if self.kind == "tv" else V - self._mean(xp, V)
        return tape.r * (PV - tape.y * self._mean(xp, tape.y * V))

    def _mean(self, xp: Backend, X: Array) -> Array:
        """``m``: means over what is normalised; for tv sums over channels."""
        axes = {"batch": (0, 2, 3), "instance": (2, 3), "tv": (1,)}[self.kind]
        if len(X.shape) == 2:
            axes = {"batch": (0,), "instance": (1,), "tv": (1,)}[self.kind]
        total = xp.sum(X, axis=axes, keepdims=True)
        return total if self.kind == "tv" else total * (1 / prod(X.shape[axis] for axis in axes))
