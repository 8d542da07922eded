"""What layers say when sizes do not fit."""

from __future__ import annotations

import numpy as np

from nmdl_bench.contracts import ConfigurationError


def check_sizes(**sizes: int) -> None:
    """Raise ConfigurationError unless every size is a positive integer."""
    for name, value in sizes.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ConfigurationError(f"{name} must be a positive integer, not {value!r}")


def check_positive(**values: float) -> None:
    """Raise ConfigurationError unless every value is a positive and finite number."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < float("inf"):
            raise ConfigurationError(f"{name} must be positive and finite, not {value!r}")


def check_width(layer: object, shape: tuple[int, ...], width: int) -> None:
    """Raise ConfigurationError unless samples are vectors of ``width`` features."""
    if tuple(shape) != (width,):
        raise ConfigurationError(f"{layer!r} takes {width} features, not samples of shape {tuple(shape)}")


def check_image(layer: object, shape: tuple[int, ...], channels: int) -> None:
    """Raise ConfigurationError unless samples are images with that many channels."""
    if len(shape) != 3 or shape[0] != channels:
        raise ConfigurationError(f"{layer!r} takes images of {channels} channels, not samples of shape {tuple(shape)}")
