"""Reversible integrators: splitting methods for two fields, and leapfrog for second-order equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Layer, Tape
from nmdl_bench.networks.kernels import Shape
from nmdl_bench.networks.parts import add_blocks
from nmdl_bench.networks.rhs import Hamiltonian

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Reversible:
    """For integrators that can be run backwards; controls are read at the middle of a step."""

    reversible = True

    @property
    def nodes(self) -> tuple[float, ...]:
        return (0.5,)

    def check_shape(self, shape: Shape) -> None:
        """Any shape will do."""

    def shapes(self) -> dict[str, Shape]:
        return {}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {}


@dataclass(frozen=True)
class Splitting(Reversible):
    """Fields in turn: a stage (0, c) is ``U += c h f_1(V)``, a stage (1, c) is ``V -= c h f_2(U)``.

    A stage leaves what it reads, so it is undone exactly (but for rounding), and symplectic where ``f_1, f_2`` are
    gradients (Hairer, Lubich and Wanner 2006, section II.5).

    Parameters
    ----------
    name : str
        Shown in reports.
    stages : tuple of (int, float)
        Field and coefficient of each; the coefficients of a field sum to one.

    Notes
    -----
    Adjoint, from the last stage to the first: of (0, c), ``Z_V += c h f_1'(V)^T Z_U``; of (1, c),
    ``Z_U -= c h f_2'(U)^T Z_V``. Its derivative has the same form.
    """

    name: str
    stages: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        for field in (0, 1):
            total = sum(c for i, c in self.stages if i == field)
            if abs(total - 1) > 1e-12:
                raise ConfigurationError(f"the coefficients of field {field} sum to {total!r}, not 1")

    def check(self, rhs: Layer) -> None:
        if not isinstance(rhs, Hamiltonian):
            raise ConfigurationError(
                f"{self.name} needs a right-hand side with two fields, such as 'hamiltonian'; use 'euler' for one"
            )

    def enter(self, Y: Array) -> tuple[Array, Array]:
        half = Y.shape[1] // 2
        return Y[:, :half, ...], Y[:, half:, ...]

    def leave(self, xp: Backend, state: Any) -> Array:
        return xp.concat([*state], axis=1)

    def enter_adjoint(self, xp: Backend, Z: Any) -> Array:
        return xp.concat([*Z], axis=1)

    def leave_adjoint(self, xp: Backend, Z: Array) -> tuple[Array, ...]:
        return tuple(xp.copy(half) for half in self.enter(Z))

    def _blocks(self, rhs: Hamiltonian, theta: Blocks) -> tuple[Blocks, Blocks]:
        return rhs.blocks_of(0, theta), rhs.blocks_of(1, theta)

    def forward(self, xp: Backend, rhs: Hamiltonian, h: float, theta: Blocks, state: Any, aux: Any) -> tuple[Any, Tape]:
        fields, own = [*state], self._blocks(rhs, theta)
        tapes: list[Tape] = []
        for k, (i, c) in enumerate(self.stages):
            F, tape = rhs.fields[i].forward(xp, own[i], fields[1 - i], None if aux is None else aux[k])
            fields[i] = xp.add_scaled(fields[i], _signed(i, c, h), F)
            tapes.append(tape)
        return tuple(fields), tuple(tapes)

    def jvp(
        self,
        xp: Backend,
        rhs: Hamiltonian,
        h: float,
        theta: Blocks,
        tape: Tape,
        dtheta: Blocks,
        dstate: Any,
        keep: bool,
    ) -> tuple[Any, Tape]:
        fields, own, down = [*dstate], self._blocks(rhs, theta), self._blocks(rhs, dtheta)
        dtapes: list[Tape] = []
        for (i, c), at in zip(self.stages, tape):
            dF, dtape = rhs.fields[i].jvp(xp, own[i], at, down[i], fields[1 - i], keep)
            fields[i] = xp.add_scaled(fields[i], _signed(i, c, h), dF)
            dtapes.append(dtape)
        return tuple(fields), tuple(dtapes) if keep else None

    def vjp(self, xp: Backend, rhs: Hamiltonian, h: float, theta: Blocks, tape: Tape, Z: Any) -> tuple[Blocks, Any]:
        fields, own = [*Z], self._blocks(rhs, theta)
        sums: list[Blocks] = [{}, {}]
        for (i, c), at in zip(reversed(self.stages), reversed(tape)):
            blocks, W = rhs.fields[i].vjp(xp, own[i], at, fields[i])
            fields[1 - i] = xp.axpy(_signed(i, c, h), W, fields[1 - i])
            sums[i] = _add(xp, sums[i], _signed(i, c, h), blocks)
        return rhs.join(xp, *sums), tuple(fields)

    def dvjp(
        self,
        xp: Backend,
        rhs: Hamiltonian,
        h: float,
        theta: Blocks,
        tape: Tape,
        dtape: Tape,
        dtheta: Blocks,
        Z: Any,
        dZ: Any,
    ) -> tuple[Blocks, Any, Any]:
        fields, dfields, own, down = [*Z], [*dZ], self._blocks(rhs, theta), self._blocks(rhs, dtheta)
        sums: list[Blocks] = [{}, {}]
        for (i, c), at, dat in zip(reversed(self.stages), reversed(tape), reversed(dtape)):
            blocks, W, dW = rhs.fields[i].dvjp(xp, own[i], at, dat, down[i], fields[i], dfields[i])
            fields[1 - i] = xp.axpy(_signed(i, c, h), W, fields[1 - i])
            dfields[1 - i] = xp.axpy(_signed(i, c, h), dW, dfields[1 - i])
            sums[i] = _add(xp, sums[i], _signed(i, c, h), blocks)
        return rhs.join(xp, *sums), tuple(fields), tuple(dfields)

    def invert(self, xp: Backend, rhs: Hamiltonian, h: float, theta: Blocks, state: Any, aux: Any) -> tuple[Any, Tape]:
        fields, own = [*state], self._blocks(rhs, theta)
        tapes: list[Tape] = []
        for k in reversed(range(len(self.stages))):
            i, c = self.stages[k]
            F, tape = rhs.fields[i].forward(xp, own[i], fields[1 - i], None if aux is None else aux[k])
            fields[i] = xp.add_scaled(fields[i], -_signed(i, c, h), F)
            tapes.insert(0, tape)
        return tuple(fields), tuple(tapes)

    def dinvert(
        self, xp: Backend, rhs: Hamiltonian, h: float, theta: Blocks, tape: Tape, dtheta: Blocks, dstate: Any
    ) -> tuple[Any, Tape]:
        fields, own, down = [*dstate], self._blocks(rhs, theta), self._blocks(rhs, dtheta)
        dtapes: list[Tape] = []
        for (i, c), at in zip(reversed(self.stages), reversed(tape)):
            dF, dtape = rhs.fields[i].jvp(xp, own[i], at, down[i], fields[1 - i], True)
            fields[i] = xp.add_scaled(fields[i], -_signed(i, c, h), dF)
            dtapes.insert(0, dtape)
        return tuple(fields), tuple(dtapes)

    def statistics(self, rhs: Any, tape: Tape) -> Any:
        found = tuple(rhs.fields[i].statistics(at) for (i, _), at in zip(self.stages, tape))
        return None if all(one is None for one in found) else found


def _signed(i: int, c: float, h: float) -> float:
    return c * h if i == 0 else -c * h


def _add(xp: Backend, total: Blocks, a: float, blocks: Blocks) -> Blocks:
    return add_blocks(xp, {name: xp.scale(a, block) for name, block in blocks.items()}, total)


SYMPLECTIC_EULER = Splitting("symplectic-euler", ((0, 1.0), (1, 1.0)))
"""``Y_{j+1} = Y_j + h f_1(Z_j)``, ``Z_{j+1} = Z_j - h f_2(Y_{j+1})``, first order. Ruthotto and Haber (2020,
eq. 17) call it Verlet: it is that on fields half a step apart."""
VERLET = Splitting("verlet", ((1, 0.5), (0, 1.0), (1, 0.5)))
"""Stoermer and Verlet: half a kick, a drift, half a kick; second order."""


@dataclass(frozen=True)
class Leapfrog(Reversible):
    """``Y_{j+1} = 2 Y_j - Y_{j-1} + h^2 f(Y_j)`` for ``d^2 Y/dt^2 = f(Y)`` (Ruthotto and Haber 2020, eq. 19).

    It starts from ``Y_{-1} = Y_0``, as in the paper: a velocity that is wrong by ``h f / 2``, so that the method is of
    first order.

    Notes
    -----
    The state is ``(Y_j, Y_{j-1})``. Adjoint of a step, with ``Z = (Z_new, Z_old)`` after it:
    ``2 Z_new + Z_old + h^2 f'(Y)^T Z_new`` for ``Y_j``, and ``-Z_new`` for ``Y_{j-1}``.
    """

    name: str = "leapfrog"

    def check(self, rhs: Layer) -> None:
        """Any right-hand side will do."""

    def enter(self, Y: Array) -> tuple[Array, Array]:
        return Y, Y

    def leave(self, xp: Backend, state: Any) -> Array:
        return state[0]

    def enter_adjoint(self, xp: Backend, Z: Any) -> Array:
        return Z[0] + Z[1]

    def leave_adjoint(self, xp: Backend, Z: Array) -> tuple[Array, Array]:
        return xp.copy(Z), xp.zeros(Z.shape)

    def forward(self, xp: Backend, rhs: Layer, h: float, theta: Blocks, state: Any, aux: Any) -> tuple[Any, Tape]:
        Y, last = state
        F, tape = rhs.forward(xp, theta, Y, aux)
        return (_step(xp, h, Y, last, F), Y), tape

    def jvp(
        self, xp: Backend, rhs: Layer, h: float, theta: Blocks, tape: Tape, dtheta: Blocks, dstate: Any, keep: bool
    ) -> tuple[Any, Tape]:
        dY, dlast = dstate
        dF, dtape = rhs.jvp(xp, theta, tape, dtheta, dY, keep)
        return (_step(xp, h, dY, dlast, dF), dY), dtape

    def vjp(self, xp: Backend, rhs: Layer, h: float, theta: Blocks, tape: Tape, Z: Any) -> tuple[Blocks, Any]:
        new, old = Z
        blocks, W = rhs.vjp(xp, theta, tape, new)
        return {name: xp.scale(h * h, block) for name, block in blocks.items()}, _back(xp, h, new, old, W)

    def dvjp(
        self, xp: Backend, rhs: Layer, h: float, theta: Blocks, tape: Tape, dtape: Tape, dtheta: Blocks, Z: Any, dZ: Any
    ) -> tuple[Blocks, Any, Any]:
        blocks, W, dW = rhs.dvjp(xp, theta, tape, dtape, dtheta, Z[0], dZ[0])
        blocks = {name: xp.scale(h * h, block) for name, block in blocks.items()}
        return blocks, _back(xp, h, Z[0], Z[1], W), _back(xp, h, dZ[0], dZ[1], dW)

    def invert(self, xp: Backend, rhs: Layer, h: float, theta: Blocks, state: Any, aux: Any) -> tuple[Any, Tape]:
        new, Y = state
        F, tape = rhs.forward(xp, theta, Y, aux)
        return (Y, _step(xp, h, Y, new, F)), tape

    def dinvert(
        self, xp: Backend, rhs: Layer, h: float, theta: Blocks, tape: Tape, dtheta: Blocks, dstate: Any
    ) -> tuple[Any, Tape]:
        new, dY = dstate
        dF, dtape = rhs.jvp(xp, theta, tape, dtheta, dY, True)
        return (dY, _step(xp, h, dY, new, dF)), dtape

    def statistics(self, rhs: Layer, tape: Tape) -> Any:
        return rhs.statistics(tape)


def _step(xp: Backend, h: float, Y: Array, last: Array, F: Array) -> Array:
    """``2 Y - last + h^2 F``; nothing is donated, since ``F`` may stand on a tape."""
    return xp.axpy(h * h, F, xp.add_scaled(2 * Y, -1.0, last))


def _back(xp: Backend, h: float, new: Array, old: Array, W: Array) -> tuple[Array, Array]:
    """The adjoint of a step; donates ``new`` and ``old``."""
    return xp.axpy(h * h, W, xp.axpy(2.0, new, old)), xp.scale(-1.0, new)
