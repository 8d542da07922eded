"""Derivatives by hand against automatic differentiation, and on every stand-in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.data import from_arrays
from nmdl_bench.networks.activations import ACTIVATIONS
from nmdl_bench.networks.architectures import resnet
from nmdl_bench.networks.layers import Dense, EulerBlock
from nmdl_bench.networks.losses import LOSSES
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.testing import (
    autodiff_references,
    check_autodiff,
    check_layer,
    check_loss,
    check_objective,
    fake_cuda_backend,
    numerical_backends,
    standins,
)

# each loss on a linear model, each depth, each activation; pairs of all parts are the matter of test_matrix.py
NETWORKS = [
    *(("identity", 0, loss) for loss in LOSSES),
    *(("tanh", depth, "cross-entropy") for depth in (1, 2, 8)),
    *((activation, 2, "least-squares") for activation in ACTIVATIONS),
]
EAGER = ["numpy", "torch", "poison", "strict", "strict-scalar", "cupy", "torch-device"]


def problem(activation: str, depth: int, loss: str) -> LearningProblem:
    """Twelve samples of 3 features in 4 classes, exact in float32, so that both precisions see the same data."""
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((12, 3)).astype(np.float32).astype(np.float64)
    data = from_arrays("random", Y, np.arange(12) % 4, n_validation=0, n_test=0, standardise=False)
    return LearningProblem("random", "", data, resnet(3, 4, 5, depth, 1.5, activation), loss, alpha=0.125)


@pytest.fixture(scope="module", params=["float64", "float32"])
def backends(request: pytest.FixtureRequest) -> dict[str, Backend]:
    return {xp.library: xp for xp in numerical_backends(request.param)}


@pytest.mark.parametrize(("activation", "depth", "loss"), NETWORKS)
def test_every_network_agrees_with_torch_and_jax(activation: str, depth: int, loss: str) -> None:
    described = problem(activation, depth, loss)
    references = autodiff_references(described.bind(get_backend("numpy")), compiled=False)
    for dtype in ("float64", "float32"):
        for xp in numerical_backends(dtype):
            # compilation takes most of the time; the precision changes only the constants' types
            if xp.eager or dtype == "float64" or activation == "tanh":
                check_autodiff(described.bind(xp), references=references)


@pytest.mark.parametrize("name", EAGER)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layers(backends: dict[str, Backend], name: str, activation: str) -> None:
    smooth = ACTIVATIONS[activation].smooth
    check_layer(Dense(3, 4, activation), backends[name], 3, autodiff=("torch",), smooth=smooth)
    check_layer(EulerBlock(4, 3, 1.5, activation), backends[name], 4, autodiff=("torch",), smooth=smooth)


@pytest.mark.parametrize("layer", [Dense(4, 3, "tanh"), EulerBlock(4, 3, 1.5, "softplus")], ids=["dense", "block"])
def test_layers_on_jax(layer: Any) -> None:
    check_layer(layer, get_backend("jax"), 4)


@pytest.mark.parametrize("name", [*EAGER, "jax"])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses(backends: dict[str, Backend], name: str, loss: str) -> None:
    check_loss(LOSSES[loss], backends[name], autodiff=("torch", "jax"))


@pytest.mark.parametrize("name", EAGER)
@pytest.mark.parametrize(("activation", "depth", "loss"), NETWORKS)
def test_objectives(backends: dict[str, Backend], name: str, activation: str, depth: int, loss: str) -> None:
    smooth = ACTIVATIONS[activation].smooth and LOSSES[loss].smooth
    check_objective(problem(activation, depth, loss).bind(backends[name]), autodiff=(), smooth=smooth)


def test_objectives_on_jax(backends: dict[str, Backend]) -> None:
    check_objective(problem("tanh", 2, "cross-entropy").bind(backends["jax"]), autodiff=())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("activation", "depth", "loss"), NETWORKS)
def test_objectives_never_wait_for_a_gpu(activation: str, depth: int, loss: str, dtype: str) -> None:
    """On torch's fake CUDA device, and on the checked CuPy: no synchronisation but those of the copies to the host."""
    described = problem(activation, depth, loss)
    with fake_cuda_backend(dtype) as xp:
        found = _evaluate(described.bind(xp), xp.asarray(np.arange(6)))
        assert {(a.device.type, a.dtype) for a in found} == {("cuda", getattr(torch, dtype))}
        shapes = [tuple(a.shape) for a in found]
    checked = next(xp for xp in standins(dtype) if xp.library == "cupy")
    objective, batch = described.bind(checked), checked.asarray(np.arange(6))
    checked.cp.reset()  # type: ignore[attr-defined]
    found = _evaluate(objective, batch)
    assert checked.cp.synchronisations == 0  # type: ignore[attr-defined]
    assert [tuple(a.shape) for a in found] == shapes == [(), (), (described.network.size,), (6, 4), *shapes[4:]]


def _evaluate(objective: Any, batch: Any) -> list[Any]:
    f, _ = objective.forward(objective.x0)
    f_batch, tape = objective.forward(objective.x0, batch)
    Jv = objective.jvp(tape, objective.x0)
    products = objective.gauss_newton(tape, objective.x0), objective.hessian(tape, objective.x0)
    return [f, f_batch, objective.grad(tape), Jv, objective.vjp(tape, Jv), *products]
