"""Trust regions: subproblems against dense eigenvalues, the step's bookkeeping, Levenberg-Marquardt against MINPACK."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from residuals import (
    Bard,
    QuadraticProblem,
    ResidualProblem,
    Rosenbrock,
    Underdetermined,
)

from nmdl_bench.backends import compiled, get_backend
from nmdl_bench.contracts import SOLVERS, ConfigurationError, Stop, UnknownNameError
from nmdl_bench.optimizers import GaussNewton, LevenbergMarquardt, LevenbergMarquardtCG, NewtonGLTR, NewtonTR, curvature
from nmdl_bench.optimizers.curvature import Forcing
from nmdl_bench.optimizers.krylov import Krylov, lanczos, secular, shifted, start, step_of, within
from nmdl_bench.optimizers.levenberg_marquardt_cg import DampedGaussNewton
from nmdl_bench.optimizers.steihaug import Path, follow, walk
from nmdl_bench.optimizers.trust_region import Outcome, Region, resize
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_bad_data, check_optimizer, check_zero_gradient, numerical_backends, standins

XP = get_backend("numpy")
EXACT = Forcing.start(XP, 1e-14, 1.0, 1.5)
ALL = ("newton-tr", "newton-gltr", "levenberg-marquardt-cg")


def dense_minimiser(B: np.ndarray, g: np.ndarray, radius: float) -> np.ndarray:
    """Minimiser of ``g.p + p.B p / 2`` within ``|p| <= radius`` by bisection over the eigenvalues (More-Sorensen)."""
    w, V = np.linalg.eigh(B)
    a = V.T @ g
    if w[0] > 0 and np.linalg.norm(a / w) <= radius:
        return V @ (-a / w)
    lowest = np.abs(w - w[0]) <= 1e-12 * np.abs(w).max()
    if np.linalg.norm(a[lowest]) <= 1e-14 * np.linalg.norm(a):  # maybe the hard case
        c = np.zeros_like(a)
        c[~lowest] = -a[~lowest] / (w[~lowest] - w[0])
        if np.linalg.norm(c) <= radius:
            c[0] = np.sqrt(radius**2 - c @ c)
            return V @ c
    low, high = 0.0, np.linalg.norm(g) / radius + 2 * np.abs(w).max()
    for _ in range(200):
        mu = 0.5 * (low + high)
        low, high = (mu, high) if np.linalg.norm(a / (w - w[0] + mu)) > radius else (low, mu)
    return V @ (-a / (w - w[0] + high))


def value(B: np.ndarray, g: np.ndarray, p: np.ndarray) -> float:
    return float(g @ p + 0.5 * p @ B @ p)


def minimise(krylov: Krylov, radius: float) -> tuple[np.ndarray, float, float]:
    return step_of(XP, krylov, within(XP, krylov.T, krylov.norm, radius / krylov.unit))


def gltr(B: np.ndarray, g: np.ndarray, radius: float, forcing: Forcing = EXACT) -> tuple[Any, np.ndarray, float, float]:
    n = len(g)
    krylov, _ = lanczos(XP, lambda v: B @ v, g, start(XP, n, n, forcing), 0.0, radius)
    return krylov, *minimise(krylov, radius)


def steihaug(B: np.ndarray, g: np.ndarray, radius: float) -> tuple[Path, np.ndarray, float, float]:
    n = len(g)
    path, _ = follow(XP, lambda v: B @ v, g, Path(np.zeros((n, n)), np.zeros((n, 5)), 1.0, EXACT, 0), radius)
    return path, *walk(XP, path, radius)


def matrices() -> list[tuple[str, np.ndarray, np.ndarray, float]]:
    """Name, matrix, gradient and radius: definite, indefinite, singular, of one variable, in odd units."""
    rng, cases = np.random.default_rng(5), []
    for n in (1, 2, 5, 12):
        A = rng.standard_normal((n, n))
        for name, B in (("definite", A @ A.T + np.eye(n)), ("indefinite", A + A.T), ("negative", -A @ A.T - np.eye(n))):
            for radius in (1e-2, 1.0, 1e2):
                cases.append((f"{name}-{n}-{radius:g}", B, rng.standard_normal(n), radius))
    A = rng.standard_normal((3, 6))
    cases.append(("singular", A.T @ A, A.T @ np.ones(3), 0.3))
    cases += [(f"scaled-{s:g}", s * cases[-2][1], s * cases[-2][2], 1.0) for s in (1e-100, 1e100)]
    return cases


CASES = matrices()


@pytest.mark.parametrize(("name", "B", "g", "radius"), CASES, ids=[case[0] for case in CASES])
def test_gltr_minimises_within_the_region(name: str, B: np.ndarray, g: np.ndarray, radius: float) -> None:
    best = value(B, g, dense_minimiser(B, g, radius))
    krylov, p, predicted, length = gltr(B, g, radius)
    assert value(B, g, p) == pytest.approx(best, rel=1e-9)
    assert predicted == pytest.approx(-best, rel=1e-9)
    assert length == pytest.approx(np.linalg.norm(p), rel=1e-12)
    assert length <= radius * (1 + 1e-12)
    for smaller in (radius / 3, radius / 50):
        p, predicted, length = minimise(krylov, smaller)
        best = value(B, g, dense_minimiser(B, g, smaller))
        # a space that was large enough for the larger radius is for the smaller one
        assert value(B, g, p) == pytest.approx(best, rel=1e-9)
        assert length <= smaller * (1 + 1e-12)


@pytest.mark.parametrize(("name", "B", "g", "radius"), CASES, ids=[case[0] for case in CASES])
def test_steihaugs_path_within_smaller_radii_is_the_path_made_for_them(
    name: str, B: np.ndarray, g: np.ndarray, radius: float
) -> None:
    path, p, predicted, length = steihaug(B, g, radius)
    assert predicted == pytest.approx(-value(B, g, p), rel=1e-9)
    assert length <= radius * (1 + 1e-9)
    w = np.linalg.eigvalsh(B)
    newton = -np.linalg.lstsq(B, g, rcond=1e-10)[0]
    if w[0] > -1e-12 * abs(w[-1]) and np.linalg.norm(newton) < radius:
        np.testing.assert_allclose(p, newton, rtol=1e-7, atol=1e-9 * np.abs(newton).max())
    for smaller in (radius / 3, radius / 50):
        _, expected, *_ = steihaug(B, g, smaller)
        p, predicted, length = walk(XP, path, smaller)
        np.testing.assert_allclose(p, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
        # half of the best decrease at least, where the matrix is definite (Yuan 2000)
        if w[0] > 0:
            assert predicted >= -0.5 * value(B, g, dense_minimiser(B, g, smaller)) * (1 - 1e-12)


def test_the_hard_case_ends_on_the_edge_along_the_lowest_eigenvector() -> None:
    w, a = np.array([-2.0, 1.0, 3.0]), np.array([0.0, 1.0, -1.0])
    for lowest in (0.0, 1e-14, 1e-300, -1e-18):
        c = secular(XP, w, a + np.array([lowest, 0, 0]), 2.0)
        np.testing.assert_allclose(c[1:], [-1 / 3, 1 / 5], rtol=1e-9)
        assert abs(c[0]) == pytest.approx(np.sqrt(4 - 1 / 9 - 1 / 25), rel=1e-9)
    # on the Krylov space of such a gradient the lowest eigenvector is not seen
    _, p, predicted, _ = gltr(np.diag(w), a, 2.0)
    inside = dense_minimiser(np.diag(w[1:]), a[1:], 2.0)
    np.testing.assert_allclose(p, [0, *inside], atol=1e-12)
    assert predicted == pytest.approx(-value(np.diag(w[1:]), a[1:], inside), rel=1e-12)


def test_a_nearly_hard_case_is_found() -> None:
    B, g = np.diag([-2.0, 1.0, 3.0, 4.0]), np.array([1e-7, 1.0, -1.0, 0.5])
    _, p, _, length = gltr(B, g, 3.0)
    assert value(B, g, p) == pytest.approx(value(B, g, dense_minimiser(B, g, 3.0)), rel=1e-9)
    assert length == pytest.approx(3.0, rel=1e-9)


def test_gltr_stops_where_its_tolerance_is_met_and_no_later() -> None:
    rng = np.random.default_rng(2)
    A = rng.standard_normal((60, 60))
    B, g = A + A.T, rng.standard_normal(60)
    for eta in (0.3, 0.03):
        forcing = Forcing.start(XP, eta, 1.0, 1.5)
        krylov, j = lanczos(XP, lambda v: B @ v, g, start(XP, 60, 60, forcing), 0.0, 0.7)
        p, *_ = minimise(krylov, 0.7)
        lam = -float(p @ (B @ p + g)) / float(p @ p)
        assert np.linalg.norm(B @ p + lam * p + g) <= eta * np.linalg.norm(g) * (1 + 1e-6)
        assert 2 < j < 40
        np.testing.assert_allclose(krylov.Q[:j] @ krylov.Q[:j].T, np.eye(j), atol=1e-12)


@pytest.mark.parametrize("radius", [None, 1e3])
def test_the_basis_stays_orthogonal_in_badly_conditioned_problems(radius: float | None) -> None:
    rng = np.random.default_rng(0)
    V = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    B, g = (V * np.logspace(-10, 0, 60)) @ V.T, rng.standard_normal(60)
    krylov, j = lanczos(XP, lambda v: B @ v, g, start(XP, 60, 60, Forcing.start(XP, 1e-8, 1.0, 1.5)), 0.0, radius)
    assert j > 20
    np.testing.assert_allclose(krylov.Q[:j] @ krylov.Q[:j].T, np.eye(j), atol=1e-12)
    assert np.linalg.eigvalsh(krylov.T)[0] > 0


def test_a_damped_step_solves_the_shifted_system_for_every_shift() -> None:
    rng = np.random.default_rng(3)
    A = rng.standard_normal((4, 7))
    G, g = A.T @ A, A.T @ np.ones(4)
    krylov, j = lanczos(XP, lambda v: G @ v, g, start(XP, 7, 7, EXACT), 0.1)
    assert j <= 5  # G has rank 4
    for lam in (0.1, 10.0, 1e3):
        p, predicted, _ = step_of(XP, krylov, shifted(XP, krylov.T, krylov.norm, lam))
        np.testing.assert_allclose(p, -np.linalg.solve(G + lam * np.eye(7), g), rtol=1e-8, atol=1e-12)
        assert predicted == pytest.approx(-value(G, g, p), rel=1e-9)


# ------------------------------------------------------------------------------------------------------- the step
def test_the_radius_after_a_trial() -> None:
    region = Region.start(XP, 8.0, 20.0, 0.1)

    def after(ratio: float, actual: float, length: float, slope: float = -2.0) -> float:
        return resize(XP, region, Outcome(ratio, actual, slope, length)).radius

    assert after(0.5, 1.0, 8.0) == 8.0
    assert after(0.9, 1.0, 8.0) == 16.0
    assert after(0.9, 1.0, 15.0) == 20.0  # the limit
    assert after(0.9, 1.0, 1.0) == 8.0  # a short step says nothing against the radius
    assert after(0.2, 1.0, 8.0) == 4.0
    assert after(-1.0, -2.0, 6.0) == pytest.approx(6.0 * 0.25)  # the parabola's minimiser
    assert after(-1e3, -2e3, 6.0) == pytest.approx(0.6)
    assert after(np.nan, np.nan, 6.0) == pytest.approx(0.6)
    assert after(-np.inf, -np.inf, 8.0) == pytest.approx(0.8)


def test_nielsens_rule() -> None:
    model, region = DampedGaussNewton(5, None), Region.start(XP, 2.0, np.inf, 1e-4)

    def after(region: Region, ratio: float) -> tuple[float, float]:
        new = model.resize(XP, region, Outcome(ratio, 0.0, 0.0, 1.0))
        return new.radius, new.growth

    assert after(region, 1.0) == (pytest.approx(6.0), 2.0)
    assert after(region, 0.5) == (pytest.approx(2.0), 2.0)
    assert after(region, -1.0) == (pytest.approx(1.0), 4.0)
    assert after(region._replace(growth=4.0), np.nan) == (pytest.approx(0.5), 8.0)
    assert after(region._replace(growth=8.0), 0.75) == (pytest.approx(2.0 / (1 - 0.125)), 2.0)


def test_damping_stays_above_the_rounding_errors_of_the_matrix() -> None:
    """With one product a step, a linear problem takes any number of good steps."""
    optimizer, w = LevenbergMarquardtCG(max_cg=1), np.array([1.0, 3.0, 100.0])
    problem = QuadraticProblem(np.diag(w), np.zeros(3), 1e6 * np.ones(3))
    objective = problem.bind(XP)
    state = optimizer.init(objective, objective.x0)
    for _ in range(120):
        state = optimizer.step(objective, state)
    assert state.k > 100
    assert 1e10 < state.region.radius <= 1 / XP.eps


@pytest.mark.parametrize("name", [*ALL, "levenberg-marquardt"])
def test_a_rejected_trial_costs_one_forward_and_an_accepted_one_also_a_gradient(name: str) -> None:
    objective = ResidualProblem(Rosenbrock, 10.0).bind(XP)
    optimizer: Any = SOLVERS.make(name)
    state, seen = optimizer.init(objective, objective.x0), set()
    for _ in range(25):
        before = state
        x, radius = before.x.copy(), before.region.radius
        state = optimizer.step(objective, state)
        cost = [new - old for new, old in zip(state.counts, before.counts)]
        accepted = state.k - before.k
        seen.add(accepted)
        assert cost[:2] == [1, accepted]
        if not accepted:
            assert cost[2:] == [0, 0, 0]
            assert state.region.radius < radius
            np.testing.assert_array_equal(state.x, x)
        else:
            assert state.f < before.f
    assert seen == {0, 1}


@pytest.mark.parametrize("name", ALL)
def test_indefinite_hessians_lead_to_a_minimum(name: str) -> None:
    """From beside a saddle; with its positive semidefinite Gauss-Newton matrix the damped method goes there, too."""
    rng = np.random.default_rng(4)
    Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    w = np.array([-3.0, -1.0, 0.0, 1.0, 10.0, 100.0])
    problem = QuadraticProblem((Q * w) @ Q.T, 1e-3 * Q[:, 0], 1e-3 * rng.standard_normal(6), quartic=True)
    result = solve(problem, SOLVERS.make(name), XP, Stop(max_iterations=200, gtol=1e-10))
    if name == "levenberg-marquardt-cg":  # the matrix that the problem calls Gauss-Newton is not semidefinite
        assert result.status in ("converged", "stalled", "max_iterations")
        return
    assert result.status == "converged"
    H = problem.A + (result.x @ result.x) * np.eye(6) + 2 * np.outer(result.x, result.x)
    assert np.linalg.eigvalsh(H)[0] > 0
    assert result.loss == pytest.approx(-9 / 4, abs=0.01)  # -w^2/4 for the lowest w


def test_convergence_is_superlinear() -> None:
    """At the end the gradient's norm falls with an order above 1.2: the exponent of the tolerances is 1.25."""
    for name in ("newton-tr", "newton-gltr"):
        problem = QuadraticProblem(np.diag(np.logspace(0, 3, 30)), np.ones(30), 3 * np.ones(30), quartic=True)
        result = solve(problem, SOLVERS.make(name), XP, Stop(gtol=1e-13))
        g = result.history[:, 5]
        last = g[g > 1e-12][-3:]
        order = np.log(last[2] / last[1]) / np.log(last[1] / last[0])
        assert result.status == "converged"
        assert order > 1.2, (name, g)


