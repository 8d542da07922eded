"""Augmentation: against windows, reflections and SciPy's interpolation; what the draws are."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.data.augment import Augmentation, crop, rotate


def images(n: int = 6, shape: tuple[int, int, int] = (2, 5, 7)) -> np.ndarray:
    Y = np.random.default_rng(0).standard_normal((n, *shape))
    Y.setflags(write=False)
    return Y


def test_a_crop_is_a_window_of_the_padded_image() -> None:
    Y, corners = images(4), np.array([[0, 2, 4, 3], [4, 2, 0, 1]])
    found = crop(Y, corners, 2)
    padded = np.zeros((4, 2, 9, 11))
    padded[:, :, 2:7, 2:9] = Y
    for i, (top, left) in enumerate(corners.T):
        np.testing.assert_array_equal(found[i], padded[i, :, top : top + 5, left : left + 7])
    np.testing.assert_array_equal(found[1], Y[1])


@pytest.mark.parametrize("shape", [(2, 5, 7), (1, 6, 6), (3, 1, 4)])
def test_rotation_is_scipys_bilinear_one(shape: tuple[int, int, int]) -> None:
    Y, angles = images(5, shape), np.deg2rad([0.0, 11.0, -37.5, 90.0, 180.0])
    found = rotate(Y, angles)
    centre = (np.array(shape[1:]) - 1) / 2
    for image, angle, turned in zip(Y, angles, found):
        A = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        for before, after in zip(image, turned):
            offset = centre - A @ centre
            expected = ndimage.affine_transform(before, A, offset, order=1, mode="grid-constant", cval=0.0)
            np.testing.assert_allclose(after, expected, atol=1e-12)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    Y = images(1, (2, 6, 6))
    np.testing.assert_allclose(rotate(Y, np.array([np.pi / 2]))[0], np.rot90(Y[0], axes=(1, 2)), atol=1e-12)


def test_each_image_is_itself_or_its_reflection_about_equally_often() -> None:
    Y = images(2000, (1, 2, 3))
    found = Augmentation(flip=True)(Y, seed=0, epoch=0)
    same, mirrored = (np.all(found == other, axis=(1, 2, 3)) for other in (Y, Y[..., ::-1]))
    assert np.all(same ^ mirrored)
    assert 0.45 < same.mean() < 0.55


def test_all_shifts_are_about_equally_frequent() -> None:
    Y = np.zeros((9000, 1, 5, 5))
    Y[:, 0, 2, 2] = 1.0
    found = Augmentation(pad=1)(Y, seed=0, epoch=0)
    shares = found.mean(axis=0)[0]
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares[1:4, 1:4], 1 / 9, atol=0.02)


def test_rotations_stay_within_their_range() -> None:
    """The first moment of a bright pixel on the right edge tells the angle, up to interpolation."""
    Y = np.zeros((500, 1, 41, 41))
    Y[:, 0, 20, 38] = 1.0
    found = Augmentation(rotation=30.0)(Y, seed=0, epoch=0)[:, 0]
    grid = np.arange(41) - 20
    mass = found.sum(axis=(1, 2))
    rows, columns = (found.sum(axis=2) @ grid) / mass, (found.sum(axis=1) @ grid) / mass
    angles = np.rad2deg(np.arctan2(-rows, columns))
    assert -31 < angles.min() < -28
    assert 28 < angles.max() < 31
    assert abs(angles.mean()) < 3


EVERYTHING = Augmentation(pad=2, flip=True, rotation=15.0)


def test_draws_depend_on_seed_and_epoch_alone() -> None:
    Y = images()
    found = EVERYTHING(Y, seed=3, epoch=5)
    assert EVERYTHING(Y.copy(), seed=3, epoch=5).tobytes() == found.tobytes()
    for seed, epoch in ((3, 6), (4, 5), (5, 3)):
        assert not np.array_equal(EVERYTHING(Y, seed, epoch), found)


def test_rows_are_images_flattened_and_the_number_of_images_at_a_time_is_no_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Y = images(7)
    whole = EVERYTHING(Y, 0, 0)
    assert whole.shape == Y.shape
    monkeypatch.setattr("nmdl_bench.data.augment._CHUNK", 3)
    rows = EVERYTHING(Y.reshape(7, -1), 0, 0, image_shape=(2, 5, 7))
    np.testing.assert_array_equal(rows, whole.reshape(7, -1))


def test_the_element_type_is_kept_and_switching_one_off_leaves_the_others() -> None:
    Y = images(50, (1, 4, 4)).astype(np.float32)
    assert EVERYTHING(Y, 0, 0).dtype == np.float32
    flips = Augmentation(flip=True)(Y, 0, 0)
    both = Augmentation(flip=True, pad=1)(Y, 0, 0)
    flipped = np.any(flips != Y, axis=(1, 2, 3))
    shifted = Augmentation(pad=1)(Y, 0, 0)
    np.testing.assert_array_equal(both, np.where(flipped[:, None, None, None], shifted[..., ::-1], shifted))


def test_nothing_asked_for_changes_nothing() -> None:
    Y = images()
    np.testing.assert_array_equal(Augmentation()(Y, 0, 0), Y)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pad": -1}, "pad = -1 must be an integer of at least 0"),
        ({"pad": 1.5}, "pad = 1.5"),
        ({"flip": 1}, "flip = 1 must be true or false"),
        ({"rotation": -1.0}, "rotation = -1.0 must be an angle from 0 to 180"),
        ({"rotation": inf}, "rotation = inf"),
        ({"rotation": nan}, "rotation = nan"),
        ({"rotation": "10"}, "rotation = '10'"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Augmentation(**options)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="are no images"):
        EVERYTHING(np.zeros((4, 10)), 0, 0)
    with pytest.raises(ConfigurationError, match=r"are no images of \(channels, height, width\) = \(1, 3, 4\)"):
        EVERYTHING(np.zeros((4, 10)), 0, 0, image_shape=(1, 3, 4))
    with pytest.raises(ConfigurationError, match="pad = 2 must be less than the sides of images of 2 x 5"):
        EVERYTHING(np.zeros((4, 10)), 0, 0, image_shape=(1, 2, 5))
