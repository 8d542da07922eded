"""A network's layers as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from nmdl_bench.contracts import Layer
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.linear_maps import LinearMap
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.normalisation import Normalise
from nmdl_bench.networks.parts import Activate, Affine, Chain, Dropout
from nmdl_bench.networks.rhs import Hamiltonian


def layers(network: Network, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """One row a layer: ``layer``, ``what``, ``output``, ``weights``, and for time steps ``steps, h, time, memory``.

    Parameters
    ----------
    network : Network
        Described layer by layer.
    shape : tuple of int
        Of one sample that enters.
    """
    rows = []
    for i, layer in enumerate(network.layers):
        shape = layer.output(tuple(shape))
        weights = sum(prod(block) for block in layer.shapes().values())
        row: dict[str, Any] = {"layer": i, "what": words(layer), "output": shape, "weights": weights}
        if isinstance(layer, Evolution):
            controls = f"{layer.grid.number} {layer.controls}"
            row |= {"steps": layer.depth, "h": layer.h, "time": layer.time, "controls": controls}
            row["memory"] = layer.memory + (f", {layer.slots} slots" if layer.memory == "checkpoint" else "")
        rows.append(row)
    return rows


def words(layer: Layer) -> str:
    """A layer in a few words: ``tanh(dense K Y + b)``, ``4 steps of ...``."""
    if isinstance(layer, Evolution):
        return f"{layer.integrator.name} steps of {words(layer.rhs)}"
    if isinstance(layer, Hamiltonian):
        return f"two fields, each {words(layer.first)}"
    if isinstance(layer, Chain):
        text = "Y"
        for part in layer.parts:
            text = _around(part, text)
        return text
    if isinstance(layer, LinearMap | Dropout):
        return repr(layer)
    return type(layer).__name__


def _around(part: Any, inner: str) -> str:
    if isinstance(part, Affine):
        damped = f" - {part.gamma:g} Y" if part.gamma else ""
        return f"{kernel_words(part.kernel)} {inner}{damped}{' + b' if part.bias else ''}"
    if isinstance(part, Activate):
        return inner if part.activation == "identity" else f"{part.activation}({inner})"
    if isinstance(part, Normalise):
        return f"{getattr(part, 'kind', 'norm')}-norm({inner})"
    return f"{type(part).__name__}({inner})"


def kernel_words(kernel: Any) -> str:
    """A kernel in a few words: ``K[2->8]``, ``K[3x3, 16->16]``, ``-K^T``."""
    name = type(kernel).__name__.removesuffix("Kernel").lower()
    if name == "transposed":
        return f"{'-' if kernel.sign < 0 else ''}{kernel_words(kernel.kernel).partition('[')[0]}^T"
    if name == "antisymmetric":
        short = kernel_words(kernel.kernel)
        return f"({short} - {short.partition('[')[0]}^T)"
    if name == "sum":
        return "(" + " + ".join(map(kernel_words, kernel.kernels)) + ")"
    facts: Mapping[str, Any] = vars(kernel)
    size = f"{facts['size']}x{facts['size']}, " if "size" in facts else ""
    how = "depthwise, " if facts.get("depthwise") else "" if name in ("dense", "conv") else f"{name}, "
    stride = f", stride {facts['stride']}" if facts.get("stride", 1) != 1 else ""
    width = f"{kernel.inputs}->{facts.get('outputs', kernel.inputs)}"
    return f"K[{how}{size}{width}{stride}]"
