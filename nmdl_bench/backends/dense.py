"""The identity, and factorisations of small dense matrices. What has no factorisation gives NaN; none raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmdl_bench.backends.namespace import Namespace
from nmdl_bench.contracts import Array, Scalar


class Dense(Namespace):
    """QR, SVD, Cholesky, eigenvalues and solves, of one matrix (m, n) of the backend's precision."""

    constant: Callable[[Any], Array]
    total: Callable[[Array], Scalar]
    linalg: Any
    """The library's own namespace, with the array API standard's names."""
    linalg_error: type[Exception] | tuple[type[Exception], ...] = ()
    """What it raises where a matrix is singular, indefinite or not finite."""

    def eye(self, n: int) -> Array:
        """The identity (n, n), made on the device: as a constant it would be part of a compiled program."""
        i, zeros = self.constant(np.arange(n)), self.zeros((n, n))
        return self.where(self.reshape(i, (n, 1)) == self.reshape(i, (1, n)), zeros + 1.0, zeros)

    def qr(self, A: Array) -> tuple[Array, Array]:
        """``A = Q R``, reduced: Q (m, k) with orthonormal columns, R (k, n) upper triangular, k = min(m, n)."""
        Q, R = self.linalg.qr(A)
        return Q, R

    def triangle(self, A: Array) -> Array:
        """The R (k, n) of :meth:`qr` alone, which costs half of both or less."""
        return self.qr(A)[1]

    def svd(self, A: Array) -> tuple[Array, Array, Array]:
        """``A = U diag(s) V^T``, reduced, as ``(U, s, V^T)``: s (k,) decreases; NaN where A is not finite."""
        m, n = A.shape
        k = min(m, n)
        A, nan = self._finite(A)
        U, s, Vt = self._or_nan(lambda: tuple(self.linalg.svd(A, full_matrices=False)), (m, k), (k,), (k, n))
        return U + nan, s + nan, Vt + nan

    def eigh(self, A: Array) -> tuple[Array, Array]:
        """``A = V diag(w) V^T`` of a symmetric matrix, as ``(w, V)``: w (n,) increases; NaN where A is not finite."""
        n = A.shape[0]
        A, nan = self._finite(A)
        w, V = self._or_nan(lambda: tuple(self.linalg.eigh(A)), (n,), (n, n))
        return w + nan, V + nan

    def cholesky(self, A: Array) -> Array:
        """``A = L L^T`` of a symmetric matrix with L lower triangular; NaN where A is not positive definite."""
        return self._or_nan(lambda: (self.linalg.cholesky(A),), tuple(A.shape))[0]

    def solve(self, A: Array, B: Array) -> Array:
        """``A^-1 B`` for a square matrix and B (n,) or (n, k); not finite where A is exactly singular."""
        return self._or_nan(lambda: (self.linalg.solve(A, B),), tuple(B.shape))[0]

    def solve_triangular(self, R: Array, B: Array, lower: bool = False) -> Array:
        """``R^-1 B`` for a triangular matrix and B (n,) or (n, k); not finite where R is singular."""
        return self.solve(R, B)

    def _finite(self, A: Array) -> tuple[Array, Scalar]:
        """``A`` with zeros for what is not finite, and what to add to results: 0, or NaN where there was any of it.

        LAPACK's divide and conquer does not return from some matrices with infinities.
        """
        rest = A - A
        return self.where(rest == 0, A, self.zeros(tuple(A.shape))), self.total(rest)

    def _or_nan(self, factorise: Callable[[], tuple[Array, ...]], *shapes: tuple[int, ...]) -> Any:
        try:
            return factorise()
        except self.linalg_error:
            return tuple(self.zeros(shape) / 0.0 for shape in shapes)
