"""The optimizers on hardware."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optimizer_cases import OPTIMIZERS, make, small_for

from nmdl_bench import minimize
from nmdl_bench.backends import get_backend
from nmdl_bench.testing import check_bad_data, check_optimizer, check_zero_gradient

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_first_steps_equal_those_of_numpy(cuda: str, name: str) -> None:
    check_optimizer(make(name), small_for(name).plain(), [get_backend("numpy"), get_backend(cuda)])


@pytest.mark.parametrize("name", ["lbfgs", "levenberg-marquardt", "newton-gltr", "fista"])
def test_bad_data_and_zero_gradients(cuda: str, name: str) -> None:
    xp = get_backend(cuda)
    check_bad_data(make(name), small_for(name).bad(np.nan), [xp])
    check_zero_gradient(make(name), small_for(name).stationary(), [xp])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_first_steps_in_float32(cuda: str, name: str) -> None:
    backends = [get_backend("numpy", "float32"), get_backend(cuda, "float32")]
    check_optimizer(make(name), small_for(name).plain(), backends, steps=5, tolerance=1e-3)


def test_functions_of_the_user(cuda: str) -> None:
    def rosenbrock(xp: Any, x: Any) -> Any:
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    found = minimize(rosenbrock, np.array([-1.2, 1.0]), method="lbfgs", backend=cuda)
    np.testing.assert_allclose(found.x, [1.0, 1.0], rtol=1e-5)
