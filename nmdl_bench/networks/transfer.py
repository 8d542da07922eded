"""Parameters carried between networks of one problem: to more time steps, and to images of twice the resolution.

Training starts on a coarse network, whose parameters start a finer one (multilevel training). In time, controls are
copied or interpolated; in space, stencils change so that they stand for the same operator on another grid. Everything
here works on the host.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from nmdl_bench.contracts import ConfigurationError, Layer, unknown
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernels import CirculantKernel, ConvKernel, DenseKernel, Kernel, Shape
from nmdl_bench.networks.linear_maps import GlobalAverage, Reshape
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.parts import Chain
from nmdl_bench.networks.weights import weights_of

HostBlocks = dict[str, np.ndarray]

IN_TIME = ("copy", "linear")
ACROSS = ("rediscretise", "galerkin")

BASIS = np.array([[0.25, -0.5, -1.0], [0.5, 0.0, 2.0], [0.25, 0.5, -1.0]])
"""Stencils of a mean, of the first and of the negative second derivative, in columns, for spacing 1."""
GALERKIN = np.array([[0.5, 0.125, 0.0], [0.5, 0.75, 0.5], [0.0, 0.125, 0.5]])
"""Coarse stencil ``R K P`` of a fine one, with ``R = (1, 2, 1) / 4`` and linear interpolation ``P``, 2 : 1."""


# -------------------------------------------------------------------------------------------------------------- time
def refine(evolution: Evolution, theta: HostBlocks, how: str = "copy") -> tuple[Evolution, HostBlocks]:
    """Twice the steps over the same time, and the controls on twice the intervals.

    Parameters
    ----------
    evolution : Evolution
        The coarse one.
    theta : dict of ndarray
        Its blocks.
    how : str
        ``"copy"``: each control is copied after itself (Chang et al. 2018, section 4), which leaves piecewise constant
        controls what they are. ``"linear"``: linear interpolation in time, between the middles of the intervals where
        controls are constant on them (as in Meganet); it leaves piecewise linear controls what they are.

    Raises
    ------
    ConfigurationError
        ``"copy"`` for linear controls, which cannot jump.
    """
    if how not in IN_TIME:
        raise unknown("refinement in time", how, IN_TIME)
    number = evolution.grid.number
    if evolution.controls == "linear":
        if how == "copy":
            raise ConfigurationError("linear controls cannot be refined by 'copy', which makes jumps; use 'linear'")
        finer, at = 2 * number - 1, np.arange(2 * number - 1) / 2
    else:
        finer, at = 2 * number, (np.arange(2 * number) + 0.5) / 2 - 0.5
    if how == "copy":
        found = {name: np.repeat(block, 2, axis=0) for name, block in theta.items()}
    else:
        left = np.clip(np.floor(at).astype(int), 0, number - 1)
        right = np.clip(left + 1, 0, number - 1)
        share = np.clip(at, 0, number - 1) - left
        found = {name: _between(block[left], block[right], share) for name, block in theta.items()}
    number_now = None if evolution.number is None else finer
    return replace(evolution, depth=2 * evolution.depth, number=number_now), found


def _between(left: np.ndarray, right: np.ndarray, share: np.ndarray) -> np.ndarray:
    share = share.reshape(-1, *[1] * (left.ndim - 1))
    return (1 - share) * left + share * right


# ------------------------------------------------------------------------------------------------------------- space
def resample(K: np.ndarray, factor: float) -> np.ndarray:
    """Stencils (..., 3) or (..., 3, 3) for a grid whose spacing is ``factor`` times as wide.

    In one dimension a stencil is ``B(h) beta`` with the basis ``B(h) = [1/4 -1/(2h) -1/h^2; 1/2 0 2/h^2; 1/4 1/(2h)
    -1/h^2]``: ``beta`` belongs to the differential operator ``beta_1 + beta_2 d/dx - beta_3 d^2/dx^2``, up to
    O(h^2), and stays (Haber, Ruthotto, Holtham and Jun 2018, section 3). In two dimensions it is the tensor product.

    Parameters
    ----------
    K : ndarray
        With one or two axes of length 3 at the end: two where both last axes have that length.
    factor : float
        0.5 from a grid to that of half the spacing, 2 back.
    """
    change = BASIS @ np.diag([1.0, 1 / factor, 1 / factor**2]) @ np.linalg.inv(BASIS)
    return _apply(change, K)


def coarsen(K: np.ndarray) -> np.ndarray:
    """Galerkin stencils ``R K P`` on the grid of twice the spacing, 3 x 3 again (or 3).

    ``P`` interpolates linearly and ``R = P^T / 2`` in each dimension is full weighting (Trottenberg, Oosterlee and
    Schüller 2001, section 2.3.4): ``(a, b, c)`` becomes ``(a/2 + b/8, (a + c)/2 + 3b/4, c/2 + b/8)``.
    """
    return _apply(GALERKIN, K)


def prolong(K: np.ndarray) -> np.ndarray:
    """Fine stencils whose Galerkin coarse ones are ``K``: the inverse of :func:`coarsen`."""
    return _apply(np.linalg.inv(GALERKIN), K)


def _apply(change: np.ndarray, K: np.ndarray) -> np.ndarray:
    K = np.asarray(K, dtype=float)
    if K.ndim == 0 or K.shape[-1] != 3:
        raise ConfigurationError(f"only stencils of width 3 can change their resolution, not those of shape {K.shape}")
    K = K @ change.T
    return change @ K if K.ndim > 1 and K.shape[-2] == 3 else K


# ----------------------------------------------------------------------------------------------------------- networks
def refine_network(
    network: Network, theta: np.ndarray, time: str | None = "copy", space: str | None = None
) -> tuple[Network, np.ndarray]:
    """A finer network and its parameters.

    Parameters
    ----------
    network : Network
        The coarse one.
    theta : ndarray (size,)
        Its parameters.
    time : str, optional
        How controls are refined, see :func:`refine`; with None the steps stay.
    space : str, optional
        For networks on images: ``"rediscretise"`` by :func:`resample` or ``"galerkin"`` by :func:`prolong`, for images
        of twice the height and width. With None images stay.

    Returns
    -------
    Network, ndarray
        The finer network, and parameters with which it does on fine images about what the coarse one does on coarse
        ones: up to O(h^2) for smooth images.

    Raises
    ------
    ConfigurationError
        A stencil of another width than 1 and 3, or a layer on pixels that this does not know.

    Notes
    -----
    Weights of a dense layer on all pixels are shared out among the four pixels that each becomes.

    Stencils of derivatives grow as the grid is refined, so that explicit steps may leave their region of stability:
    refine in time too then.
    """
    if space is not None and space not in ACROSS:
        raise unknown("refinement in space", space, ACROSS)
    layers: list[Layer] = []
    blocks: list[HostBlocks] = []
    image: Shape | None = None
    for layer, own in zip(network.layers, _unpack(network, np.asarray(theta))):
        if space is not None:
            own = _finer_stencils(layer, own, space)
            layer, own, image = _finer_pixels(layer, own, image)
        if time is not None and isinstance(layer, Evolution):
            layer, own = refine(layer, own, time)
        layers.append(layer)
        blocks.append(own)
    finer = Network(tuple(layers))
    flat = [named[name].ravel() for layer, named in zip(layers, blocks) for name in layer.shapes()]
    return finer, np.concatenate(flat) if flat else np.zeros(0)


def _unpack(network: Network, theta: np.ndarray) -> list[HostBlocks]:
    if theta.shape != (network.size,):
        raise ConfigurationError(f"the network has {network.size} parameters, not {theta.shape}")
    found, start = [], 0
    for layer in network.layers:
        named = {}
        for name, shape in layer.shapes().items():
            named[name] = theta[start : start + prod(shape)].reshape(shape)
            start += prod(shape)
        found.append(named)
    return found


def _finer_stencils(layer: Layer, blocks: HostBlocks, space: str) -> HostBlocks:
    """The blocks with every 3 x 3 stencil on the finer grid."""
    found = dict(blocks)
    for name, kernel in weights_of(layer).items():
        size = _stencil(kernel)
        if size not in (None, 1, 3):
            raise ConfigurationError(f"only stencils of 3 x 3 and 1 x 1 can be refined, not {kernel!r}")
        if size == 3:
            found[name] = resample(blocks[name], 0.5) if space == "rediscretise" else prolong(blocks[name])
    return found


def _stencil(kernel: Kernel) -> int | None:
    return kernel.size if isinstance(kernel, ConvKernel | CirculantKernel) else None


def _finer_pixels(layer: Layer, blocks: HostBlocks, image: Shape | None) -> tuple[Layer, HostBlocks, Shape | None]:
    """The layer for images of twice the sides; beside it the coarse image whose pixels the next layer sees as a row."""
    if isinstance(layer, Reshape):
        row = next((shape for shape in (layer.before, layer.after) if len(shape) == 1), None)
        shape = next((shape for shape in (layer.before, layer.after) if len(shape) == 3), None)
        if row is None or shape is None:
            raise ConfigurationError(f"{layer!r} does not turn rows into images or images into rows")
        fine = (shape[0], 2 * shape[1], 2 * shape[2])
        if layer.before == row:
            return Reshape((prod(fine),), fine), blocks, None
        return Reshape(fine, (prod(fine),)), blocks, shape
    if image is None or not layer.shapes() or isinstance(layer, GlobalAverage):
        return layer, blocks, image
    kernels = list(weights_of(layer).values())
    if len(kernels) != 1 or not isinstance(kernels[0], DenseKernel) or isinstance(layer, Evolution):
        raise ConfigurationError(f"only a dense layer can follow the pixels of an image, not {layer!r}")
    kernel = kernels[0]
    K = blocks[kernel.name].reshape(*image, kernel.outputs)
    K = np.repeat(np.repeat(K, 2, axis=1), 2, axis=2) / 4
    first, *rest = layer.parts  # type: ignore[attr-defined]
    wider = replace(first, kernel=replace(kernel, inputs=4 * kernel.inputs))
    return Chain((wider, *rest)), {**blocks, kernel.name: K.reshape(-1, kernel.outputs)}, None
