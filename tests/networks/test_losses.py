"""Losses where textbook formulas fail or change: huge outputs, fractional targets, the edge of Huber's squares."""

from __future__ import annotations

from math import inf, log, nan

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.networks.losses import LOSSES, Huber, get_loss
from nmdl_bench.testing import check_loss, numerical_backends
from nmdl_bench.testing.errors import host_reals

XP = get_backend("numpy")
BINARY, HUBER = get_loss("binary-cross-entropy"), get_loss("huber")


@pytest.fixture(scope="module", params=["float64", "float32"])
def backends(request: pytest.FixtureRequest) -> list[Backend]:
    return numerical_backends(request.param)


def test_only_hubers_second_derivative_jumps() -> None:
    assert {name for name, loss in LOSSES.items() if not loss.smooth} == {"huber"}


def test_binary_cross_entropy_is_the_mean_of_negative_log_likelihoods() -> None:
    S, C = np.array([[0.5, -1.0], [2.0, 0.0], [-3.0, 1.5]]), np.array([[1.0, 0.0], [0.25, 0.5], [0.0, 1.0]])
    P = 1 / (1 + np.exp(-S))
    value, tape = BINARY.forward(XP, S, C)
    assert value == pytest.approx(-(C * np.log(P) + (1 - C) * np.log(1 - P)).sum() / 3, rel=1e-14)
    np.testing.assert_allclose(BINARY.grad(XP, tape), (P - C) / 3, rtol=1e-14)
    np.testing.assert_allclose(BINARY.hessian(XP, tape, np.ones((3, 2))), P * (1 - P) / 3, rtol=1e-13)


def test_binary_cross_entropy_on_two_one_hot_columns_of_opposite_logits_is_twice_softmax() -> None:
    """With ``S = (s, -s)/2`` the softmax of two classes is the logistic function of ``s``; here each column has s."""
    s, C = np.array([0.3, -2.0, 5.0]), np.eye(2)[[0, 1, 0]]
    softmax, _ = get_loss("cross-entropy").forward(XP, np.stack([s, -s], axis=1) / 2, C)
    assert BINARY.forward(XP, np.stack([s, -s], axis=1), C)[0] == pytest.approx(2 * softmax, rel=1e-14)


def test_binary_cross_entropy_survives_huge_logits_everywhere(backends: list[Backend]) -> None:
    S, C = np.array([[1e4, -1e4], [1e4, -1e4], [40.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.5]])
    for xp in backends:
        with xp.scope(), np.errstate(all="raise", under="ignore"):
            value, tape = BINARY.forward(xp, xp.asarray(S), xp.asarray(C))
            assert host_reals(xp, [value])[0] == pytest.approx((2e4 + log(2)) / 3, rel=1e-6), xp
            gradient = xp.to_numpy(BINARY.grad(xp, tape))
            product = xp.to_numpy(BINARY.hessian(xp, tape, xp.asarray(np.ones((3, 2)))))
        np.testing.assert_allclose(gradient, np.array([[0, 0], [1, -1], [0, 0]]) / 3, atol=1e-7, err_msg=str(xp))
        np.testing.assert_allclose(product, np.array([[0, 0], [0, 0], [0, 0.25]]) / 3, atol=1e-7, err_msg=str(xp))


def test_a_certain_and_right_prediction_keeps_its_small_loss_in_float32() -> None:
    xp = get_backend("numpy", "float32")
    value, _ = BINARY.forward(xp, xp.asarray(np.array([[30.0]])), xp.asarray(np.array([[1.0]])))
    assert value == pytest.approx(np.exp(-30.0), rel=1e-5)


def test_huber_is_quadratic_inside_and_linear_outside(backends: list[Backend]) -> None:
    R = np.array([[0.0, 0.5, -2.0], [3.0, -2.5, 1e6]])
    for xp in backends:
        loss = Huber(delta=2.0)
        with xp.scope():
            value, tape = loss.forward(xp, xp.asarray(R + 1), xp.asarray(np.ones((2, 3))))
            expected = (0.125 + 2.0 + 2 * (3.0 - 1) + 2 * (2.5 - 1) + 2 * (1e6 - 1)) / 2
            assert host_reals(xp, [value])[0] == pytest.approx(expected, rel=1e-6), xp
            gradient = xp.to_numpy(loss.grad(xp, tape))
            product = xp.to_numpy(loss.hessian(xp, tape, xp.asarray(np.full((2, 3), 3.0))))
        np.testing.assert_allclose(gradient, np.clip(R, -2, 2) / 2, rtol=1e-6, err_msg=str(xp))
        np.testing.assert_array_equal(product, np.array([[1.5, 1.5, 0], [0, 0, 0]]), err_msg=str(xp))


def test_hubers_nan_stays_nan() -> None:
    assert np.isnan(HUBER.forward(XP, np.array([[nan]]), np.zeros((1, 1)))[0])


@pytest.mark.parametrize("delta", [0.0, -1.0, inf, nan])
def test_hubers_delta_is_positive_and_finite(delta: float) -> None:
    with pytest.raises(ConfigurationError, match="delta must be positive and finite"):
        Huber(delta)


def test_huber_with_most_residuals_outside_on_all_backends(backends: list[Backend]) -> None:
    for xp in backends:
        check_loss(Huber(0.25), xp, autodiff=("torch",))


@pytest.mark.parametrize("name", LOSSES)
def test_shapes_that_would_broadcast_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"output has shape \(4, 2\), the targets \(4, 1\)"):
        LOSSES[name].forward(XP, np.zeros((4, 2)), np.zeros((4, 1)))
