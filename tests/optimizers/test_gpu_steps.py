"""What a step does on a GPU, without one: waits on the checked CuPy, branches on torch's fake CUDA device."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from optimizer_cases import BATCHES, OPTIMIZERS, make, small_for

from nmdl_bench.contracts import Stop
from nmdl_bench.solve import solve
from nmdl_bench.testing import checked_cupy, fake_cuda_backend
from nmdl_bench.testing.trees import leaves

# decisions on the host: is the trial low; then is it accepted, is the new direction one of descent, (L-BFGS) is the
# pair curved; or else has the search failed
ACCEPTED = {
    "steepest-descent": 3,
    "gradient-descent": 2,
    "barzilai-borwein": 3,
    "nonlinear-cg": 3,
    "lbfgs": 4,
    "bfgs": 3,
}
REJECTED = 2
NEVER_REJECTED = (*BATCHES, "gradient-descent")
# different sequences of decisions in a step, on or off the device
BRANCHES = {
    "steepest-descent": 5,
    "gradient-descent": 3,
    "barzilai-borwein": 5,
    "nonlinear-cg": 8,
    "lbfgs": 10,
    "bfgs": 8,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_synchronisations_of_a_step(name: str) -> None:
    xp, optimizer, problem = checked_cupy(), make(name), small_for(name).plain()
    objective = problem.bind(xp)
    batch = xp.asarray(np.arange(10)) if name in BATCHES else None
    cp = xp.cp
    cp.reset()
    state = optimizer.init(objective, objective.x0)
    assert cp.synchronisations == 0
    seen = set()
    for _ in range(40):
        cp.reset()
        k = state.k
        state = optimizer.step(objective, state, batch)
        budget = 0 if name in BATCHES else ACCEPTED[name] if state.k > k else REJECTED + 1
        assert cp.synchronisations <= budget
        assert set(cp.waits) <= {"bool"}  # nothing but decisions
        seen.add(state.k > k)
    assert seen == ({True} if name in NEVER_REJECTED else {True, False})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_synchronisations_of_a_run(name: str) -> None:
    """One more decision a step, to go on; and at each of the chunks' ends a few."""
    xp, problem = checked_cupy(), small_for(name).plain()
    stop = Stop(max_iterations=40, max_epochs=4)
    options = {"batch_size": 10} if name in BATCHES else {}
    solve(problem, OPTIMIZERS[name].make(**options), xp, stop)
    xp = checked_cupy()
    result = solve(small_for(name).plain(), OPTIMIZERS[name].make(**options), xp, stop)
    boundaries = 20 if name not in BATCHES else 4
    decisions = result.counts.forward * (1 + ACCEPTED.get(name, -1))
    assert xp.cp.synchronisations <= decisions + 40 * (boundaries + 2)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_branch_runs_on_a_fake_cuda_device(name: str, dtype: str) -> None:
    """All sequences of decisions, scripted, since the device has no values to decide on."""
    problem, optimizer = small_for(name).plain(), make(name)
    taken: set[tuple[bool, ...]] = set()
    for script in product([True, False], repeat=5 if name not in BATCHES else 0):
        with fake_cuda_backend(dtype) as xp:
            choices, decisions = iter(script), []

            def cond(pred: Any, then: Any, else_: Any, *args: Any, choices: Any = choices, log: Any = decisions) -> Any:
                assert isinstance(pred, torch.Tensor | bool)
                log.append(next(choices))
                return (then if log[-1] else else_)(*args)

            xp.cond = cond  # type: ignore[method-assign]
            objective = problem.bind(xp)
            batch = xp.asarray(np.arange(10)) if name in BATCHES else None
            state = optimizer.init(objective, objective.x0)
            shapes = [_kind(leaf) for leaf in leaves(state)]
            state = optimizer.step(objective, state, batch)
            assert [_kind(leaf) for leaf in leaves(state)] == shapes
            taken.add(tuple(decisions))
    assert len(taken) >= BRANCHES.get(name, 1)


def _kind(leaf: Any) -> Any:
    """What a step may not change: device, type and shape of tensors; truth values may be the host's or the device's."""
    if isinstance(leaf, torch.Tensor) and leaf.dtype != torch.bool:
        return leaf.device.type, leaf.dtype, tuple(leaf.shape)
    return "truth" if isinstance(leaf, bool | torch.Tensor) else type(leaf)
