"""What a step does on a GPU, without one: waits on the checked CuPy, branches on torch's fake CUDA device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from optimizer_cases import BATCHES, OPTIMIZERS, make, small_for

from nmdl_bench.contracts import Stop
from nmdl_bench.solve import solve
from nmdl_bench.testing import checked_cupy, fake_cuda_backend
from nmdl_bench.testing.trees import leaves, tree_map


class Decisions(NamedTuple):
    """What the host decides in a step, at most; each decision waits for the device."""

    accepted: int
    rejected: int = 3
    product: int = 0
    """More for each product: of the loop around it, and in there. Methods without such loops start without waiting."""


# is the trial low; then is it accepted, is the new direction one of descent, (L-BFGS) is the pair curved; or else has
# the search failed
DECISIONS = {
    "steepest-descent": Decisions(3),
    "barzilai-borwein": Decisions(3),
    "nonlinear-cg": Decisions(3),
    "lbfgs": Decisions(4),
    "bfgs": Decisions(3),
    "gauss-newton": Decisions(4, product=1),  # and has J full rank, also for the first direction
    "projected-gradient": Decisions(3),
    "projected-lbfgs": Decisions(4),
    # the trial or a point of its own, twice: before and after the forward; is the value low, is the slope
    "proximal-gradient": Decisions(2),
    "fista": Decisions(4),
    "ipalm": Decisions(4),
    # as the first ones, and at the end of the inner iterations, whether they go on
    "newton-cg": Decisions(4, product=1),
    "gauss-newton-cg": Decisions(4, product=1),
    "subsampled-newton-cg": Decisions(4, product=1),
    "subsampled-gauss-newton-cg": Decisions(4, product=1),
    # Newton's method for the last layer has its products, too: a trial that is rejected needs some; and each of its
    # factorisations asks whether it has succeeded
    "varpro": Decisions(4, 2, product=2),
    # is the trial good; (Levenberg-Marquardt) is there a damping yet
    "newton-tr": Decisions(2, 1, product=1),
    "levenberg-marquardt-cg": Decisions(3, 1, product=1),
    # on the edge, the secular equation takes about three steps for each product, and again for a rejected trial
    "newton-gltr": Decisions(8, 7, product=5),
    # has J full rank, does the step fit, and up to three shifts
    "levenberg-marquardt": Decisions(4, 6, product=1),
}
NEVER_REJECTED = (*BATCHES, "gradient-descent")
BRANCHES = {
    "steepest-descent": 6,
    "barzilai-borwein": 6,
    "nonlinear-cg": 10,
    "lbfgs": 22,
    "bfgs": 10,
    "gauss-newton": 8,
    "projected-gradient": 6,
    "projected-lbfgs": 8,
    "proximal-gradient": 10,
    "fista": 10,
    "ipalm": 10,
    "newton-cg": 8,
    "gauss-newton-cg": 8,
    "subsampled-newton-cg": 8,
    "subsampled-gauss-newton-cg": 8,
    "varpro": 128,
    "newton-tr": 3,
    "levenberg-marquardt-cg": 5,
    "newton-gltr": 14,
    "levenberg-marquardt": 16,
}
"""Different sequences of decisions in a step, on or off the device; a loop is one decision, whether it is entered."""


def products_of(counts: Any) -> int:
    """Products with a Hessian or Jacobian."""
    return int(counts.hessian + counts.jvp)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_synchronisations_of_a_step(name: str) -> None:
    xp, optimizer, problem = checked_cupy(), make(name), small_for(name).plain()
    decisions = DECISIONS.get(name, Decisions(0))
    objective = problem.bind(xp)
    batch = xp.asarray(np.arange(10)) if name in BATCHES else None
    cp = xp.cp
    cp.reset()
    state = optimizer.init(objective, objective.x0)
    first = decisions.accepted + decisions.product * products_of(state.counts) if decisions.product else 0
    assert cp.synchronisations <= first
    assert set(cp.waits) <= {"bool"}
    seen = set()
    for _ in range(40):
        cp.reset()
        k, products = state.k, products_of(state.counts)
        state = optimizer.step(objective, state, batch)
        budget = decisions.accepted if state.k > k else decisions.rejected
        assert cp.synchronisations <= budget + decisions.product * (products_of(state.counts) - products)
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
    a_step = DECISIONS.get(name, Decisions(-1))
    decisions = result.counts.forward * (1 + max(a_step.accepted, a_step.rejected * (name not in BATCHES)))
    decisions += a_step.product * products_of(result.counts)
    assert xp.cp.synchronisations <= decisions + 40 * (boundaries + 2)


class Scripted:
    """Decides for a device that has no values: once for each sequence of decisions that there is.

    A run follows the script, says yes where that ends, and notes what it has decided. The next script is the last one
    with its last yes turned into a no. A loop is one decision, whether it is entered.
    """

    def __init__(self) -> None:
        self.script: list[bool] = []
        self.decided: list[bool] = []
        self.paths = 0

    def runs(self) -> Iterator[None]:
        """One run for each sequence."""
        while True:
            self.decided = []
            yield
            self.paths += 1
            while self.decided and not self.decided[-1]:
                self.decided.pop()
            if not self.decided:
                return
            self.script = [*self.decided[:-1], False]

    def decide(self, pred: Any) -> bool:
        assert isinstance(pred, torch.Tensor | bool)
        place = len(self.decided)
        self.decided.append(self.script[place] if place < len(self.script) else True)
        return self.decided[-1]

    def cond(self, pred: Any, then: Any, else_: Any, *args: Any) -> Any:
        return (then if self.decide(pred) else else_)(*args)

    def while_loop(self, cond: Any, body: Any, state: Any) -> Any:
        """One round or none: what a round leaves is of the kind that it started from, and so for all that follow."""
        if not self.decide(cond(state)):
            return state
        kinds = kinds_of(state)
        state = body(state)
        assert kinds_of(state) == kinds
        assert isinstance(cond(state), torch.Tensor | bool)
        return state

    def put(self, xp: Any) -> None:
        """Let the backend ask here."""
        xp.cond, xp.while_loop = self.cond, self.while_loop


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_branch_runs_on_a_fake_cuda_device(name: str, dtype: str) -> None:
    """All sequences of decisions, scripted, since the device has no values to decide on."""
    problem, optimizer, scripted = small_for(name).plain(), make(name), Scripted()
    with fake_cuda_backend(dtype) as xp:
        scripted.put(xp)
        objective = problem.bind(xp)
        batch = xp.asarray(np.arange(10)) if name in BATCHES else None
        starts = [optimizer.init(objective, objective.x0) for _ in scripted.runs()]
        kinds = kinds_of(starts[0])
        assert all(kinds_of(start) == kinds for start in starts)
        scripted = Scripted()
        scripted.put(xp)
        for _ in scripted.runs():
            start = tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, starts[0])
            assert kinds_of(optimizer.step(objective, start, batch)) == kinds
    assert scripted.paths == BRANCHES.get(name, 1)


def kinds_of(state: Any) -> list[Any]:
    """Kinds of a tree's leaves."""
    return [_kind(leaf) for leaf in leaves(state)]


def _kind(leaf: Any) -> Any:
    """What a step may not change: device, type and shape of tensors; truth values may be the host's or the device's."""
    if isinstance(leaf, torch.Tensor) and leaf.dtype != torch.bool:
        return leaf.device.type, leaf.dtype, tuple(leaf.shape)
    return "truth" if isinstance(leaf, bool | torch.Tensor) else type(leaf)
