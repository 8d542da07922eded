"""Projected L-BFGS for bounds: the quasi-Newton direction of the free variables, by two-metric projection."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np

from nmdl_bench.backends.stationarity import measure
from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Objective, Scalar
from nmdl_bench.optimizers.descent import Direction, Step, Turn
from nmdl_bench.optimizers.projected import Arc, ArcState, arc_init, arc_step

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class UnitPairs(NamedTuple):
    """The last m pairs ``s = x_{k+1} - x_k``, ``y = g_{k+1} - g_k``, each divided by ``|s|``, as rows in ring order.

    ``W`` (2m, n) holds ``S`` above ``Y``; ``R`` (m, m) the ``s_i.y_j`` for pairs i not younger than j, else 0;
    ``YY = Y Y^T``; ``D`` (m,) the ``s_i.y_i``; ``theta`` scales the initial matrix; ``i`` is the slot of the oldest
    pair, to be overwritten. Slots without a pair are zero. ``near`` is how near a bound counts as at it, at most.
    """

    W: Array
    R: Array
    YY: Array
    D: Array
    theta: Scalar
    i: Any
    near: Scalar


@dataclass(frozen=True)
class FreeInverse(Direction):
    """``d_F = -(B_FF)^-1 g_F`` on the free variables F, ``d_A = -g_A / theta`` on the others.

    A variable is in A where it is within ``e`` of a bound that ``-g`` points to, ``e`` the smaller of ``near`` and the
    projected gradient's norm (Bertsekas 1982, eqs. 32 to 34): it then stays at the bound, or goes there, by the
    projection. ``B`` is the BFGS matrix in the compact form of Byrd, Nocedal and Schnabel (1994, theorem 2.3),
    ``B = theta I - V M V^T`` with ``V = [Y^T  theta S^T]`` for rows as pairs. By Sherman, Morrison and Woodbury::

        (B_FF)^-1 = I / theta + V_F N^-1 V_F^T / theta^2,   N = M^-1 - V_F^T V_F / theta
                  = [ -D - Y_F Y_F^T / theta   (S_A Y_A^T - R)^T ]
                    [  S_A Y_A^T - R            theta S_A S_A^T  ]

    (Byrd, Lu, Nocedal and Zhu 1995, section 5.1). Since B is positive definite so is ``B_FF``; no pair need be dropped
    because its part in F has no curvature.
    """

    m: int
    near: float = field(compare=False)
    from_tape: ClassVar[bool] = False

    def init(self, xp: Backend, x: Array) -> UnitPairs:
        m, zeros, s = self.m, xp.zeros, xp.s
        return UnitPairs(
            zeros((2 * m, x.shape[0])), zeros((m, m)), zeros((m, m)), zeros((m,)), s.const(1.0), s.int(0),
            s.const(self.near),
        )  # fmt: skip

    def reset(self, xp: Backend, memory: UnitPairs, x: Array) -> UnitPairs:
        return self.init(xp, x)._replace(near=memory.near)

    def update(self, objective: Objective, memory: UnitPairs, step: Step) -> Turn:
        xp, s, x_new, g_new = objective.xp, objective.xp.s, step.x_new, step.g_new
        move, y = xp.aypx(-1.0, x_new, step.x), xp.aypx(-1.0, g_new, step.g)
        rho, yy, length = xp.dot(move, y), xp.dot(y, y), s.sqrt(xp.dot(move, move))
        curved = rho > xp.eps * length * s.sqrt(yy)
        store, keep = partial(self._store, xp), lambda memory, *_: memory
        memory = xp.cond(curved, store, keep, memory, move, y, s.div(s.const(1.0), length), s.div(yy, rho))
        d = self._direction(xp, memory, g_new, self._free(objective, memory.near, x_new, g_new))
        return Turn(memory, d, s.const(1.0), step.counts)

    def _store(self, xp: Backend, memory: UnitPairs, move: Array, y: Array, c: Scalar, theta: Scalar) -> UnitPairs:
        m, (W, R, YY, D, _, i, near) = self.m, memory
        y = xp.scale(c, y)
        W = xp.set_row(xp.set_row(W, i, xp.scale(c, move)), m + i, y)
        Wy, e = W @ y, xp.one_hot(i, m)
        keep = 1 - e
        R = xp.set_column(R * xp.reshape(keep, (m, 1)), i, Wy[:m])
        YY = xp.set_row(xp.set_column(YY, i, Wy[m:]), i, Wy[m:])
        return UnitPairs(W, R, YY, D * keep + e * Wy[:m], theta, xp.s.mod(i + 1, m), near)

    def _free(self, objective: Objective, near: Scalar, x: Array, g: Array) -> Array:
        """1 where a variable is free, 0 where it is held at a bound (n,)."""
        xp, bounds = objective.xp, cast(Any, objective)
        e, zeros = xp.s.minimum(near, measure(objective, x, g)), xp.zeros(x.shape)
        ones = zeros + 1.0
        gap = xp.where(g > 0, x - bounds.lower, xp.where(g < 0, bounds.upper - x, ones + e))
        return xp.where(gap - e <= 0, zeros, ones)

    def _direction(self, xp: Backend, memory: UnitPairs, g: Array, free: Array) -> Array:
        m, (W, R, YY, D, theta, _, _) = self.m, memory
        inverse = xp.s.div(xp.s.const(1.0), theta)
        g_F = free * g
        active = (W * (1 - free)) @ W.T
        is_empty = xp.where(D > 0, xp.zeros((m,)), xp.zeros((m,)) + 1.0)  # such a slot is an equation of its own
        eye = xp.constant(np.eye(m))
        upper = -eye * (D + is_empty) - inverse * (YY - active[m:, m:])
        below = active[:m, m:] - R
        N = xp.concat(
            [xp.concat([upper, below.T], axis=1), xp.concat([below, theta * active[:m, :m] + eye * is_empty], axis=1)]
        )
        Wg = W @ g_F
        p = xp.solve(N, xp.concat([Wg[m:], theta * Wg[:m]]))
        correction = xp.concat([theta * p[m:], p[:m]]) @ W
        return -inverse * (g + inverse * (free * correction))


@SOLVERS.register("projected-lbfgs", "L-BFGS for bounds by two-metric projection", kind="ours")
@dataclass(frozen=True)
class ProjectedLBFGS:
    """L-BFGS on the free variables, with Armijo's rule along the projected arc.

    Two-metric projection is Bertsekas's (1982); Schmidt, Kim and Sra (2011), section 11.4, describe it with limited
    memory.

    Parameters
    ----------
    memory : int
        Number of pairs, >= 1.
    near : float
        Distance from a bound, at most, at which a variable is held; >= 0.
    c1 : float
        Armijo's constant, in (0, 1).
    max_trials : int
        Trials a search.
    """

    memory: int = 10
    near: float = 1e-3
    c1: float = 1e-4
    max_trials: int = 25

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("bounds",)

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise ConfigurationError(f"memory must be at least 1, not {self.memory!r}")
        if not 0 <= self.near < float("inf"):
            raise ConfigurationError(f"near must be non-negative and finite, not {self.near!r}")
        _ = self._arc

    @cached_property
    def _arc(self) -> Arc:
        return Arc(self.c1, 1, self.max_trials)

    @property
    def _direction(self) -> FreeInverse:
        return FreeInverse(self.memory, self.near)

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> ArcState:
        return arc_init(objective, x, self._arc, self._direction)

    def step(self, objective: Objective, state: ArcState, batch: Array | None = None) -> ArcState:
        return arc_step(objective, state, self._arc, self._direction)
