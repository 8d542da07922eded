"""``check_layer`` and ``check_loss``: derivatives by hand against finite differences, each other and autodiff."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import ConfigurationError, Layer, Loss
from nmdl_bench.testing.errors import host_reals, require, require_close, tolerance
from nmdl_bench.testing.references import LIBRARIES, autodiff_backend, gradient, linearise
from nmdl_bench.testing.taylor import check_adjoint, check_symmetric_psd, check_taylor
from nmdl_bench.testing.trees import tree_map

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

Host = Any
"""A tree of NumPy arrays."""


def check_layer(
    layer: Layer,
    xp: Backend,
    features: int | None = None,
    samples: int = 5,
    autodiff: Sequence[str] | None = None,
    seed: int = 0,
) -> None:
    """Check a layer's shapes, tape, ``jvp`` and ``vjp`` at random parameters and features.

    Taylor remainders (float64 only), the adjoint identity, the variants without input, tapes and arguments left as
    they were, and automatic differentiation.

    Parameters
    ----------
    layer : Layer
        What to check.
    xp : Backend
        Where.
    features : int, optional
        Columns of the input; by default ``layer.inputs`` or ``layer.width``.
    samples : int
        Rows of the input.
    autodiff : sequence of str, optional
        Libraries (``"torch"``, ``"jax"``) to compare with; by default ``xp``'s own where it is one of them.
    seed : int
        Draws parameters, features and directions.

    Raises
    ------
    CheckError
        A check fails; the sentence says which.
    """
    if features is None:
        features = getattr(layer, "inputs", None) or getattr(layer, "width", None)
    if features is None:
        raise ConfigurationError(f"{layer!r} has neither inputs nor width; give check_layer its number of features")
    rng = np.random.Generator(np.random.Philox(seed))
    name, tol = f"{layer!r} on {xp!r}", tolerance(xp, 1e-12, 1e-4)

    def draw(shape: Any) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32).astype(np.float64)

    theta = {key: np.asarray(block, np.float32).astype(np.float64) for key, block in layer.init(rng).items()}
    shapes = {key: block.shape for key, block in theta.items()}
    require(shapes == dict(layer.shapes()), f"{layer!r} draws blocks of shapes {shapes} but declares {layer.shapes()}")
    Y = draw((samples, features))
    dtheta, dY = {key: draw(shape) for key, shape in shapes.items()}, draw(Y.shape)
    evaluate = _Layer(layer, xp)

    with xp.scope():
        A, before = evaluate.forward(theta, Y)
        W = draw(A.shape)
        Jv = evaluate.jvp(theta, before, dtheta, dY)
        blocks, JTW = evaluate.vjp(theta, before, W)
        # a tape may be used any number of times, in any order
        require_close(f"{name}: a second jvp on the same tape", evaluate.jvp(theta, before, dtheta, dY), Jv, 0.0)
        again, input_again = evaluate.vjp(theta, before, W)
        require_close(f"{name}: a second vjp on the same tape", _flat((again, input_again)), _flat((blocks, JTW)), 0.0)
        require(
            {key: g.shape for key, g in blocks.items()} == shapes,
            f"{name}: vjp gives blocks {list(blocks)}, not {shapes}",
        )
        check_adjoint(name, Jv, W, _flat((dtheta, dY)), _flat((blocks, JTW)), tol)

        _check_opening(name, evaluate, (theta, before, dtheta, Y), W, blocks, tol)
        if xp.dtype_name == "float64":
            at = lambda t: evaluate.forward(_move(theta, dtheta, t), Y + t * dY)[0]  # noqa: E731
            check_taylor(name, at, A, Jv)

    for library in _chosen(autodiff, xp):
        expected = _layer_reference(library, layer, theta, Y, dtheta, dY, W)
        require_close(f"{name}: forward against {library}", A, expected["forward"], tol)
        require_close(f"{name}: jvp against {library}'s", Jv, expected["jvp"], tol)
        for key, block in blocks.items():
            require_close(f"{name}: vjp's {key} against {library}'s", block, expected[key], tol)
        require_close(f"{name}: vjp's input part against {library}'s", JTW, expected["input"], tol)


def _check_opening(name: str, evaluate: _Layer, at: tuple[Any, ...], W: Any, blocks: Host, tol: float) -> None:
    """The variants for a layer whose input is data. One that refuses to stand there says so by a ConfigurationError."""
    theta, tape, dtheta, Y = at
    try:
        alone = evaluate.jvp(theta, tape, dtheta, None)
    except ConfigurationError:
        return
    require_close(f"{name}: jvp with dY=None", alone, evaluate.jvp(theta, tape, dtheta, np.zeros_like(Y)), tol)
    only, nothing = evaluate.vjp(theta, tape, W, False)
    require(nothing is None, f"{name}: vjp(inputs=False) gives an input part all the same")
    require_close(f"{name}: vjp(inputs=False)", _flat(only), _flat(blocks), tol)


class _Layer:
    """A layer's functions on host trees, each compiled once."""

    def __init__(self, layer: Layer, xp: Backend) -> None:
        self.xp = xp
        self._forward = xp.compile(lambda theta, Y: layer.forward(xp, theta, Y))
        self._jvp = xp.compile(lambda theta, tape, dtheta, dY: layer.jvp(xp, theta, tape, dtheta, dY))
        self._jvp_alone = xp.compile(lambda theta, tape, dtheta: layer.jvp(xp, theta, tape, dtheta, None))
        self._vjp, self._vjp_alone = (
            xp.compile(lambda theta, tape, Z, inputs=inputs: self._joined(layer.vjp(xp, theta, tape, Z, inputs)))
            for inputs in (True, False)
        )

    def _joined(self, found: Any) -> Any:
        # leaves that a scan stacked are opaque but to ravel
        blocks, dY = found
        return {key: self.xp.ravel([block]) for key, block in blocks.items()}, dY

    def _device(self, tree: Host) -> Any:
        return tree_map(self.xp.asarray, tree)

    def forward(self, theta: Host, Y: np.ndarray) -> tuple[np.ndarray, Any]:
        device_theta, device_Y = self._device(theta), self.xp.asarray(Y)
        A, tape = self._forward(device_theta, device_Y)
        host = self.xp.to_numpy(A)
        left = tree_map(self.xp.to_numpy, (device_theta, device_Y))
        require_close(f"on {self.xp!r}: arguments of forward afterwards", _flat(left), _flat((theta, Y)), self.xp.eps)
        return host, tape

    def jvp(self, theta: Host, tape: Any, dtheta: Host, dY: np.ndarray | None) -> np.ndarray:
        args = (self._device(theta), tape, self._device(dtheta))
        return self.xp.to_numpy(self._jvp_alone(*args) if dY is None else self._jvp(*args, self.xp.asarray(dY)))

    def vjp(self, theta: Host, tape: Any, Z: np.ndarray, inputs: bool = True) -> tuple[Host, np.ndarray | None]:
        apply = self._vjp if inputs else self._vjp_alone
        blocks, dY = apply(self._device(theta), tape, self.xp.asarray(Z))
        found = {key: self.xp.to_numpy(blocks[key]).reshape(block.shape) for key, block in theta.items()}
        return found, None if dY is None else self.xp.to_numpy(dY)


