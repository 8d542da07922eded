"""Smooth problems with a penalty that need not be smooth, or with bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import Array, ConfigurationError, Objective, Problem, Scalar, Tape
from nmdl_bench.data.batches import redraw
from nmdl_bench.problems.penalties import Box, Penalty, WithinBounds

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class _Wrapped:
    """A smooth objective as it is, but for its arrays and its start; what it has besides is found here too."""

    smooth: Objective
    arrays: Any
    x0: Array

    @property
    def xp(self) -> Backend:
        return self.smooth.xp

    @property
    def n_samples(self) -> int:
        return self.smooth.n_samples

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "smooth":  # while it is unpickled there is no smooth part yet
            raise AttributeError(name)
        return getattr(self.smooth, name)

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, Tape]:
        return self.smooth.forward(x, batch)

    def grad(self, tape: Tape) -> Array:
        return self.smooth.grad(tape)

    def jvp(self, tape: Tape, v: Array) -> Array:
        return self.smooth.jvp(tape, v)

    def vjp(self, tape: Tape, w: Array) -> Array:
        return self.smooth.vjp(tape, w)

    def gauss_newton(self, tape: Tape, v: Array) -> Array:
        return self.smooth.gauss_newton(tape, v)

    def hessian(self, tape: Tape, v: Array) -> Array:
        return self.smooth.hessian(tape, v)


@dataclass(frozen=True)
class CompositeObjective(_Wrapped):
    """``f + h`` of a smooth objective ``f`` and a penalty ``h``; value and derivatives are those of ``f``."""

    h: Penalty

    @property
    def static(self) -> Any:
        return type(self.smooth), self.smooth.static, self.h

    def with_arrays(self, arrays: Any) -> CompositeObjective:
        return replace(self, smooth=self.smooth.with_arrays(arrays), arrays=arrays)

    def redraw(self, epoch: int, seed: int) -> Any:
        return redraw(self.smooth, epoch, seed)

    def penalty(self, x: Array) -> Scalar:
        return self.h.value(self.xp, x)

    def prox(self, v: Array, t: Scalar) -> Array:
        return self.h.prox(self.xp, v, t)


class Bounded(NamedTuple):
    """Arrays of the smooth part, and the bounds (size,)."""

    smooth: Any
    lower: Array
    upper: Array


@dataclass(frozen=True)
class BoundedObjective(_Wrapped, WithinBounds):
    """``f`` between bounds, ``lower <= x <= upper``, which are data on the device; ``h`` is their indicator."""

    @property
    def static(self) -> Any:
        return type(self.smooth), self.smooth.static

    def with_arrays(self, arrays: Bounded | None) -> BoundedObjective:
        smooth = self.smooth.with_arrays(None if arrays is None else arrays.smooth)
        return replace(self, smooth=smooth, arrays=arrays)

    def redraw(self, epoch: int, seed: int) -> Any:
        drawn = redraw(self.smooth, epoch, seed)
        return self.arrays if drawn is self.smooth.arrays else self.arrays._replace(smooth=drawn)


@dataclass(eq=False)
class CompositeProblem:
    """A smooth problem with a penalty, or with bounds where the penalty is a :class:`Box`.

    Parameters
    ----------
    name, summary : str
        Shown in listings and reports.
    smooth : Problem
        ``f``, whose metrics, data and start (projected onto the points where ``h`` is finite) are taken over.
    h : Penalty
        See :mod:`nmdl_bench.problems.penalties`.
    tau : float
        Level of 'solved'; see :class:`nmdl_bench.contracts.Problem`.
    minimum : float, optional
        Least value of ``f + h`` where it is known.
    """

    name: str
    summary: str
    smooth: Problem
    h: Penalty
    tau: float = 0.1
    minimum: float | None = None

    def __post_init__(self) -> None:
        if "composite" in getattr(self.smooth, "provides", ()):
            raise ConfigurationError(f"problem {self.smooth.name!r} has a penalty or bounds already; wrap a smooth one")
        if not 0 < self.tau < 1:
            raise ConfigurationError(f"tau must lie in (0, 1), not {self.tau!r}")

    @property
    def provides(self) -> tuple[str, ...]:
        """What the smooth part provides and a penalty leaves, and what is added."""
        return structure_of(self.h, getattr(self.smooth, "provides", ()))

    @cached_property
    def start(self) -> np.ndarray:
        """Initial parameters (size,), read-only."""
        host = get_backend("numpy")
        x0 = self.h.prox(host, host.to_numpy(self.smooth.bind(host).x0), 0.0)
        x0.setflags(write=False)
        return x0

    def bind(self, xp: Backend) -> CompositeObjective | BoundedObjective:
        smooth, x0 = self.smooth.bind(xp), xp.asarray(self.start)
        if not isinstance(self.h, Box):
            return CompositeObjective(smooth, smooth.arrays, x0, self.h)
        lower, upper = map(xp.asarray, self.h.bounds(len(self.start)))
        return BoundedObjective(smooth, Bounded(smooth.arrays, lower, upper), x0)

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """Those of the smooth problem, and the share of parameters that are not exactly zero."""
        return {**self.smooth.metrics(xp, x), "nonzeros": float(np.mean(xp.to_numpy(x) != 0))}


def structure_of(h: Penalty, smooth: tuple[str, ...] = ("gauss-newton",)) -> tuple[str, ...]:
    """Structure of a problem with penalty ``h``, for what its smooth part provides; ``"logistic"`` is no part of it."""
    kept = (structure for structure in smooth if structure != "logistic")
    return ("composite", *(("bounds",) if isinstance(h, Box) else ()), *kept)
