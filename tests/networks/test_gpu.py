"""Layers, losses and whole networks on hardware, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from matrix import DEFAULT, SINGLES, label, make

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.networks.activations import ACTIVATIONS
from nmdl_bench.networks.layers import Dense, EulerBlock
from nmdl_bench.networks.losses import LOSSES
from nmdl_bench.testing import check_layer, check_loss, check_objective

pytestmark = pytest.mark.gpu
COMPILED = ("kernel", "integrator", "normalisation", "memory")
"""Factors whose values run on JAX, too; compiling each of all of them for a GPU takes long."""


@pytest.fixture(params=["float64", "float32"])
def xp(cuda: str, request: pytest.FixtureRequest) -> Backend:
    return get_backend(cuda, request.param)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layers(xp: Backend, activation: str) -> None:
    smooth = ACTIVATIONS[activation].smooth
    check_layer(Dense(3, 4, activation), xp, 3, autodiff=(), smooth=smooth)
    check_layer(EulerBlock(4, 3, activation=activation), xp, 4, autodiff=(), smooth=smooth)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(xp: Backend, loss: str) -> None:
    check_loss(LOSSES[loss], xp, autodiff=())


def test_objective(xp: Backend) -> None:
    check_objective(make(DEFAULT).bind(xp), autodiff=())


@pytest.mark.parametrize("case", SINGLES, ids=label)
def test_values_and_products_equal_those_of_numpy(xp: Backend, case: dict[str, str]) -> None:
    if not xp.eager and all(case[factor] == DEFAULT[factor] for factor in COMPILED):
        pytest.skip("alike on JAX whatever the device")
    numpy = get_backend("numpy", xp.dtype_name)
    problem = make(case)
    x = problem.start
    v = np.random.default_rng(0).standard_normal(x.shape)
    expected, found = (_values(problem, library, x, v) for library in (numpy, xp))
    tolerance = 1e-10 if xp.dtype_name == "float64" else 2e-3 if case["integrator"] == "imex-cg" else 2e-4
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


def _values(problem, xp, x, v):
    """Value, gradient and product with the Gauss-Newton matrix."""
    with xp.scope():
        objective = problem.bind(xp)
        objective = objective.with_arrays(objective.redraw(0, 0))

        def program(x, v):
            f, tape = objective.forward(x)
            return xp.zeros((1,)) + f, objective.grad(tape), objective.gauss_newton(tape, v)

        return [xp.to_numpy(one) for one in xp.compile(program)(xp.asarray(x), xp.asarray(v))]
