"""A short run of the fuzzer, from one seed; and that it finds what it looks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import fuzz
import numpy as np
import pytest
from fuzz_problems import FAMILIES, Shape, draw_problem, draw_shape

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.catalogue import SOLVERS
from nmdl_bench.contracts import Counts, Result, Stop, Structure
from nmdl_bench.optimizers import LBFGS
from nmdl_bench.testing import numerical_backends

SEED = 20
EACH = 12
"""Cases of each solver."""


def fuzzed(library: str, cases: int, seed: int = SEED) -> None:
    _, failures = fuzz.run(library, seed, range(cases))
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_no_solver_breaks(library: str) -> None:
    fuzzed(library, EACH * len(fuzz.solvers(library)))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("library", "cases"), [("numpy", 10_000), ("torch", 10_000), ("jax", 1_000)])
def test_no_solver_breaks_in_many_cases(library: str, cases: int) -> None:
    fuzzed(library, cases, SEED + 1)


def test_cases_follow_from_seed_and_number() -> None:
    first, again = fuzz.draw(3, 5, "numpy"), fuzz.draw(3, 5, "numpy")
    assert str(first) == str(again)
    assert first is not None
    other = fuzz.draw(3, 6, "numpy")
    assert str(first) != str(other)
    results = [fuzz.check(first, get_backend("numpy")) for _ in range(2)]
    assert results[0] is not None
    assert results[1] is not None
    np.testing.assert_array_equal(results[0].x, results[1].x)


def test_every_structure_and_every_trouble_is_drawn() -> None:
    rng = np.random.Generator(np.random.Philox(0))
    problems = [draw_problem(draw_shape(rng), rng) for _ in range(400)]
    provided = {structure for problem in problems for structure in problem.provides}
    # the two others are of networks and of one affine map of features, which are no random shapes
    assert provided >= set(get_args(Structure)) - {"separable", "logistic"}
    small = [problem for problem in problems if hasattr(problem, "shape")]
    assert {problem.shape.family for problem in small} == set(FAMILIES) - {"network"}
    assert any(problem.shape.n == 1 for problem in small)
    assert any(problem.shape.m < problem.shape.n for problem in small)
    sizes = np.concatenate([np.abs(problem.data.A).ravel() for problem in small])
    assert np.nanmin(sizes[sizes > 0]) < 1e-100
    assert np.nanmax(sizes[np.isfinite(sizes)]) > 1e100
    assert np.isnan(sizes).any()
    assert np.isinf(sizes).any()
    finite = [p for p in small if p.shape.family == "quadratic" and np.all(np.isfinite(p.data.A))]
    spectra = [np.linalg.eigvalsh(p.data.A / max(np.abs(p.data.A).max(), 1e-300)) for p in finite]
    assert any(w.min() < -1e-3 and w.max() > 1e-3 for w in spectra)  # indefinite
    assert any(np.abs(w).min() < 1e-12 for w in spectra)  # singular
    with np.errstate(all="ignore"):
        assert any(p.measure(p.x0)[0] == 0.0 for p in small)  # stationary


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "network"])
def test_products_are_derivatives(family: str) -> None:
    """What the solvers are given is right: gradients, Jacobians, Hessians against differences, on each library."""
    rng = np.random.Generator(np.random.Philox(1))
    n, m = 4, 4 if family == "quadratic" else 6
    problem = _tame(Shape(family, m, n), rng)
    x, v = rng.standard_normal(n), rng.standard_normal(n)
    for xp in numerical_backends():
        with xp.scope():
            objective = problem.bind(xp)
            X, V = xp.asarray(x), xp.asarray(v)
            f, tape = objective.forward(X)

            def moved(t: float, of: Callable[[Any], Any], objective: Any = objective, xp: Any = xp) -> Any:
                return of(objective.forward(xp.asarray(x + t * v))[1])

            def slope(of: Callable[[Any], Any], moved: Any = moved, xp: Any = xp) -> np.ndarray:
                ahead, behind = (xp.to_numpy(moved(t, of)) for t in (1e-5, -1e-5))
                return (ahead - behind) / 2e-5

            g = xp.to_numpy(objective.grad(tape))
            ahead, behind = (float(objective.forward(xp.asarray(x + t * v))[0]) for t in (1e-5, -1e-5))
            assert (ahead - behind) / 2e-5 == pytest.approx(g @ v, rel=1e-6)
            assert np.abs(g).max() == pytest.approx(problem.measure(x)[0], rel=1e-12)
            np.testing.assert_allclose(xp.to_numpy(objective.hessian(tape, V)), slope(objective.grad), rtol=1e-6)
            if "residual" in problem.provides:
                r, J = objective.residual(tape), xp.to_numpy(objective.jacobian(tape))
                assert float(f) == pytest.approx(0.5 * float(xp.dot(r, r)))
                np.testing.assert_allclose(J @ v, slope(objective.residual), rtol=1e-6, atol=1e-8)
                np.testing.assert_allclose(xp.to_numpy(objective.jvp(tape, V)), J @ v, rtol=1e-12)
                np.testing.assert_allclose(xp.to_numpy(objective.gauss_newton(tape, V)), J.T @ (J @ v), rtol=1e-12)


def _tame(shape: Shape, rng: np.random.Generator) -> Any:
    """A problem of that shape without anything broken in it."""
    while True:
        problem = draw_problem(shape, rng)
        sizes = [np.abs(part) for part in problem.data[:2]]
        if all(np.all(np.isfinite(s)) and 1e-2 < s.max() < 1e2 for s in sizes) and np.abs(problem.x0).max() < 10:
            return problem


# ------------------------------------------------------------------------------------ the fuzzer finds what is wrong
@dataclass(frozen=True)
class Raises(LBFGS):
    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        raise ZeroDivisionError("division by zero")


@dataclass(frozen=True)
class Endless(LBFGS):
    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        while True:
            objective.forward(state.x)


@dataclass(frozen=True)
class Sleeps(LBFGS):
    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        while True:
            pass


@dataclass(frozen=True)
class Refuses(LBFGS):
    def init(self, objective: Any, x: Any, batch: Any = None) -> Any:
        from nmdl_bench.contracts import ConfigurationError

        raise ConfigurationError("not on Tuesdays")


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], fuzz.Case]:
    """Puts a broken solver in the place of L-BFGS, and gives a case of it."""

    def place(kind: type) -> fuzz.Case:
        entry = SOLVERS["lbfgs"]
        monkeypatch.setitem(SOLVERS._entries, "lbfgs", replace(entry, make=kind))
        problem = _tame(Shape("chain", 3, 3), np.random.Generator(np.random.Philox(2)))
        return fuzz.Case(0, 0, "lbfgs", {}, problem.shape, problem)

    return place


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Raises, "raised ZeroDivisionError: division by zero"),
        (Endless, "endless: more than 3000 calls of forward"),
        (Sleeps, "endless: more than 0.2 s"),
    ],
)
def test_a_broken_solver_is_found(put: Any, monkeypatch: pytest.MonkeyPatch, kind: type, sentence: str) -> None:
    if kind is Sleeps:
        monkeypatch.setattr(fuzz, "LIMIT", 0.2)
    with pytest.raises(fuzz.FuzzError, match=sentence):
        fuzz.check(put(kind), get_backend("numpy"))


def test_documented_errors_are_no_failures(put: Any) -> None:
    assert fuzz.check(put(Refuses), get_backend("numpy")) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"status": "converged"}, "'converged' with"),
        ({"status": "fine"}, "status 'fine'"),
        ({"x": np.array([1.0, np.nan, 0.0])}, "not finite"),
        ({"x": np.ones(3), "status": "stalled"}, "below the tolerance"),
    ],
)
def test_a_wrong_result_is_found(put: Any, monkeypatch: pytest.MonkeyPatch, changes: Any, sentence: str) -> None:
    case = put(LBFGS)

    def wrong(problem: Any, solver: Any, xp: Any, stop: Stop, seed: int) -> Result:
        evaluation = Evaluation(problem.bind(xp))
        assert evaluation.norms(xp.asarray(problem.x0))[1] > 1e-3
        return replace(Result(problem.x0, "max_iterations", "", 1, Counts(1, 1)), **changes)

    monkeypatch.setattr(fuzz, "solve", wrong)
    with pytest.raises(fuzz.FuzzError, match=sentence):
        fuzz.check(case, get_backend("numpy"))
