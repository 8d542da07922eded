"""Convolutions for libraries that work in place and have matrix products, but no convolutions: NumPy and CuPy.

Not all ``kh kw`` shifts of the images are copied, as im2col does (Chellapilla, Puri and Simard 2006), but the ``kw``
shifts along rows alone: a shift by whole rows is an offset into the flattened image. That leaves ``kh`` matrix products
over ``kw ci`` values each, on a third of the memory for kernels of 3 x 3 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from nmdl_bench.backends.convolution import Convolutions, is_depthwise, offsets, output_size, pooled
from nmdl_bench.contracts import Array


class ColumnConvolutions(Convolutions):
    """Overrides the generic kernels by products with shifted columns.

    Attributes
    ----------
    columns_bytes : int
        Samples are taken in blocks whose shifted columns need no more than this.
    """

    columns_bytes: ClassVar[int] = 2**22
    module: Any
    """The library, for ``empty`` and ``matmul(out=)``."""

    def conv2d(self, Y: Array, K: Array, stride: int = 1, padding: int = 0, groups: int = 1) -> Array:
        (n, ci, h, w), (co, _, kh, kw) = Y.shape, K.shape
        ho, wo = output_size(h, kh, stride, padding), output_size(w, kw, stride, padding)
        if is_depthwise(groups, ci, co):
            return self._weighted(self._windows(Y, (kh, kw), stride, padding), K)
        A, rows = self.module.empty((n, co, ho * wo), Y.dtype), self._rows(K)
        for block, P in self._columns(Y, (kh, kw), stride, (padding, padding), (ho, wo)):
            self._product(rows, P, stride, wo, A[block])
        return self.reshape(A, (n, co, ho, wo))

    def conv2d_transpose(
        self, Z: Array, K: Array, size: tuple[int, int], stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Array:
        (n, co), (_, ci, kh, kw) = Z.shape[:2], K.shape
        if is_depthwise(groups, ci * groups, co):
            return self._spread_weighted(Z, K, size, stride, padding)
        if stride > 1:
            return self._scattered(Z, K, size, stride, padding)
        dY, rows = self.module.empty((n, ci, size[0] * size[1]), Z.dtype), self._rows(_turned(K))
        for block, P in self._columns(Z, (kh, kw), 1, (kh - 1 - padding, kw - 1 - padding), size):
            self._product(rows, P, 1, size[1], dY[block])
        return self.reshape(dY, (n, ci, *size))

    def conv2d_grad(
        self, Y: Array, Z: Array, size: tuple[int, int], stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Array:
        (n, co, ho, wo), ci = Z.shape, Y.shape[1]
        if is_depthwise(groups, ci, co):
            return self._window_products(Y, Z, size, stride, padding)
        Z, G = self.reshape(Z, (n, co, -1)), self.zeros((size[0], size[1] * ci, co))
        for block, P in self._columns(Y, size, stride, (padding, padding), (ho, wo)):
            self._add_moments(G, P, Z[block], stride, wo)
        return self.reshape(G, (*size, ci, co)).transpose(3, 2, 0, 1).copy()

    def conv2d_adjoints(
        self, Y: Array, Z: Array, K: Array, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> tuple[Array, Array]:
        (n, ci, h, w), (co, _, kh, kw) = Y.shape, K.shape
        if stride > 1 or groups > 1 or co > 2 * ci:
            return super().conv2d_adjoints(Y, Z, K, stride, padding, groups)
        # both from the shifted columns of Z alone, with the kernel turned
        dY, rows = self.module.empty((n, ci, h * w), Z.dtype), self._rows(_turned(K))
        Y, G = self.reshape(Y, (n, ci, -1)), self.zeros((kh, kw * co, ci))
        for block, P in self._columns(Z, (kh, kw), 1, (kh - 1 - padding, kw - 1 - padding), (h, w)):
            self._product(rows, P, 1, w, dY[block])
            self._add_moments(G, P, Y[block], 1, w)
        dK = self.reshape(G, (kh, kw, co, ci))[::-1, ::-1].transpose(2, 3, 0, 1).copy()
        return dK, self.reshape(dY, (n, ci, h, w))

    def avg_pool2d(self, Y: Array, k: int) -> Array:
        pooled(Y.shape, k)
        total = Y[:, :, ::k, ::k].copy()
        for i, j in offsets((k, k))[1:]:
            total += Y[:, :, i::k, j::k]
        total *= 1 / k**2
        return total

    def avg_pool2d_transpose(self, Z: Array, k: int) -> Array:
        n, c, ho, wo = Z.shape
        Y = self.module.empty((n, c, k * ho, k * wo), Z.dtype)
        Z = Z * (1 / k**2)
        for i, j in offsets((k, k)):
            Y[:, :, i::k, j::k] = Z
        return Y

    # ------------------------------------------------------------------------------------------ shifted columns
    def _columns(
        self, Y: Array, size: tuple[int, int], stride: int, padding: tuple[int, int], output: tuple[int, int]
    ) -> Iterator[tuple[slice, Array]]:
        """Blocks of samples, and for each ``P`` (samples, phases, kw c, rows * wo), valid until the next one.

        ``P[:, r, (j, c), (q, x)]`` is the padded ``Y`` at channel ``c``, row ``r + stride q``, column
        ``j + stride x``. The kernel's row ``i`` meets phase ``r = i % stride`` from row ``i // stride`` on.
        """
        (n, c, h, w), (kh, kw), (ho, wo), s = Y.shape, size, output, stride
        phases, rows = min(s, kh), ho + (kh - 1) // s
        samples = max(1, min(n, self.columns_bytes // (phases * kw * c * rows * wo * Y.dtype.itemsize)))
        P = self.module.zeros((samples, phases, kw, c, rows, wo), Y.dtype)  # what lies outside Y stays zero
        for start in range(0, n, samples):
            block = slice(start, min(start + samples, n))
            part = P[: block.stop - start]
            for r in range(phases):
                to_rows, of_rows = _overlap(r - padding[0], s, rows, h)
                for j in range(kw):
                    to_columns, of_columns = _overlap(j - padding[1], s, wo, w)
                    part[:, r, j, :, to_rows, to_columns] = Y[block, :, of_rows, of_columns]
            yield block, self.reshape(part, (block.stop - start, phases, kw * c, rows * wo))

    def _rows(self, K: Array) -> Array:
        """The kernel's rows as matrices: (kh, co, kw ci)."""
        co, ci, kh, kw = K.shape
        return self.reshape(K.transpose(2, 0, 3, 1).copy(), (kh, co, kw * ci))

    def _product(self, rows: Array, P: Array, stride: int, wo: int, A: Array) -> None:
        """``A = sum_i rows[i] P_i`` with the columns ``P_i`` that the kernel's row ``i`` meets."""
        self.module.matmul(rows[0], P[:, 0, :, : A.shape[2]], out=A)
        T = self.module.empty(A.shape, A.dtype) if len(rows) > 1 else None
        for i in range(1, len(rows)):
            start = i // stride * wo
            self.module.matmul(rows[i], P[:, i % stride, :, start : start + A.shape[2]], out=T)
            A += T

    def _add_moments(self, G: Array, P: Array, Z: Array, stride: int, wo: int) -> None:
        """``G_i = G_i + sum_n P_i Z^T`` for each row of the kernel."""
        transposed = Z.transpose(0, 2, 1)
        for i in range(len(G)):
            start = i // stride * wo
            G[i] += (P[:, i % stride, :, start : start + Z.shape[2]] @ transposed).sum(axis=0)

    def _scattered(self, Z: Array, K: Array, size: tuple[int, int], stride: int, padding: int) -> Array:
        """The transposed convolution as the transposed steps of :meth:`conv2d`, for strides above 1."""
        (n, co, ho, wo), (_, ci, kh, kw), (h, w), s = Z.shape, K.shape, size, stride
        transposed = self._rows(K).transpose(0, 2, 1)
        Z, dY = self.reshape(Z, (n, co, -1)), self.zeros((n, ci, h, w))
        for i in range(kh):
            to_rows, of_rows = _overlap(i - padding, s, ho, h)
            columns = self.reshape(transposed[i] @ Z, (n, kw, ci, ho, wo))
            for j in range(kw):
                to_columns, of_columns = _overlap(j - padding, s, wo, w)
                dY[:, :, of_rows, of_columns] += columns[:, j, :, to_rows, to_columns]
        return dY

    # ------------------------------------------------------------------------------------------ channel by channel
    def _weighted(self, windows: list[Array], K: Array) -> Array:
        weights = self.reshape(K, (K.shape[0], -1, 1, 1))
        A = windows[0] * weights[:, 0]
        T = self.module.empty(A.shape, A.dtype)
        for t in range(1, len(windows)):
            self.module.multiply(windows[t], weights[:, t], out=T)
            A += T
        return A

    def _spread_weighted(self, Z: Array, K: Array, size: tuple[int, int], stride: int, padding: int) -> Array:
        (n, c, ho, wo), (_, _, kh, kw), (h, w) = Z.shape, K.shape, size
        dY, T = self.zeros((n, c, h, w)), self.module.empty(Z.shape, Z.dtype)
        for i, j in offsets((kh, kw)):
            of_rows, to_rows = _overlap(i - padding, stride, ho, h)
            of_columns, to_columns = _overlap(j - padding, stride, wo, w)
            self.module.multiply(Z, self.reshape(K[:, 0, i, j], (-1, 1, 1)), out=T)
            dY[:, :, to_rows, to_columns] += T[:, :, of_rows, of_columns]
        return dY

    def _window_products(self, Y: Array, Z: Array, size: tuple[int, int], stride: int, padding: int) -> Array:
        windows, T = self._windows(Y, size, stride, padding), self.module.empty(Z.shape, Z.dtype)
        G = self.zeros((Y.shape[1], 1, *size))
        for window, (i, j) in zip(windows, offsets(size)):
            self.module.multiply(window, Z, out=T)
            G[:, 0, i, j] = T.sum(axis=(0, 2, 3))
        return G

    def _fitted(self, Y: Array, axis: int, before: int, length: int) -> Array:
        if before == 0 and length == Y.shape[axis]:
            return Y
        shape = list(Y.shape)
        shape[axis] = length
        whole = self.zeros(tuple(shape))
        to, of = _overlap(-before, 1, length, Y.shape[axis])
        if axis == 2:
            whole[:, :, to, :] = Y[:, :, of, :]
        else:
            whole[:, :, :, to] = Y[:, :, :, of]
        return whole


def _overlap(shift: int, stride: int, length: int, size: int) -> tuple[slice, slice]:
    """Which ``t`` in ``range(length)`` have ``shift + stride t`` in ``range(size)``, and those values."""
    first = max(0, -(shift // stride))
    last = min(length - 1, (size - 1 - shift) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), slice(shift + stride * first, shift + stride * last + 1, stride)


def _turned(K: Array) -> Array:
    """The kernel of the adjoint: turned by 180 degrees, inputs and outputs swapped."""
    return K.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