class Cliff(QuadraticProblem):
    """A quadratic that is NaN beyond ``|x|^2 = 4`` and steps of length 10 from the start."""

    def bind(self, xp: Any) -> Any:
        objective = super().bind(xp)
        forward = type(objective).forward

        class WithCliff(type(objective)):  # type: ignore[misc]
            def forward(self, x: Any, batch: Any = None) -> Any:
                f, tape = forward(self, x)
                return self.xp.s.where(self.xp.dot(x, x) < 4.0, f, self.xp.s.const(float("nan"))), tape

        return WithCliff(objective.xp, objective.arrays, objective.x0, objective.quartic)


@pytest.mark.parametrize("name", ALL)
def test_trials_that_are_no_number_are_rejected(name: str) -> None:
    problem = Cliff(1e-3 * np.eye(3), np.array([1e-2, 0.0, 0.0]), np.zeros(3))  # the minimiser is at -10
    optimizer = SOLVERS.make(name, **({} if name.startswith("lev") else {"radius": 100.0}))
    found = check_optimizer(optimizer, problem, [XP], steps=12)
    assert np.all(np.isfinite(found.f))
    assert found.f[-1] < found.f[0]
    assert found.counts[1, 0] == 0  # the first one was


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*ALL, "levenberg-marquardt"])
def test_bad_data_and_vanishing_gradients(name: str) -> None:
    some = [XP, get_backend("torch"), standins()[2]]

    class BadBard(Bard):
        data = (np.nan,) * 15

    class Solved(Rosenbrock):
        start = (1.0, 1.0)

    check_bad_data(SOLVERS.make(name), ResidualProblem(BadBard), some)
    check_zero_gradient(SOLVERS.make(name), ResidualProblem(Solved), some)
    assert solve(ResidualProblem(Solved), SOLVERS.make(name), XP).status == "converged"
    flat = QuadraticProblem(np.zeros((2, 2)), np.zeros(2), np.ones(2))
    if name != "levenberg-marquardt":
        check_zero_gradient(SOLVERS.make(name), flat, some)


