"""The layer of a residual network: a right-hand side, integrated over time with controls on a grid of their own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.backends.trees import tree_map
from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Layer, Tape, unknown
from nmdl_bench.networks.checkpoints import ADVANCE, REVERSE, STORE, schedule
from nmdl_bench.networks.checks import check_positive, check_sizes
from nmdl_bench.networks.controls import Controls
from nmdl_bench.networks.integrators import EULER, Integrator
from nmdl_bench.networks.kernels import Shape

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

MEMORY = ("all", "checkpoint", "reversible")


class Kept(NamedTuple):
    """First state, and all steps' tapes stacked by a scan (or their tangents)."""

    first: Any
    steps: Any


class Ends(NamedTuple):
    """First and last state (or tangent); ``aux`` the statistics that the steps were given, if any."""

    first: Any
    last: Any
    aux: Any


class Checkpoints(NamedTuple):
    """First state, states in slots (slots, ...), and the last step's tape (or their tangents)."""

    first: Any
    slots: Any
    step: Any
    aux: Any


@dataclass(frozen=True)
class Evolution:
    """``depth`` steps of ``dY/dt = f(Y, theta(t))`` on [0, time] (Haber and Ruthotto 2017, eq. 2; E 2017).

    Equal steps are stored as one block with a leading axis over the controls, over which ``xp.scan`` runs.

    Parameters
    ----------
    rhs : Layer
        ``f``, which keeps the shape of its features; see :mod:`nmdl_bench.networks.rhs`.
    depth : int
        Number of steps; ``h = time / depth``.
    time : float
        Final time, > 0.
    integrator : Integrator
        See :mod:`nmdl_bench.networks.integrators`, :mod:`~nmdl_bench.networks.reversible` and
        :mod:`~nmdl_bench.networks.imex`.
    controls : str
        ``"constant"`` on intervals or ``"linear"`` between points.
    number : int, optional
        Intervals or points of the controls; by default one interval a step, or ``depth + 1`` points. Those
        that no step reads, such as the last point under forward Euler, have no gradient but the regulariser's.
    memory : str
        What is kept for the derivatives. ``"all"``: every step's tape. ``"checkpoint"``: ``slots`` states, from which
        steps are repeated by the schedule of :mod:`nmdl_bench.networks.checkpoints`. ``"reversible"``: the first and
        last state; the others are found by running backwards. All give the same results.
    slots : int
        States that ``"checkpoint"`` may store, the first one included.
    """

    rhs: Layer
    depth: int
    time: float = 1.0
    integrator: Integrator = EULER
    controls: str = "constant"
    number: int | None = None
    memory: str = "all"
    slots: int = 8

    def __post_init__(self) -> None:
        check_sizes(depth=self.depth, slots=self.slots)
        check_positive(time=self.time)
        if self.memory not in MEMORY:
            raise unknown("memory mode", self.memory, MEMORY)
        if not self.rhs.shapes():
            raise ConfigurationError(f"the right-hand side {self.rhs!r} has no parameters to evolve with")
        if self.memory == "reversible" and not self.integrator.reversible:
            raise ConfigurationError(
                f"{self.integrator.name} cannot be run backwards; use 'verlet', 'symplectic-euler', 'leapfrog', "
                "or memory='checkpoint'"
            )
        self.integrator.check(self.rhs)
        _ = self.grid  # checks the controls

    @cached_property
    def grid(self) -> Controls:
        """The controls' grid."""
        number = (self.depth if self.controls == "constant" else self.depth + 1) if self.number is None else self.number
        return Controls(self.controls, number, self.depth, float(self.time), self.integrator.nodes)

    @property
    def h(self) -> float:
        """Step size."""
        return self.time / self.depth

    @property
    def control_spacing(self) -> float:
        """Distance of neighbouring controls in time."""
        return self.grid.spacing

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        one = {**self.rhs.shapes(), **self.integrator.shapes()}
        return {name: (self.grid.number, *shape) for name, shape in one.items()}

    def shapes(self) -> dict[str, Shape]:
        return self._shapes

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        drawn = [{**self.rhs.init(rng), **self.integrator.init(rng)} for _ in range(self.grid.number)]
        return {name: np.stack([blocks[name] for blocks in drawn]) for name in self._shapes}

    def output(self, shape: Shape) -> Shape:
        found = tuple(self.rhs.output(tuple(shape)))
        if found != tuple(shape):
            raise ConfigurationError(f"a right-hand side keeps the shape of its features; {shape} becomes {found}")
        self.integrator.check_shape(found)
        return found

    def draw(self, rng: np.random.Generator, n: int, shape: Shape) -> Any:
        if self.rhs.draw(rng, 1, shape) is not None:
            raise ConfigurationError("dropout inside a right-hand side would be no ODE; put it between blocks")
        return None

    def statistics(self, tape: Tape) -> Any:
        if not isinstance(tape, Kept):
            raise ConfigurationError("statistics of normalisation need a forward pass with memory='all'")
        return self.integrator.statistics(self.rhs, tape.steps)

    def _theta(self, theta: Blocks) -> Blocks:
        return {name: theta[name] for name in self._shapes}

    # ------------------------------------------------------------------------------------------ one step
    def _forward(self, xp: Backend, theta: Blocks, state: Any, aux: Any) -> tuple[Any, Tape]:
        return self.integrator.forward(xp, self.rhs, self.h, theta, state, aux)

    def _pair(self, xp: Backend, pair: Any, theta: Blocks, dtheta: Blocks, aux: Any) -> tuple[Any, Any]:
        """One step of state and tangent together, and the pair of their tapes."""
        state, dstate = pair
        state, tape = self._forward(xp, theta, state, aux)
        dstate, dtape = self.integrator.jvp(xp, self.rhs, self.h, theta, tape, dtheta, dstate, True)
        return (state, dstate), (tape, dtape)

    def _vjp(self, xp: Backend, theta: Blocks, tape: Tape, Z: Any) -> tuple[Blocks, Any]:
        return self.integrator.vjp(xp, self.rhs, self.h, theta, tape, Z)

    def _dvjp(self, xp: Backend, theta: Blocks, dtheta: Blocks, tapes: Any, ZZ: Any) -> tuple[Blocks, Any]:
        tape, dtape = tapes
        blocks, Z, dZ = self.integrator.dvjp(xp, self.rhs, self.h, theta, tape, dtape, dtheta, *ZZ)
        return blocks, (Z, dZ)

    # ------------------------------------------------------------------------------------------ all steps
    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, Tape]:
        controls, first = self.grid.read(xp, self._theta(theta)), self.integrator.enter(Y)
        if self.memory == "checkpoint":
            step = lambda state, at: self._forward(xp, at[0], state, at[1])  # noqa: E731
            last, slots, tape = self._to_the_end(xp, step, first, (controls, aux))
            return self.integrator.leave(xp, last), Checkpoints(first, slots, tape, aux)
        if self.memory == "reversible":
            forget = lambda state, at: self._forward(xp, at[0], state, at[1])[0]  # noqa: E731
            last = self._forwards(xp, forget, first, (controls, aux))
            return self.integrator.leave(xp, last), Ends(first, last, aux)
        step_and_keep = lambda state, at: self._forward(xp, at[0], state, at[1] if len(at) > 1 else None)  # noqa: E731
        last, tapes = xp.scan(step_and_keep, first, (controls,) if aux is None else (controls, aux), unroll=True)
        return self.integrator.leave(xp, last), Kept(first, tapes)

    def jvp(
        self, xp: Backend, theta: Blocks, tape: Tape, dtheta: Blocks, dY: Array | None, keep: bool = False
    ) -> tuple[Array, Tape]:
        controls, dcontrols = (self.grid.read(xp, self._theta(blocks)) for blocks in (theta, dtheta))
        leave, enter = self.integrator.leave, self.integrator.enter
        if dY is None:
            dY = xp.zeros(tuple(leave(xp, tape.first).shape))
        if isinstance(tape, Kept):
            step = lambda dstate, at: self.integrator.jvp(  # noqa: E731
                xp, self.rhs, self.h, at[0], at[1], at[2], dstate, keep
            )
            dlast, dtapes = xp.scan(step, enter(dY), (controls, tape.steps, dcontrols), unroll=True)
            return leave(xp, dlast), Kept(enter(dY), dtapes) if keep else None
        pair = (tape.first, enter(dY))
        if isinstance(tape, Checkpoints) and keep:
            both = lambda pair, at: self._pair(xp, pair, at[0], at[1], at[2])  # noqa: E731
            (_, dlast), slots, tapes = self._to_the_end(xp, both, pair, (controls, dcontrols, tape.aux))
            return leave(xp, dlast), Checkpoints(pair[1], slots[1], tapes[1], None)
        forget = lambda pair, at: self._pair(xp, pair, at[0], at[1], at[2])[0]  # noqa: E731
        _, dlast = self._forwards(xp, forget, pair, (controls, dcontrols, tape.aux))
        return leave(xp, dlast), Ends(pair[1], dlast, None) if keep else None

    def vjp(self, xp: Backend, theta: Blocks, tape: Tape, Z: Array, inputs: bool = True) -> tuple[Blocks, Array | None]:
        controls, Z = self.grid.read(xp, self._theta(theta)), self.integrator.leave_adjoint(xp, Z)
        if isinstance(tape, Kept):
            step = lambda Z, at: self._vjp(xp, at[0], at[1], Z)[::-1]  # noqa: E731
            Z, blocks = xp.scan(step, Z, (controls, tape.steps), reverse=True, unroll=True)
        elif isinstance(tape, Ends):

            def undo(state: Any, at: Any, Z: Any) -> tuple[Any, Blocks, Any]:
                state, tape_j = self.integrator.invert(xp, self.rhs, self.h, at[0], state, at[1])
                return state, *self._vjp(xp, at[0], tape_j, Z)

            blocks, Z = self._backwards(xp, undo, tape.last, (controls, tape.aux), Z)
        else:
            step = lambda state, at: self._forward(xp, at[0], state, at[1])  # noqa: E731
            back = lambda at, tapes, Z: self._vjp(xp, at[0], tapes, Z)  # noqa: E731
            blocks, Z = self._from_the_end(xp, step, back, tape.first, tape.slots, tape.step, (controls, tape.aux), Z)
        blocks = self.grid.read_adjoint(xp, blocks, self._shapes)
        return blocks, self.integrator.enter_adjoint(xp, Z) if inputs else None

    def dvjp(
        self,
        xp: Backend,
        theta: Blocks,
        tape: Tape,
        dtape: Tape,
        dtheta: Blocks,
        Z: Array,
        dZ: Array,
        inputs: bool = True,
    ) -> tuple[Blocks, Array | None, Array | None]:
        controls, dcontrols = (self.grid.read(xp, self._theta(blocks)) for blocks in (theta, dtheta))
        ZZ = (self.integrator.leave_adjoint(xp, Z), self.integrator.leave_adjoint(xp, dZ))
        if isinstance(tape, Kept):
            step = lambda ZZ, at: self._dvjp(xp, at[0], at[1], (at[2], at[3]), ZZ)[::-1]  # noqa: E731
            steps = (controls, dcontrols, tape.steps, dtape.steps)
            ZZ, blocks = xp.scan(step, ZZ, steps, reverse=True, unroll=True)
        elif isinstance(tape, Ends):

            def undo(pair: Any, at: Any, ZZ: Any) -> tuple[Any, Blocks, Any]:
                (state, dstate), (theta_j, dtheta_j, aux_j) = pair, at
                state, tape_j = self.integrator.invert(xp, self.rhs, self.h, theta_j, state, aux_j)
                dstate, dtape_j = self.integrator.dinvert(xp, self.rhs, self.h, theta_j, tape_j, dtheta_j, dstate)
                return (state, dstate), *self._dvjp(xp, theta_j, dtheta_j, (tape_j, dtape_j), ZZ)

            pair = (tape.last, dtape.last)
            blocks, ZZ = self._backwards(xp, undo, pair, (controls, dcontrols, tape.aux), ZZ)
        else:
            first, slots, last = ((getattr(tape, name), getattr(dtape, name)) for name in ("first", "slots", "step"))
            step = lambda pair, at: self._pair(xp, pair, at[0], at[1], at[2])  # noqa: E731
            back = lambda at, tapes, ZZ: self._dvjp(xp, at[0], at[1], tapes, ZZ)  # noqa: E731
            blocks, ZZ = self._from_the_end(xp, step, back, first, slots, last, (controls, dcontrols, tape.aux), ZZ)
        blocks = self.grid.read_adjoint(xp, blocks, self._shapes)
        if not inputs:
            return blocks, None, None
        return blocks, *(self.integrator.enter_adjoint(xp, one) for one in ZZ)

    # ------------------------------------------------------------------------------------------ there and back
    def _forwards(self, xp: Backend, step: Any, state: Any, xs: Any) -> Any:
        """State after all steps ``state = step(state, x)``, of which nothing is kept."""
        act = lambda state, row: step(state, tree_map(lambda x: _slice(x, row[0]), xs))  # noqa: E731
        return xp.loop(act, state, np.arange(self.depth)[:, None])

    def _backwards(self, xp: Backend, undo: Any, state: Any, xs: Any, Z: Any) -> tuple[Blocks, Any]:
        """Gradient blocks of all steps and the adjoint at the start; ``undo`` gives the state before, blocks, adjoint.

        Blocks go into rows of arrays made beforehand: small arrays left between large ones that come and go keep a heap
        from using the gaps again, which has cost a hundred states.
        """
        found = {name: xp.zeros(tuple(block.shape)) for name, block in xs[0].items()}

        def act(carry: Any, row: Any) -> Any:
            state, found, Z = carry
            state, blocks, Z = undo(state, tree_map(lambda x: _slice(x, row[0]), xs), Z)
            return state, {name: xp.set_row(found[name], row[0], block) for name, block in blocks.items()}, Z

        _, found, Z = xp.loop(act, (state, found, Z), np.arange(self.depth)[::-1, None])
        return found, Z

    # ------------------------------------------------------------------------------------------ checkpoints
    def _to_the_end(self, xp: Backend, step: Any, first: Any, xs: Any) -> tuple[Any, Any, Tape]:
        """Last state, the states stored on the way, and the last step's tape."""
        table = schedule(self.slots, self.depth)
        table = table[: int(np.argmax(table[:, 0] == REVERSE))]
        at = lambda j: tree_map(lambda x: _slice(x, j), xs)  # noqa: E731
        slots = tree_map(lambda leaf: xp.zeros((min(self.slots, self.depth), *leaf.shape)), first)

        def act(carry: Any, row: Any) -> Any:
            (state, slots), (action, j, slot) = carry, row
            slots = tree_map(lambda S, v: xp.put(S, slot, v, action == STORE), slots, state)
            return xp.cond(action == ADVANCE, lambda state: step(state, at(j))[0], lambda state: state, state), slots

        state, slots = xp.loop(act, (first, slots), table)
        last, tape = step(state, at(self.depth - 1))
        return last, slots, tape

    def _from_the_end(
        self, xp: Backend, step: Any, back: Any, first: Any, slots: Any, tape: Tape, xs: Any, Z: Any
    ) -> tuple[Blocks, Any]:
        """Gradient blocks of all steps and the adjoint at the start; ``slots`` are left as they are."""
        table = schedule(self.slots, self.depth)
        table = table[int(np.argmax(table[:, 0] == REVERSE)) + 1 :]
        at = lambda j: tree_map(lambda x: _slice(x, j), xs)  # noqa: E731
        blocks, Z = back(at(self.depth - 1), tape, Z)
        found = {name: xp.zeros((self.depth, *block.shape)) for name, block in blocks.items()}
        found = {name: xp.set_row(found[name], self.depth - 1, block) for name, block in blocks.items()}

        def act(carry: Any, row: Any) -> Any:
            (state, slots, found, blocks, Z), (action, j, slot) = carry, row
            # rows are written out here: what goes through a branch, a compiled program copies
            slots = tree_map(lambda S, v: xp.put(S, slot, v, action == STORE), slots, state)

            def advance(state: Any, blocks: Blocks, Z: Any) -> Any:
                return step(state, at(j))[0], blocks, Z

            def reverse(state: Any, blocks: Blocks, Z: Any) -> Any:
                _, tape = step(state, at(j))
                return state, *back(at(j), tape, Z)

            def restore(state: Any, blocks: Blocks, Z: Any) -> Any:
                return tree_map(lambda S: xp.copy(S[slot, ...]), slots), blocks, Z

            def stay(state: Any, blocks: Blocks, Z: Any) -> Any:
                return state, blocks, Z

            def memory(*carry: Any) -> Any:
                return xp.cond(action == STORE, stay, restore, *carry)

            def compute(*carry: Any) -> Any:
                return xp.cond(action == REVERSE, reverse, advance, *carry)

            computes = xp.s.or_(action == ADVANCE, action == REVERSE)
            state, blocks, Z = xp.cond(computes, compute, memory, state, blocks, Z)
            rows = {name: xp.put(found[name], j, block, action == REVERSE) for name, block in blocks.items()}
            return state, slots, rows, blocks, Z

        # the tape's slots serve again: what is stored from here on goes to a copy
        carry = (first, tree_map(xp.copy, slots), found, blocks, Z)
        _, _, found, _, Z = xp.loop(act, carry, table)
        return found, Z


def _slice(x: Any, j: Any) -> Any:
    """Row ``j`` of an array or of what a scan stacked."""
    return x[j] if isinstance(x, list) else x[j, ...]
