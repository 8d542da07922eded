"""L-BFGS in compact form over a ring buffer: three products with it an iteration instead of 4m vector operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import SOLVERS, Array, ConfigurationError, Objective, Scalar
from nmdl_bench.optimizers.descent import Direction, LineSearch, LineSearchMethod, Step, Turn
from nmdl_bench.optimizers.line_search import wolfe_search

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Pairs(NamedTuple):
    """The last m pairs ``s = x_{k+1} - x_k``, ``y = g_{k+1} - g_k``, as rows in ring order.

    ``W`` (2m, n) holds ``S`` above ``Y``; ``P`` (m, m) the inverse of ``R``, ``R_ij = s_i.y_j`` for pairs i not
    younger than j, else 0; ``YY = Y Y^T``; ``D`` (m,) the ``s_i.y_i``; ``gamma`` scales the initial matrix; ``i`` is
    the slot of the oldest pair, to be overwritten. Slots without a pair are zero in ``P`` and ``D``;
    what ``W`` and ``YY`` hold there meets these zeros.
    """

    W: Array
    P: Array
    YY: Array
    D: Array
    gamma: Scalar
    i: Any


@dataclass(frozen=True)
class CompactInverse(Direction):
    """The limited-memory BFGS direction ``d = -H g``.

    With the inverse matrix of Byrd, Nocedal and Schnabel (1994, theorem 2.2, eq. 3.1)::

        H = gamma I + [S^T  gamma Y^T] [ P^T (D + gamma Y Y^T) P   -P^T ] [   S    ]
                                       [        -P                   0  ] [ gamma Y ]

    for rows as pairs. ``P = R^-1`` is updated, not solved for. In order of age R is upper triangular, so that
    dropping the oldest pair drops a row and a column of R and of its inverse alike; a new pair with ``r = S y`` and
    ``rho = s.y`` borders it by the column ``[-P r; 1] / rho``. Neither refers to the order, hence the ring.
    """

    m: int
    from_tape: ClassVar[bool] = False

    def init(self, xp: Backend, x: Array) -> Pairs:
        m, zeros = self.m, xp.zeros
        return Pairs(
            zeros((2 * m, x.shape[0])), zeros((m, m)), zeros((m, m)), zeros((m,)), xp.s.const(1.0), xp.s.int(0)
        )

    def update(self, objective: Objective, memory: Pairs, step: Step) -> Turn:
        xp, g_new = objective.xp, step.g_new
        s, y = xp.aypx(-1.0, step.x_new, step.x), xp.aypx(-1.0, g_new, step.g)
        rho, yy = xp.dot(s, y), xp.dot(y, y)
        # a pair without curvature would spoil H's definiteness
        curved = rho > xp.eps * xp.s.sqrt(xp.dot(s, s)) * xp.s.sqrt(yy)
        m, (W, *small) = self.m, memory
        i = memory.i
        none, one = xp.s.int(0), xp.s.int(1)

        def own(s: Array, y: Array) -> tuple[Any, Array, Array]:
            e = xp.one_hot(i, m)
            return none, e @ W[:m, ...], e @ W[m:, ...]

        # rows are always written, its own to a slot that stays: a branch that returned W would copy it
        stored, s, y = xp.cond(curved, lambda s, y: (one, s, y), own, s, y)
        W = xp.set_row(xp.set_row(W, i, s), m + i, y)
        Wg, Wy = W @ g_new, W @ y
        small = xp.cond(stored > 0, partial(self._store, xp), lambda *small: small[:5], *small, Wy, rho, yy)
        memory = Pairs(W, *small)
        return Turn(memory, self._direction(xp, memory, Wg, g_new), xp.s.const(1.0), step.counts)

    def reset(self, xp: Backend, memory: Pairs, x: Array) -> Pairs:
        m = self.m  # slots without a pair count for nothing, whatever their rows
        return Pairs(memory.W, xp.zeros((m, m)), xp.zeros((m, m)), xp.zeros((m,)), xp.s.const(1.0), xp.s.int(0))

    def _store(
        self, xp: Backend, P: Array, YY: Array, D: Array, gamma: Scalar, i: Any, Wy: Array, rho: Scalar, yy: Scalar
    ) -> tuple[Array, Array, Array, Scalar, Any]:
        m = self.m
        r, Yy = Wy[:m], Wy[m:]
        e = xp.one_hot(i, m)
        keep = 1 - e
        P = P * keep * xp.reshape(keep, (m, 1))
        P = xp.set_column(P, i, xp.scale(xp.s.div(xp.s.const(1.0), rho), e - P @ r))
        YY = xp.set_row(xp.set_column(YY, i, Yy), i, Yy)
        return P, YY, D * keep + rho * e, xp.s.div(rho, yy), xp.s.mod(i + 1, m)

    def _direction(self, xp: Backend, memory: Pairs, Wg: Array, g: Array) -> Array:
        m, (W, P, YY, D, gamma, _) = self.m, memory
        p = P @ Wg[:m]
        top = P.T @ (D * p + gamma * (YY @ p - Wg[m:]))
        return xp.aypx(-1.0, -gamma * g, xp.concat([top, -gamma * p]) @ W)


@SOLVERS.register("lbfgs", "L-BFGS in compact form with a strong Wolfe line search", kind="ours")
@dataclass(frozen=True)
class LBFGS(LineSearchMethod):
    """Limited-memory BFGS (Nocedal 1980; Byrd, Nocedal and Schnabel 1994) with a strong Wolfe search.

    Parameters
    ----------
    memory : int
        Number of pairs, >= 1.
    c1, c2 : float
        Constants of the Wolfe conditions.
    max_trials : int
        Trials a search.
    search : str
        Name in :data:`~nmdl_bench.optimizers.line_search.WOLFE`.
    """

    memory: int = 10
    c1: float = 1e-4
    c2: float = 0.9
    max_trials: int = 25
    search: str = "wolfe"

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise ConfigurationError(f"memory must be at least 1, not {self.memory!r}")
        super().__post_init__()

    @cached_property
    def _search(self) -> LineSearch:
        return wolfe_search(self.search, self.c1, self.c2, self.max_trials)

    @cached_property
    def _direction(self) -> CompactInverse:
        return CompactInverse(self.memory)
