"""``check_convolutions``: convolution, its adjoints and means over pixels against SciPy's correlation of two images."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.testing.case import Case
from nmdl_bench.testing.errors import require


class Convolution(NamedTuple):
    """Pixels of the images and of the kernel; each channel has its own filter where ``depthwise``."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: int = 1
    padding: int = 0
    depthwise: bool = False


CONVOLUTIONS = (
    Convolution((5, 7), (3, 3), padding=1),
    Convolution((5, 7), (3, 3), stride=2, padding=1),
    Convolution((6, 5), (3, 3), stride=2, padding=2),  # strides that leave pixels over
    Convolution((7, 8), (3, 2), stride=3),
    Convolution((4, 5), (1, 1)),
    Convolution((5, 4), (1, 1), stride=2),
    Convolution((4, 5), (2, 3), padding=2),  # wider than the kernel reaches
    Convolution((5, 7), (3, 3), padding=1, depthwise=True),
    Convolution((6, 7), (3, 2), stride=2, padding=1, depthwise=True),
)


def correlated(Y: np.ndarray, K: np.ndarray, stride: int, padding: int, groups: int) -> np.ndarray:
    """What ``conv2d`` is to give, image by image and channel by channel (``scipy.signal.correlate2d``)."""
    from scipy.signal import correlate2d

    Y = np.pad(Y, ((0, 0), (0, 0), (padding, padding), (padding, padding)))

    def output(image: np.ndarray, o: int) -> np.ndarray:
        channels = [o] if groups > 1 else range(len(image))
        return np.sum([correlate2d(image[c], k, mode="valid") for c, k in zip(channels, K[o])], axis=0)

    return np.array([[output(image, o)[::stride, ::stride] for o in range(len(K))] for image in Y])


def check_convolution(case: Case, given: Convolution) -> None:
    """One geometry: values, both adjoints by their identities, and the library's own versions against the generic."""
    channels, outputs = 3, 3 if given.depthwise else 4
    groups = channels if given.depthwise else 1
    how = (given.stride, given.padding, groups)
    Y, dY = (case.draw(2, channels, *given.size) for _ in range(2))
    K, dK = (case.draw(outputs, channels // groups, *given.kernel) for _ in range(2))
    A = correlated(Y, K, *how)
    Z = case.draw(*A.shape)
    xp, what = case.xp, f"of {given}"
    y, k, z = (xp.asarray(a) for a in (Y, K, Z))

    for label, of in (("", type(xp)), ("the generic ", Backend)):
        if of is Backend and not xp.eager and given != CONVOLUTIONS[2]:
            continue  # each is a program to compile
        apply = xp.compile(partial(_all, of, xp, given, how))
        image, G, V, (first, second) = case.attempt(f"{label}conv2d or an adjoint {what}", apply, y, k, z)
        case.equal(f"{label}conv2d {what}", image, A)
        for name, dual in (("conv2d_grad", G), ("conv2d_adjoints, first,", first)):
            _check_adjoint(case, f"{label}{name} {what}", dual, dK, correlated(Y, dK, *how), Z)
        for name, dual in (("conv2d_transpose", V), ("conv2d_adjoints, second,", second)):
            _check_adjoint(case, f"{label}{name} {what}", dual, dY, correlated(dY, K, *how), Z)
        for name, array, host in (("Y", y, Y), ("K", k, K), ("Z", z, Z)):
            case.equal(f"{name} after {label}conv2d and its adjoints {what}", array, host, exact=True)


def _all(of: Any, xp: Backend, given: Convolution, how: tuple[int, int, int], y: Any, k: Any, z: Any) -> tuple:
    verb = partial(getattr, xp) if of is type(xp) else lambda name: partial(getattr(of, name), xp)
    return (
        verb("conv2d")(y, k, *how),
        verb("conv2d_grad")(y, z, given.kernel, *how),
        verb("conv2d_transpose")(z, k, given.size, *how),
        verb("conv2d_adjoints")(y, z, k, *how),
    )


def _check_adjoint(case: Case, what: str, dual: Any, d: np.ndarray, image: np.ndarray, Z: np.ndarray) -> None:
    """``<dual, d> = <image, Z>`` for the image of ``d``."""
    require(tuple(dual.shape) == d.shape, f"{what} on {case.xp!r} has shape {tuple(dual.shape)}, not {d.shape}")
    left, right = np.vdot(case.xp.to_numpy(dual).astype(np.float64), d), np.vdot(image, Z)
    size = np.abs(image * Z).sum()
    require(
        abs(left - right) <= case.tolerance * size,
        f"{what} on {case.xp!r} is no adjoint: the two sides are {left:.17g} and {right:.17g}",
    )


def check_convolutions(case: Case) -> None:
    """Convolutions in :data:`CONVOLUTIONS`, and means over pixels."""
    for given in CONVOLUTIONS:
        check_convolution(case, given)
    xp = case.xp
    for k, size in ((1, (3, 4)), (2, (4, 6)), (3, (3, 9))):
        Y = case.draw(2, 3, *size)
        means = Y.reshape(2, 3, size[0] // k, k, size[1] // k, k).mean(axis=(3, 5))
        Z = case.draw(*means.shape)
        spread = np.kron(Z, np.full((k, k), 1 / k**2))
        for name, a, expected in (("avg_pool2d", Y, means), ("avg_pool2d_transpose", Z, spread)):
            case.equal(f"{name} by {k}", case.attempt(name, getattr(xp, name), xp.asarray(a), k), expected)
            generic = case.attempt(f"the generic {name}", getattr(Backend, name), xp, xp.asarray(a), k)
            case.equal(f"the generic {name} by {k}", generic, expected)
    try:
        xp.avg_pool2d(xp.asarray(case.draw(1, 1, 4, 5)), 2)
    except ConfigurationError:
        pass
    else:
        require(False, f"avg_pool2d on {xp!r} takes 5 columns by 2")


def check_transforms(case: Case) -> None:
    """The discrete Fourier transform over the last two axes, with even and odd numbers of pixels."""
    xp = case.xp
    for size in ((4, 6), (5, 3)):
        Y, S = case.draw(2, 3, *size), case.draw(*size)
        F = case.attempt("rfft2", xp.rfft2, xp.asarray(Y))
        expected = np.fft.rfft2(Y)
        got = xp.to_numpy(F)
        wanted = np.result_type(xp.dtype_name, np.complex64)
        require(got.dtype == wanted, f"rfft2 on {xp!r} gives {got.dtype} instead of {wanted}")
        require(
            got.shape == expected.shape and np.abs(got - expected).max() <= case.tolerance * np.abs(expected).max(),
            f"rfft2 of {size} on {xp!r} differs from NumPy's",
        )
        case.equal(f"irfft2 of rfft2 of {size}", xp.irfft2(F, size), Y)
        product = xp.irfft2(xp.conj(F) * xp.rfft2(xp.asarray(S)), size)
        case.equal("a correlation by conj", product, np.fft.irfft2(np.conj(expected) * np.fft.rfft2(S), size))
        xp.scale(0.0, xp.conj(F))
        require(np.array_equal(xp.to_numpy(F), got), f"conj on {xp!r} is no fresh array")
