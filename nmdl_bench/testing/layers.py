"""``check_layer``: derivatives by hand against finite differences, each other and automatic differentiation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import ConfigurationError, Layer
from nmdl_bench.testing import errors
from nmdl_bench.testing.compiled_layer import CompiledLayer, Found, host
from nmdl_bench.testing.errors import require, require_close
from nmdl_bench.testing.references import chosen, layer_derivatives
from nmdl_bench.testing.taylor import ROUND_OFF, check_adjoint, check_second_order, check_taylor
from nmdl_bench.testing.trees import flat

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

Host = Any
"""A tree of NumPy arrays."""


class Direction(NamedTuple):
    """Of the parameters and the input."""

    theta: Host
    Y: np.ndarray


class _Case(NamedTuple):
    """One point of one layer: what every part of the check reads."""

    name: str
    evaluate: CompiledLayer
    theta: Host
    Y: np.ndarray
    aux: Host
    tolerance: float
    smooth: bool

    def moved(self, along: Direction, t: float) -> tuple[Host, np.ndarray, Host]:
        theta = {key: block + t * along.theta[key] for key, block in self.theta.items()}
        return theta, self.Y + t * along.Y, self.aux


def check_layer(
    layer: Layer,
    xp: Backend,
    shape: int | tuple[int, ...] | None = None,
    samples: int = 5,
    autodiff: Sequence[str] | None = None,
    seed: int = 0,
    aux: Host = None,
    tolerance: float | None = None,
    smooth: bool = True,
) -> None:
    """Check a layer's shapes, tapes, first and second derivatives at random parameters and features.

    Taylor remainders of first and second order (float64 only), the adjoint identity, the symmetry of second
    derivatives, the variants without input, tapes and arguments left as they were, and automatic differentiation.
    Without ``aux`` the check is done in training mode, again with statistics of other samples where the layer has
    any, and again with what it draws where it draws.

    Parameters
    ----------
    layer : Layer
        What to check; hashable.
    xp : Backend
        Where.
    shape : int or tuple of int, optional
        Of one sample's input: (features,) or (channels, height, width); by default ``layer.inputs`` or
        ``layer.width`` features.
    samples : int
        Rows of the input.
    autodiff : sequence of str, optional
        Libraries (``"torch"``, ``"jax"``) to compare with; by default ``xp``'s own where it is one of them.
    seed : int
        Draws parameters, features and directions.
    aux : tree of array_like, optional
        Masks or statistics on the host, see :class:`~nmdl_bench.contracts.Layer`.
    tolerance : float, optional
        Relative; by default 1e-12 in float64 and 1e-4 in float32. Ten times the tolerance of iterations inside.
    smooth : bool
        False where second derivatives may jump near the point: Taylor remainders of second order are left out then,
        and those of ``vjp``.

    Raises
    ------
    CheckError
        A check fails; the sentence says which.
    """
    shape = _sample_shape(layer, shape)
    rng = np.random.Generator(np.random.Philox(seed))
    drawn = layer.init(rng)
    shapes = {key: block.shape for key, block in drawn.items()}
    require(shapes == dict(layer.shapes()), f"{layer!r} draws blocks of shapes {shapes} but declares {layer.shapes()}")
    theta = {key: np.asarray(drawn[key], np.float32).astype(np.float64) for key in layer.shapes()}
    Y, other = _draw(rng, (samples, *shape)), _draw(rng, (samples, *shape))
    evaluate = CompiledLayer(layer, xp)
    tol = errors.tolerance(xp, 1e-12, 1e-4) if tolerance is None else tolerance

    modes = {"": aux}
    if aux is None:
        with xp.scope():
            if (statistics := evaluate.statistics(theta, other)) is not None:
                same = evaluate.forward(theta, Y, evaluate.statistics(theta, Y))[0]
                what = f"{layer!r} on {xp!r}: forward with the statistics of the very samples"
                require_close(what, same, evaluate.forward(theta, Y, None)[0], tol)
        modes[" with statistics of others"] = statistics
        modes[" with what it draws"] = layer.draw(rng, samples, shape)
    for mode, given in modes.items():
        if not mode or given is not None:
            case = _Case(f"{layer!r}{mode} on {xp!r}", evaluate, theta, Y, given, tol, smooth)
            _check_at(case, chosen(autodiff, xp), rng)


def _sample_shape(layer: Any, shape: int | tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None:
        shape = getattr(layer, "inputs", None) or getattr(layer, "width", None)
    if shape is None:
        raise ConfigurationError(
            f"{layer!r} has neither inputs nor width; give check_layer its number of features or one sample's shape"
        )
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _draw(rng: np.random.Generator, shape: Any) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32).astype(np.float64)


def _check_at(case: _Case, libraries: Sequence[str], rng: np.random.Generator) -> None:
    name, evaluate, theta, Y, aux, tol, _ = case
    layer, xp = evaluate.layer, evaluate.xp
    u, v = (Direction({key: _draw(rng, b.shape) for key, b in theta.items()}, _draw(rng, Y.shape)) for _ in range(2))
    with xp.scope():
        A, tape = evaluate.forward(theta, Y, aux)
        declared = (Y.shape[0], *layer.output(Y.shape[1:]))
        require(A.shape == declared, f"{name}: output {A.shape} where output() declares {declared}")
        Z, dZ = _draw(rng, A.shape), _draw(rng, A.shape)
        found = _check_tapes(case, tape, (u, Z, dZ))
        check_adjoint(name, found.jvp, Z, flat(u), found.vjp, tol)
        require_close(f"{name}: dvjp's own Z against vjp's input part", found.Zin, found.vjp[-Y.size :], tol)
        symmetric = [evaluate.derivatives(theta, tape, along, Z, 0 * dZ).dvjp for along in (u, v)]
        _check_symmetry(name, symmetric, (flat(u), flat(v)), tol)
        _check_opening(case, tape, u, Z, dZ)
        if xp.dtype_name == "float64":
            _check_remainders(case, u, (A, Z, dZ), found, symmetric[0])
    for library in libraries:
        expected = layer_derivatives(library, layer, (theta, Y, aux), u, Z, dZ)
        require_close(f"{name}: forward against {library}", A, expected["forward"], tol)
        require_close(f"{name}: jvp against {library}'s", found.jvp, expected["jvp"], tol)
        for quantity in ("vjp", "dvjp"):
            # some parts are zero but for round-off, such as that of a bias before batch normalisation
            least = 1e-2 * float(np.abs(expected[quantity]).max(initial=0.0))
            parts = (_parts(case, a) for a in (getattr(found, quantity), expected[quantity]))
            for part, got, value in zip((*theta, "input part"), *parts):
                require_close(f"{name}: {quantity}'s {part} against {library}'s", got, value, tol, least)


def _parts(case: _Case, a: np.ndarray) -> list[np.ndarray]:
    return np.split(a, np.cumsum([block.size for block in case.theta.values()]))


def _check_tapes(case: _Case, tape: Any, at: tuple[Any, ...]) -> Found:
    """A tape may be used any number of times, in any order, and no use changes it."""
    name, evaluate, before = case.name, case.evaluate, host(case.evaluate.xp, tape)
    found, again = (evaluate.derivatives(case.theta, tape, *at) for _ in range(2))
    for quantity, first, second in (
        *zip(Found._fields, found, again),
        ("vjp", found.vjp, found.vjp_again),
        ("dvjp", found.dvjp, found.dvjp_again),
    ):
        require_close(f"{name}: a second {quantity} on the same tape", second, first, 0.0)
    require_close(f"{name}: the tape, after other uses,", host(evaluate.xp, tape), before, 0.0)
    require_close(f"{name}: jvp with keep=True", found.kept, found.jvp, case.tolerance)
    return found


def _check_symmetry(name: str, products: list[np.ndarray], along: tuple[np.ndarray, np.ndarray], tol: float) -> None:
    """``<D_u, v> = <D_v, u>`` for the derivative ``D_u`` of ``vjp`` along u, Z fixed: second derivatives of <Z, F>."""
    (Du, Dv), (u, v) = products, along
    left, right = float(Du @ v), float(Dv @ u)
    scale = float(np.linalg.norm(Du) * np.linalg.norm(v) + np.linalg.norm(Dv) * np.linalg.norm(u))
    require(
        abs(left - right) <= tol * scale,
        f"{name}: dvjp gives <D_u, v> = {left!r} but <D_v, u> = {right!r}: not symmetric",
    )


def _check_opening(case: _Case, tape: Any, u: Direction, Z: np.ndarray, dZ: np.ndarray) -> None:
    """The variants for a layer whose input is data. One that refuses to stand there says so by a ConfigurationError."""
    name, evaluate, theta, Y, _, tol, _ = case
    try:
        alone = evaluate.opening(theta, tape, u.theta, Z, dZ)
    except ConfigurationError:
        return
    still = evaluate.derivatives(theta, tape, Direction(u.theta, np.zeros_like(Y)), Z, dZ)
    parameters = slice(0, still.vjp.size - Y.size)
    require_close(f"{name}: jvp with dY=None", alone.jvp, still.jvp, tol)
    require_close(f"{name}: vjp(inputs=False)", alone.vjp, still.vjp[parameters], tol)
    require_close(f"{name}: dvjp(inputs=False) after dY=None", alone.dvjp, still.dvjp[parameters], tol)


def _check_remainders(
    case: _Case, u: Direction, at: tuple[np.ndarray, np.ndarray, np.ndarray], found: Found, curved: np.ndarray
) -> None:
    """Taylor remainders of ``F``, of its pull-back along a moving Z, and of ``<Z, F>`` with its second derivative."""
    name, evaluate, A, Z, dZ = case.name, case.evaluate, *at
    floor = max(ROUND_OFF, case.tolerance)

    def output(t: float) -> np.ndarray:
        return evaluate.forward(*case.moved(u, t))[0]

    check_taylor(f"{name}: jvp", output, A, found.jvp, floor)
    if case.smooth:
        check_taylor(
            f"{name}: dvjp", lambda t: evaluate.vjp(*case.moved(u, t), Z + t * dZ), found.vjp, found.dvjp, floor
        )
        value, slope, curvature = float(np.vdot(Z, A)), float(np.vdot(Z, found.jvp)), float(np.vdot(flat(u), curved))
        check_second_order(
            f"{name}: dvjp to second order", lambda t: float(np.vdot(Z, output(t))), value, slope, curvature, floor
        )