def _layer_reference(
    library: str, layer: Layer, theta: Host, Y: Any, dtheta: Host, dY: Any, W: Any
) -> dict[str, np.ndarray]:
    xp = autodiff_backend(library)
    sizes = {key: block.size for key, block in theta.items()}

    def output(flat: Any) -> Any:
        blocks, start = {}, 0
        for key, size in sizes.items():
            blocks[key] = xp.reshape(flat[start : start + size], theta[key].shape)
            start += size
        return layer.forward(xp, blocks, xp.reshape(flat[start:], Y.shape))[0]

    def evaluate(x: Any, v: Any, w: Any) -> tuple[Any, Any, Any]:
        value, push, pull = linearise(library, output, x)
        return value, push(v), pull(w)

    x, v, w = (xp.asarray(a) for a in (_flat((theta, Y)), _flat((dtheta, dY)), W))
    forward, Jv, JTw = map(xp.to_numpy, xp.compile(evaluate)(x, v, w))
    pieces = np.split(JTw, np.cumsum(list(sizes.values())))
    expected = {key: piece.reshape(theta[key].shape) for key, piece in zip(sizes, pieces)}
    return expected | {"forward": forward, "jvp": Jv, "input": pieces[-1].reshape(Y.shape)}


def check_loss(
    loss: Loss, xp: Backend, samples: int = 5, classes: int = 3, autodiff: Sequence[str] | None = None, seed: int = 0
) -> None:
    """Check a loss's value, gradient and Hessian product at random outputs and one-hot targets.

    Parameters
    ----------
    loss : Loss
        What to check.
    xp, samples, autodiff, seed
        As for :func:`check_layer`.
    classes : int
        Columns of the output.

    Raises
    ------
    CheckError
        A check fails; the sentence says which.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    name, tol = f"{loss!r} on {xp!r}", tolerance(xp, 1e-12, 1e-4)

    def draw() -> np.ndarray:
        return rng.standard_normal((samples, classes)).astype(np.float32).astype(np.float64)

    S, V, C = draw(), draw(), np.eye(classes)[rng.integers(0, classes, samples)]

    def evaluate(S: Any, C: Any, V: Any) -> tuple[Any, ...]:
        value, tape = loss.forward(xp, S, C)
        HV = loss.hessian(xp, tape, xp.copy(V))
        return value, loss.grad(xp, tape), HV, loss.grad(xp, tape), loss.hessian(xp, tape, V)

    compiled = xp.compile(evaluate)

    def at(S: np.ndarray, V: np.ndarray = V) -> list[np.ndarray]:
        value, *arrays = compiled(xp.asarray(S), xp.asarray(C), xp.asarray(V))
        return [host_reals(xp, [value])[0], *map(xp.to_numpy, arrays)]

    with xp.scope():
        value, g, HV, g_again, HV_again = at(S)
        require_close(f"{name}: a second gradient on the same tape", g_again, g, 0.0)
        require_close(f"{name}: a second Hessian product on the same tape", HV_again, HV, 0.0)
        check_symmetric_psd(f"{name}: Hessian", lambda V: at(S, V)[2], draw, tol)
        if xp.dtype_name == "float64":
            check_taylor(f"{name}: gradient", lambda t: at(S + t * V)[0], value, np.vdot(g, V))
            check_taylor(f"{name}: Hessian", lambda t: at(S + t * V)[1], g, HV)

    for library in _chosen(autodiff, xp):
        reference = autodiff_backend(library)
        s, c, v = (reference.asarray(a) for a in (S, C, V))

        def f(s: Any, reference: Backend = reference, c: Any = c) -> Any:
            return loss.forward(reference, s, c)[0]

        def slope(s: Any, library: str = library, f: Callable[[Any], Any] = f) -> Any:
            return gradient(library, f, s)

        require_close(f"{name}: value against {library}", value, reference.to_numpy(f(s)), tol)
        require_close(f"{name}: gradient against {library}'s", g, reference.to_numpy(slope(s)), tol)
        require_close(
            f"{name}: Hessian against {library}'s", HV, reference.to_numpy(linearise(library, slope, s)[1](v)), tol
        )


def _chosen(autodiff: Sequence[str] | None, xp: Backend) -> tuple[str, ...]:
    return tuple(autodiff) if autodiff is not None else tuple(name for name in LIBRARIES if name == xp.library)


def _flat(tree: Host) -> np.ndarray:
    flat: list[np.ndarray] = []
    tree_map(lambda a: flat.append(np.ravel(a)), tree)
    return np.concatenate(flat)


def _move(theta: Host, dtheta: Host, t: float) -> Host:
    return {key: theta[key] + t * dtheta[key] for key in theta}
