"""The clock of a run, its history, and the metrics evaluated off the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import HISTORY_COLUMNS, Array, Counts, Problem, Status, Stop

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


_PASSES = HISTORY_COLUMNS.index("passes")


class Recorder:
    """What a solver tells while it runs; see :class:`nmdl_bench.contracts.Record`.

    Parameters
    ----------
    problem : Problem
        Whose metrics are evaluated.
    evaluation : Evaluation
        Full loss and gradient, for solvers that do not know them.
    stop : Stop
        Time limit and tolerance are looked at here.
    every : int
        Iterations between evaluations of the metrics.
    recompute : bool
        Whether solvers see other data than ``evaluation``, a random draw of them: their own values and gradients are
        not taken then, but evaluated here where they look in.
    """

    def __init__(
        self, problem: Problem, evaluation: Evaluation, stop: Stop, every: int, recompute: bool = False
    ) -> None:
        self.problem, self.evaluation, self.stop, self.every = problem, evaluation, stop, every
        self.recompute = recompute
        self.xp: Backend = evaluation.xp
        self.rows: list[tuple[float, ...]] = []
        self.metrics: list[dict[str, float]] = []
        self.seconds = 0.0
        self.good: Array | None = None
        """Copy of the last iterate seen between chunks at which the loss was finite."""
        self._since, self._next_look = 0.0, 0
        self._g_stop = float("nan")
        self._why: tuple[Status, str] = ("error", "the solver ended without a word")

    def begin(self) -> None:
        """Let the clock run; call it when the set-up that users do once is done."""
        self._since = time.perf_counter()

    def why(self) -> tuple[Status, str]:
        """Status and reason of the last call that asked the solver to stop."""
        return self._why

    @property
    def g_stop(self) -> float:
        """Tolerance for the gradient's maximum norm, known after the row of iteration 0."""
        return self._g_stop

    def __call__(
        self,
        iteration: int,
        loss: float | None,
        *,
        x: Array,
        counts: Counts,
        grad_norm: float = float("nan"),
        passes: float | None = None,
    ) -> bool:
        self._pause(x)
        if loss is None or self.recompute:
            loss, grad_norm = self.evaluation.norms(x)
        counts = Counts(*(int(c) for c in counts))
        passes = float(counts.passes) if passes is None else passes
        row = (iteration, counts.forward, counts.gradient, passes, float(loss), float(grad_norm), self.seconds, 1.0)
        self.rows.append(row)
        return self._boundary(x)

    def chunk(self, rows: Callable[[], np.ndarray], x: Array) -> bool:
        """Note the iterations of a chunk that ended at ``x``; true where the solver must stop.

        Parameters
        ----------
        rows : callable
            Gives :data:`~nmdl_bench.contracts.ROW` of each iteration; called with the clock stopped.
        x : Array
            The iterate, waited for.
        """
        before = self.seconds
        self._pause(x)
        table, passes = rows(), self.rows[-1][_PASSES]
        if self.recompute:
            table = np.array([[*table[-1, :4], *self.evaluation.norms(x)]])
        for i, row in enumerate(table):
            # within a chunk nobody looked at the clock: time goes in proportion to the passes, and is marked
            share = (row[_PASSES] - passes) / max(table[-1, _PASSES] - passes, 1)
            at = before + share * (self.seconds - before)
            self.rows.append((*row, at, float(i == len(table) - 1)))
        return self._boundary(x)

    def _pause(self, x: Array) -> None:
        self.xp.synchronize(x)
        self.seconds += time.perf_counter() - self._since

    def _boundary(self, x: Array) -> bool:
        """Metrics where they are due, the last good iterate, limits; then the clock runs again."""
        iteration, passes = int(self.rows[-1][0]), self.rows[-1][3]
        loss, g_norm = self.rows[-1][HISTORY_COLUMNS.index("loss")], self.rows[-1][HISTORY_COLUMNS.index("grad_norm")]
        if iteration == 0:
            self._g_stop = tolerance(self.stop, g_norm)
        over = True
        if not np.isfinite(loss):
            self._why = "diverged", f"value {loss:g}, gradient norm {g_norm:g} at iteration {iteration}"
        elif g_norm <= self._g_stop:
            self._why = "converged", "gradient below the tolerance"
        elif self.stop.max_time is not None and self.seconds >= self.stop.max_time:
            self._why = "max_time", f"{self.seconds:.3g} s"
        else:
            over = False
        if np.isfinite(loss):
            self.good = self.xp.copy(x)
            if over or iteration >= self._next_look:
                values = self.problem.metrics(self.xp, x)
                self.metrics.append({"iteration": iteration, "passes": passes, "time": self.seconds, **values})
                self._next_look = iteration + self.every
        self.xp.synchronize()
        self.begin()
        return over


def tolerance(stop: Stop, g_norm0: float) -> float:
    """``gtol * max(1, |g(x0)|_inf)``; a gradient that overflows at the start sets no scale: all would be solved."""
    return stop.gtol * (max(1.0, g_norm0) if np.isfinite(g_norm0) else 1.0)
