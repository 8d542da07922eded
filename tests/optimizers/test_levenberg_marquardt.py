"""Levenberg-Marquardt: its shift, and its steps beside MINPACK's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from residuals import Bard, Meyer, PowellSingular, ResidualProblem, Rosenbrock
from scipy.optimize import least_squares

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, Stop, UnknownNameError
from nmdl_bench.optimizers import LevenbergMarquardt
from nmdl_bench.optimizers.levenberg_marquardt import damped_step
from nmdl_bench.solve import solve
from nmdl_bench.testing import trajectory

XP = get_backend("numpy")
MINPACK = LevenbergMarquardt("jacobian", factor=100.0)


@pytest.mark.parametrize("rank", [4, 2, 1])
def test_the_shift_brings_the_step_to_the_radius(rank: int) -> None:
    rng = np.random.default_rng(rank)
    J = rng.standard_normal((7, rank)) @ rng.standard_normal((rank, 4))
    Q, R = np.linalg.qr(J)
    r, D = rng.standard_normal(7), np.linalg.norm(J, axis=0)
    b = Q.T @ r
    for radius in (1e-3, 0.1, 1e3):
        for guess in (0.0, 1e-8, 1e4):
            lam, p, length = damped_step(XP, R, b, D, guess, radius)
            assert length == pytest.approx(np.linalg.norm(D * p))
            assert length <= 1.1 * radius * (1 + 1e-12)
            shifted = J.T @ J + lam * np.diag(D * D)
            np.testing.assert_allclose(shifted @ p, -J.T @ r, rtol=1e-6, atol=1e-8)
            assert lam == 0 or length >= 0.9 * radius or rank < 4
            if radius == 1e3:  # what is long enough minimises the linearised residual
                best = np.linalg.norm(r - J @ np.linalg.lstsq(J, r)[0])
                assert np.linalg.norm(J @ p + r) == pytest.approx(best, rel=1e-6)


MINPACKS = [(F, s) for F in (Rosenbrock, PowellSingular, Bard, Meyer) for s in (1.0, 10.0)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("functions", "scale"), MINPACKS, ids=[f"{F.__name__}-{s:g}" for F, s in MINPACKS])
def test_levenberg_marquardt_goes_where_minpacks_goes(functions: Any, scale: float) -> None:
    problem = ResidualProblem(functions, scale)
    objective = problem.bind(XP)
    theirs = least_squares(
        lambda x: functions.residual(XP, x, objective.arrays),
        objective.x0,
        lambda x: functions.jacobian(XP, x, objective.arrays),
        method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=4000,
    )  # fmt: skip
    result = solve(problem, MINPACK, XP, Stop(max_iterations=4000, max_evaluations=4000, gtol=0.0))
    assert result.loss == pytest.approx(theirs.cost, rel=1e-6, abs=1e-16)


def test_evaluations_of_levenberg_marquardt_are_about_minpacks() -> None:
    """To the same value; MINPACK needs 21, 16 and 126."""
    for functions, most in ((Rosenbrock, 23), (Bard, 10), (Meyer, 130)):
        level = functions.minimum + 1e-8 * max(functions.minimum, 1e-8)
        stop = Stop(max_iterations=200, gtol=0.0)
        history = solve(ResidualProblem(functions), MINPACK, XP, stop).history
        assert history[history[:, 4] <= level][0, 1] <= most


def test_scaled_by_the_jacobian_steps_do_not_depend_on_units() -> None:
    units = np.array([1e3, 1.0, 1e-4])

    class InUnits(Bard):
        start = tuple(Bard.start * units)

        @staticmethod
        def residual(xp: Any, x: Any, arrays: Any) -> Any:
            return Bard.residual(xp, x / units, arrays)

        @staticmethod
        def jacobian(xp: Any, x: Any, arrays: Any) -> Any:
            return Bard.jacobian(xp, x / units, arrays) / units

    near = replace(MINPACK, factor=0.01)
    for solver, alike in ((MINPACK, True), (near, True), (replace(near, scaling="none"), False)):
        plain, scaled = (trajectory(solver, ResidualProblem(F), XP, 6) for F in (Bard, InUnits))
        assert np.allclose(scaled.x / units, plain.x, rtol=1e-6) == alike, solver


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"factor": 0.0}, ConfigurationError, "factor must be positive"),
        ({"accept": -1.0}, ConfigurationError, "accept must lie in"),
        ({"scaling": "jacobi"}, UnknownNameError, "unknown scaling 'jacobi'; did you mean 'jacobian'"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LevenbergMarquardt(**options)
