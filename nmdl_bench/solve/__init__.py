"""Drive any solver on any problem: the clock, the history, stopping, status, and what is recomputed afterwards."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import (
    HISTORY_COLUMNS,
    ConfigurationError,
    Objective,
    Optimizer,
    Problem,
    Result,
    Solver,
    Stop,
)
from nmdl_bench.data.batches import batches, redraw
from nmdl_bench.registry import mismatch
from nmdl_bench.solve.recorder import Recorder, tolerance
from nmdl_bench.solve.stepwise import Stepwise

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

__all__ = ["Recorder", "Stepwise", "batches", "bind", "solve"]

_BOUND: weakref.WeakKeyDictionary[Any, dict[Any, Objective]] = weakref.WeakKeyDictionary()


def bind(problem: Problem, xp: Backend) -> Objective:
    """``problem.bind(xp)``, kept for as long as the problem lives."""
    try:
        bound = _BOUND.setdefault(problem, {})
    except TypeError:  # a user's problem need be neither hashable nor open to weak references
        return problem.bind(xp)
    key = (xp.key, type(xp))
    if key not in bound:
        bound[key] = problem.bind(xp)
    return bound[key]


def solve(problem: Problem, solver: Solver | Optimizer, xp: Backend, stop: Stop | None = None, seed: int = 0) -> Result:
    """Minimise ``problem`` with ``solver`` on ``xp``.

    Parameters
    ----------
    problem : Problem
        From ``PROBLEMS.make(name, seed=..., ...)``.
    solver : Solver or Optimizer
        From ``SOLVERS.make(name, ...)``.
    xp : Backend
        From :func:`nmdl_bench.backends.get_backend`.
    stop : Stop, optional
        Limits and tolerance.
    seed : int
        Draws the batches, and what is random in the data.

    Returns
    -------
    Result
        With loss, gradient norm and metrics recomputed at ``x``, and ``x`` on the host. Its status is ``"converged"``
        exactly where the recomputed gradient meets the tolerance; a solver that ends by another rule of its own is
        ``"stalled"``.

    Raises
    ------
    ConfigurationError
        The solver needs structure that the problem does not provide.

    Notes
    -----
    Called again with an equal problem and solver, it compiles nothing anew. NaN and Inf give the status ``"diverged"``
    and the last finite iterate seen between chunks. Exceptions of a solver propagate.

    Where a problem's data are random (dropout, augmentation), mini-batch methods train on a draw of their own for every
    epoch, and methods that take all samples at once minimise over one fixed draw, that of epoch 0. What is recorded,
    compared and judged is always the training objective without either, so that all methods' values are of one
    function; a method that takes all samples and solves its draw is ``"stalled"`` then.
    """
    needs, accepts = getattr(solver, "needs", ()), getattr(solver, "accepts", ())
    unfit = mismatch(getattr(problem, "provides", ()), needs, accepts)
    if unfit:
        raise ConfigurationError(f"{type(solver).__name__} cannot minimise {problem.name!r}: {unfit}")
    stop = Stop() if stop is None else stop
    runner = cast(Solver, solver) if isinstance(solver, Solver) else Stepwise(cast(Optimizer, solver))
    with xp.scope():
        objective = bind(problem, xp)
        evaluation = Evaluation(objective)
        first = redraw(objective, 0, seed)
        is_random = first is not objective.arrays
        record = Recorder(problem, evaluation, stop, stop.chunk, recompute=is_random)
        drawn = objective.with_arrays(first) if is_random else objective
        result = runner.run(drawn, objective.x0, stop, record, seed=seed)
        return _finish(problem, evaluation, record, result, stop)


def _finish(problem: Problem, evaluation: Evaluation, record: Recorder, result: Result, stop: Stop) -> Result:
    """Recompute at the returned x what the status rests on, and complete the result."""
    xp = evaluation.xp
    loss, grad_norm = evaluation.norms(result.x)
    status, reason = result.status, result.reason
    finite = np.isfinite(loss) and np.isfinite(grad_norm)
    if status == "diverged" or not finite:
        status = "diverged"
        reason = reason if result.status == status else f"value {loss:g}, gradient norm {grad_norm:g} at the end"
        x = evaluation.x0 if record.good is None else record.good
        loss, grad_norm = evaluation.norms(x)
    else:
        x = result.x
        if grad_norm <= tolerance(stop, evaluation.norms(evaluation.x0)[1]):
            status, reason = "converged", "gradient below the tolerance"
        elif status == "converged":
            status, reason = "stalled", f"ended by its own rule ({reason}), gradient norm {grad_norm:.3g}"
    return replace(
        result,
        x=xp.to_numpy(x),
        status=status,
        reason=reason,
        loss=loss,
        grad_norm=grad_norm,
        time=record.seconds,
        metrics=problem.metrics(xp, x),
        history=np.array(record.rows, dtype=np.float64).reshape(-1, len(HISTORY_COLUMNS)),
        metric_history=record.metrics,
    )
