"""Convolution in two dimensions and its two adjoints: generic versions in the array API standard's terms.

With stride ``s`` and padding ``p``, and ``Y`` zero outside its h x w pixels, ``A = conv2d(Y, K)`` is the
cross-correlation ``A[n, o, y, x] = sum_{c, i, j} K[o, c, i, j] Y[n, c, s y + i - p, s x + j - p]``. The trilinear form
``<conv2d(Y, K), Z>`` has the derivative ``conv2d_grad(Y, Z)`` in ``K`` and ``conv2d_transpose(Z, K)`` in ``Y``.
(Dumoulin and Visin 2016, chapters 2 and 4.)
"""

from __future__ import annotations

from math import prod

from nmdl_bench.backends.namespace import Namespace
from nmdl_bench.contracts import Array, ConfigurationError


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Pixels that a convolution leaves along one axis, ``floor((size + 2 padding - kernel) / stride) + 1``.

    Raises
    ------
    ConfigurationError
        None is left.
    """
    if size + 2 * padding < kernel:
        raise ConfigurationError(f"a kernel of {kernel} pixels does not fit into {size} with a padding of {padding}")
    return (size + 2 * padding - kernel) // stride + 1


def pooled(shape: tuple[int, ...], k: int) -> tuple[int, int]:
    """Height and width after means over ``k`` x ``k`` pixels; ConfigurationError unless ``k`` divides both."""
    h, w = shape[-2:]
    if h % k or w % k:
        raise ConfigurationError(f"means over {k} x {k} pixels need a height and width that {k} divides, not {h} x {w}")
    return h // k, w // k


def is_depthwise(groups: int, channels: int, outputs: int) -> bool:
    """Whether each channel has a filter of its own; ConfigurationError for any other partition into groups."""
    if groups == 1:
        return False
    if groups != channels or outputs != channels:
        raise ConfigurationError(
            f"groups must be 1, or the number of channels on both sides, not {groups} "
            f"for {channels} channels in and {outputs} out"
        )
    return True


def offsets(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Positions in a kernel, row by row."""
    return [(i, j) for i in range(size[0]) for j in range(size[1])]


