"""Objectives as libraries on the host see them: NumPy vectors in float64, whichever backend evaluates."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.backends.stationarity import is_composite
from nmdl_bench.contracts import Array, Counts, NmdlError, Objective, Record, Result, Status, Stop
from nmdl_bench.peers.base import OursError, evaluate, on_host, ours

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

IDLE, IDLE_SIMPLEX = 100, 10
"""Times in a row that a method may report the iterate that it had before it counts as stalled. Those that know no
gradient may do so this many times more for each unknown: a simplex moves all its vertices before its best one."""
_KEPT = 2
"""Points kept with their tapes: trust-region methods come back to the iterate after a trial that they reject."""


class Ended(Exception):  # noqa: N818 - no error: the way out of a loop that another library owns
    """The run is over: its status and reason."""


class Point:
    """A point with what is known there; the tape is kept so that products cost no forward."""

    def __init__(self, z: np.ndarray, x: Array, f: float, tape: Any, g: np.ndarray | None = None) -> None:
        self.z, self.x, self.f, self.tape, self.g = z, x, f, tape, g
        self.J: np.ndarray | None = None


class Host:
    """Evaluates an objective for a library that owns its loop, counts, notes iterations, and ends the loop.

    Parameters
    ----------
    objective : Objective
        On any backend.
    stop, record
        As for :meth:`nmdl_bench.contracts.Solver.run`.
    fused : bool
        Whether the library asks for value and gradient of every point: they are evaluated together then, and there
        are no tapes for products.
    squares : bool
        Whether the library works with residual and Jacobian: the gradient comes from them then.
    known : bool
        False for methods that do not know value and gradient of their iterates: the harness then evaluates them, off
        the clock.
    """

    def __init__(
        self,
        objective: Objective,
        stop: Stop,
        record: Record,
        *,
        fused: bool = False,
        squares: bool = False,
        known: bool = True,
    ) -> None:
        self.objective, self.stop, self.record = objective, stop, record
        self.xp: Backend = objective.xp
        self.fused, self.squares, self.known = fused, squares, known
        self._tally = dict.fromkeys(Counts._fields, 0)
        self.iteration = -1
        self.iterate = np.empty(0)
        self.bounds: tuple[np.ndarray, np.ndarray] | None = None
        if is_composite(objective):
            self.bounds = self.to_host(objective.lower), self.to_host(objective.upper)  # type: ignore[attr-defined]
        self._evaluation = Evaluation(objective)
        self._points: list[Point] = []
        self._best, self._best_value = np.empty(0), np.inf
        self._idle, self._finite = 0, True

    # ------------------------------------------------------------------------------------------------- evaluations
    def to_host(self, a: Array) -> np.ndarray:
        """A copy as float64."""
        return on_host(self.xp, a)

    def value(self, z: np.ndarray) -> float:
        """``f(z)``."""
        return self.at(z).f

    def gradient(self, z: np.ndarray, copy: bool = True) -> np.ndarray:
        """Gradient of ``f`` (n,), a copy unless the caller leaves it as it is."""
        point = self.at(z)
        if point.g is None and self.squares:
            self.jacobian(z)
        if point.g is None:
            self.count(gradient=1)
            point.g = self.to_host(ours(self._evaluation.grad, point.tape))
        return point.g.copy() if copy else point.g

    def hessian_product(self, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Hessian times ``v`` (n,)."""
        self.count(hessian=1)
        return self.to_host(ours(evaluate, self.objective, "hessian", self.at(z).tape, self.xp.asarray(v)))

    def hessian(self, z: np.ndarray) -> np.ndarray:
        """The Hessian (n, n), column by column."""
        H = np.stack([self.hessian_product(z, e) for e in np.eye(z.size)])
        return (H + H.T) / 2  # round-off of a single column is not symmetric

    def residual(self, z: np.ndarray) -> np.ndarray:
        """Residual (m,), of objectives that have one."""
        return self.to_host(ours(evaluate, self.objective, "residual", self.at(z).tape))

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        """The residual's Jacobian (m, n), counted as the gradient ``J^T r`` that it brings."""
        point = self.at(z)
        if point.J is None:
            self.count(gradient=1)
            point.J = self.to_host(ours(evaluate, self.objective, "jacobian", point.tape))
            point.g = point.J.T @ self.residual(z)
        return point.J.copy()

    def at(self, z: np.ndarray) -> Point:
        """The point ``z``, evaluated unless it is known. Ends the run where no more forwards are allowed."""
        known = self._known(z)
        if known is not None:
            return known
        if self._tally["forward"] >= (self.stop.max_evaluations or np.inf):
            raise Ended("max_iterations", f"{self._tally['forward']} forwards")
        x, z = self.xp.asarray(z), np.array(z, np.float64)
        if self.fused:
            f, g = ours(self._evaluation.value_and_grad, x)
            self.count(forward=1, gradient=1)
            point = Point(z, x, float(f), None, self.to_host(g))
        else:
            f, tape = ours(self._evaluation.forward, x)
            self.count(forward=1)
            point = Point(z, x, float(f), tape)
        self._points = [*self._points, point][-_KEPT:]
        self._finite = self._finite and math.isfinite(point.f)
        total = self.total(point)
        if total < self._best_value:
            self._best, self._best_value = z, total
        return point

    def _known(self, z: np.ndarray) -> Point | None:
        """The point ``z`` where it is one of those kept; it is the last one used then."""
        for i in range(len(self._points) - 1, -1, -1):
            if _same(self._points[i].z, z):
                self._points.append(self._points.pop(i))
                return self._points[-1]
        return None

    @property
    def counts(self) -> Counts:
        """Evaluations so far."""
        return Counts(**self._tally)

    def count(self, **more: int) -> None:
        """Add to the counts."""
        for name, n in more.items():
            self._tally[name] += n

    def total(self, point: Point) -> float:
        """Value of all that is minimised: infinite outside the bounds."""
        if self.bounds is None:
            return point.f
        lower, upper = self.bounds
        return point.f if np.all((lower <= point.z) & (point.z <= upper)) else np.inf

    # -------------------------------------------------------------------------------------------------- iterations
    def note(self, z: np.ndarray, steps: int = 1) -> None:
        """Note the iterate after some more steps; Ended is raised where the run is over. The same again is no step.

        An iterate that is none of the points kept is evaluated off the clock and not counted. So is the projection by
        which an iterate out of bounds is noted, as interior-point methods may have one.
        """
        z = z if self.bounds is None else np.clip(z, *self.bounds)
        if self.iteration >= 0 and _same(z, self.iterate):
            self._idle += 1
            if self._idle >= IDLE + (0 if self.known else IDLE_SIMPLEX * z.size):
                raise Ended("stalled", f"{self._idle} iterations in a row without a step")
            return
        self._idle, self.iteration = 0, self.iteration + steps
        # the methods know their start
        point = None if not self.known else self.at(z) if self.iteration == 0 else self._known(z)
        if point is not None:
            self.gradient(point.z, copy=False)
            self.iterate, over = point.z, ours(self._record, point)
        else:
            self.iterate = np.array(z, np.float64)
            look = partial(self.record, x=self.xp.asarray(z), counts=self.counts)
            over = ours(look, self.iteration, None)
        if over:
            raise Ended(*self.record.why())
        if self.iteration >= self.stop.max_iterations:
            raise Ended("max_iterations", f"{self.iteration} iterations")

    def _record(self, point: Point) -> bool:
        """Record a point whose gradient is known, by a chunk of its own: what is computed there is off the clock."""
        if self.iteration == 0:  # which chunks follow
            f, measure = self.total(point), self._measure(point)
            return self.record(0, f, x=point.x, counts=self.counts, grad_norm=measure)

        def rows() -> np.ndarray:
            counts = self.counts
            done = self.iteration, counts.forward, counts.gradient, counts.passes
            return np.array([[*done, self.total(point), self._measure(point)]], np.float64)

        return self.record.chunk(rows, point.x)

    @property
    def _is_better(self) -> bool:
        """Whether the best point evaluated is better than the iterate, where the iterate's value is known."""
        return any(_same(p.z, self.iterate) and self._best_value < self.total(p) for p in self._points)

    def _measure(self, point: Point) -> float:
        """The gradient's maximum norm, or with bounds the projected gradient's."""
        step: Any = point.g if self.bounds is None else point.z - np.clip(point.z - point.g, *self.bounds)
        return float(np.abs(step).max())

    def run(self, x: Array, loop: Callable[[np.ndarray], Any]) -> Result:
        """The start, then ``loop(z0)`` until it returns, is ended, or fails.

        What it raises on data that it cannot work with becomes the reason of status ``"stalled"``, or ``"diverged"``
        where a value was not finite; what the objective raises is raised again. The result is the last iterate where it
        converged, and of all points evaluated the best one elsewhere.
        """
        self.record.begin()
        status: Status = "stalled"
        try:
            z = self.to_host(x)
            self.note(z)
            found = loop(z)
            self.note(np.asarray(found.x, np.float64))
            reason = " ".join(str(found.message).split())
        except Ended as end:
            status, reason = end.args
        except OursError as raised:
            raise raised.error from raised.error.__cause__
        except NmdlError:
            raise
        except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            status = "stalled" if self._finite else "diverged"
        z = self.iterate if status == "converged" or not self._is_better else self._best
        return Result(self.xp.asarray(z), status, reason, self.iteration, self.counts, float(self.counts.passes))


def _same(y: np.ndarray, z: np.ndarray) -> bool:
    """Whether two points (n,) are the same or equal; where they are not, one entry says so nearly always."""
    return y is z or (y[-1] == z[-1] and bool((y == z).all()))
