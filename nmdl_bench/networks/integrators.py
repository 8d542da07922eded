"""One step of a time integrator, with its tangent, its adjoint and the adjoint's derivative.

A step maps the state at ``t_j`` to that at ``t_{j+1}``. The state is the features ``Y`` for Runge-Kutta methods, the
two fields for Verlet, the present and the last features for leapfrog; ``enter`` and ``leave`` are the linear maps
between features and state. The right-hand side sees controls at the step's ``nodes``, fractions of the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Layer, Tape
from nmdl_bench.networks.kernels import Shape
from nmdl_bench.networks.parts import add_blocks

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Integrator(Protocol):
    """One step of size ``h`` for a right-hand side; ``theta`` holds its controls, see :attr:`nodes`."""

    @property
    def name(self) -> str:
        """Shown in reports."""

    @property
    def reversible(self) -> bool:
        """Whether :meth:`invert` and :meth:`dinvert` work."""

    @property
    def nodes(self) -> tuple[float, ...]:
        """Distinct fractions of the step at which controls are read; with several, blocks have a leading axis."""

    def check(self, rhs: Layer) -> None:
        """Raise ConfigurationError where the integrator cannot take the right-hand side."""

    def check_shape(self, shape: Shape) -> None:
        """Raise ConfigurationError where the integrator's own blocks do not fit samples of this shape."""

    def shapes(self) -> dict[str, Shape]:
        """Blocks of the integrator's own, beside those of the right-hand side."""

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw them."""

    def enter(self, Y: Array) -> Any:
        """State of features."""

    def leave(self, xp: Backend, state: Any) -> Array:
        """Features of a state."""

    def enter_adjoint(self, xp: Backend, Z: Any) -> Array:
        """Adjoint of :meth:`enter`."""

    def leave_adjoint(self, xp: Backend, Z: Array) -> Any:
        """Adjoint of :meth:`leave`; its arrays are the caller's own."""

    def forward(self, xp: Backend, rhs: Any, h: float, theta: Blocks, state: Any, aux: Any) -> tuple[Any, Tape]:
        """One step and its tape."""

    def jvp(
        self, xp: Backend, rhs: Any, h: float, theta: Blocks, tape: Tape, dtheta: Blocks, dstate: Any, keep: bool
    ) -> tuple[Any, Tape]:
        """The step's tangent."""

    def vjp(self, xp: Backend, rhs: Any, h: float, theta: Blocks, tape: Tape, Z: Any) -> tuple[Blocks, Any]:
        """The step's adjoint; donates ``Z``."""

    def dvjp(
        self, xp: Backend, rhs: Any, h: float, theta: Blocks, tape: Tape, dtape: Tape, dtheta: Blocks, Z: Any, dZ: Any
    ) -> tuple[Blocks, Any, Any]:
        """Derivative of the step's adjoint; donates ``Z`` and ``dZ``."""

    def invert(self, xp: Backend, rhs: Any, h: float, theta: Blocks, state: Any, aux: Any) -> tuple[Any, Tape]:
        """The state before the step, and the step's tape."""

    def dinvert(
        self, xp: Backend, rhs: Any, h: float, theta: Blocks, tape: Tape, dtheta: Blocks, dstate: Any
    ) -> tuple[Any, Tape]:
        """The tangent before the step, and what ``jvp`` keeps."""

    def statistics(self, rhs: Any, tape: Tape) -> Any:
        """What normalisation saw in the step."""


class Features:
    """For integrators whose state is the features."""

    reversible = False

    def check(self, rhs: Layer) -> None:
        """Any right-hand side will do."""

    def check_shape(self, shape: Shape) -> None:
        """Any shape will do."""

    def shapes(self) -> dict[str, Shape]:
        return {}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {}

    def enter(self, Y: Array) -> Array:
        return Y

    def leave(self, xp: Backend, state: Array) -> Array:
        return state

    def enter_adjoint(self, xp: Backend, Z: Array) -> Array:
        return Z

    def leave_adjoint(self, xp: Backend, Z: Array) -> Array:
        return xp.copy(Z)

    def invert(self, *args: Any) -> Any:
        raise ConfigurationError(
            f"{type(self).__name__} cannot be run backwards; use 'verlet', 'symplectic-euler' or 'leapfrog'"
        )

    dinvert = invert


