"""The same checks on hardware."""

from __future__ import annotations

import pytest

import nmdl_bench.catalogue
from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import UnavailableError
from nmdl_bench.networks.activations import ACTIVATIONS
from nmdl_bench.networks.layers import Dense, EulerBlock
from nmdl_bench.networks.losses import LOSSES
from nmdl_bench.testing import check_backend, check_layer, check_loss, check_objective, check_optimizer

pytestmark = pytest.mark.gpu
SOLVERS = nmdl_bench.catalogue.SOLVERS


@pytest.fixture(params=["torch:cuda:0", "cupy:cuda:0", "jax:cuda:0"])
def spec(request: pytest.FixtureRequest) -> str:
    try:
        get_backend(request.param)
    except UnavailableError as error:
        pytest.skip(str(error))
    return request.param


@pytest.fixture(params=["float64", "float32"])
def xp(spec: str, request: pytest.FixtureRequest) -> Backend:
    return get_backend(spec, request.param)


def test_interface(xp: Backend) -> None:
    check_backend(xp)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layers(xp: Backend, activation: str) -> None:
    check_layer(Dense(3, 4, activation), xp, 3, autodiff=())
    check_layer(EulerBlock(4, 3, activation=activation), xp, 4, autodiff=())


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(xp: Backend, loss: str) -> None:
    check_loss(LOSSES[loss], xp, autodiff=())


def test_objective(xp: Backend) -> None:
    check_objective(nmdl_bench.catalogue.PROBLEMS.make("spirals", n=60, width=4, depth=3).bind(xp), autodiff=())


@pytest.mark.parametrize("name", [entry.name for entry in SOLVERS if entry.kind == "ours"])
def test_first_steps_equal_those_of_numpy(spec: str, name: str) -> None:
    problem = nmdl_bench.catalogue.PROBLEMS.make("spirals", n=60, width=4, depth=3)
    check_optimizer(SOLVERS.make(name), problem, [get_backend("numpy"), get_backend(spec)])
