"""Energies of networks whose right-hand side derives from a potential."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, Blocks, Layer
from nmdl_bench.diagnostics.trajectory import controls_of_step
from nmdl_bench.networks.activations import SLOPE, SMOOTHING
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernel_algebra import TransposedKernel
from nmdl_bench.networks.parts import Activate, Affine, Chain
from nmdl_bench.networks.rhs import Hamiltonian

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def _log_cosh(X: np.ndarray) -> np.ndarray:
    size = np.abs(X)
    return size + np.log1p(np.exp(-2 * size)) - np.log(2.0)


def _smoothed_relu(X: np.ndarray) -> np.ndarray:
    e = SMOOTHING
    inside = X**3 / (12 * e) + X**2 / 4 + e * X / 4 + e**2 / 12
    return np.where(e < X, X**2 / 2 + e**2 / 6, np.where(-e > X, 0.0, inside))


def _gelu(X: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return 0.5 * ((X**2 - 1) * ndtr(X) + X * np.exp(-(X**2) / 2) / np.sqrt(2 * np.pi))


ANTIDERIVATIVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda X: X**2 / 2,
    "tanh": _log_cosh,
    "relu": lambda X: np.maximum(X, 0.0) ** 2 / 2,
    "leaky-relu": lambda X: np.where(X > 0, X**2, SLOPE * X**2) / 2,
    "smoothed-relu": _smoothed_relu,
    "sin": lambda X: 1 - np.cos(X),
    "gelu": _gelu,
}
"""``phi`` with ``phi' = s``, for the activations whose antiderivative is elementary."""


class Energy(NamedTuple):
    """An energy of each sample at every step.

    ``kind`` is ``"Hamiltonian"``, conserved by the differential equation while its controls are constant, or
    ``"potential"``, which never grows then. ``values`` are (depth + 1, n).
    """

    kind: str
    values: np.ndarray


def energy(xp: Backend, evolution: Evolution, theta: Blocks, S: Array) -> Energy | None:
    """Energy along a trajectory; None where the right-hand side derives from no potential that is known.

    Parameters
    ----------
    xp : Backend
        Where the arrays live.
    evolution : Evolution
        The layer.
    theta : Blocks
        Its blocks.
    S : Array
        Its features at every step, by :func:`~nmdl_bench.diagnostics.trajectory.states`.

    Notes
    -----
    With ``phi' = s`` and ``Phi(U) = sum phi(K U + b)``, the symmetric layer ``-K^T s(K U + b)`` is ``-grad Phi(U)``.

    - Two fields, ``Y' = f_1(Z)``, ``Z' = -f_2(Y)`` with such ``f_i``: ``H = Phi_1(Z) + Phi_2(Y)`` is conserved, as
      ``H' = -grad Phi_1 . f_2 + grad Phi_2 . f_1 = 0``.
    - Two fields with ``f_1 = s(X)``, ``X = K Z + b``, and ``f_2 = s(W)``, ``W = K^T Y + b``: ``H = sum phi(X) + sum
      phi(W)`` is conserved too, as ``H' = -s(X) . K s(W) + s(W) . K^T s(X) = 0``.
    - One field, ``Y' = -grad Phi(Y)``: ``Phi' = -|grad Phi|^2 <= 0``.

    Each state is measured with the controls of the step that leaves it, the last with those of the step before.
    """
    rhs = evolution.rhs
    fields = list(rhs.fields) if isinstance(rhs, Hamiltonian) else [rhs]
    if not (_is_conservative(rhs) if isinstance(rhs, Hamiltonian) else _is_gradient(rhs)):
        return None
    values = []
    for j in range(evolution.depth + 1):
        at = controls_of_step(xp, evolution, theta, min(j, evolution.depth - 1))
        if isinstance(rhs, Hamiltonian):
            U, V = rhs.split(S[j, ...])
            parts = zip(fields, (rhs.blocks_of(0, at), rhs.blocks_of(1, at)), (V, U))
        else:
            parts = zip(fields, (at,), (S[j, ...],))
        values.append(sum(_potential(xp, field, blocks, Y) for field, blocks, Y in parts))
    return Energy("Hamiltonian" if isinstance(rhs, Hamiltonian) else "potential", np.stack(values))


def field_norms(xp: Backend, evolution: Evolution, S: Array) -> dict[str, np.ndarray]:
    """``|Y|`` and ``|Z|`` of each sample at every step where there are two fields, else ``|Y|``: (depth + 1, n)."""
    A = np.asarray(xp.to_numpy(S), dtype=np.float64)
    halves = np.split(A, 2, axis=2) if isinstance(evolution.rhs, Hamiltonian) else [A]
    return {
        name: np.linalg.norm(half.reshape(*half.shape[:2], -1), axis=2) for name, half in zip(("|Y|", "|Z|"), halves)
    }


def _potential(xp: Backend, field: Any, blocks: Blocks, Y: Array) -> np.ndarray:
    """``sum phi(K Y + b)`` of each sample."""
    X, _ = field.parts[0].forward(xp, blocks, Y)
    X = np.asarray(xp.to_numpy(X), dtype=np.float64)
    return ANTIDERIVATIVES[field.parts[1].activation](X).reshape(len(X), -1).sum(axis=1)


def _is_layer(field: Layer, parts: int) -> bool:
    """Whether it is a chain of so many parts that begins with ``s(K Y + b)`` and ``s`` has a known antiderivative."""
    if not isinstance(field, Chain) or len(field.parts) != parts:
        return False
    affine, activate = field.parts[:2]
    return (
        isinstance(affine, Affine)
        and not affine.gamma
        and isinstance(activate, Activate)
        and activate.activation in ANTIDERIVATIVES
    )


def _is_gradient(field: Layer) -> bool:
    """``-K^T s(K Y + b)``."""
    if not _is_layer(field, 3):
        return False
    first, last = field.parts[0], field.parts[2]  # type: ignore[attr-defined]
    return isinstance(last, Affine) and last.kernel == TransposedKernel(first.kernel, -1.0) and not last.bias


def _is_conservative(rhs: Hamiltonian) -> bool:
    if all(map(_is_gradient, rhs.fields)):
        return True
    if not (rhs.shared and all(_is_layer(field, 2) for field in rhs.fields)):
        return False
    first, second = (field.parts[0].kernel for field in rhs.fields)  # type: ignore[attr-defined]
    return second == TransposedKernel(first)
