"""Semi-implicit steps: the right-hand side explicitly, diffusion implicitly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import Array, Blocks, ConfigurationError, Layer, Tape
from nmdl_bench.linalg import cg
from nmdl_bench.networks.integrators import Features
from nmdl_bench.networks.kernel_algebra import rename
from nmdl_bench.networks.kernels import CirculantKernel, Kernel, Shape
from nmdl_bench.networks.parts import add_blocks

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class Imex(Features):
    """``(I + h L^T L) U = Y + h f(Y)`` with a kernel ``L`` whose weights are controls too (after Haber et al. 2019).

    It discretises ``dY/dt = f(Y) - L^T L Y``. IMEXnet's kernels have zero mean, so that constants are not damped; these
    are free.

    Parameters
    ----------
    kernel : Kernel
        ``L``; its weights are named with the ending ``_implicit``.
    rtol : float
        Relative residual at which conjugate gradients stop. Not used where the kernel is circulant and depthwise: the
        system is diagonal after a Fourier transform then, ``1 / (1 + h |lam|^2)``.
    max_iterations : int
        Bound on iterations of conjugate gradients.

    Notes
    -----
    With ``M = I + h L^T L``, ``M U = R`` and ``T(w, v; U, Q) = h (<L(w) U, L(v) Q> + <L(v) U, L(w) Q>)``:

    - ``dU = M^-1 (dR - dM U)``, ``dM U = h (dL^T L U + L^T dL U)``
    - adjoint: ``Q = M^-1 Z``; weights of L: ``-h (grad(Q, L U) + grad(U, L Q))``; Q goes on to ``R``
    - its derivative: ``dQ = M^-1 (dZ - dM Q)``, and each factor of the products above in turn
    """

    kernel: Kernel
    rtol: float = 1e-12
    max_iterations: int = 100
    name: str = "imex"

    @property
    def nodes(self) -> tuple[float, ...]:
        return (0.5,)

    @cached_property
    def _L(self) -> Kernel:
        return rename(self.kernel, "_implicit")

    @property
    def direct(self) -> bool:
        """Whether the system is solved by Fourier transforms."""
        return isinstance(self.kernel, CirculantKernel) and self.kernel.depthwise

    def check(self, rhs: Layer) -> None:
        if set(self.shapes()) & set(rhs.shapes()):
            raise ConfigurationError(f"the right-hand side has blocks named {sorted(self.shapes())} already")

    def check_shape(self, shape: Shape) -> None:
        self.kernel.output(tuple(shape))

    def shapes(self) -> dict[str, Shape]:
        return self._L.shapes()

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return self._L.init(rng)

    def _product(self, xp: Backend, h: float, w: Blocks, U: Array) -> Array:
        """``M U``."""
        return xp.add_scaled(U, h, self.diffusion(xp, w, U))

    def diffusion(self, xp: Backend, w: Blocks, U: Array) -> Array:
        """``L^T L U``, as a fresh array."""
        L = self._L
        return L.transpose(xp, w, L.apply(xp, w, U), tuple(U.shape[1:]))

    def solve(self, xp: Backend, h: float, w: Blocks, R: Array) -> Array:
        """``M^-1 R``."""
        if not self.direct:
            return cg(xp, lambda p: self._product(xp, h, w, p), R, self.rtol, self.max_iterations)[0]
        size = tuple(R.shape[2:])
        lam = xp.permute_dims(self._L.spectrum(xp, w, size), (1, 0, 2, 3))  # type: ignore[attr-defined]
        return xp.irfft2(xp.rfft2(R) / (1 + h * (lam * xp.conj(lam))), size)

    def _derivative(self, xp: Backend, h: float, w: Blocks, dw: Blocks, U: Array) -> Array:
        """``dM U``."""
        L, shape = self._L, tuple(U.shape[1:])
        one, other = L.transpose(xp, dw, L.apply(xp, w, U), shape), L.transpose(xp, w, L.apply(xp, dw, U), shape)
        return xp.scale(h, xp.axpy(1.0, one, other))

    def _weights(self, xp: Backend, h: float, pairs: list[tuple[Array, Array]]) -> Blocks:
        """``-h`` times the sum of ``grad`` over pairs."""
        total = self._L.grad(xp, *pairs[0])
        for pair in pairs[1:]:
            total = add_blocks(xp, total, self._L.grad(xp, *pair))
        return {name: xp.scale(-h, block) for name, block in total.items()}

    def forward(self, xp: Backend, rhs: Layer, h: float, theta: Blocks, state: Array, aux: Any) -> tuple[Array, Tape]:
        F, tape = rhs.forward(xp, theta, state, aux)
        U = self.solve(xp, h, theta, xp.add_scaled(state, h, F))
        return U, (tape, U)

    def jvp(
        self, xp: Backend, rhs: Layer, h: float, theta: Blocks, tape: Tape, dtheta: Blocks, dstate: Array, keep: bool
    ) -> tuple[Array, Tape]:
        inner, U = tape
        dF, dtape = rhs.jvp(xp, theta, inner, dtheta, dstate, keep)
        dR = xp.axpy(-1.0, self._derivative(xp, h, theta, dtheta, U), xp.add_scaled(dstate, h, dF))
        dU = self.solve(xp, h, theta, dR)
        return dU, (dtape, dU) if keep else None

    def vjp(self, xp: Backend, rhs: Layer, h: float, theta: Blocks, tape: Tape, Z: Array) -> tuple[Blocks, Array]:
        (inner, U), L = tape, self._L
        Q = self.solve(xp, h, theta, Z)
        implicit = self._weights(xp, h, [(Q, L.apply(xp, theta, U)), (U, L.apply(xp, theta, Q))])
        blocks, W = rhs.vjp(xp, theta, inner, Q)
        return self._joined(xp, h, blocks, implicit), xp.add_scaled(Q, h, W)

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
        (inner, U), (dinner, dU), L = tape, dtape, self._L
        Q = self.solve(xp, h, theta, Z)
        dQ = self.solve(xp, h, theta, xp.axpy(-1.0, self._derivative(xp, h, theta, dtheta, Q), dZ))
        LU, LQ = L.apply(xp, theta, U), L.apply(xp, theta, Q)
        dLU = L.accumulate(xp, L.apply(xp, dtheta, U), theta, dU)
        dLQ = L.accumulate(xp, L.apply(xp, dtheta, Q), theta, dQ)
        implicit = self._weights(xp, h, [(dQ, LU), (Q, dLU), (dU, LQ), (U, dLQ)])
        blocks, W, dW = rhs.dvjp(xp, theta, inner, dinner, dtheta, Q, dQ)
        return self._joined(xp, h, blocks, implicit), xp.add_scaled(Q, h, W), xp.add_scaled(dQ, h, dW)

    def _joined(self, xp: Backend, h: float, blocks: Blocks, implicit: Blocks) -> Blocks:
        return {**{name: xp.scale(h, block) for name, block in blocks.items()}, **implicit}

    def statistics(self, rhs: Layer, tape: Tape) -> Any:
        return rhs.statistics(tape[0])
