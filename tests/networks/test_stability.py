"""Stable designs stay within the bounds that are derived for them, and a plain network of equal size leaves them far
behind."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.diagnostics.spectra import jacobians, region
from nmdl_bench.diagnostics.trajectory import growth, states
from nmdl_bench.studies.stability import DESIGNS, Stability, bound, growths, make

xp = get_backend("numpy")
STABLE = [design for design in DESIGNS if design != "plain"]
ROUNDING = 1e-10
SETTINGS = Stability(seeds=(0, 1, 2, 3), samples=3)
"""T = 20, width 8, 800 steps; the Jacobian at the origin has norm 2."""


@pytest.fixture(scope="module")
def found():
    return {design: growths(SETTINGS, design) for design in DESIGNS}


@pytest.mark.parametrize("design", STABLE)
def test_stable_designs_stay_within_their_bounds(found, design):
    limit = bound(SETTINGS, design)
    assert limit == {"parabolic": 1, "antisymmetric": 1, "hamiltonian": 2.2, "hamiltonian-single": 1.1}[design]
    assert found[design].max() <= limit * (1 + ROUNDING)


def test_a_plain_network_grows_by_orders_of_magnitude_more(found):
    largest = max(bound(SETTINGS, design) for design in STABLE)
    assert found["plain"].max(axis=0).min() > 100 * largest  # for every seed
    assert bound(SETTINGS, "plain") == np.inf


def test_all_designs_are_of_equal_size():
    """Width, depth, time, and the norm of the right-hand side's Jacobian at the origin."""
    for design in DESIGNS:
        for seed in (0, 5):
            layer, blocks, Y = make(SETTINGS, design, seed)
            assert (layer.depth, layer.time, Y.shape) == (800, 20.0, (3, 8))
            at = {name: block[0] for name, block in blocks.items()}
            J = jacobians(xp, layer.rhs, at, np.zeros((1, 8)))[0]
            J = J + SETTINGS.gamma * np.eye(8) if design == "antisymmetric" else J
            assert np.linalg.norm(J, 2) == pytest.approx(2.0, rel=1e-12)
            assert np.linalg.norm(Y, axis=1) == pytest.approx(np.full(3, 0.02))


def test_parabolic_steps_contract_large_perturbations_of_large_features_with_controls_that_vary():
    """The bound of 1 needs neither small features nor constant controls; finite perturbations contract too."""
    from nmdl_bench.networks.architectures import evolution

    rng = np.random.default_rng(0)
    layer = evolution(8, 200, 20.0, rhs="parabolic")
    blocks = layer.init(rng)
    blocks["K"] = blocks["K"] * np.sqrt(2 / layer.h) / np.linalg.norm(blocks["K"], 2, axis=(1, 2))[:, None, None]
    Y = 3 * rng.standard_normal((5, 8))
    assert growth(xp, layer, blocks, Y).max() <= 1 + ROUNDING
    distance = np.linalg.norm(
        states(xp, layer, blocks, Y) - states(xp, layer, blocks, Y + rng.standard_normal((5, 8))), axis=2
    )
    assert np.all(np.diff(distance, axis=0) <= ROUNDING)
    blocks["K"] = 2.5 * blocks["K"]  # steps too long for the kernels
    assert growth(xp, layer, blocks, 0.01 * Y).max() > 100


def test_what_bounds_need():
    """Too few steps or no damping: no bound, and indeed growth."""
    coarse = replace(SETTINGS, depth=40, seeds=(0, 1))
    for design in ("antisymmetric", "hamiltonian", "hamiltonian-single"):
        with pytest.raises(ConfigurationError, match=f"no bound for design '{design}': .*; raise depth"):
            bound(coarse, design)
    assert growths(coarse, "antisymmetric").max() > 10
    undamped = replace(SETTINGS, gamma=0.0, seeds=(0,))
    with pytest.raises(ConfigurationError, match="may grow at a rate of"):
        bound(undamped, "antisymmetric")
    assert growths(undamped, "antisymmetric").max() > 1.5  # forward Euler on imaginary eigenvalues
    with pytest.raises(ConfigurationError, match="h omega = 3 is more than 2"):
        bound(replace(SETTINGS, omega=120.0), "parabolic")
    with pytest.raises(UnknownNameError, match="did you mean 'parabolic'"):
        make(SETTINGS, "parabolik", 0)


@pytest.mark.parametrize("design", STABLE)
def test_stable_designs_have_their_spectra_in_the_region(design):
    layer, blocks, Y = make(SETTINGS, design, 0)
    at = {name: block[0] for name, block in blocks.items()}
    z = layer.h * np.linalg.eigvals(jacobians(xp, layer.rhs, at, Y))
    assert region(layer.integrator).amplification(z).max() <= 1 + 1e-8
    plain, blocks, Y = make(SETTINGS, "plain", 0)
    z = plain.h * np.linalg.eigvals(jacobians(xp, plain.rhs, {"K": blocks["K"][0]}, Y))
    assert region(plain.integrator).amplification(z).max() > 1.01