def test_first_steps_are_the_same_everywhere() -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 5))
    quartic = QuadraticProblem(A + A.T, rng.standard_normal(5), rng.standard_normal(5), quartic=True)
    backends = numerical_backends()
    for name in ALL:
        found = check_optimizer(SOLVERS.make(name), quartic, backends, steps=10)
        assert found.counts[-1, 0] >= 4
    # converged, after which rounding errors decide whether a step is still better
    found = check_optimizer(LevenbergMarquardt(), ResidualProblem(Bard), backends, steps=7)
    assert found.f[-1] == pytest.approx(Bard.minimum, rel=1e-9)
    check_optimizer(LevenbergMarquardt(), ResidualProblem(Rosenbrock, 10.0), [XP, *standins()], steps=20)


def test_fewer_residuals_than_unknowns() -> None:
    for name in ("levenberg-marquardt", "levenberg-marquardt-cg", "gauss-newton"):
        result = solve(ResidualProblem(Underdetermined), SOLVERS.make(name), XP, Stop(gtol=1e-12))
        assert (result.status, result.loss < 1e-20) == ("converged", True), name


def test_dense_steps_are_traced_once_for_all_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs residuals; other methods' traces are counted with the listed problems."""
    problem, stop, traces = ResidualProblem(Rosenbrock), Stop(max_iterations=3), 0
    for kind, numbers in ((LevenbergMarquardt, {"factor": 0.1, "accept": 0.2}), (GaussNewton, {"c1": 0.45})):
        step, traces = kind.step, 0

        def counted(*args: Any, step: Any = step) -> Any:
            nonlocal traces
            traces += 1
            return step(*args)

        monkeypatch.setattr(kind, "step", counted)
        monkeypatch.setattr(compiled, "_COMPILED", {})  # other tests may have compiled the same
        plain, other = (solve(problem, kind(**some), get_backend("jax"), stop) for some in ({}, numbers))
        assert traces == 1
        assert plain.loss != other.loss


