"""A layer's functions on host arrays, each compiled once, for :func:`~nmdl_bench.testing.check_layer`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import ConfigurationError, Layer
from nmdl_bench.testing.errors import require, require_close
from nmdl_bench.testing.trees import flat, leaves, tree_map

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

Host = Any
"""A tree of NumPy arrays."""


class Found(NamedTuple):
    """Derivatives at one point, on the host; pull-backs are flat, the blocks before the input part."""

    jvp: np.ndarray
    kept: np.ndarray
    """``jvp`` with ``keep=True``."""
    vjp: np.ndarray
    dvjp: np.ndarray
    Zin: np.ndarray
    """The input part of ``vjp`` as ``dvjp`` gives it, flat."""
    vjp_again: np.ndarray
    dvjp_again: np.ndarray


class Opening(NamedTuple):
    """The same where the input does not vary: parameters alone."""

    jvp: np.ndarray
    vjp: np.ndarray
    dvjp: np.ndarray


class CompiledLayer:
    """A layer on a backend."""

    def __init__(self, layer: Layer, xp: Backend) -> None:
        self.layer, self.xp = layer, xp
        self._forward = xp.compile(lambda theta, Y, aux: layer.forward(xp, theta, Y, aux))
        self._statistics = xp.compile(lambda theta, Y: layer.statistics(layer.forward(xp, theta, Y)[1]))
        self._vjp, self._derivatives = xp.compile(self._pulled), xp.compile(self._all_derivatives)
        self._opening = xp.compile(self._all_of_opening)

    def forward(self, theta: Host, Y: np.ndarray, aux: Host) -> tuple[np.ndarray, Any]:
        """Output on the host, and the tape."""
        given = self._device((theta, Y, aux))
        A, tape = self._forward(*given)
        found = self.xp.to_numpy(A)
        self._unchanged("forward", given, (theta, Y, aux))
        return found, tape

    def statistics(self, theta: Host, Y: np.ndarray) -> Host:
        """What :meth:`Layer.statistics` says of these samples, on the host; None where it says nothing.

        A layer that keeps too little on its tapes to say it refuses by a ConfigurationError.
        """
        try:
            return _stacked(self.xp, self._statistics(*self._device((theta, Y))))
        except ConfigurationError:
            return None

    def vjp(self, theta: Host, Y: np.ndarray, aux: Host, Z: np.ndarray) -> np.ndarray:
        """Pull-back of ``Z`` at a point of its own."""
        return self.xp.to_numpy(self._vjp(*self._device((theta, Y, aux, Z))))

    def derivatives(self, theta: Host, tape: Any, along: Any, Z: np.ndarray, dZ: np.ndarray) -> Found:
        """Everything along a direction (dtheta, dY), with Z moving by dZ."""
        given = self._device((theta, tuple(along)))
        found = self._derivatives(given[0], tape, *given[1], *self._device((Z, dZ)))
        self._unchanged("the derivatives", given, (theta, tuple(along)))
        return Found(*map(self.xp.to_numpy, found))

    def opening(self, theta: Host, tape: Any, dtheta: Host, Z: np.ndarray, dZ: np.ndarray) -> Opening:
        """The variants with ``dY=None`` and ``inputs=False``."""
        theta, dtheta, Z, dZ = self._device((theta, dtheta, Z, dZ))
        return Opening(*map(self.xp.to_numpy, self._opening(theta, tape, dtheta, Z, dZ)))

    # ------------------------------------------------------------------------------------------ on the device
    def _pulled(self, theta: Any, Y: Any, aux: Any, Z: Any) -> Any:
        return self._joined(*self.layer.vjp(self.xp, theta, self.layer.forward(self.xp, theta, Y, aux)[1], Z))

    def _all_derivatives(self, theta: Any, tape: Any, dtheta: Any, dY: Any, Z: Any, dZ: Any) -> Found:
        layer, xp = self.layer, self.xp
        dA, nothing = layer.jvp(xp, theta, tape, dtheta, dY)
        require(nothing is None, f"{layer!r}: jvp without keep=True gives a tape all the same")
        kept, dtape = layer.jvp(xp, theta, tape, dtheta, dY, keep=True)

        def pulled() -> Any:
            return self._joined(*layer.vjp(xp, theta, tape, xp.copy(Z)))

        def moved() -> Any:
            blocks, Zin, dZin = layer.dvjp(xp, theta, tape, dtape, dtheta, xp.copy(Z), xp.copy(dZ))
            return self._joined(blocks, dZin), xp.ravel([Zin])

        # each twice, and in turn: what one leaves on a tape the next would find
        vjp, (dvjp, Zin) = pulled(), moved()
        return Found(dA, kept, vjp, dvjp, Zin, pulled(), moved()[0])

    def _all_of_opening(self, theta: Any, tape: Any, dtheta: Any, Z: Any, dZ: Any) -> Opening:
        layer, xp = self.layer, self.xp
        dA, dtape = layer.jvp(xp, theta, tape, dtheta, None, keep=True)
        dA = xp.zeros(tuple(Z.shape)) if dA is None else dA  # nothing varies: no parameters
        blocks, nothing = layer.vjp(xp, theta, tape, xp.copy(Z), inputs=False)
        require(nothing is None, f"{layer!r}: vjp(inputs=False) gives an input part all the same")
        dblocks, *nothings = layer.dvjp(xp, theta, tape, dtape, dtheta, xp.copy(Z), xp.copy(dZ), inputs=False)
        require(all(a is None for a in nothings), f"{layer!r}: dvjp(inputs=False) gives input parts all the same")
        return Opening(dA, self._joined(blocks), self._joined(dblocks))

    def _joined(self, blocks: dict[str, Any], *rest: Any) -> Any:
        """One flat vector, in the order of ``shapes``; leaves that a scan stacked are opaque but to ravel."""
        names = list(self.layer.shapes())
        require(set(blocks) == set(names), f"{self.layer!r}: the pull-back has blocks {list(blocks)}, not {names}")
        parts = [*(blocks[name] for name in names), *rest]
        return self.xp.ravel(parts) if parts else self.xp.zeros((0,))

    # ------------------------------------------------------------------------------------------ to and from the host
    def _device(self, tree: Host) -> Any:
        return tree_map(self.xp.asarray, tree)

    def _unchanged(self, what: str, given: Any, before: Host) -> None:
        after = flat(tree_map(self.xp.to_numpy, given))
        require_close(f"on {self.xp!r}: arguments of {what} afterwards", after, flat(before), self.xp.eps)


def host(xp: Backend, tape: Any) -> np.ndarray:
    """A tape's numbers as one real vector, to see whether they change."""
    flat_leaves = [np.zeros(0)]
    for leaf in leaves(tape):
        a = np.ravel(xp.to_numpy(leaf) if hasattr(leaf, "shape") else np.asarray(leaf))
        flat_leaves += [a.real, a.imag] if np.iscomplexobj(a) else [a]
    return np.concatenate(flat_leaves)


def _stacked(xp: Backend, tree: Any) -> Host:
    """A tree on the host; what a scan stacked becomes one array a leaf."""
    if isinstance(tree, list):
        return np.stack([xp.to_numpy(a) for a in tree])
    if isinstance(tree, dict):
        return {name: _stacked(xp, value) for name, value in tree.items()}
    if isinstance(tree, tuple):
        values = [_stacked(xp, value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else tuple(values)
    return None if tree is None else xp.to_numpy(tree)
