"""Integrators converge at their orders to the solution of the differential equation."""

from __future__ import annotations

import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.networks.convergence import DEPTHS, ORDERS, Error, orders, slopes


@pytest.fixture(scope="module")
def errors() -> list[Error]:
    return orders(get_backend("numpy"))


@pytest.mark.parametrize("integrator", ORDERS)
def test_errors_fall_with_the_order_of_the_method(errors: list[Error], integrator: str) -> None:
    own = [error for error in errors if error.integrator == integrator]
    assert [error.depth for error in own] == list(DEPTHS) == [8, 16, 32, 64, 128, 256]
    assert all(error.h * error.depth == pytest.approx(2.0) for error in own)
    assert slopes(own)[integrator] == pytest.approx(ORDERS[integrator], abs=0.1)
    assert slopes(own[-3:])[integrator] == pytest.approx(ORDERS[integrator], abs=0.03)


def test_a_kink_within_a_step_costs_the_order() -> None:
    """Depths that are no multiples of the controls' intervals: of the fourth order little is left."""
    found = slopes(orders(get_backend("numpy"), depths=(9, 19, 37, 75, 149)))
    assert found["rk4"] < 3.3
    assert found["euler"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("library", ["torch", pytest.param("jax", marks=pytest.mark.slow)])
def test_other_libraries_have_the_same_errors(errors: list[Error], library: str) -> None:
    found = orders(get_backend(library), depths=(8, 64))
    expected = {(e.integrator, e.depth): e.error for e in errors}
    for error in found:
        assert error.error == pytest.approx(expected[error.integrator, error.depth], rel=1e-6, abs=1e-13)