# ----------------------------------------------------------------------------------------------------------- options
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NewtonTR(radius=0.0), "0 < radius"),
        (lambda: NewtonGLTR(accept=0.5), "accept must lie in"),
        (lambda: NewtonTR(max_cg=0), "max_cg must be at least 1, not 0"),
        (lambda: NewtonTR(eta_max=1.0), "eta_max must lie in"),
        (lambda: LevenbergMarquardtCG(damping=0.0), "damping must be positive"),
    ],
)
def test_options_that_cannot_work(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_the_basis_is_made_orthogonal_where_that_is_asked_for_or_cheap(monkeypatch: Any) -> None:
    rng, radius = np.random.default_rng(0), 0.3
    B, g = np.diag(np.logspace(-6, 6, 60)), rng.standard_normal(60)
    steps, off = {}, {}
    for asked, largest in ((True, 0), (False, 2**22), (None, 3600), (None, 3599)):
        monkeypatch.setattr(curvature, "ORTHOGONAL", largest)
        krylov, j = lanczos(XP, lambda v: B @ v, g, start(XP, 60, 60, EXACT), 0.0, radius, asked)
        Q = krylov.Q[:j]
        off[asked, largest], steps[asked, largest] = np.abs(Q @ Q.T - np.eye(j)).max(), minimise(krylov, radius)[:2]
    assert max(off[True, 0], off[None, 3600]) < 1e-14 < 1e-3 < min(off[False, 2**22], off[None, 3599])
    for _, predicted in steps.values():
        assert predicted == pytest.approx(steps[True, 0][1], rel=1e-6)


def test_a_basis_that_is_not_made_orthogonal_takes_rows_of_the_last_one_for_memory_alone() -> None:
    rng = np.random.default_rng(1)
    A = rng.standard_normal((12, 12))
    B, g, rows = A @ A.T + np.eye(12), rng.standard_normal(12), rng.standard_normal((12, 12))
    for xp in numerical_backends():
        matrix, s = xp.asarray(B), xp.s
        old = start(xp, 12, 12, Forcing.start(xp, 0.3, 1.0, 1.5))._replace(Q=xp.asarray(rows))
        krylov, j = lanczos(xp, lambda v, B=matrix: B @ v, xp.asarray(g), old, s.const(0.0), s.const(1e3), False)
        assert 0 < int(j) < 12
        h = within(xp, krylov.T, krylov.norm, s.div(s.const(1e3), krylov.unit))
        p = xp.to_numpy(step_of(xp, krylov, h)[0])
        assert np.linalg.norm(B @ p + g) <= 0.3 * np.linalg.norm(g)


def test_the_matrix_decides_what_a_problem_has_to_provide() -> None:
    assert (NewtonTR().needs, NewtonTR(matrix="gauss-newton").needs) == ((), ("gauss-newton",))
    with pytest.raises(UnknownNameError, match="did you mean 'hessian'"):
        NewtonGLTR(matrix="hesian")
    result = solve(ResidualProblem(Bard), NewtonGLTR(matrix="gauss-newton"), XP, Stop(gtol=1e-10))
    assert result.status == "converged"
    assert result.counts.hessian == 0
    assert result.counts.jvp == result.counts.vjp > 0
    assert result.loss == pytest.approx(Bard.minimum, rel=1e-9)
