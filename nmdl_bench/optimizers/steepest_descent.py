"""Steepest descent with Armijo's line search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from nmdl_bench.contracts import SOLVERS, Array, Objective, Scalar
from nmdl_bench.optimizers.descent import DescentState, line_search_init, line_search_step
from nmdl_bench.optimizers.line_search import Armijo

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Gradient:
    """``d = -g``; the first trial is twice the step before."""

    def init(self, xp: Backend, x: Array) -> Any:
        return ()

    def update(
        self, xp: Backend, memory: Any, x: Array, x_new: Array, g: Array, g_new: Array, t: Scalar
    ) -> tuple[Any, Array, Scalar]:
        return (), -g_new, t + t


@SOLVERS.register("steepest-descent", "steepest descent with Armijo backtracking", kind="ours")
@dataclass(frozen=True)
class SteepestDescent:
    """``x_{k+1} = x_k - t_k g_k`` with ``t_k`` by Armijo's rule (Nocedal and Wright 2006, section 3.1).

    Parameters
    ----------
    c1 : float
        Armijo's constant, in (0, 1).
    max_trials : int
        Trials a search.
    """

    c1: float = 1e-4
    max_trials: int = 40

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _ = self._search

    @cached_property
    def _search(self) -> Armijo:
        return Armijo(self.c1, self.max_trials)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> DescentState:
        return line_search_init(objective, x, self._search, Gradient())

    def step(self, objective: Objective, state: DescentState, batch: Array | None = None) -> DescentState:
        return line_search_step(objective, state, self._search, Gradient())
