"""Derivatives by automatic differentiation: torch's and JAX's, in float64, through the very forward pass.

The kernels are differentiated as the library differentiates its own functions, so that nothing but ``forward`` is
shared with what is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, Objective
from nmdl_bench.testing.poison import DONATED
from nmdl_bench.testing.trees import tree_map

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

LIBRARIES = ("torch", "jax")


@lru_cache
def autodiff_backend(library: str) -> Backend:
    """A float64 backend on the CPU that ``library`` (``"torch"`` or ``"jax"``) can differentiate through."""
    if library not in LIBRARIES:
        raise ConfigurationError(f"no automatic differentiation by {library!r}; use one of {', '.join(LIBRARIES)}")
    xp = get_backend(f"{library}:cpu", "float64")
    if library == "torch":
        import torch

        from nmdl_bench.backends.scalars import ArrayScalars

        # a graph is needed through scalars, which are floats otherwise, and arguments must not be overwritten
        xp._scalar = lambda x: x  # type: ignore[attr-defined]
        xp.s = ArrayScalars(torch, xp._const)  # type: ignore[attr-defined]
        for verb, position in DONATED.items():
            setattr(xp, verb, _out_of_place(getattr(xp, verb), position))
    return xp


def _out_of_place(method: Callable[..., Any], position: int) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        own = [*args]
        own[position] = args[position].clone()
        return method(*own, **kwargs)

    return call


def gradient(library: str, f: Callable[[Any], Any], x: Any) -> Any:
    """Gradient of a scalar function of one array."""
    if library == "torch":
        import torch

        return torch.func.grad(f)(x)
    import jax

    return jax.grad(f)(x)


def linearise(library: str, f: Callable[[Any], Any], x: Any) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
    """``f(x)``, ``v -> J v`` and ``w -> J^T w`` of a function of one array."""
    if library == "torch":
        import torch

        value, pull, *_ = torch.func.vjp(f, x)
        return value, lambda v: torch.func.jvp(f, (x,), (v,))[1], lambda w: pull(w)[0]
    import jax

    value, push = jax.linearize(f, x)
    transposed = jax.linear_transpose(push, x)
    return value, push, lambda w: transposed(w)[0]


def rebind(objective: Any, xp: Backend) -> Any:
    """The same objective on another backend, its data and start moved through the host.

    Raises
    ------
    ConfigurationError
        The objective is no dataclass with the fields ``xp``, ``arrays`` and ``x0``.
    """

    def move(a: Any) -> Any:
        return xp.asarray(objective.xp.to_numpy(a))

    try:
        return replace(objective, xp=xp, arrays=tree_map(move, objective.arrays), x0=move(objective.x0))
    except TypeError:
        raise ConfigurationError(
            f"{type(objective).__name__} cannot be moved to another backend: "
            "make it a dataclass with the fields xp, arrays and x0"
        ) from None


def is_network_objective(objective: Any) -> bool:
    """Whether the objective is a loss of a network's output plus ``alpha/2 |x|^2``."""
    return all(hasattr(objective.static, name) for name in ("network", "loss", "alpha"))


def derivatives(
    library: str, objective: Objective, x: np.ndarray, v: np.ndarray, w: np.ndarray
) -> dict[str, np.ndarray]:
    """Value, gradient and, for an objective over a network, ``jvp``, ``vjp`` and ``gauss_newton`` by ``library``.

    Parameters
    ----------
    library : str
        ``"torch"`` or ``"jax"``.
    objective : Objective
        On any backend; see :func:`rebind`.
    x, v : np.ndarray
        Point and direction (size,).
    w : np.ndarray
        Of the shape of the network's output; any where there is none.
    """
    xp = autodiff_backend(library)
    moved = rebind(objective, xp)
    evaluate = _evaluation(library, type(moved).__qualname__, moved.static, xp)
    args = [xp.asarray(np.asarray(a, dtype=np.float64)) for a in (x, v, w)]
    return {name: xp.to_numpy(a) for name, a in evaluate(moved, moved.arrays, *args).items()}


@lru_cache(maxsize=256)
def _evaluation(library: str, kind: str, static: Any, xp: Backend) -> Callable[..., dict[str, Any]]:
    """Compiled once for each structure: JAX would compile every loop of the forward pass at each call."""
    compiled: list[Callable[..., Any]] = []

    def evaluate(objective: Any, *args: Any) -> dict[str, Any]:
        if not compiled:
            bare = objective.with_arrays(None)
            compiled.append(xp.compile(lambda arrays, *rest: _derivatives(library, bare.with_arrays(arrays), *rest)))
        return compiled[0](*args)

    return evaluate


def _derivatives(library: str, objective: Any, x: Any, v: Any, w: Any) -> dict[str, Any]:
    xp = objective.xp

    def value(x: Any) -> Any:
        return objective.forward(x)[0]

    found = {"value": value(x), "gradient": gradient(library, value, x)}
    if is_network_objective(objective):
        network, loss, (Y, C) = objective.static.network, objective.static.loss, objective.arrays
        S, push, pull = linearise(library, lambda x: network.forward(xp, x, Y)[0], x)

        def slope(S: Any) -> Any:
            return gradient(library, lambda S: loss.forward(xp, S, C)[0], S)

        Jv = push(v)
        HJv = linearise(library, slope, S)[1](Jv)
        found |= {"jvp": Jv, "vjp": pull(w), "gauss_newton": pull(HJv) + objective.static.alpha * v}
    return found
