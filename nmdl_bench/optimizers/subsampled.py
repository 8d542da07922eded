"""Newton and Gauss-Newton with the curvature of a sample: value and gradient are of all samples, products of some."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Counts, Objective, Structure
from nmdl_bench.data.batches import batches
from nmdl_bench.optimizers.curvature import Forcing, check_forcing, check_max_cg, counted, products
from nmdl_bench.optimizers.descent import (
    DescentState,
    Direction,
    LineSearch,
    Step,
    Turn,
    line_search_init,
    line_search_step,
)
from nmdl_bench.optimizers.newton_cg import newton_search, truncated_cg

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

ROWS = 32
"""Samples of the curvature that are drawn, at least; iterations go round them."""

SubsampledState = namedtuple("SubsampledState", [*DescentState._fields, "passes"])  # type: ignore[misc]
"""A :class:`~nmdl_bench.optimizers.descent.DescentState` and ``passes`` over the samples: products touch a part."""


class Sampled(NamedTuple):
    """The tolerances, and the samples' indices as rows (rows, size), of which the first is for the next direction."""

    forcing: Forcing
    indices: Array


@dataclass(frozen=True)
class SampledNewton(Direction):
    """The direction of :func:`~nmdl_bench.optimizers.newton_cg.truncated_cg` with the curvature of ``size`` of ``n``.

    Rows of samples are drawn on the host once, epochs of distinct ones, and taken in turn: the same on every backend.
    ``seed`` and the forcing's constants are data in the memory.
    """

    matrix: str
    max_cg: int
    reorthogonalise: bool | None
    size: int
    n: int
    seed: int = field(default=0, compare=False)
    eta_max: float = field(default=0.3, compare=False)
    gamma: float = field(default=0.9, compare=False)
    exponent: float = field(default=1.25, compare=False)

    from_tape: ClassVar[bool] = True

    def init(self, xp: Backend, x: Array) -> Sampled:
        epochs = batches(self.seed, self.n, self.size)
        rows = np.concatenate([next(epochs) for _ in range(-(-ROWS // (self.n // self.size)))])
        forcing = Forcing.start(xp, self.eta_max, self.gamma, self.exponent)
        return Sampled(forcing, xp.asarray(rows))

    def reset(self, xp: Backend, memory: Sampled, x: Array) -> Sampled:
        """The memory itself: what follows from a point alone has no past to forget."""
        return memory

    def update(self, objective: Objective, memory: Sampled, step: Step) -> Turn:
        xp, (forcing, indices) = objective.xp, memory
        _, tape = objective.forward(step.x_new, indices[0, ...])
        apply = products(objective, tape, self.matrix)
        d, forcing, j = truncated_cg(xp, apply, step.g_new, forcing, self.max_cg, self.reorthogonalise)
        counts = counted(step.counts, self.matrix, j)
        counts = counts._replace(forward=counts.forward + 1)
        rotation = xp.constant(np.roll(np.arange(indices.shape[0]), -1))
        return Turn(Sampled(forcing, xp.take(indices, rotation)), d, xp.s.const(1.0), counts)


@dataclass(frozen=True)
class _SubsampledMethod:
    sample_size: int = 256
    eta_max: float = 0.3
    gamma: float = 0.9
    exponent: float = 1.25
    max_cg: int = 20
    reorthogonalise: bool | None = None
    search: str = "armijo"
    c1: float = 1e-4
    c2: float = 0.9
    max_trials: int = 40
    sample_seed: int = field(default=0, metadata={"data": True})

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    matrix: ClassVar[str] = "hessian"

    def __post_init__(self) -> None:
        if self.sample_size < 1:
            raise ConfigurationError(f"sample_size must be at least 1, not {self.sample_size!r}")
        check_forcing(self.eta_max, self.gamma, self.exponent)
        check_max_cg(self.max_cg)
        _ = self._search

    @cached_property
    def _search(self) -> LineSearch:
        return newton_search(self.search, self.c1, self.c2, self.max_trials)

    def _direction(self, n: int) -> SampledNewton:
        size, numbers = min(self.sample_size, n), (self.eta_max, self.gamma, self.exponent)
        return SampledNewton(self.matrix, self.max_cg, self.reorthogonalise, size, n, self.sample_seed, *numbers)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> Any:
        direction = self._direction(objective.n_samples)
        state = line_search_init(objective, x, self._search, direction)
        return self._with_passes(objective, state, None, objective.xp.s.const(0.0))

    def step(self, objective: Objective, state: Any, batch: Array | None = None) -> Any:
        direction, before = self._direction(objective.n_samples), state.counts
        new = line_search_step(objective, DescentState(*state[:-1]), self._search, direction)
        return self._with_passes(objective, new, before, state.passes)

    def _with_passes(self, objective: Objective, state: DescentState, before: Counts | None, passes: Any) -> Any:
        """The state with the passes of a step: of its forwards, the trial's is over all samples, the rest over some."""
        share = min(self.sample_size, objective.n_samples) / objective.n_samples
        counted = state.counts.passes if before is None else state.counts.passes - before.passes
        return SubsampledState._make((*state, passes + 1 + share * objective.xp.s.real(counted - 1)))


@SOLVERS.register("subsampled-newton-cg", "Newton-CG with the Hessian of a sample", kind="ours")
@dataclass(frozen=True)
class SubsampledNewtonCG(_SubsampledMethod):
    """:class:`~nmdl_bench.optimizers.newton_cg.NewtonCG` with products of another ``sample_size`` samples each time.

    Byrd, Chin, Neveitt and Nocedal (2011), algorithm 3.1; Roosta-Khorasani and Mahoney (2019). The value and gradient
    are of all samples. Convergence is linear, with a rate that the sample's size decides. A product, and the forward
    that makes the sample's tape, count as ``sample_size / n`` of a pass.

    Parameters
    ----------
    sample_size : int
        Samples of the curvature, >= 1; all where there are fewer.
    eta_max, gamma, exponent, max_cg, reorthogonalise, search, c1, c2, max_trials
        As for :class:`~nmdl_bench.optimizers.newton_cg.NewtonCG`.
    sample_seed : int
        Draws the samples.
    """


@SOLVERS.register("subsampled-gauss-newton-cg", "Gauss-Newton-CG with the curvature of a sample", kind="ours")
@dataclass(frozen=True)
class SubsampledGaussNewtonCG(_SubsampledMethod):
    """:class:`SubsampledNewtonCG` with the Gauss-Newton matrix in place of the Hessian.

    Parameters
    ----------
    sample_size, eta_max, gamma, exponent, max_cg, reorthogonalise, search, c1, c2, max_trials, sample_seed
        As for :class:`SubsampledNewtonCG`.
    """

    matrix: ClassVar[str] = "gauss-newton"
    needs: ClassVar[tuple[Structure, ...]] = ("gauss-newton",)
