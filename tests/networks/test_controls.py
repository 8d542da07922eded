"""Controls in time: values at any time, what steps read, and gradients by the transpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.networks.controls import KINDS, Controls
from nmdl_bench.networks.integrators import EULER, HEUN, RK4
from nmdl_bench.networks.reversible import VERLET
from nmdl_bench.testing import numerical_backends

XP = get_backend("numpy")
METHODS = {method.name: method for method in (EULER, HEUN, RK4, VERLET)}
NODES = {"euler": (0.0,), "heun": (0.0, 1.0), "rk4": (0.0, 0.5, 1.0), "verlet": (0.5,)}


def test_nodes_are_those_of_the_methods() -> None:
    assert {name: method.nodes for name, method in METHODS.items()} == NODES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("number", "depth"), [(3, 6), (6, 3), (4, 6), (5, 3), (7, 7), (2, 1)])
def test_steps_read_the_controls_at_their_nodes(kind: str, method: str, number: int, depth: int) -> None:
    controls = Controls(kind, number, depth, 2.0, METHODS[method].nodes)
    theta = np.random.default_rng(0).standard_normal((number, 2, 3))
    read = controls.read(XP, {"K": theta})["K"].reshape(depth, -1, 2, 3)
    h = 2.0 / depth
    for j in range(depth):
        for m in range(controls.readings):
            # with a single reading, constant controls are those of the step's middle
            c = 0.5 if controls.readings == 1 else METHODS[method].nodes[m]
            if kind == "linear":
                t = (j + METHODS[method].nodes[m]) * h
                expected = [
                    [np.interp(t, np.linspace(0, 2, number), theta[:, a, b]) for b in range(3)] for a in range(2)
                ]
            else:  # at a jump, the value inside the step
                inside = min(max((j + c) * h, j * h + 1e-6), (j + 1) * h - 1e-6)
                expected = theta[int(inside / 2.0 * number)]
            np.testing.assert_allclose(read[j, m], expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_values_at_a_time(kind: str) -> None:
    controls = Controls(kind, 5, 8, 2.0, (0.0,))
    theta = np.random.default_rng(0).standard_normal((5, 3))
    for t in np.random.default_rng(1).uniform(0, 2, 20):
        if kind == "constant":
            expected = theta[int(t / 0.4)]
        else:
            expected = [np.interp(t, np.linspace(0, 2, 5), theta[:, a]) for a in range(3)]
        np.testing.assert_allclose(controls.at(t, theta), expected, atol=1e-12)
    np.testing.assert_allclose(controls.at(0.0, theta), theta[0])
    np.testing.assert_allclose(controls.at(2.0, theta), theta[-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [2, 3, 5])
def test_weights_of_a_reading_sum_to_one(kind: str, number: int) -> None:
    controls = Controls(kind, number, 4, 1.0, RK4.nodes)
    W = controls.weights()
    assert W.shape == (4 * controls.readings, number)
    np.testing.assert_allclose(W.sum(axis=1), 1.0, atol=1e-15)
    assert np.all(W >= 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [2, 4, 6])
def test_gradients_go_back_by_the_transpose_on_every_backend(kind: str, number: int) -> None:
    """<W theta, Z> = <theta, W^T Z>, also for what a scan stacked."""
    controls = Controls(kind, number, 4, 1.0, HEUN.nodes)
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((number, 2, 3))
    Z = rng.standard_normal(controls.read(XP, {"K": theta})["K"].shape)
    expected = None if controls.one_to_one else np.tensordot(controls.weights().T, Z.reshape(-1, 2, 3), axes=1)
    for xp in numerical_backends():
        with xp.scope():
            read = xp.to_numpy(controls.read(xp, {"K": xp.asarray(theta)})["K"])
            if controls.one_to_one:
                np.testing.assert_array_equal(read, theta)
                continue
            _, stacked = xp.scan(_keep, xp.zeros((1,)), {"K": xp.asarray(Z)})
            found = xp.to_numpy(controls.read_adjoint(xp, stacked, {"K": (number, 2, 3)})["K"])
        np.testing.assert_allclose(found, expected, atol=1e-13, err_msg=repr(xp))
        assert np.vdot(read, Z) == pytest.approx(np.vdot(theta, found), rel=1e-12), xp


def _keep(carry: Any, row: Any) -> Any:
    return carry, row


def test_one_control_a_step_is_read_as_it_is() -> None:
    controls = Controls("constant", 4, 4, 1.0, RK4.nodes)
    theta = {"K": np.ones((4, 2))}
    assert controls.one_to_one
    assert controls.read(XP, theta) is theta
    assert controls.spacing == 0.25
    assert Controls("linear", 5, 4, 1.0, RK4.nodes).spacing == 0.25


def test_what_cannot_work_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'linear'"):
        Controls("liner", 2, 2, 1.0, (0.0,))
    with pytest.raises(ConfigurationError, match="linear controls need at least 2 points, not 1"):
        Controls("linear", 1, 2, 1.0, (0.0,))
    with pytest.raises(ConfigurationError, match="number must be a positive integer, not 0"):
        Controls("constant", 0, 2, 1.0, (0.0,))
    with pytest.raises(ConfigurationError, match="time must be positive and finite"):
        Controls("constant", 1, 2, -1.0, (0.0,))


@pytest.mark.parametrize("finer", [2, 4, 6])
def test_a_jump_in_the_middle_of_a_step_is_seen_from_the_right(finer: int) -> None:
    for depth in range(1, 80):  # rounding would decide otherwise, at depth 11 for one
        rows = Controls("constant", finer * depth, depth, 1.0, (0.5,)).weights()
        np.testing.assert_array_equal(rows.argmax(axis=1), finer * np.arange(depth) + finer // 2)
