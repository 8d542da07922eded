"""``check_optimizer``: the same steps on every backend, and no surprise on bad data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import Objective, Optimizer, Problem
from nmdl_bench.data.batches import batches
from nmdl_bench.testing.errors import deviation, host_reals, require, require_close
from nmdl_bench.testing.trees import leaves

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

_FIELDS = ("x", "f", "g_norm", "k", "counts", "stalled")


class Trajectory(NamedTuple):
    """What the first steps left behind, on the host.

    ``x`` (steps + 1, size), ``f`` and ``g_norm`` (steps + 1,), ``counts`` (steps + 1, 7): k, the five evaluation
    counts, stalled.
    """

    x: np.ndarray
    f: np.ndarray
    g_norm: np.ndarray
    counts: np.ndarray


def trajectory(optimizer: Optimizer, problem: Problem, xp: Backend, steps: int = 20, seed: int = 0) -> Trajectory:
    """Iterates and counts of the first ``steps`` steps, through ``xp.compile`` with a donated state.

    Raises
    ------
    CheckError
        The state lacks a field that every state has, or the start or the data were overwritten.
    """
    with xp.scope():
        objective = problem.bind(xp)
        given = [xp.to_numpy(a) for a in (*leaves(objective.arrays), objective.x0)]
        bare = objective.with_arrays(None)
        step = xp.compile(
            lambda arrays, state, batch: optimizer.step(bare.with_arrays(arrays), state, batch), donate=(1,)
        )
        state = optimizer.init(cast(Objective, Evaluation(objective)), objective.x0)
        missing = [name for name in _FIELDS if not hasattr(state, name)]
        require(not missing, f"the state of {optimizer!r} lacks {', '.join(missing)}")
        rows = [_row(xp, state)]
        order = _indices(optimizer, objective.n_samples, seed)
        for _ in range(steps):
            batch = next(order)
            state = step(objective.arrays, state, None if batch is None else xp.asarray(batch))
            rows.append(_row(xp, state))
        for before, after in zip(given, (*leaves(objective.arrays), objective.x0)):
            require_close(f"{optimizer!r} on {xp!r}: x0 or data after the steps", xp.to_numpy(after), before, 0.0)
    x, f, g_norm, counts = (np.stack(column) for column in zip(*rows))
    return Trajectory(x, f, g_norm, counts)


def _row(xp: Backend, state: Any) -> tuple[np.ndarray, float, float, np.ndarray]:
    s = xp.s
    integers = [s.real(i) for i in (state.k, *state.counts)]
    stalled = s.where(state.stalled, s.const(1.0), s.const(0.0))
    f, g_norm, *counts = host_reals(xp, [state.f, state.g_norm, *integers, stalled])
    return xp.to_numpy(state.x), f, g_norm, np.array(counts)


def _indices(optimizer: Optimizer, n: int, seed: int) -> Iterator[np.ndarray | None]:
    if not optimizer.takes_batches or optimizer.batch_size is None or optimizer.batch_size >= n:
        while True:
            yield None
    for epoch in batches(seed, n, optimizer.batch_size):
        yield from epoch


def check_optimizer(
    optimizer: Optimizer,
    problem: Problem,
    backends: Sequence[Backend],
    steps: int = 20,
    tolerance: float = 1e-9,
    reference: Trajectory | None = None,
) -> Trajectory:
    """Check that an optimizer takes the same first steps on every backend, in float64.

    Parameters
    ----------
    optimizer : Optimizer
        What to check.
    problem : Problem
        On what.
    backends : sequence of Backend
        The first one is what the others are compared with; give NumPy first.
    steps : int
        Calls of ``step``.
    tolerance : float
        Largest relative deviation of an iterate.
    reference : Trajectory, optional
        What all of ``backends`` are compared with, instead of the first one.

    Returns
    -------
    Trajectory
        The reference.

    Raises
    ------
    CheckError
        Counts of iterations and evaluations differ, or an iterate by more than ``tolerance``, or a state is not what
        :class:`~nmdl_bench.contracts.Optimizer` says, or data were overwritten.
    """
    for xp in backends:
        name = f"{optimizer!r} on {xp!r}"
        found = trajectory(optimizer, problem, xp, steps)
        if reference is None:
            reference = found
        _check_counts(name, found)
        for j, (counts, expected) in enumerate(zip(found.counts, reference.counts)):
            require(
                np.array_equal(counts, expected),
                f"{name}: after step {j} k, evaluations and stalled are {counts.astype(int).tolist()}, "
                f"not {expected.astype(int).tolist()}",
            )
            error = deviation(found.x[j], reference.x[j])
            require(error <= tolerance, f"{name}: the iterate after step {j} is off by a relative {error:.3g}")
    require(reference is not None, "check_optimizer needs at least one backend")
    return reference  # type: ignore[return-value]


def _check_counts(name: str, found: Trajectory) -> None:
    k, forward = found.counts[:, 0], found.counts[:, 1]
    require(np.all(np.diff(found.counts[:, :6], axis=0) >= 0), f"{name}: k or a count of evaluations falls")
    require(np.all(np.diff(k) <= 1), f"{name}: a step counts more than one iteration")
    require(np.all(np.diff(forward) >= 0) and forward[-1] >= k[-1], f"{name}: fewer forwards than iterations")
    still = np.diff(k) == 0
    moved = np.any(found.x[1:] != found.x[:-1], axis=1) & ~(np.isnan(found.x).any(axis=1)[1:])
    require(not np.any(still & moved), f"{name}: an iterate changes where k does not count an iteration")


def check_bad_data(optimizer: Optimizer, problem: Problem, backends: Sequence[Backend], steps: int = 3) -> None:
    """Check that an optimizer survives data with NaN or infinities: no exception, and ``f`` tells.

    Parameters
    ----------
    optimizer, backends, steps
        As for :func:`check_optimizer`.
    problem : Problem
        One whose value at the start is not finite.

    Raises
    ------
    CheckError
        ``f`` is finite after a step that evaluated it.
    """
    for xp in backends:
        with np.errstate(all="ignore"):
            found = trajectory(optimizer, problem, xp, steps)
        evaluated = found.counts[:, 1] > 0
        require(
            not np.any(np.isfinite(found.f[evaluated])),
            f"{optimizer!r} on {xp!r}: bad data give the values {found.f.tolist()}, which hide that they are bad",
        )


def check_zero_gradient(optimizer: Optimizer, problem: Problem, backends: Sequence[Backend], steps: int = 3) -> None:
    """Check that an optimizer stays where the gradient is exactly zero: no exception, no NaN in the iterate.

    Parameters
    ----------
    optimizer, backends, steps
        As for :func:`check_optimizer`.
    problem : Problem
        One whose gradient vanishes at the start.

    Raises
    ------
    CheckError
        An iterate differs from the start, or the value is not finite.
    """
    for xp in backends:
        found = trajectory(optimizer, problem, xp, steps)
        require_close(f"{optimizer!r} on {xp!r}: the iterate where the gradient is zero", found.x[-1], found.x[0], 0.0)
        require(
            np.isfinite(found.f[-1]), f"{optimizer!r} on {xp!r}: the value where the gradient is zero is {found.f[-1]}"
        )
