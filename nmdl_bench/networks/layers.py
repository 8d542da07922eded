"""Dense layers: an affine map with activation, and a residual block of such layers by forward Euler."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError
from nmdl_bench.networks.activations import get_activation

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class DenseTape(NamedTuple):
    """Input ``Y`` and output ``A = s(X)`` of one dense layer (None where the derivative does not need it)."""

    Y: Array
    A: Array | None


def check_sizes(**sizes: int) -> None:
    """Raise ConfigurationError unless every size is a positive integer."""
    for name, value in sizes.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ConfigurationError(f"{name} must be a positive integer, not {value!r}")


def _glorot(rng: np.random.Generator, shape: tuple[int, ...], fan: int) -> np.ndarray:
    return rng.standard_normal(shape) * sqrt(2 / fan)


@dataclass(frozen=True)
class Dense:
    """``A = s(Y K + b)`` for Y (n, inputs), K (inputs, outputs), b (outputs,).

    Serves as opening layer, and with the identity as linear classifier ``S = Y W + mu``.

    Parameters
    ----------
    inputs, outputs : int
        Number of features.
    activation : str
        Name in :data:`~nmdl_bench.networks.activations.ACTIVATIONS`.

    Notes
    -----
    Derivatives, with ``X = Y K + b``:

    - ``J [dK, db, dY] = s'(X) * (dY K + Y dK + db)``
    - ``J^T Z``: with ``V = s'(X) * Z``, ``dK = Y^T V``, ``db = 1^T V``, ``dY = V K^T``

    Weights start at N(0, 2 / (inputs + outputs)) (Glorot and Bengio 2010, eq. 16, there uniform). Biases start at
    N(0, 0.1^2): zero biases would give symmetric data gradients that vanish but for round-off.
    """

    inputs: int
    outputs: int
    activation: str = "identity"

    def __post_init__(self) -> None:
        check_sizes(inputs=self.inputs, outputs=self.outputs)
        get_activation(self.activation)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"K": (self.inputs, self.outputs), "b": (self.outputs,)}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        K = _glorot(rng, (self.inputs, self.outputs), self.inputs + self.outputs)
        return {"K": K, "b": 0.1 * rng.standard_normal(self.outputs)}

    def forward(self, xp: Backend, theta: Blocks, Y: Array) -> tuple[Array, DenseTape]:
        s = get_activation(self.activation)
        A = s.forward(xp, xp.affine(Y, theta["K"], theta["b"]))
        return A, DenseTape(Y, A if s.keeps_output else None)

    def jvp(self, xp: Backend, theta: Blocks, tape: DenseTape, dtheta: Blocks, dY: Array | None) -> Array:
        dX = xp.affine(tape.Y, dtheta["K"], dtheta["b"])
        if dY is not None:
            dX = xp.addmm(dX, dY, theta["K"])
        return get_activation(self.activation).derivative(xp, tape.A, dX)

    def vjp(
        self, xp: Backend, theta: Blocks, tape: DenseTape, Z: Array, inputs: bool = True
    ) -> tuple[Blocks, Array | None]:
        V = get_activation(self.activation).derivative(xp, tape.A, Z)
        blocks = {"K": tape.Y.T @ V, "b": xp.column_sum(V)}
        return blocks, V @ theta["K"].T if inputs else None


@dataclass(frozen=True)
class EulerBlock:
    """``depth`` steps of forward Euler, ``Y_{j+1} = Y_j + h s(Y_j K_j + b_j)`` with ``h = time / depth``.

    The discretisation of ``dY/dt = s(Y K(t) + b(t))`` on [0, time] (Haber and Ruthotto 2017, eq. 2; E 2017). Equal
    layers are stored as one block, ``K`` (depth, width, width) and ``b`` (depth, width), over which ``xp.scan`` runs.

    Parameters
    ----------
    width : int
        Number of features.
    depth : int
        Number of steps.
    time : float
        Final time, > 0.
    activation : str
        Name in :data:`~nmdl_bench.networks.activations.ACTIVATIONS`.

    Notes
    -----
    Derivatives, with ``X_j = Y_j K_j + b_j`` and the adjoint ``Z_j`` of ``Y_j``:

    - ``dY_{j+1} = dY_j + h s'(X_j) * (dY_j K_j + Y_j dK_j + db_j)``
    - ``V_j = s'(X_j) * Z_{j+1}``, ``dK_j = h Y_j^T V_j``, ``db_j = h 1^T V_j``, ``Z_j = Z_{j+1} + h V_j K_j^T``

    Kernels start at N(0, 1 / width), so that ``Y K`` keeps the size of ``Y``.
    """

    width: int
    depth: int
    time: float = 1.0
    activation: str = "tanh"

    def __post_init__(self) -> None:
        check_sizes(width=self.width, depth=self.depth)
        get_activation(self.activation)
        if not 0 < self.time < float("inf"):
            raise ConfigurationError(f"time must be positive and finite, not {self.time!r}")

    @property
    def h(self) -> float:
        """Step size."""
        return self.time / self.depth

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"K": (self.depth, self.width, self.width), "b": (self.depth, self.width)}

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        K = _glorot(rng, (self.depth, self.width, self.width), 2 * self.width)
        return {"K": K, "b": 0.1 * rng.standard_normal((self.depth, self.width))}

    def forward(self, xp: Backend, theta: Blocks, Y: Array) -> tuple[Array, DenseTape]:
        s, h = get_activation(self.activation), self.h

        def step(Y: Array, theta_j: Blocks) -> tuple[Array, DenseTape]:
            A = s.forward(xp, xp.affine(Y, theta_j["K"], theta_j["b"]))
            return xp.add_scaled(Y, h, A), DenseTape(Y, A)

        return xp.scan(step, Y, theta)

    def jvp(self, xp: Backend, theta: Blocks, tape: DenseTape, dtheta: Blocks, dY: Array | None) -> Array:
        s, h = get_activation(self.activation), self.h

        def step(dY: Array, layer: tuple[Blocks, DenseTape, Blocks]) -> tuple[Array, None]:
            theta_j, (Y_j, A_j), dtheta_j = layer
            dX = xp.addmm(xp.affine(Y_j, dtheta_j["K"], dtheta_j["b"]), dY, theta_j["K"])
            return xp.add_scaled(dY, h, s.derivative(xp, A_j, dX)), None

        if dY is None:
            raise ConfigurationError("an EulerBlock needs the derivative of its input; put an opening layer before it")
        return xp.scan(step, dY, (theta, tape, dtheta))[0]

    def vjp(
        self, xp: Backend, theta: Blocks, tape: DenseTape, Z: Array, inputs: bool = True
    ) -> tuple[Blocks, Array | None]:
        s, h = get_activation(self.activation), self.h

        def step(Z: Array, layer: tuple[Blocks, DenseTape]) -> tuple[Array, Blocks]:
            theta_j, (Y_j, A_j) = layer
            V = s.derivative(xp, A_j, Z)
            blocks = {"K": xp.scale(h, Y_j.T @ V), "b": xp.scale(h, xp.column_sum(V))}
            return xp.addmm(Z, V, theta_j["K"].T, h), blocks

        Z, blocks = xp.scan(step, Z, (theta, tape), reverse=True)
        return blocks, Z if inputs else None
