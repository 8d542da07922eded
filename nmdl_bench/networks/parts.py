"""The parts that layers are chained of, each with its derivatives next to the formula, and the chain itself.

Here: kernels with bias, activations, dropout. Normalisation, pooling and reshaping have files of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Layer, Tape
from nmdl_bench.networks.activations import get_activation
from nmdl_bench.networks.checks import check_sizes
from nmdl_bench.networks.kernels import Kernel, Shape, channel_sum

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class Plain:
    """A layer without parameters that keeps the shape, where a subclass does not say otherwise."""

    def shapes(self) -> dict[str, Shape]:
        return {}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {}

    def output(self, shape: Shape) -> Shape:
        return tuple(shape)

    def statistics(self, tape: Tape) -> Any:
        return None

    def draw(self, rng: np.random.Generator, n: int, shape: Shape) -> Any:
        return None


class AffineTape(NamedTuple):
    """Input of a kernel, or its derivative (None where it does not vary)."""

    Y: Any


@dataclass(frozen=True)
class Affine(Plain):
    """``X = K(w) Y - gamma Y + b``.

    Parameters
    ----------
    kernel : Kernel
        See :mod:`nmdl_bench.networks.kernels`.
    bias : bool
        Whether there is ``b``, one number a feature or channel of the output.
    gamma : float
        Damping, for kernels that keep the shape.

    Notes
    -----
    - ``dX = K(dw) Y + K(w) dY - gamma dY + db``
    - adjoint: ``w: grad(Y, Z)``, ``b: sum Z``, ``Y: K(w)^T Z - gamma Z``
    - its derivative: ``grad(dY, Z) + grad(Y, dZ)``, ``sum dZ``, ``K(dw)^T Z + K(w)^T dZ - gamma dZ``

    Biases start at N(0, 0.1^2): zero biases would give symmetric data gradients that vanish but for round-off.
    """

    kernel: Kernel
    bias: bool = True
    gamma: float = 0.0
    outputs: int | None = None
    """Features or channels of the output; needed with a bias."""

    def __post_init__(self) -> None:
        if self.bias:
            check_sizes(outputs=self.outputs)  # type: ignore[arg-type]
        if not 0 <= self.gamma < float("inf"):
            raise ConfigurationError(f"gamma must be non-negative and finite, not {self.gamma!r}")

    def shapes(self) -> dict[str, Shape]:
        return {**self.kernel.shapes(), **({"b": (self.outputs,)} if self.bias else {})}  # type: ignore[dict-item]

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {**self.kernel.init(rng), **({"b": 0.1 * rng.standard_normal(self.outputs)} if self.bias else {})}

    def output(self, shape: Shape) -> Shape:
        found = self.kernel.output(tuple(shape))
        if self.bias and found[0] != self.outputs:
            raise ConfigurationError(f"{self.kernel!r} gives {found[0]} features or channels, not {self.outputs}")
        if self.gamma and found != tuple(shape):
            raise ConfigurationError(f"gamma needs a kernel that keeps the shape of its input, {tuple(shape)}")
        return found

    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, AffineTape]:
        return self._map(xp, theta, Y), AffineTape(Y)

    def jvp(
        self, xp: Backend, theta: Blocks, tape: AffineTape, dtheta: Blocks, dY: Array | None, keep: bool = False
    ) -> tuple[Array, Tape]:
        dX = self.kernel.affine(xp, dtheta, tape.Y, dtheta["b"]) if self.bias else self.kernel.apply(xp, dtheta, tape.Y)
        if dY is not None:
            dX = self._damp(xp, dY, self.kernel.accumulate(xp, dX, theta, dY))
        return dX, AffineTape(dY) if keep else None

    def vjp(
        self, xp: Backend, theta: Blocks, tape: AffineTape, Z: Array, inputs: bool = True
    ) -> tuple[Blocks, Array | None]:
        if inputs:
            blocks, W = self.kernel.adjoints(xp, theta, tape.Y, Z)
            W = self._damp(xp, Z, W)
        else:
            blocks, W = self.kernel.grad(xp, tape.Y, Z), None
        if self.bias:
            blocks["b"] = channel_sum(xp, Z)
        return blocks, W

    def dvjp(
        self,
        xp: Backend,
        theta: Blocks,
        tape: AffineTape,
        dtape: AffineTape,
        dtheta: Blocks,
        Z: Array,
        dZ: Array,
        inputs: bool = True,
    ) -> tuple[Blocks, Array | None, Array | None]:
        blocks = self.kernel.grad(xp, tape.Y, dZ)
        if dtape.Y is not None:
            blocks = add_blocks(xp, blocks, self.kernel.grad(xp, dtape.Y, Z))
        if self.bias:
            blocks["b"] = channel_sum(xp, dZ)
        if not inputs:
            return blocks, None, None
        shape = tuple(tape.Y.shape[1:])
        dZin = xp.axpy(1.0, self.kernel.transpose(xp, dtheta, Z, shape), self._transpose(xp, theta, dZ, tape))
        return blocks, self._transpose(xp, theta, Z, tape), dZin

    def _map(self, xp: Backend, w: Blocks, Y: Array) -> Array:
        X = self.kernel.affine(xp, w, Y, w["b"]) if self.bias else self.kernel.apply(xp, w, Y)
        return self._damp(xp, Y, X)

    def _transpose(self, xp: Backend, w: Blocks, Z: Array, tape: AffineTape) -> Array:
        return self._damp(xp, Z, self.kernel.transpose(xp, w, Z, tuple(tape.Y.shape[1:])))  # type: ignore[union-attr]

    def _damp(self, xp: Backend, Y: Array, X: Array) -> Array:
        return xp.axpy(-self.gamma, Y, X) if self.gamma else X


def add_blocks(xp: Backend, one: Blocks, other: Blocks) -> Blocks:
    """Sum of two gradients, block by block where both have it; donates those of ``one``."""
    both = {name: xp.axpy(1.0, other[name], block) if name in other else block for name, block in one.items()}
    return {**other, **both}


class ActivationTape(NamedTuple):
    """What the activation keeps: its output or its input, whichever its derivatives read."""

    kept: Array | None


@dataclass(frozen=True)
class Activate(Plain):
    """``A = s(X)``, element by element.

    Parameters
    ----------
    activation : str
        Name in :data:`~nmdl_bench.networks.activations.ACTIVATIONS`.
    in_place : bool
        Whether the input is the chain's own, that is no part before keeps it: it is overwritten then.

    Notes
    -----
    ``dA = s'(X) dX``; adjoint ``s'(X) Z``; its derivative ``s''(X) dX Z + s'(X) dZ``.
    """

    activation: str
    in_place: bool = False

    def __post_init__(self) -> None:
        get_activation(self.activation)

    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, ActivationTape]:
        A, kept = get_activation(self.activation).forward(xp, Y if self.in_place else xp.copy(Y))
        return A, ActivationTape(kept)

    def jvp(
        self,
        xp: Backend,
        theta: Blocks,
        tape: ActivationTape,
        dtheta: Blocks,
        dY: Array | None,
        keep: bool = False,
    ) -> tuple[Array | None, Tape]:
        dA = None if dY is None else get_activation(self.activation).derivative(xp, tape.kept, dY)
        return dA, ActivationTape(dY) if keep else None

    def vjp(
        self, xp: Backend, theta: Blocks, tape: ActivationTape, Z: Array, inputs: bool = True
    ) -> tuple[Blocks, Array | None]:
        return {}, get_activation(self.activation).derivative(xp, tape.kept, Z) if inputs else None

    def dvjp(
        self,
        xp: Backend,
        theta: Blocks,
        tape: ActivationTape,
        dtape: ActivationTape,
        dtheta: Blocks,
        Z: Array,
        dZ: Array,
        inputs: bool = True,
    ) -> tuple[Blocks, Array | None, Array | None]:
        if not inputs:
            return {}, None, None
        s = get_activation(self.activation)
        dV = s.derivative(xp, tape.kept, dZ)
        if s.curved and dtape.kept is not None:
            dV = xp.axpy(1.0, s.second(xp, tape.kept, dtape.kept * Z), dV)
        return {}, s.derivative(xp, tape.kept, Z), dV


class MaskTape(NamedTuple):
    """Dropout's mask (n, ...), None where nothing is dropped."""

    mask: Array | None


