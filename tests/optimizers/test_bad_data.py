"""NaN, infinities, constant features, vanishing gradients: no exception, and the state or status tells."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from optimizer_cases import LEARNERS, OPTIMIZERS, make, small, small_for, with_training_data

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import Stop
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_bad_data, check_optimizer, check_zero_gradient, numerical_backends, standins

EAGER = [get_backend("numpy"), get_backend("torch"), *standins()]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy says so, too
@pytest.mark.parametrize("bad", [nan, inf, -inf])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bad_data_show_in_the_value(name: str, bad: float) -> None:
    # every sample is bad: a batch that misses them would be right to go on
    check_bad_data(make(name), small_for(name).bad(bad), EAGER)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bad_data_end_as_diverged_on_jax(name: str) -> None:
    problem, xp = small_for(name).bad(nan), get_backend("jax")
    result = solve(problem, make(name), xp, Stop(max_iterations=5, max_epochs=1))
    assert result.status == "diverged"
    np.testing.assert_array_equal(result.x, xp.to_numpy(problem.bind(xp).x0))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_moves_where_the_gradient_is_zero(name: str) -> None:
    check_zero_gradient(make(name), small_for(name).stationary(), EAGER)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_zero_gradient_has_converged(name: str) -> None:
    for xp in (get_backend("numpy"), get_backend("jax")):
        result = solve(small_for(name).stationary(), make(name), xp)
        assert (result.status, result.iterations) == ("converged", 0)


@pytest.mark.parametrize("name", LEARNERS)
def test_constant_features(name: str) -> None:
    """All samples alike, as the standardised features of a constant column are.

    Newton's methods find the minimiser in a few steps, to rounding errors of the loss's gradient over ``alpha``. It is
    not zero, for the two classes of 25 samples are not of equal size.
    """
    problem = with_training_data(small(alpha=1e-2), lambda Y: 0 * Y[:25])
    train = problem.data.train
    object.__setattr__(problem.data, "train", train._replace(C=train.C[:25], labels=train.labels[:25]))
    found = check_optimizer(make(name), problem, EAGER, steps=5)
    assert np.all(np.isfinite(found.x))


@pytest.mark.parametrize("name", LEARNERS)
def test_one_sample(name: str) -> None:
    problem = with_training_data(small(), lambda Y: Y[:1])
    train = problem.data.train
    object.__setattr__(problem.data, "train", train._replace(C=train.C[:1], labels=train.labels[:1]))
    found = check_optimizer(make(name), problem, EAGER, steps=15)
    assert found.f[-1] < found.f[1]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_steps_that_are_too_long_diverge_alike_everywhere() -> None:
    problem = small(loss="least-squares", activation="identity")
    results = [
        solve(problem, OPTIMIZERS["sgd"].make(step_size=50.0), xp, Stop(max_iterations=200))
        for xp in numerical_backends()
    ]
    assert {result.status for result in results} == {"diverged"}
    assert len({result.iterations for result in results}) == 1
    assert all(np.all(np.isfinite(result.x)) for result in results)
