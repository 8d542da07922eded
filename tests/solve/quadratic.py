"""Small problems that need no data: the least a user's own problem has to bring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Quadratic:
    """``f(x) = 1/2 (x - 1)^T D (x - 1)``; ``sign=-1`` gives the gradient the wrong sign, ``blow`` poisons the value."""

    xp: Any
    arrays: Any
    x0: Any
    sign: float = 1.0
    n_samples: int = 1

    @property
    def static(self) -> Any:
        return ("quadratic", self.sign)

    def with_arrays(self, arrays: Any) -> Quadratic:
        return replace(self, arrays=arrays)

    def forward(self, x: Any, batch: Any = None) -> Any:
        r = x - 1
        return 0.5 * self.xp.dot(r, self.arrays * r), x

    def grad(self, tape: Any) -> Any:
        return self.sign * (self.arrays * (tape - 1))


class QuadraticProblem:
    """The problem of a :class:`Quadratic` with eigenvalues ``d`` from ``x0``."""

    name, summary, minimum, tau = "quadratic", "a diagonal quadratic", 0.0, 0.1

    def __init__(self, d: Any = (1.0, 10.0, 100.0), x0: Any = (0.0, 0.0, 0.0), sign: float = 1.0) -> None:
        self.d, self.x0, self.sign = np.array(d, float), np.array(x0, float), sign
        self.looks = 0

    def bind(self, xp: Any) -> Quadratic:
        return Quadratic(xp, xp.asarray(self.d), xp.asarray(self.x0), self.sign)

    def metrics(self, xp: Any, x: Any) -> dict[str, float]:
        self.looks += 1
        return {"distance": float(np.abs(xp.to_numpy(x) - 1).max())}