class Convolutions(Namespace):
    """The kernels' generic versions: a matrix product with shifted copies, or a sum of shifted products."""

    def conv2d(self, Y: Array, K: Array, stride: int = 1, padding: int = 0, groups: int = 1) -> Array:
        """Cross-correlation of Y (n, ci, h, w) with K (co, ci / groups, kh, kw), zeros on all sides: (n, co, ho, wo).

        ``groups`` is 1, or the number of channels, each of which has a filter of its own then.
        """
        windows = self._windows(Y, (K.shape[2], K.shape[3]), stride, padding)
        (n, ci, ho, wo), co = windows[0].shape, K.shape[0]
        if is_depthwise(groups, ci, co):
            return self._weighted(windows, K)
        P = self.reshape(self.stack(windows, axis=2), (n, -1, ho * wo))
        return self.reshape(self.reshape(K, (co, -1)) @ P, (n, co, ho, wo))

    def conv2d_transpose(
        self, Z: Array, K: Array, size: tuple[int, int], stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Array:
        """Adjoint of :meth:`conv2d` in ``Y``, whose pixels are ``size``: (n, co, ho, wo) to (n, ci, h, w)."""
        (h, w), (n, co), (kh, kw) = size, Z.shape[:2], K.shape[2:]
        # A pixel of Y meets K[i, j] at Z's pixel (y + p - i) / s: correlate Z, spread by zeros, with the kernel turned
        for axis, pixels, k in ((2, h, kh), (3, w, kw)):
            Z = self._fitted(self._spread(Z, axis, stride), axis, k - 1 - padding, pixels + k - 1)
        windows = [Z[:, :, kh - 1 - i : kh - 1 - i + h, kw - 1 - j : kw - 1 - j + w] for i, j in offsets((kh, kw))]
        if is_depthwise(groups, K.shape[1] * groups, co):
            return self._weighted(windows, K)
        P = self.reshape(self.stack(windows, axis=2), (n, -1, h * w))
        transposed = self.reshape(self.permute_dims(K, (1, 0, 2, 3)), (K.shape[1], -1))
        return self.reshape(transposed @ P, (n, K.shape[1], h, w))

    def conv2d_grad(
        self, Y: Array, Z: Array, size: tuple[int, int], stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Array:
        """Adjoint of :meth:`conv2d` in ``K``, whose pixels are ``size``: (co, ci / groups, kh, kw)."""
        windows, (n, co, ho, wo), ci = self._windows(Y, size, stride, padding), Z.shape, Y.shape[1]
        if is_depthwise(groups, ci, co):
            columns = [self.sum(window * Z, axis=(0, 2, 3)) for window in windows]
            return self.reshape(self.stack(columns, axis=1), (ci, 1, *size))
        P = self.reshape(self.stack(windows, axis=2), (n, -1, ho * wo))
        product = self.reshape(Z, (n, co, -1)) @ self.permute_dims(P, (0, 2, 1))
        return self.reshape(self.sum(product, axis=0), (co, ci, *size))

    def conv2d_adjoints(
        self, Y: Array, Z: Array, K: Array, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> tuple[Array, Array]:
        """:meth:`conv2d_grad` and :meth:`conv2d_transpose` at once: ``(dK, dY)``. Libraries share work between them."""
        (h, w), (kh, kw) = Y.shape[2:], K.shape[2:]
        return (
            self.conv2d_grad(Y, Z, (kh, kw), stride, padding, groups),
            self.conv2d_transpose(Z, K, (h, w), stride, padding, groups),
        )

    def avg_pool2d(self, Y: Array, k: int) -> Array:
        """Means over k x k pixels without overlap: (n, c, h, w) to (n, c, h/k, w/k); ``k`` divides h and w."""
        n, c = Y.shape[:2]
        ho, wo = pooled(Y.shape, k)
        return self.sum(self.reshape(Y, (n, c, ho, k, wo, k)), axis=(3, 5)) * (1 / k**2)

    def avg_pool2d_transpose(self, Z: Array, k: int) -> Array:
        """Adjoint of :meth:`avg_pool2d`: (n, c, ho, wo) to (n, c, k ho, k wo)."""
        n, c, ho, wo = Z.shape
        weights = self.zeros((1, 1, 1, k, 1, k)) + 1 / k**2
        return self.reshape(self.reshape(Z, (n, c, ho, 1, wo, 1)) * weights, (n, c, k * ho, k * wo))

    # ------------------------------------------------------------------------------------------ pieces
    def _windows(self, Y: Array, size: tuple[int, int], stride: int, padding: int) -> list[Array]:
        """For each pixel of the kernel, what of the padded ``Y`` it meets: (n, c, ho, wo)."""
        lengths = []
        for axis, k in zip((2, 3), size):
            lengths.append(stride * (output_size(Y.shape[axis], k, stride, padding) - 1) + 1)
            Y = self._fitted(Y, axis, padding, Y.shape[axis] + 2 * padding)
        h, w = lengths
        return [Y[:, :, i : i + h : stride, j : j + w : stride] for i, j in offsets(size)]

    def _weighted(self, windows: list[Array], K: Array) -> Array:
        """Sum of the windows, each channel times its own weight."""
        weights = self.reshape(K, (1, K.shape[0], prod(K.shape[2:])))
        terms = [self.reshape(weights[:, :, t], (1, -1, 1, 1)) * window for t, window in enumerate(windows)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def _zeros_like(self, Y: Array, axis: int, length: int) -> Array:
        return self.zeros((*Y.shape[:axis], length, *Y.shape[axis + 1 :]))

    def _fitted(self, Y: Array, axis: int, before: int, length: int) -> Array:
        """``length`` pixels along ``axis`` (2 or 3), with ``before`` zeros in front; negative: that many cut off."""
        after = length - before - Y.shape[axis]
        cut = slice(max(-before, 0), Y.shape[axis] + min(after, 0))
        Y = Y[:, :, cut, :] if axis == 2 else Y[:, :, :, cut]
        parts = [self._zeros_like(Y, axis, before)] if before > 0 else []
        parts.append(Y)
        if after > 0:
            parts.append(self._zeros_like(Y, axis, after))
        return self.concat(parts, axis=axis) if len(parts) > 1 else Y

    def _spread(self, Y: Array, axis: int, stride: int) -> Array:
        """``stride - 1`` zeros behind each pixel along ``axis``."""
        if stride == 1:
            return Y
        shape = Y.shape
        zeros = self.zeros(tuple(shape))
        spread = self.stack([Y, *[zeros] * (stride - 1)], axis=axis + 1)
        return self.reshape(spread, (*shape[:axis], stride * shape[axis], *shape[axis + 1 :]))
