"""Derivatives by automatic differentiation: torch's and JAX's, in float64, through the very forward pass.

The kernels are differentiated as the library differentiates its own functions, so that nothing but ``forward`` is
shared with what is checked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.derivatives import DONATED
from nmdl_bench.contracts import ConfigurationError, Layer, Objective
from nmdl_bench.testing.trees import flat, tree_map

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

LIBRARIES = ("torch", "jax")
LOOP_LIMIT = 200
"""Iterations of a ``while_loop`` that JAX differentiates through."""


def chosen(autodiff: Sequence[str] | None, xp: Backend) -> tuple[str, ...]:
    """The libraries to compare with: those asked for, or ``xp``'s own where it is one of them."""
    return tuple(autodiff) if autodiff is not None else tuple(name for name in LIBRARIES if name == xp.library)


@lru_cache
def autodiff_backend(library: str) -> Backend:
    """A float64 backend on the CPU that ``library`` (``"torch"`` or ``"jax"``) can differentiate through."""
    if library not in LIBRARIES:
        raise ConfigurationError(f"no automatic differentiation by {library!r}; use one of {', '.join(LIBRARIES)}")
    xp = get_backend(f"{library}:cpu", "float64")
    if library == "torch":
        _keep_graph(xp)
    else:
        setattr(xp, "while_loop", _bounded_while_loop)  # noqa: B010  (a method, to the type checker)
    return xp


def _keep_graph(xp: Any) -> None:
    """A graph is needed through scalars, which are floats otherwise, and arguments must not be overwritten."""
    import torch

    from nmdl_bench.backends.scalars import ArrayScalars

    xp._scalar = lambda x: x
    xp.s = ArrayScalars(torch, xp._const)
    for verb, position in DONATED.items():
        setattr(xp, verb, _out_of_place(getattr(xp, verb), position))


def _out_of_place(method: Callable[..., Any], position: int) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        own = [*args]
        if hasattr(args[position], "clone"):  # a table of records on the host has none
            own[position] = args[position].clone()
        return method(*own, **kwargs)

    return call


def _bounded_while_loop(cond: Callable[[Any], Any], body: Callable[[Any], Any], state: Any) -> Any:
    """``while_loop`` that JAX can differentiate in reverse: a scan that stands still once the condition fails."""
    import jax
    from jax import lax

    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        while cond(state):
            state = body(state)
        return state

    def step(state: Any, _: None) -> tuple[Any, None]:
        return lax.cond(cond(state), body, lambda state: state, state), None

    return lax.scan(step, state, None, length=LOOP_LIMIT)[0]


# ------------------------------------------------------------------------------------------ of functions of one array
def gradient(library: str, f: Callable[[Any], Any], x: Any) -> Any:
    """Gradient of a scalar function of one array."""
    if library == "torch":
        import torch

        return torch.func.grad(f)(x)
    import jax

    return jax.grad(f)(x)


def directional(library: str, f: Callable[..., Any], at: tuple[Any, ...], along: tuple[Any, ...]) -> Any:
    """Derivative of ``f(*at)`` along a direction, by forward mode."""
    if library == "torch":
        import torch

        return torch.func.jvp(f, at, along)[1]
    import jax

    return jax.jvp(f, at, along)[1]


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


def pullback_derivative(library: str, f: Callable[[Any], Any], x: Any, w: Any, v: Any, dw: Any) -> Any:
    """Derivative of ``J(x)^T w`` along ``(v, dw)``: forward over reverse mode."""

    def pulled(x: Any, w: Any) -> Any:
        if library == "torch":
            import torch

            return torch.func.vjp(f, x)[1](w)[0]
        import jax

        return jax.vjp(f, x)[1](w)[0]

    return directional(library, pulled, (x, w), (v, dw))


