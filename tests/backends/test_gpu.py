"""The array interface on hardware."""

from __future__ import annotations

import itertools

import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.testing import check_backend, check_scalars
from nmdl_bench.testing.case import Case
from nmdl_bench.testing.convolutions import Convolution, check_convolution

pytestmark = pytest.mark.gpu
GEOMETRIES = [
    Convolution(*geometry)
    for geometry in itertools.product(((5, 7), (8, 6)), ((3, 3), (2, 3), (1, 1)), (1, 2), (0, 1), (False, True))
]


@pytest.fixture(params=["float64", "float32"])
def xp(cuda: str, request: pytest.FixtureRequest) -> Backend:
    return get_backend(cuda, request.param)


def test_interface(xp: Backend) -> None:
    check_backend(xp)


def test_scalars(xp: Backend) -> None:
    with xp.scope():
        check_scalars(xp)


def test_convolutions(xp: Backend) -> None:
    # compiling each geometry for a GPU takes long
    with xp.scope():
        for given in GEOMETRIES if xp.eager else GEOMETRIES[::7]:
            check_convolution(Case(xp), given)
