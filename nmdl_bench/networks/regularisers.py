"""Regularisers of a network's parameters: ``R(theta) = weight * sum phi(D theta)`` over chosen blocks.

``D`` is the identity, differences in time along the layers' controls, or differences in space along the rows and
columns of convolution stencils; ``phi`` is half squares or a smoothed absolute value. :func:`tikhonov`,
:func:`smoothness` and :func:`total_variation` are the usual ones by name. An objective takes a tuple of them: their
sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import Array, ConfigurationError, Scalar, unknown
from nmdl_bench.networks.network import Network

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Penalty(Protocol):
    """A convex function ``phi`` of one real number, applied to each element."""

    def value(self, xp: Backend, T: Array) -> Scalar:
        """Sum of ``phi`` over all elements."""

    def derivative(self, xp: Backend, T: Array) -> Array:
        """``phi'(T)``; may be ``T`` itself."""

    def second(self, xp: Backend, T: Array, V: Array) -> Array:
        """``phi''(T) V``; may be ``V`` itself."""


@dataclass(frozen=True)
class HalfSquares:
    """``phi(t) = t^2 / 2`` (Tikhonov 1963)."""

    def value(self, xp: Backend, T: Array) -> Scalar:
        return 0.5 * xp.total(T * T)

    def derivative(self, xp: Backend, T: Array) -> Array:
        return T

    def second(self, xp: Backend, T: Array, V: Array) -> Array:
        return V


@dataclass(frozen=True)
class SmoothedL1:
    """``phi(t) = sqrt(t^2 + tau)``, ``phi' = t / phi``, ``phi'' = tau / phi^3``.

    Near ``|t|`` where ``t^2`` is much larger than ``tau``; of differences it is the total variation, each direction by
    itself (Rudin, Osher and Fatemi 1992).

    Parameters
    ----------
    tau : float
        Rounds the kink off, > 0.
    """

    tau: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.tau < inf:
            raise ConfigurationError(f"tau must be positive and finite, not {self.tau!r}")

    def value(self, xp: Backend, T: Array) -> Scalar:
        return xp.total(xp.sqrt(T * T + self.tau))

    def derivative(self, xp: Backend, T: Array) -> Array:
        return T / xp.sqrt(T * T + self.tau)

    def second(self, xp: Backend, T: Array, V: Array) -> Array:
        Q = T * T + self.tau
        return self.tau * V / (Q * xp.sqrt(Q))


OPERATORS = ("identity", "time", "space")
SELECTIONS = ("all", "weights", "time", "features", "classifier")


class Term(NamedTuple):
    """``measure * sum phi(D theta[start:end])``: differences divided by ``spacing`` along the middle axis of ``shape``.

    The identity where ``shape`` is None.
    """

    start: int
    end: int
    shape: tuple[int, int, int] | None = None
    spacing: float = 1.0
    measure: float = 1.0