# ------------------------------------------------------------------------------------------ of a layer
def layer_derivatives(
    library: str, layer: Layer, at: tuple[Any, np.ndarray, Any], along: tuple[Any, np.ndarray], Z: Any, dZ: Any
) -> dict[str, np.ndarray]:
    """Output, ``jvp``, ``vjp`` and ``dvjp`` of a layer by ``library``.

    Parameters
    ----------
    library : str
        ``"torch"`` or ``"jax"``.
    layer : Layer
        Hashable: equal layers share what is compiled.
    at : tuple
        Blocks ``theta``, input ``Y`` and ``aux`` on the host.
    along : tuple
        ``dtheta`` and ``dY``.
    Z, dZ : np.ndarray
        Of the output's shape.

    Returns
    -------
    dict
        ``forward`` and ``jvp`` of the output's shape; ``vjp`` and ``dvjp`` flat, the blocks before the input part.
    """
    xp = autodiff_backend(library)
    theta, Y, aux = at
    shapes = tuple((name, block.shape) for name, block in theta.items())
    evaluate = _layer_evaluation(library, layer, shapes, Y.shape)  # type: ignore[arg-type]  # hashable, see above
    given = [xp.asarray(np.asarray(a, dtype=np.float64)) for a in (flat((theta, Y)), flat(along), Z, dZ)]
    return {name: xp.to_numpy(a) for name, a in evaluate(*given, tree_map(xp.asarray, aux)).items()}


@lru_cache(maxsize=256)
def _layer_evaluation(library: str, layer: Any, shapes: Any, shape: tuple[int, ...]) -> Callable[..., dict[str, Any]]:
    xp = autodiff_backend(library)

    def output(x: Any, aux: Any) -> Any:
        blocks, start = {}, 0
        for name, block in shapes:
            size = int(np.prod(block))
            blocks[name] = xp.reshape(x[start : start + size], block)
            start += size
        return layer.forward(xp, blocks, xp.reshape(x[start:], shape), aux)[0]

    def evaluate(x: Any, v: Any, w: Any, dw: Any, aux: Any) -> dict[str, Any]:
        def f(x: Any) -> Any:
            return output(x, aux)

        value, push, pull = linearise(library, f, x)
        second = pullback_derivative(library, f, x, w, v, dw)
        return {"forward": value, "jvp": push(v), "vjp": pull(w), "dvjp": second}

    return xp.compile(evaluate)


# ------------------------------------------------------------------------------------------ of an objective
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
    """Whether the objective is a loss of a network's output plus ``alpha/2 |x|^2`` and further regularisers."""
    return all(hasattr(objective.static, name) for name in ("network", "loss", "alpha"))


def derivatives(
    library: str, objective: Objective, x: np.ndarray, v: np.ndarray, w: np.ndarray, compiled: bool = True
) -> dict[str, np.ndarray]:
    """Value, gradient, ``hessian`` and, for a network's objective, ``jvp``, ``vjp`` and ``gauss_newton``.

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
    compiled : bool
        Whether JAX compiles the whole. Where many structures are evaluated once each on the same few shapes, it is
        faster operation by operation.
    """
    xp = autodiff_backend(library)
    moved = rebind(objective, xp)
    args = [xp.asarray(np.asarray(a, dtype=np.float64)) for a in (x, v, w)]
    if compiled:
        evaluate = _evaluation(library, type(moved).__qualname__, moved.static, xp)
        found = evaluate(moved, moved.arrays, *args)
    else:
        with _one_by_one(library):
            found = _derivatives(library, moved, *args)
    return {name: xp.to_numpy(a) for name, a in found.items()}


def _one_by_one(library: str) -> contextlib.AbstractContextManager[Any]:
    """Where JAX runs each operation at once, loops included."""
    if library != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.disable_jit()


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

    def slope_at(x: Any) -> Any:
        return gradient(library, value, x)

    found = {"value": value(x), "gradient": slope_at(x), "hessian": directional(library, slope_at, (x,), (v,))}
    if is_network_objective(objective):
        static, arrays = objective.static, objective.arrays
        aux = getattr(arrays, "aux", None)
        S, push, pull = linearise(library, lambda x: static.network.forward(xp, x, arrays.Y, aux)[0], x)

        def slope(S: Any) -> Any:
            return gradient(library, lambda S: static.loss.forward(xp, S, arrays.C)[0], S)

        Jv = push(v)
        Gv = pull(directional(library, slope, (S,), (Jv,))) + static.alpha * v
        for regulariser in getattr(static, "regularisers", ()):

            def slope_of(x: Any, regulariser: Any = regulariser) -> Any:
                return gradient(library, lambda x: regulariser.value(xp, x), x)

            Gv = Gv + directional(library, slope_of, (x,), (v,))
        found |= {"jvp": Jv, "vjp": pull(w), "gauss_newton": Gv}
    return found
