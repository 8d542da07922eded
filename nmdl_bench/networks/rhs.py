"""Right-hand sides ``f(Y, theta)`` of ``dY/dt = f(Y, theta(t))``, as chains of parts.

Each factory takes a kernel and returns a layer that keeps the shape of its features. ``X = K(w) Y + b``, ``N`` is a
normalisation or nothing, ``s`` an activation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Layer, Tape
from nmdl_bench.networks.kernel_algebra import AntisymmetricKernel, TransposedKernel, rename
from nmdl_bench.networks.kernels import Kernel, Shape
from nmdl_bench.networks.normalisation import Normalise
from nmdl_bench.networks.parts import Activate, Affine, Chain

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def single(
    kernel: Kernel,
    activation: str = "tanh",
    norm: str | None = None,
    bias: bool = True,
    gamma: float = 0.0,
    outputs: int | None = None,
) -> Chain:
    """``s(N(K Y - gamma Y + b))``; with a kernel that changes the width, an opening or connecting layer.

    Parameters
    ----------
    kernel : Kernel
        ``K``.
    activation : str
        ``s``, a name in :data:`~nmdl_bench.networks.activations.ACTIVATIONS`.
    norm : str, optional
        ``N``: ``"batch"``, ``"instance"`` or ``"tv"``.
    bias : bool
        Whether there is ``b``.
    gamma : float
        Damping.
    outputs : int, optional
        Features or channels of the output, by default those of the input.
    """
    width = outputs or kernel.inputs
    affine = Affine(kernel, bias, gamma, width if bias else None)
    normalised = () if norm is None else (Normalise(norm, width),)
    activated = () if activation == "identity" else (Activate(activation, in_place=True),)
    return Chain((affine, *normalised, *activated))


def double(
    kernel: Kernel, activation: str = "tanh", norm: str | None = None, bias: bool = True, gamma: float = 0.0
) -> Chain:
    """``K_2 s(N(K_1 Y - gamma Y + b))`` with a second kernel of the same kind."""
    first = single(rename(kernel, "1"), activation, norm, bias, gamma)
    return Chain((*first.parts, Affine(rename(kernel, "2"), bias=False)))


def parabolic(
    kernel: Kernel,
    activation: str = "tanh",
    norm: str | None = None,
    bias: bool = True,
    gamma: float = 0.0,
    inner: int | None = None,
) -> Chain:
    """``-K^T s(N(K Y + b))``: the symmetric layer (Ruthotto and Haber 2020, eq. 11), whose Jacobian is -K^T diag(s') K.

    ``inner`` is the number of features or channels of ``K Y``, by default that of ``Y``.
    """
    first = single(kernel, activation, norm, bias, gamma, inner)
    return Chain((*first.parts, Affine(TransposedKernel(kernel, -1.0), bias=False)))


def antisymmetric(
    kernel: Kernel, activation: str = "tanh", norm: str | None = None, bias: bool = True, gamma: float = 0.0
) -> Chain:
    """``s(N((K - K^T - gamma I) Y + b))`` (Haber and Ruthotto 2017, eq. 12; there halved)."""
    return single(AntisymmetricKernel(kernel), activation, norm, bias, gamma)


@dataclass(frozen=True)
class Hamiltonian:
    """Two fields: ``dY/dt = f_1(Z)``, ``dZ/dt = -f_2(Y)``, the features split in halves ``(Y, Z)``.

    Parameters
    ----------
    first, second : Layer
        ``f_1`` and ``f_2``.
    shared : bool
        Whether they share their parameters; otherwise the blocks' names end in ``_1`` and ``_2``.

    Notes
    -----
    Steps of a :class:`~nmdl_bench.networks.reversible.Splitting` use the fields one by one. Other integrators see
    ``F = (f_1(Z), -f_2(Y))``, with the derivatives below.
    """

    first: Layer
    second: Layer
    shared: bool = False

    @property
    def fields(self) -> tuple[Layer, Layer]:
        """``f_1, f_2``."""
        return self.first, self.second

    @cached_property
    def _names(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """For each field, its blocks' own names and their names here."""
        ends = ("", "") if self.shared else ("_1", "_2")
        return tuple(
            tuple((name, name + end) for name in field.shapes()) for field, end in zip(self.fields, ends, strict=True)
        )

    def blocks_of(self, i: int, theta: Blocks) -> Blocks:
        """The blocks of field ``i`` under its own names."""
        return {own: theta[name] for own, name in self._names[i]}

    def join(self, xp: Backend, *found: Blocks) -> Blocks:
        """Gradients of both fields under the names here."""
        one, other = ({name: blocks[own] for own, name in self._names[i]} for i, blocks in enumerate(found))
        if not self.shared:
            return one | other
        return {name: xp.axpy(1.0, other[name], block) for name, block in one.items()}

    def shapes(self) -> dict[str, Shape]:
        return {
            name: shape
            for field, names in zip(self.fields, self._names)
            for (_, name), shape in zip(names, field.shapes().values())
        }

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        drawn = [field.init(rng) for field in self.fields[: 1 if self.shared else 2]]
        return {name: blocks[own] for blocks, names in zip(drawn, self._names) for own, name in names}

    def output(self, shape: Shape) -> Shape:
        if shape[0] % 2:
            raise ConfigurationError(f"a Hamiltonian right-hand side splits features in halves; {shape[0]} is odd")
        half = (shape[0] // 2, *shape[1:])
        for field in self.fields:
            if tuple(field.output(half)) != half:
                raise ConfigurationError(f"{field!r} changes the shape of a field, {half}")
        return tuple(shape)

    def split(self, Y: Array) -> tuple[Array, Array]:
        """The two fields, halves of the features or channels."""
        half = Y.shape[1] // 2
        return Y[:, :half, ...], Y[:, half:, ...]

    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, Tape]:
        U, V = self.split(Y)
        F1, tape1 = self.first.forward(xp, self.blocks_of(0, theta), V, None if aux is None else aux[0])
        F2, tape2 = self.second.forward(xp, self.blocks_of(1, theta), U, None if aux is None else aux[1])
        return xp.concat([F1, -F2], axis=1), (tape1, tape2)

    def jvp(
        self, xp: Backend, theta: Blocks, tape: Tape, dtheta: Blocks, dY: Array | None, keep: bool = False
    ) -> tuple[Array, Tape]:
        dU, dV = (None, None) if dY is None else self.split(dY)
        dF1, dtape1 = self.first.jvp(xp, self.blocks_of(0, theta), tape[0], self.blocks_of(0, dtheta), dV, keep)
        dF2, dtape2 = self.second.jvp(xp, self.blocks_of(1, theta), tape[1], self.blocks_of(1, dtheta), dU, keep)
        return xp.concat([dF1, -dF2], axis=1), (dtape1, dtape2) if keep else None

    def vjp(self, xp: Backend, theta: Blocks, tape: Tape, Z: Array, inputs: bool = True) -> tuple[Blocks, Array | None]:
        Z1, Z2 = self.split(Z)
        blocks1, WV = self.first.vjp(xp, self.blocks_of(0, theta), tape[0], Z1, inputs)
        blocks2, WU = self.second.vjp(xp, self.blocks_of(1, theta), tape[1], -Z2, inputs)
        return self.join(xp, blocks1, blocks2), xp.concat([WU, WV], axis=1) if inputs else None

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
        (Z1, Z2), (dZ1, dZ2) = self.split(Z), self.split(dZ)
        theta1, theta2, dtheta1, dtheta2 = (self.blocks_of(i, blocks) for blocks in (theta, dtheta) for i in (0, 1))
        blocks1, WV, dWV = self.first.dvjp(xp, theta1, tape[0], dtape[0], dtheta1, Z1, dZ1, inputs)
        blocks2, WU, dWU = self.second.dvjp(xp, theta2, tape[1], dtape[1], dtheta2, -Z2, -dZ2, inputs)
        blocks = self.join(xp, blocks1, blocks2)
        if not inputs:
            return blocks, None, None
        return blocks, xp.concat([WU, WV], axis=1), xp.concat([dWU, dWV], axis=1)

    def statistics(self, tape: Tape) -> Any:
        found = tuple(field.statistics(at) for field, at in zip(self.fields, tape))
        return None if all(one is None for one in found) else found

    def draw(self, rng: np.random.Generator, n: int, shape: Shape) -> Any:
        half = (shape[0] // 2, *shape[1:])
        found = tuple(field.draw(rng, n, half) for field in self.fields)
        return None if all(one is None for one in found) else found


def hamiltonian(
    kernel: Kernel, activation: str = "tanh", norm: str | None = None, bias: bool = True, gamma: float = 0.0
) -> Hamiltonian:
    """``f_i(U) = -K_i^T s(N(K_i U + b_i))``, two symmetric layers (Ruthotto and Haber 2020, eq. 16).

    The kernel is that of one field, half the features. (The paper's continuous form has both signs flipped.)
    """
    field = parabolic(kernel, activation, norm, bias, gamma)
    return Hamiltonian(field, field)


def hamiltonian_single(
    kernel: Kernel, activation: str = "tanh", norm: str | None = None, bias: bool = True, gamma: float = 0.0
) -> Hamiltonian:
    """``f_1(Z) = s(K Z + b)``, ``f_2(Y) = s(K^T Y + b)`` with one kernel (Haber and Ruthotto 2017, eq. 15)."""
    return Hamiltonian(
        single(kernel, activation, norm, bias, gamma),
        single(TransposedKernel(kernel), activation, norm, bias, gamma),
        shared=True,
    )


RIGHT_HAND_SIDES: dict[str, Callable[..., Layer]] = {
    "single": single,
    "double": double,
    "parabolic": parabolic,
    "antisymmetric": antisymmetric,
    "hamiltonian": hamiltonian,
    "hamiltonian-single": hamiltonian_single,
}
"""Factories ``(kernel, activation, norm, bias, gamma) -> Layer``; the Hamiltonian ones take kernels of half width."""
TWO_FIELDS = ("hamiltonian", "hamiltonian-single")
"""Those whose kernel sees half the features."""
