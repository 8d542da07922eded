"""Activation functions ``s`` with their first and second derivatives.

Each keeps one array for its derivatives: its own output ``A = s(X)`` where they can be written in ``A`` (the input then
need not be stored), its input ``X`` elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt
from typing import TYPE_CHECKING

from nmdl_bench.contracts import Array, unknown

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

SLOPE = 0.01
"""Of the leaky rectifier on the negative side (Maas, Hannun and Ng 2013)."""
SMOOTHING = 0.1
"""Half the width of the smoothed rectifier's parabola (Günther et al. 2020)."""


@dataclass(frozen=True)
class Activation:
    """A scalar function, applied to each element.

    Attributes
    ----------
    forward : callable
        ``forward(xp, X) -> (A, kept)`` with ``A = s(X)``; ``kept`` is what the derivatives read: ``A``, ``X``, or None.
        Donates ``X`` unless ``kept`` is ``X``.
    derivative : callable
        ``derivative(xp, kept, Z) -> s'(X) Z`` elementwise, as a fresh array; it is its own transpose.
    second : callable
        ``second(xp, kept, Z) -> s''(X) Z`` elementwise, as a fresh array.
    smooth : bool
        Whether ``s`` has a continuous second derivative. Where it has not, derivatives are those of the piece that a
        point lies on: at the rectifiers' kink that of the left piece; the smoothed rectifier's first derivative is
        continuous, its second jumps where the parabola begins and ends.
    curved : bool
        False where ``second`` is zero everywhere, so that nobody need ask it.
    """

    name: str
    forward: Callable[[Backend, Array], tuple[Array, Array | None]]
    derivative: Callable[[Backend, Array | None, Array], Array]
    second: Callable[[Backend, Array | None, Array], Array]
    smooth: bool = True
    curved: bool = True


def _keeps_output(act: Callable[[Backend, Array], Array]) -> Callable[[Backend, Array], tuple[Array, Array]]:
    def forward(xp: Backend, X: Array) -> tuple[Array, Array]:
        A = act(xp, X)
        return A, A

    return forward


def _keeps_input(act: Callable[[Backend, Array], Array]) -> Callable[[Backend, Array], tuple[Array, Array]]:
    return lambda xp, X: (act(xp, X), X)


def _zeros(xp: Backend, kept: Array | None, Z: Array) -> Array:
    return xp.zeros(tuple(Z.shape))


def _tanh_second(xp: Backend, A: Array, Z: Array) -> Array:
    """``-2 A (1 - A^2) Z``."""
    return xp.scale(-2.0, A * xp.act_tanh_derivative(A, Z))


def _softplus_second(xp: Backend, A: Array, Z: Array) -> Array:
    """``s' (1 - s') Z``, and ``1 - s' = exp(-A)``."""
    return xp.exp(-A) * xp.act_softplus_derivative(A, Z)


def _smoothed_relu_second(xp: Backend, X: Array, Z: Array) -> Array:
    """``[|X| < e] / (2e) Z``."""
    return xp.where(xp.abs(X) < SMOOTHING, Z * (0.5 / SMOOTHING), xp.zeros(tuple(Z.shape)))


def _silu_second(xp: Backend, X: Array, Z: Array) -> Array:
    """``S (1 - S) (2 + X (1 - 2 S)) Z`` for the sigmoid ``S``."""
    S = xp.sigmoid(X)
    return S * (1 - S) * (2 + X * (1 - 2 * S)) * Z


def _gelu_second(xp: Backend, X: Array, Z: Array) -> Array:
    """``(2 - X^2) phi(X) Z`` with the normal density ``phi = exp(-X^2 / 2) / sqrt(2 pi)``."""
    square = X * X
    return (2 - square) * xp.exp(-0.5 * square) * ((1 / sqrt(2 * pi)) * Z)


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation(
            "tanh",
            _keeps_output(lambda xp, X: xp.act_tanh(X)),
            lambda xp, A, Z: xp.act_tanh_derivative(A, Z),
            _tanh_second,
        ),
        Activation(
            "relu",
            _keeps_output(lambda xp, X: xp.act_relu(X)),
            lambda xp, A, Z: xp.act_relu_derivative(A, Z),
            _zeros,
            smooth=False,
            curved=False,
        ),
        Activation(
            "leaky-relu",
            _keeps_output(lambda xp, X: xp.act_leaky_relu(X, SLOPE)),
            lambda xp, A, Z: xp.act_leaky_relu_derivative(A, Z, SLOPE),
            _zeros,
            smooth=False,
            curved=False,
        ),
        Activation(
            "smoothed-relu",
            _keeps_input(lambda xp, X: xp.act_smoothed_relu(X, SMOOTHING)),
            lambda xp, X, Z: xp.act_smoothed_relu_derivative(X, Z, SMOOTHING),
            _smoothed_relu_second,
            smooth=False,
        ),
        Activation(
            "softplus",
            _keeps_output(lambda xp, X: xp.act_softplus(X)),
            lambda xp, A, Z: xp.act_softplus_derivative(A, Z),
            _softplus_second,
        ),
        Activation(
            "sin",
            _keeps_input(lambda xp, X: xp.sin(X)),
            lambda xp, X, Z: xp.cos(X) * Z,
            lambda xp, X, Z: -xp.sin(X) * Z,
        ),
        Activation(
            "silu",
            _keeps_input(lambda xp, X: xp.act_silu(X)),
            lambda xp, X, Z: xp.act_silu_derivative(X, Z),
            _silu_second,
        ),
        Activation(
            "gelu",
            _keeps_input(lambda xp, X: xp.act_gelu(X)),
            lambda xp, X, Z: xp.act_gelu_derivative(X, Z),
            _gelu_second,
        ),
        Activation("identity", lambda xp, X: (X, None), lambda xp, _, Z: xp.copy(Z), _zeros, curved=False),
    )
}
"""Silu: Elfwing, Uchibe and Doya 2018. Gelu, with the exact distribution function: Hendrycks and Gimpel 2016."""


def get_activation(name: str) -> Activation:
    """The activation called ``name``; an unknown name is an :class:`~nmdl_bench.contracts.UnknownNameError`."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
