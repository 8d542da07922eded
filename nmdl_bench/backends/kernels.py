"""Kernels of layers and losses: generic versions in the array API standard's terms.

A library overrides one only where a benchmark shows more than 20 %; tests hold each override against the version here.
"""

from __future__ import annotations

from math import pi, sqrt

from nmdl_bench.backends.namespace import Namespace
from nmdl_bench.contracts import Array, Scalar


class Kernels(Namespace):
    """Affine maps, activations with their derivatives, softmax."""

    def add_scaled(self, y: Array, a: Scalar, x: Array) -> Array:
        """``y + a x`` as a fresh array."""
        return y + a * x

    def affine(self, Y: Array, K: Array, b: Array) -> Array:
        """``Y K + b`` for Y (n, p), K (p, q), b (q,)."""
        return Y @ K + b

    def column_sum(self, Z: Array) -> Array:
        """Sum over samples: (n, q) to (q,)."""
        return self.sum(Z, axis=0)

    # ------------------------------------------------------------------------------------------ of A = s(X)
    def act_tanh(self, X: Array) -> Array:
        """``tanh(X)``; donates ``X``."""
        return self.tanh(X)

    def act_tanh_derivative(self, A: Array, Z: Array) -> Array:
        """``tanh'(X) Z = (1 - A^2) Z`` for ``A = tanh(X)``."""
        return (1 - A * A) * Z

    def act_relu(self, X: Array) -> Array:
        """``max(X, 0)``; donates ``X``. NaN stays NaN."""
        return self.where(X <= 0, self.zeros(X.shape), X)

    def act_relu_derivative(self, A: Array, Z: Array) -> Array:
        """``[A > 0] Z`` for ``A = max(X, 0)``: the derivative at the kink is 0."""
        return self.where(A > 0, Z, self.zeros(Z.shape))

    def act_leaky_relu(self, X: Array, slope: float) -> Array:
        """``X`` where it is positive and ``slope X`` elsewhere, 0 < slope < 1; donates ``X``."""
        return self.where(X > 0, X, slope * X)

    def act_leaky_relu_derivative(self, A: Array, Z: Array, slope: float) -> Array:
        """``Z`` where ``A = leaky_relu(X)`` is positive and ``slope Z`` elsewhere."""
        return self.where(A > 0, Z, slope * Z)

    def act_softplus(self, X: Array) -> Array:
        """``log(1 + exp X)`` without overflow; donates ``X``."""
        return self.act_relu(X * 1) + self.log1p(self.exp(-self.abs(X)))

    def act_softplus_derivative(self, A: Array, Z: Array) -> Array:
        """``Z / (1 + exp(-X)) = (1 - exp(-A)) Z`` for ``A = softplus(X)``."""
        return -self.expm1(-A) * Z

    # ------------------------------------------------------------------------------------------ of X, which is kept
    def act_smoothed_relu(self, X: Array, e: float) -> Array:
        """``max(X, 0)`` beyond ``|X| = e``, and the parabola ``X^2 / (4e) + X / 2 + e / 4`` between, afresh."""
        flat = self.where(X <= 0, self.zeros(X.shape), X)
        return self.where(self.abs(X) <= e, (X + e) * (X + e) * (0.25 / e), flat)

    def act_smoothed_relu_derivative(self, X: Array, Z: Array, e: float) -> Array:
        """``Z`` times ``(X + e) / (2e)``, cut off at 0 and 1."""
        D = (X + e) * (0.5 / e)
        D = self.where(D <= 0, self.zeros(D.shape), D)
        return self.where(D >= 1, Z, D * Z)

    def sigmoid(self, X: Array) -> Array:
        """``1 / (1 + exp(-X))`` without overflow and with all digits on both sides, afresh."""
        E = self.exp(-self.abs(X))
        return self.where(X >= 0, 1 / (1 + E), E / (1 + E))

    def act_silu(self, X: Array) -> Array:
        """``X sigmoid(X)``, afresh."""
        return X * self.sigmoid(X)

    def act_silu_derivative(self, X: Array, Z: Array) -> Array:
        """``(S + X S (1 - S)) Z`` for ``S = sigmoid(X)``."""
        S = self.sigmoid(X)
        return S * (1 + X * (1 - S)) * Z

    def act_gelu(self, X: Array) -> Array:
        """``X Phi(X)`` with the normal distribution function ``Phi``, afresh."""
        return X * (0.5 * (1 + self.erf(X * sqrt(0.5))))

    def act_gelu_derivative(self, X: Array, Z: Array) -> Array:
        """``(Phi(X) + X phi(X)) Z`` with the normal distribution function and density."""
        density = self.exp(-0.5 * (X * X)) * (1 / sqrt(2 * pi))
        return (0.5 * (1 + self.erf(X * sqrt(0.5))) + X * density) * Z

    # ------------------------------------------------------------------------------------------ of losses
    def softmax(self, S: Array) -> tuple[Array, Array]:
        """Row-wise softmax (n, k) and the log of its denominator (n, 1); shifts by the maximum, donates ``S``."""
        m = self.max(S, axis=1, keepdims=True)
        E = self.exp(S - m)
        total = self.sum(E, axis=1, keepdims=True)
        return E / total, self.log(total) + m