@dataclass(frozen=True)
class Dropout(Plain):
    """``A = mask * Y`` with a mask of 0 and 1 / (1 - rate) drawn on the host (Srivastava et al. 2014)."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ConfigurationError(f"the rate of dropout must lie in [0, 1), not {self.rate!r}")

    def draw(self, rng: np.random.Generator, n: int, shape: Shape) -> np.ndarray:
        return (rng.random((n, *shape), dtype=np.float32) >= self.rate) / (1 - self.rate)

    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, MaskTape]:
        return self._map(xp, aux, Y), MaskTape(aux)

    def jvp(
        self, xp: Backend, theta: Blocks, tape: MaskTape, dtheta: Blocks, dY: Array | None, keep: bool = False
    ) -> tuple[Array | None, Tape]:
        return None if dY is None else self._map(xp, tape.mask, dY), () if keep else None

    def vjp(
        self, xp: Backend, theta: Blocks, tape: MaskTape, Z: Array, inputs: bool = True
    ) -> tuple[Blocks, Array | None]:
        return {}, self._map(xp, tape.mask, Z) if inputs else None

    def dvjp(
        self,
        xp: Backend,
        theta: Blocks,
        tape: MaskTape,
        dtape: Tape,
        dtheta: Blocks,
        Z: Array,
        dZ: Array,
        inputs: bool = True,
    ) -> tuple[Blocks, Array | None, Array | None]:
        if not inputs:
            return {}, None, None
        return {}, self._map(xp, tape.mask, Z), self._map(xp, tape.mask, dZ)

    def _map(self, xp: Backend, mask: Array | None, Y: Array) -> Array:
        return xp.copy(Y) if mask is None else mask * Y


@dataclass(frozen=True)
class Chain:
    """Parts one after the other, over one set of named blocks; a name that two parts share is one block.

    Notes
    -----
    The chain rule: tangents run forwards, adjoints backwards, and where a block serves twice (a kernel and its
    transpose) the gradients add up.
    """

    parts: tuple[Layer, ...]

    def shapes(self) -> dict[str, Shape]:
        return self._shapes

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        blocks: dict[str, np.ndarray] = {}
        for part in self.parts:
            if not blocks.keys() >= part.shapes().keys() or not part.shapes():
                blocks = {**part.init(rng), **blocks}
        return {name: blocks[name] for name in self._shapes}

    def output(self, shape: Shape) -> Shape:
        for part in self.parts:
            shape = part.output(shape)
        return tuple(shape)

    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, Tape]:
        tapes = []
        for i, part in enumerate(self.parts):
            Y, tape = part.forward(xp, theta, Y, None if aux is None else aux[i])
            tapes.append(tape)
        return Y, tuple(tapes)

    def jvp(
        self, xp: Backend, theta: Blocks, tape: Tape, dtheta: Blocks, dY: Array | None, keep: bool = False
    ) -> tuple[Array | None, Tape]:
        dtapes = []
        for part, at in zip(self.parts, tape):
            dY, dtape = part.jvp(xp, theta, at, dtheta, dY, keep)
            dtapes.append(dtape)
        return dY, tuple(dtapes) if keep else None

    def vjp(self, xp: Backend, theta: Blocks, tape: Tape, Z: Array, inputs: bool = True) -> tuple[Blocks, Array | None]:
        blocks: Blocks = {}
        for i in reversed(range(len(self.parts))):
            found, Z = self.parts[i].vjp(xp, theta, tape[i], Z, inputs or self._needed(i))  # type: ignore[assignment]
            blocks = add_blocks(xp, found, blocks) if self._shared else blocks | found
            if Z is None:
                break
        return blocks, Z if inputs else None

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
        blocks: Blocks = {}
        for i in reversed(range(len(self.parts))):
            wanted = inputs or self._needed(i)
            found, Z, dZ = self.parts[i].dvjp(xp, theta, tape[i], dtape[i], dtheta, Z, dZ, wanted)  # type: ignore[assignment]
            blocks = add_blocks(xp, found, blocks) if self._shared else blocks | found
            if Z is None:
                break
        return blocks, Z if inputs else None, dZ if inputs else None

    def statistics(self, tape: Tape) -> Any:
        found = tuple(part.statistics(at) for part, at in zip(self.parts, tape))
        return None if all(one is None for one in found) else found

    def draw(self, rng: np.random.Generator, n: int, shape: Shape) -> Any:
        found = []
        for part in self.parts:
            found.append(part.draw(rng, n, shape))
            shape = part.output(shape)
        return None if all(one is None for one in found) else tuple(found)

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        return {name: shape for part in self.parts for name, shape in part.shapes().items()}

    @cached_property
    def _shared(self) -> bool:
        """Whether a block serves in several parts."""
        return sum(len(part.shapes()) for part in self.parts) > len(self._shapes)

    @cached_property
    def _first(self) -> int:
        """The first part with parameters; adjoints of data need not go further."""
        return next((i for i, part in enumerate(self.parts) if part.shapes()), len(self.parts))

    def _needed(self, i: int) -> bool:
        return i > self._first
