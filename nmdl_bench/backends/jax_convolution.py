"""Convolutions on JAX: XLA's own, but for those that it runs on the CPU as loops without vector instructions.

There, convolutions of each channel for itself are 10 to 60 times as fast by the generic version, and those in float64
five times by matrix products (in float32, XLA's are as fast).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from nmdl_bench.backends.convolution import Convolutions, is_depthwise, offsets, output_size
from nmdl_bench.contracts import Array

_PLAIN = ("NCHW", "OIHW", "NCHW")
_TURNED = ("NCHW", "IOHW", "NCHW")
_OVER_SAMPLES = ("CNHW", "IOHW", "CNHW")


class JaxConvolutions(Convolutions):
    """Overrides the generic kernels.

    Attributes
    ----------
    shifted : bool
        Whether channels that are convolved each for itself are sums of shifted products: on the CPU.
    products : bool
        Whether other convolutions are one matrix product with all shifted copies, channels first: on the CPU in
        float64.
    """

    shifted: bool
    products: bool
    dtype: Any

    def conv2d(self, Y: Array, K: Array, stride: int = 1, padding: int = 0, groups: int = 1) -> Array:
        if is_depthwise(groups, Y.shape[1], K.shape[0]) and self.shifted:
            return super().conv2d(Y, K, stride, padding, groups)
        if self.products:
            size = K.shape[2:]
            output = [output_size(h, k, stride, padding) for h, k in zip(Y.shape[2:], size)]
            return self._product(K, self._shifts(Y, [padding] * 2, size, output, stride), output)
        around = [(padding, padding)] * 2
        return lax.conv_general_dilated(
            Y, K, (stride, stride), around, dimension_numbers=_PLAIN, feature_group_count=groups
        )

    def conv2d_transpose(
        self, Z: Array, K: Array, size: tuple[int, int], stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Array:
        depthwise = is_depthwise(groups, K.shape[1] * groups, K.shape[0])
        if depthwise and self.shifted:
            return super().conv2d_transpose(Z, K, size, stride, padding, groups)
        if self.products and stride > 1:
            return self._scattered(Z, K, size, stride, padding)
        # Z, spread by zeros, correlated with the kernel turned
        before, turned = [k - 1 - padding for k in K.shape[2:]], jnp.flip(K, (2, 3))
        if self.products:
            P = self._shifts(Z, before, K.shape[2:], size, 1)
            return self._product(jnp.permute_dims(turned, (1, 0, 2, 3)), P, size)
        ends = [(b, h + padding - stride * (ho - 1) - 1) for b, h, ho in zip(before, size, Z.shape[2:])]
        numbers = _PLAIN if depthwise else _TURNED
        return lax.conv_general_dilated(
            Z, turned, (1, 1), ends, (stride, stride), dimension_numbers=numbers, feature_group_count=groups
        )

    def conv2d_grad(
        self, Y: Array, Z: Array, size: tuple[int, int], stride: int = 1, padding: int = 0, groups: int = 1
    ) -> Array:
        if is_depthwise(groups, Y.shape[1], Z.shape[1]) and self.shifted:
            return super().conv2d_grad(Y, Z, size, stride, padding, groups)
        if self.products:
            P = self._shifts(Y, [padding] * 2, size, Z.shape[2:], stride)
            return jnp.permute_dims(self._moments(P, Z, size), (3, 2, 0, 1))
        # samples are what is summed over: Y correlated with Z, whose pixels stand a stride apart
        ends = [(padding, stride * (ho - 1) + k - h - padding) for h, ho, k in zip(Y.shape[2:], Z.shape[2:], size)]
        return lax.conv_general_dilated(
            Y, Z, (1, 1), ends, None, (stride, stride), dimension_numbers=_OVER_SAMPLES, batch_group_count=groups
        )

    def conv2d_adjoints(
        self, Y: Array, Z: Array, K: Array, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> tuple[Array, Array]:
        if not self.products or stride > 1 or groups > 1:
            return super().conv2d_adjoints(Y, Z, K, stride, padding, groups)
        # both from the shifted copies of Z alone, with the kernel turned
        size, turned = K.shape[2:], jnp.flip(jnp.permute_dims(K, (1, 0, 2, 3)), (2, 3))
        P = self._shifts(Z, [k - 1 - padding for k in size], size, Y.shape[2:], 1)
        dK = jnp.permute_dims(jnp.flip(self._moments(P, Y, size), (0, 1)), (2, 3, 0, 1))
        return dK, self._product(turned, P, Y.shape[2:])

    def _shifts(self, Y: Array, before: Any, size: Any, output: Any, stride: int) -> Array:
        """For each pixel of the kernel what it meets: (kh kw c, n ho wo)."""
        ends = [(0, 0, 0), (0, 0, 0)]
        for h, b, k, length in zip(Y.shape[2:], before, size, output):
            ends.append((b, stride * (length - 1) + k - h - b, 0))
        Y = lax.pad(jnp.permute_dims(Y, (1, 0, 2, 3)), jnp.zeros((), self.dtype), ends)
        h, w = (stride * (length - 1) + 1 for length in output)
        windows = [Y[:, :, i : i + h : stride, j : j + w : stride] for i, j in offsets(size)]
        return jnp.reshape(jnp.concatenate(windows), (len(windows) * Y.shape[0], -1))

    def _product(self, K: Array, P: Array, output: Any) -> Array:
        co = K.shape[0]
        A = jnp.reshape(jnp.permute_dims(K, (0, 2, 3, 1)), (co, -1)) @ P
        return jnp.permute_dims(jnp.reshape(A, (co, -1, *output)), (1, 0, 2, 3))

    def _moments(self, P: Array, Z: Array, size: Any) -> Array:
        """``P Z^T`` over samples and pixels: (kh, kw, c, co)."""
        co = Z.shape[1]
        return jnp.reshape(P @ jnp.reshape(jnp.permute_dims(Z, (1, 0, 2, 3)), (co, -1)).T, (*size, -1, co))

    def _scattered(self, Z: Array, K: Array, size: tuple[int, int], stride: int, padding: int) -> Array:
        """The transposed convolution as a sum, over the kernel's pixels, of what each sends to where it was."""
        (n, co, ho, wo), (_, ci, kh, kw), (h, w) = Z.shape, K.shape, size
        sent = jnp.reshape(jnp.permute_dims(K, (2, 3, 1, 0)), (-1, co)) @ jnp.reshape(
            jnp.permute_dims(Z, (1, 0, 2, 3)), (co, -1)
        )
        sent = jnp.reshape(sent, (kh * kw, ci, n, ho, wo))
        zero, total = jnp.zeros((), self.dtype), jnp.zeros((ci, n, h, w), self.dtype)
        for t, (i, j) in enumerate(offsets((kh, kw))):
            ends = [(0, 0, 0), (0, 0, 0)]
            for at, whole, length in ((i - padding, h, ho), (j - padding, w, wo)):
                ends.append((at, whole - at - stride * (length - 1) - 1, stride - 1))
            total = total + lax.pad(sent[t], zero, ends)
        return jnp.permute_dims(total, (1, 0, 2, 3))
