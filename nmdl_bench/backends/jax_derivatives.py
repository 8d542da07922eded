"""Derivatives of plain functions by JAX's transformations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nmdl_bench.backends.derivatives import FiniteDifferences, Function
from nmdl_bench.contracts import Array, Scalar


class JaxDerivatives(FiniteDifferences):
    """Forward mode for ``J v``, reverse mode for ``J^T w`` and gradients, forward over reverse for ``H v``."""

    automatic: ClassVar[bool] = True
    dtype: Any

    def scalar(self, a: Any) -> Scalar:
        return jnp.asarray(a, self.dtype).reshape(())

    def _of(self, f: Function) -> Callable[[Array], Array]:
        return lambda x: f(self, x)

    def gradient(self, f: Function, x: Array) -> Array:
        return jax.grad(lambda x: self.scalar(f(self, x)))(x)

    def jvp(self, f: Function, x: Array, v: Array) -> Array:
        return jax.jvp(self._of(f), (x,), (v,))[1]

    def vjp(self, f: Function, x: Array, w: Array) -> Array:
        return jax.vjp(self._of(f), x)[1](w)[0]

    def jacobian(self, f: Function, x: Array) -> Array:
        return jax.jacfwd(self._of(f))(x)

    def hessian_product(self, f: Function, x: Array, v: Array) -> Array:
        return jax.jvp(jax.grad(lambda x: self.scalar(f(self, x))), (x,), (v,))[1]
