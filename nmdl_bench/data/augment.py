"""Random crops, reflections and rotations of training images, drawn anew for every epoch on the host."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod

import numpy as np

from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.data.sampling import check_count

_STREAM = 0x1A6E  # keeps these draws apart from those of data, weights and batches
_CHUNK = 512  # images at a time: what stands beside them in memory is a few copies of so many


@dataclass(frozen=True)
class Augmentation:
    """Rotate, crop, reflect: each image by draws of its own.

    Features are standardised when this is applied, so that what is moved in from outside an image is 0, its channel's
    mean over the training part.

    Parameters
    ----------
    pad : int
        Zeros on each side of an image, of which a window of its size is cut out at random (He et al. 2016, section
        4.2: 4 for CIFAR-10); 0 for none.
    flip : bool
        Whether each image is reflected left to right with probability one half.
    rotation : float
        Largest angle in degrees, in [0, 180]: angles are uniform in [-rotation, rotation], about the image's centre,
        with bilinear interpolation.
    """

    pad: int = 0
    flip: bool = False
    rotation: float = 0.0

    def __post_init__(self) -> None:
        check_count("pad", self.pad)
        if not isinstance(self.flip, bool):
            raise ConfigurationError(f"flip = {self.flip!r} must be true or false")
        angle = -inf if isinstance(self.rotation, str | bool) else self.rotation
        if not 0 <= angle <= 180:
            raise ConfigurationError(f"rotation = {self.rotation!r} must be an angle from 0 to 180 degrees")

    def __call__(self, Y: np.ndarray, seed: int, epoch: int, image_shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Augmented images in the shape and element type of ``Y``, which is left as it is.

        Parameters
        ----------
        Y
            Images (n, channels, height, width), or one a row, flattened in C order.
        seed, epoch
            Equal ones give equal images.
        image_shape
            (channels, height, width), for rows.

        Raises
        ------
        ConfigurationError
            If ``Y`` holds no images of that shape.
        """
        shape = tuple(Y.shape[1:]) if image_shape is None else tuple(image_shape)
        if len(shape) != 3 or Y.ndim not in (2, 4) or prod(Y.shape[1:]) != prod(shape):
            raise ConfigurationError(
                f"features of shape {Y.shape} are no images of (channels, height, width) = {shape}; "
                "give the image_shape of flattened ones"
            )
        if self.pad >= min(shape[1:]):
            raise ConfigurationError(
                f"pad = {self.pad} must be less than the sides of images of {shape[1]} x {shape[2]}"
            )
        images = np.array(Y).reshape(-1, *shape)
        n = len(images)
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(_STREAM, epoch))))
        # all three are drawn whatever is asked for, so that switching one off leaves the others as they are; the range
        # of integers decides how much randomness they take, so they come last
        angles, flipped = np.deg2rad(self.rotation) * rng.uniform(-1, 1, n), rng.random(n) < 0.5
        corners = rng.integers(0, 2 * self.pad + 1, (2, n))
        for at in (slice(start, start + _CHUNK) for start in range(0, n, _CHUNK)):
            if self.rotation:
                images[at] = rotate(images[at], angles[at])
            if self.pad:
                images[at] = crop(images[at], corners[:, at], self.pad)
            if self.flip:
                images[at] = np.where(flipped[at, None, None, None], images[at, :, :, ::-1], images[at])
        return images.reshape(Y.shape)


def crop(images: np.ndarray, corners: np.ndarray, pad: int) -> np.ndarray:
    """Windows of the images' size out of images with ``pad`` zeros on each side.

    Parameters
    ----------
    images
        (n, channels, height, width).
    corners
        First row and first column of each window (2, n), from 0 to ``2 pad``.
    pad
        Zeros on each side, fewer than rows or columns.
    """
    height, width = images.shape[2:]
    cut = np.zeros_like(images)
    for image, window, (y, x) in zip(images, cut, (corners - pad).T):
        part = image[:, max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
        window[:, max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)] = part
    return cut


def rotate(images: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Images turned about their centres, counter-clockwise as they are shown (rows downwards), bilinearly.

    The pixel at ``(r, c)`` from the centre takes the value at ``(r cos a + c sin a, c cos a - r sin a)``, the
    bilinear interpolant of the four pixels around there; those outside the image count as 0.

    Parameters
    ----------
    images
        (n, channels, height, width).
    angles
        In radians (n,).
    """
    n, channels, height, width = images.shape
    r = np.arange(height)[:, None] - (height - 1) / 2
    c = np.arange(width) - (width - 1) / 2
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    rows, columns = r * cos + c * sin + (height - 1) / 2, c * cos - r * sin + (width - 1) / 2
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    flat, turned = images.reshape(n, channels, -1), np.zeros_like(images)
    for i in (0, 1):
        for j in (0, 1):
            y, x = top + i, left + j
            weight = (1 - np.abs(rows - y)) * (1 - np.abs(columns - x))
            weight[(y < 0) | (y >= height) | (x < 0) | (x >= width)] = 0
            place = np.clip(y, 0, height - 1) * width + np.clip(x, 0, width - 1)
            values = np.take_along_axis(flat, place.reshape(n, 1, -1), axis=2).reshape(images.shape)
            turned += (weight[:, None] * values).astype(images.dtype)
    return turned
