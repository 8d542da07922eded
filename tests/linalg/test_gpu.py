"""The linear algebra on hardware: the checks of the other files of this folder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import test_decompositions as decompositions
import test_methods as methods
from systems import general

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.linalg import hybrid_lsqr

pytestmark = pytest.mark.gpu


@pytest.fixture
def xp(cuda: str) -> Backend:
    return get_backend(cuda)


@pytest.mark.parametrize("name", methods.ALL)
def test_methods(xp: Backend, name: str) -> None:
    methods.test_backends_agree(name, xp)


@pytest.mark.parametrize(
    "check",
    [
        decompositions.test_lanczos_tridiagonalises,
        decompositions.test_golub_kahan_bidiagonalises,
        decompositions.test_the_randomised_svd_is_the_same_everywhere,
        decompositions.test_solutions_by_singular_values,
    ],
    ids=lambda check: check.__name__,
)
def test_decompositions(xp: Backend, check: Callable[[Backend], None]) -> None:
    check(xp)


def test_hybrid_lsqr(xp: Backend) -> None:
    A, b = general(20, 12, 1e3), np.random.default_rng(1).standard_normal(20)

    def regularised(library: Backend) -> tuple[np.ndarray, float]:
        with library.scope():

            def solve(A, b):
                found, alpha = hybrid_lsqr(library, lambda v: A @ v, lambda w: A.T @ w, b, max_iterations=8, tol=0.0)
                return found.x, alpha

            x, alpha = library.compile(solve)(library.asarray(A), library.asarray(b))
            return library.to_numpy(x), float(alpha)

    (x, alpha), (expected, alpha_numpy) = regularised(xp), regularised(get_backend("numpy"))
    assert alpha == pytest.approx(alpha_numpy, rel=1e-6)
    np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-9)
