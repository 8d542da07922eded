"""Derivatives of plain functions by ``torch.func``, which differentiates inside ``no_grad`` too."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import torch

from nmdl_bench.backends.derivatives import DONATED, FiniteDifferences, Function
from nmdl_bench.backends.scalars import ArrayScalars
from nmdl_bench.contracts import Array


class TorchDerivatives(FiniteDifferences):
    """Forward mode for ``J v``, reverse mode for ``J^T w`` and gradients, forward over reverse for ``H v``."""

    automatic: ClassVar[bool] = True

    @cached_property
    def recorded_self(self) -> Any:
        """The backend as functions under differentiation get it.

        Its scalars stay tensors (a float has no derivative), and its donating verbs leave their arguments alone:
        autograd needs them, and refuses to overwrite what it did not make.
        """
        xp: Any = copy.copy(self)
        xp.__dict__.pop("recorded_self", None)
        xp.__dict__["recorded_self"] = xp
        xp._scalar = lambda x: x
        xp.s = ArrayScalars(torch, xp._const)
        for verb, position in DONATED.items():
            setattr(xp, verb, _out_of_place(getattr(xp, verb), position))
        return xp

    def _of(self, f: Function) -> Callable[[Array], Array]:
        xp = self.recorded_self
        return lambda x: f(xp, x)

    def gradient(self, f: Function, x: Array) -> Array:
        return torch.func.grad(self._of(f))(x)

    def jvp(self, f: Function, x: Array, v: Array) -> Array:
        return torch.func.jvp(self._of(f), (x,), (v,))[1]

    def vjp(self, f: Function, x: Array, w: Array) -> Array:
        return torch.func.vjp(self._of(f), x)[1](w)[0]

    def jacobian(self, f: Function, x: Array) -> Array:
        f_x = self._of(f)
        # column by column: vmap refuses functions that write into arrays of their own
        columns = [torch.func.jvp(f_x, (x,), (self.one_hot(i, x.shape[0]),))[1] for i in range(x.shape[0])]  # type: ignore[attr-defined]
        return torch.stack(columns, 1)

    def hessian_product(self, f: Function, x: Array, v: Array) -> Array:
        return torch.func.jvp(torch.func.grad(self._of(f)), (x,), (v,))[1]


def _out_of_place(method: Callable[..., Any], position: int) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        own = [*args]
        if isinstance(args[position], torch.Tensor):
            own[position] = args[position].clone()
        return method(*own, **kwargs)

    return call
