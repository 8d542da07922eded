"""Activation functions ``s`` and their derivatives.

Each keeps its own output ``A = s(X)`` for the derivative, so that a tape holds one array an activation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmdl_bench.contracts import Array, unknown

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class Activation:
    """A smooth (or piecewise smooth) scalar function, applied to each element.

    Attributes
    ----------
    forward : callable
        ``forward(xp, X) -> A = s(X)``; donates ``X``.
    derivative : callable
        ``derivative(xp, A, Z) -> s'(X) Z`` elementwise, as a fresh array; it is its own transpose.
    keeps_output : bool
        Whether ``derivative`` reads ``A``; where it does not, a tape need not hold it.
    """

    name: str
    forward: Callable[[Backend, Array], Array]
    derivative: Callable[[Backend, Array, Array], Array]
    keeps_output: bool = True


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("tanh", lambda xp, X: xp.act_tanh(X), lambda xp, A, Z: xp.act_tanh_derivative(A, Z)),
        Activation("relu", lambda xp, X: xp.act_relu(X), lambda xp, A, Z: xp.act_relu_derivative(A, Z)),
        Activation("softplus", lambda xp, X: xp.act_softplus(X), lambda xp, A, Z: xp.act_softplus_derivative(A, Z)),
        Activation("identity", lambda xp, X: X, lambda xp, A, Z: xp.copy(Z), keeps_output=False),
    )
}


def get_activation(name: str) -> Activation:
    """The activation called ``name``; an unknown name is an :class:`~nmdl_bench.contracts.UnknownNameError`."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
