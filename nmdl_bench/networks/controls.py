"""Controls ``theta(t)`` on a grid of their own, read where a time integrator needs them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, unknown
from nmdl_bench.networks.checks import check_positive, check_sizes

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

KINDS = ("constant", "linear")


@dataclass(frozen=True)
class Controls:
    """``number`` controls on [0, time], piecewise constant on equal intervals or linear between equidistant points.

    The states' grid of ``depth`` equal steps may be finer or coarser. What a step reads at its nodes is the linear map
    :meth:`weights` of the controls, and gradients go back by its transpose.

    Parameters
    ----------
    kind : str
        ``"constant"`` or ``"linear"``.
    number : int
        Intervals, or points (at least two).
    depth : int
        Steps of the states.
    time : float
        Final time.
    nodes : tuple of float
        Fractions of a step at which controls are read. A jump at a step's end is seen from inside the step; where
        there is a single node, constant controls are read at the step's middle.
    """

    kind: str
    number: int
    depth: int
    time: float
    nodes: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("kind of controls", self.kind, KINDS)
        check_sizes(number=self.number, depth=self.depth)
        check_positive(time=self.time)
        if self.kind == "linear" and self.number < 2:
            raise ConfigurationError("linear controls need at least 2 points, not 1")

    @property
    def spacing(self) -> float:
        """Distance of neighbouring controls in time."""
        return self.time / (self.number if self.kind == "constant" else self.number - 1)

    @property
    def one_to_one(self) -> bool:
        """Whether each step reads one control of its own, so that nothing has to be interpolated."""
        return self.kind == "constant" and self.number == self.depth

    @property
    def readings(self) -> int:
        """Different controls that a step reads: 1 where its nodes all see the same one."""
        return 1 if self.one_to_one else len(self.nodes)

    def weights(self) -> np.ndarray:
        """Matrix (depth * readings, number) from controls to what the steps read."""
        return _weights(self)

    def at(self, t: float, theta: Any) -> Any:
        """The controls at time ``t`` in [0, time], for a block (number, ...) of host arrays."""
        return np.tensordot(_row(self, Fraction(t / self.time), back=False), theta, axes=1)

    def read(self, xp: Backend, theta: Blocks) -> Blocks:
        """Blocks (number, ...) as what the steps read, (depth, ...) or (depth, readings, ...)."""
        if self.one_to_one:
            return theta
        W = xp.constant(self.weights())
        lead = (self.depth,) if self.readings == 1 else (self.depth, self.readings)
        return {
            name: xp.reshape(W @ xp.reshape(block, (self.number, -1)), (*lead, *block.shape[1:]))
            for name, block in theta.items()
        }

    def read_adjoint(self, xp: Backend, blocks: Any, shapes: dict[str, tuple[int, ...]]) -> Blocks:
        """Gradients that a scan stacked, as those of the controls, each of the given shape."""
        if self.one_to_one:
            return blocks
        W = xp.constant(self.weights().T)
        found: dict[str, Array] = {}
        for name, stacked in blocks.items():
            flat = xp.reshape(xp.ravel([stacked]), (self.depth * self.readings, -1))
            found[name] = xp.reshape(W @ flat, shapes[name])
        return found


@lru_cache(maxsize=128)
def _weights(controls: Controls) -> np.ndarray:
    nodes = controls.nodes if controls.readings > 1 else (0.5,) if controls.kind == "constant" else controls.nodes
    depth = controls.depth
    # in exact arithmetic: rounding must not decide on which side of a jump a node lies
    exact = [(Fraction(c).limit_denominator(10**9), c > 0.5) for c in nodes]
    rows = [_row(controls, (j + c) / depth, back) for j in range(depth) for c, back in exact]
    return np.array(rows)


def _row(controls: Controls, s: Fraction, back: bool) -> np.ndarray:
    """Weights of the controls at ``s`` in [0, 1]; at a jump, of the one before where ``back``, else the one after."""
    row, m = np.zeros(controls.number), controls.number
    if controls.kind == "constant":
        interval = ceil(s * m) - 1 if back else floor(s * m)
        row[min(max(interval, 0), m - 1)] = 1
    else:
        left = min(floor(s * (m - 1)), m - 2)
        row[left + 1] = float(s * (m - 1) - left)
        row[left] = 1 - row[left + 1]
    return row