@dataclass(frozen=True)
class RungeKutta(Features):
    """Explicit Runge-Kutta method with Butcher tableau ``A, b, c``.

    ``U_i = Y + h sum_{j<i} a_ij F_j``, ``F_i = f(U_i, theta(t + c_i h))``, ``Y_new = Y + h sum_i b_i F_i``.

    Parameters
    ----------
    name : str
        Shown in reports.
    A : tuple of tuple of float
        Row i holds ``a_i1 ... a_i,i-1``.
    b : tuple of float
        Weights; they sum to one.

    Notes
    -----
    Adjoint, from the last stage to the first (discrete adjoint; Hager 2000, section 2, in reverse):
    ``G_i = b_i Z + h sum_{k>i} a_ki W_k``, ``W_i = (df/dU)(U_i)^T G_i``, and ``Z_old = Z + h sum W_i``, with the
    parameters' share ``h (df/dtheta)(U_i)^T G_i``. Its derivative has the same form.
    """

    name: str
    A: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]

    def __post_init__(self) -> None:
        lengths = [len(row) for row in self.A]
        if lengths != list(range(len(self.b))):
            raise ConfigurationError(
                f"an explicit tableau of {len(self.b)} stages has rows of 0, 1, 2, ... numbers, not {lengths}"
            )
        if abs(sum(self.b) - 1) > 1e-12:
            raise ConfigurationError(f"the weights of a Runge-Kutta method sum to 1, not {sum(self.b)!r}")

    @cached_property
    def c(self) -> tuple[float, ...]:
        """Each stage's fraction of the step: row sums of ``A``."""
        return tuple(float(sum(row)) for row in self.A)

    @cached_property
    def nodes(self) -> tuple[float, ...]:
        return tuple(sorted({round(c, 12) for c in self.c}))

    @cached_property
    def _node(self) -> tuple[int, ...]:
        return tuple(self.nodes.index(round(c, 12)) for c in self.c)

    def _has_nodes(self, rhs: Layer, theta: Blocks) -> bool:
        """Whether blocks have a leading axis over the nodes."""
        if len(self.nodes) == 1:
            return False
        name, shape = next(iter(rhs.shapes().items()))
        return len(theta[name].shape) > len(shape)

    def _controls(self, rhs: Layer, theta: Blocks) -> list[Blocks]:
        """The controls of each stage."""
        if not self._has_nodes(rhs, theta):
            return [theta] * len(self.b)
        at = [{name: block[m, ...] for name, block in theta.items()} for m in range(len(self.nodes))]
        return [at[m] for m in self._node]

    def _gather(self, xp: Backend, rhs: Layer, theta: Blocks, h: float, found: list[Blocks]) -> Blocks:
        """Gradient blocks of the stages as those of the controls, times ``h``."""
        if not self._has_nodes(rhs, theta):
            total = found[0]
            for blocks in found[1:]:
                total = add_blocks(xp, total, blocks)
            return {name: xp.scale(h, block) for name, block in total.items()}
        sums: list[Any] = [None] * len(self.nodes)
        for m, blocks in zip(self._node, found):
            sums[m] = blocks if sums[m] is None else add_blocks(xp, sums[m], blocks)
        return {name: xp.scale(h, xp.stack([blocks[name] for blocks in sums], axis=0)) for name in sums[0]}

    def _stage(self, xp: Backend, h: float, Y: Array, weights: tuple[float, ...], F: list[Array]) -> Array:
        own = False
        for a, F_j in zip(weights, F):
            if a:
                Y = xp.axpy(h * a, F_j, Y) if own else xp.add_scaled(Y, h * a, F_j)
                own = True
        return Y

    def forward(self, xp: Backend, rhs: Layer, h: float, theta: Blocks, state: Array, aux: Any) -> tuple[Array, Tape]:
        F: list[Array] = []
        tapes: list[Tape] = []
        for i, theta_i in enumerate(self._controls(rhs, theta)):
            U = self._stage(xp, h, state, self.A[i], F)
            F_i, tape = rhs.forward(xp, theta_i, U, None if aux is None else aux[i])
            F.append(F_i)
            tapes.append(tape)
        return self._stage(xp, h, state, self.b, F), tuple(tapes)

    def jvp(
        self, xp: Backend, rhs: Layer, h: float, theta: Blocks, tape: Tape, dtheta: Blocks, dstate: Array, keep: bool
    ) -> tuple[Array, Tape]:
        dF: list[Array] = []
        dtapes = []
        stages = zip(self._controls(rhs, theta), self._controls(rhs, dtheta), tape)
        for i, (theta_i, dtheta_i, tape_i) in enumerate(stages):
            dU = self._stage(xp, h, dstate, self.A[i], dF)
            dF_i, dtape = rhs.jvp(xp, theta_i, tape_i, dtheta_i, dU, keep)
            dF.append(dF_i)
            dtapes.append(dtape)
        return self._stage(xp, h, dstate, self.b, dF), tuple(dtapes) if keep else None

    def _weighted(self, xp: Backend, h: float, i: int, Z: Array, W: list[Array]) -> Array:
        """``G_i = b_i Z + h sum_{k>i} a_ki W_k``, for the W of the stages after ``i``, last first."""
        own = self.b[i] != 1.0
        G = Z * self.b[i] if own else Z
        for k, W_k in zip(range(len(self.b) - 1, i, -1), W):
            if self.A[k][i]:
                G = xp.axpy(h * self.A[k][i], W_k, G) if own else xp.add_scaled(G, h * self.A[k][i], W_k)
                own = True
        return G

    def vjp(self, xp: Backend, rhs: Layer, h: float, theta: Blocks, tape: Tape, Z: Array) -> tuple[Blocks, Array]:
        controls = self._controls(rhs, theta)
        found: list[Blocks] = []
        W: list[Any] = []
        for i in reversed(range(len(self.b))):
            blocks, W_i = rhs.vjp(xp, controls[i], tape[i], self._weighted(xp, h, i, Z, W))
            found.insert(0, blocks)
            W.append(W_i)
        for W_i in W:
            Z = xp.axpy(h, W_i, Z)
        return self._gather(xp, rhs, theta, h, found), Z

    def dvjp(
        self,
        xp: Backend,
        rhs: Layer,
        h: float,
        theta: Blocks,
        tape: Tape,
        dtape: Tape,
        dtheta: Blocks,
        Z: Array,
        dZ: Array,
    ) -> tuple[Blocks, Array, Array]:
        controls, dcontrols = self._controls(rhs, theta), self._controls(rhs, dtheta)
        found: list[Blocks] = []
        W: list[Any] = []
        dW: list[Any] = []
        for i in reversed(range(len(self.b))):
            G, dG = self._weighted(xp, h, i, Z, W), self._weighted(xp, h, i, dZ, dW)
            blocks, W_i, dW_i = rhs.dvjp(xp, controls[i], tape[i], dtape[i], dcontrols[i], G, dG)
            found.insert(0, blocks)
            W.append(W_i)
            dW.append(dW_i)
        for W_i, dW_i in zip(W, dW):
            Z, dZ = xp.axpy(h, W_i, Z), xp.axpy(h, dW_i, dZ)
        return self._gather(xp, rhs, theta, h, found), Z, dZ

    def statistics(self, rhs: Layer, tape: Tape) -> Any:
        found = tuple(rhs.statistics(at) for at in tape)
        return None if all(one is None for one in found) else found


EULER = RungeKutta("euler", ((),), (1.0,))
HEUN = RungeKutta("heun", ((), (1.0,)), (0.5, 0.5))
RK4 = RungeKutta("rk4", ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