@dataclass(frozen=True)
class BlockRegulariser:
    """``R(theta) = weight * sum phi(D theta)``; see :class:`nmdl_bench.contracts.Regulariser`.

    Parameters
    ----------
    network : Network
        Whose flat parameter vector is meant.
    weight : float
        At least 0.
    operator : str
        ``D``. ``"identity"``; ``"time"``: ``(theta_{j+1} - theta_j) / h`` along the leading axis of blocks stacked in
        time, with ``h`` the spacing of the controls, and the sum multiplied by ``h``, so that it is the integral of
        ``phi(d theta / dt)`` whatever the number of layers (Haber and Ruthotto 2017); ``"space"``: differences along
        the last two axes of convolution stencils.
    penalty : Penalty
        ``phi``.
    which : str
        Blocks: ``"all"``; ``"weights"``: kernels, without biases and normalisations' scales; ``"time"``: those of
        layers whose controls vary in time; ``"classifier"``: those of the last layer; ``"features"``: those of all
        others. Of these, ``D`` takes the blocks that it makes sense for.

    Raises
    ------
    ConfigurationError
        If a value cannot work, or nothing is left to regularise.
    UnknownNameError
        If ``operator`` or ``which`` is not known.

    Notes
    -----
    Gradient ``weight * D^T phi'(D theta)``, Hessian ``weight * D^T diag(phi''(D theta)) D``: symmetric and positive
    semidefinite, so that the Gauss-Newton matrix takes it in whole.
    """

    network: Network
    weight: float
    operator: str = "identity"
    penalty: Penalty = HalfSquares()
    which: str = "all"

    def __post_init__(self) -> None:
        if not 0 <= self.weight < inf:
            raise ConfigurationError(f"a regulariser's weight must be non-negative and finite, not {self.weight!r}")
        if self.operator not in OPERATORS:
            raise unknown("operator of a regulariser", self.operator, OPERATORS)
        if self.which not in SELECTIONS:
            raise unknown("selection of blocks", self.which, SELECTIONS)
        if not self._terms:
            raise ConfigurationError(
                f"the network has no blocks for the operator {self.operator!r} among {self.which!r}; "
                "differences need stacks in time of two or more layers, or stencils wider than 1 x 1"
            )

    def value(self, xp: Backend, x: Array) -> Scalar:
        first, *rest = (term.measure * self.penalty.value(xp, _apply(xp, term, x)) for term in self._terms)
        return self.weight * sum(rest, start=first)

    def grad(self, xp: Backend, x: Array) -> Array:
        return self._assemble(xp, lambda term: self.penalty.derivative(xp, _apply(xp, term, x)))

    def hessian(self, xp: Backend, x: Array, v: Array) -> Array:
        return self._assemble(xp, lambda term: self.penalty.second(xp, _apply(xp, term, x), _apply(xp, term, v)))

    @cached_property
    def _terms(self) -> tuple[Term, ...]:
        terms: list[Term] = []
        places = self.network.unpack(get_backend("numpy"), np.arange(self.network.size))
        for i, (layer, blocks) in enumerate(zip(self.network.layers, places)):
            spacing, last = control_spacing(layer), i == len(places) - 1
            for name, place in blocks.items():
                shape, start, end = place.shape, int(place.min()), int(place.max()) + 1
                chosen = {
                    "all": True, "weights": is_weight(name), "time": spacing is not None, "features": not last,
                    "classifier": last,
                }  # fmt: skip
                if not chosen[self.which]:
                    continue
                if self.operator == "identity":
                    if terms and terms[-1].end == start:  # one range instead of two
                        start = terms.pop().start
                    terms.append(Term(start, end))
                elif self.operator == "time" and spacing is not None and shape[0] > 1:
                    terms.append(Term(start, end, (1, shape[0], prod(shape[1:])), spacing, spacing))
                elif self.operator == "space" and is_weight(name) and len(shape) == 4 + (spacing is not None):
                    (height, width), stencils = shape[-2:], prod(shape[:-2])
                    terms.extend([Term(start, end, (stencils, height, width))] * (height > 1))
                    terms.extend([Term(start, end, (stencils * height, width, 1))] * (width > 1))
        return tuple(terms)

    def _assemble(self, xp: Backend, of: Any) -> Array:
        """``weight * sum over terms of measure D^T of(term)``, scattered into a vector of the parameters' size."""
        pieces: list[Array] = []
        done, last = 0, None
        for term in self._terms:
            piece = _transpose(xp, term, of(term)) * (self.weight * term.measure / term.spacing)
            if last == (term.start, term.end):  # rows and columns of the same block
                pieces[-1] = xp.axpy(1.0, piece, pieces[-1])
                continue
            if term.start > done:
                pieces.append(xp.zeros((term.start - done,)))
            pieces.append(piece)
            done, last = term.end, (term.start, term.end)
        if done < self.network.size:
            pieces.append(xp.zeros((self.network.size - done,)))
        return pieces[0] if len(pieces) == 1 else xp.ravel(pieces)


def _apply(xp: Backend, term: Term, x: Array) -> Array:
    """``D x``."""
    part = x[term.start : term.end]
    if term.shape is None:
        return part
    B = xp.reshape(part, term.shape)
    differences = B[:, 1:, :] - B[:, :-1, :]
    return differences if term.spacing == 1 else xp.scale(1 / term.spacing, differences)


def _transpose(xp: Backend, term: Term, T: Array) -> Array:
    """``spacing * D^T T`` (end - start,)."""
    if term.shape is None:
        return T
    return xp.reshape(xp.concat([-T[:, :1, :], T[:, :-1, :] - T[:, 1:, :], T[:, -1:, :]], axis=1), (-1,))


def is_weight(name: str) -> bool:
    """Whether a block is a kernel: those have capital letters, ``K`` or ``W``; biases and scales have small ones."""
    return name[:1].isupper()


def control_spacing(layer: Any) -> float | None:
    """Distance in time of a layer's controls, which its blocks' leading axis counts; None where it has no time."""
    spacing = getattr(layer, "control_spacing", None)
    return getattr(layer, "h", None) if spacing is None else spacing


def tikhonov(network: Network, weight: float, which: str = "all") -> BlockRegulariser:
    """``weight/2 |theta|^2`` over the chosen blocks; see :class:`BlockRegulariser`."""
    return BlockRegulariser(network, weight, "identity", HalfSquares(), which)


def smoothness(network: Network, weight: float, tau: float | None = None, which: str = "all") -> BlockRegulariser:
    """``weight`` times the integral of ``phi(d theta / dt)``: of half squares, or with ``tau`` the total variation.

    Parameters
    ----------
    network, weight, which
        As for :class:`BlockRegulariser`.
    tau : float, optional
        That of :class:`SmoothedL1`.
    """
    return BlockRegulariser(network, weight, "time", HalfSquares() if tau is None else SmoothedL1(tau), which)


def total_variation(network: Network, weight: float, tau: float = 1e-3, which: str = "all") -> BlockRegulariser:
    """``weight`` times the smoothed total variation of convolution stencils; see :class:`BlockRegulariser`."""
    return BlockRegulariser(network, weight, "space", SmoothedL1(tau), which)
