"""JAX's idiom: ``jax.jit(jax.value_and_grad(loss))`` over natural trees of parameters, layers unrolled or scanned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from common import Factory, blocks, flat, make_problem, ours, write

__all__ = ["ours", "scanned", "unrolled"]


def unrolled(spec: str, dtype: str, width: int, answer: str = "") -> Factory:
    """A list of layers and a loop in Python."""

    def network(layers: Any, Y: Any, h: float) -> Any:
        (K, b), *steps, (W, mu) = layers
        Y = jnp.tanh(Y @ K + b)
        for K, b in steps:
            Y = Y + h * jnp.tanh(Y @ K + b)
        return Y @ W + mu

    return _make(network, lambda parts: parts, lambda g: g, spec, dtype, width, answer)


def scanned(spec: str, dtype: str, width: int, answer: str = "") -> Factory:
    """Equal layers stacked, and ``lax.scan`` over them."""

    def network(layers: Any, Y: Any, h: float) -> Any:
        (K, b), steps, (W, mu) = layers
        Y = jnp.tanh(Y @ K + b)
        Y, _ = jax.lax.scan(lambda Y, Kb: (Y + h * jnp.tanh(Y @ Kb[0] + Kb[1]), None), Y, steps)
        return Y @ W + mu

    def stack(parts: Any) -> Any:
        return parts[0], tuple(jnp.stack(p) for p in zip(*parts[1:-1])), parts[-1]

    def unstack(g: Any) -> Any:
        return [g[0], *zip(*g[1]), g[2]]

    return _make(network, stack, unstack, spec, dtype, width, answer)


def _make(
    network: Callable[..., Any],
    arrange: Callable[..., Any],
    rearrange: Callable[..., Any],
    spec: str,
    dtype: str,
    width: int,
    answer: str,
) -> Factory:
    jax.config.update("jax_enable_x64", dtype == "float64")
    jax.config.update("jax_default_matmul_precision", "highest")
    platform, _, index = (spec.partition(":")[2] or "cpu").partition(":")
    device = jax.devices(platform)[int(index or 0)]
    problem = make_problem(width)
    data, h = problem.data, problem.network.layers[1].h
    parts = [(jnp.asarray(K, dtype), jnp.asarray(b, dtype)) for K, b in blocks(problem)]
    layers, Y, labels = jax.device_put(
        (arrange(parts), jnp.asarray(data.train.Y, dtype), jnp.asarray(data.train.labels)), device
    )

    @jax.jit
    @jax.value_and_grad
    def value_and_grad(layers: Any, Y: Any, labels: Any) -> Any:
        log_p = jax.nn.log_softmax(network(layers, Y, h))
        return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], axis=1))

    def call() -> Any:
        return jax.block_until_ready(value_and_grad(layers, Y, labels))

    if answer:
        value, g = call()
        write(answer, value, flat(rearrange(g)))
    return call, lambda: None
