"""The 35 test functions: derivatives, published minima, known minima polished anew, starts, and where points end."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from benchmarks.mgh_minima import FLAT, INFINITY, Extended, polish
from nmdl_bench.backends import get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import ConfigurationError, Stop, UnknownNameError
from nmdl_bench.problems.mgh import FUNCTIONS, TestProblem, classify, get_function, known_minima, sum_of_squares
from nmdl_bench.problems.mgh.minima import MINIMA
from nmdl_bench.problems.mgh.numbers import Doubles
from nmdl_bench.solve import solve
from nmdl_bench.testing import check_objective, standins

NUMPY, TORCH, JAX = (get_backend(name) for name in ("numpy", "torch", "jax"))

# as the paper prints them: F for (n, m), and local minima
PUBLISHED: list[tuple[str, tuple[int, int], list[float]]] = [
    ("rosenbrock", (2, 2), [0]),
    ("freudenstein-roth", (2, 2), [0, 48.9842]),
    ("powell-badly-scaled", (2, 2), [0]),
    ("brown-badly-scaled", (2, 3), [0]),
    ("beale", (2, 3), [0]),
    ("jennrich-sampson", (2, 10), [124.362]),
    ("helical-valley", (3, 3), [0]),
    ("bard", (3, 15), [8.21487e-3, 17.4286]),
    ("gaussian", (3, 15), [1.12793e-8]),
    ("meyer", (3, 16), [87.9458]),
    ("gulf", (3, 99), [0]),
    ("box", (3, 10), [0]),
    ("powell-singular", (4, 4), [0]),
    ("wood", (4, 6), [0]),
    ("kowalik-osborne", (4, 11), [3.07505e-4, 1.02734e-3]),
    ("brown-dennis", (4, 20), [85822.2]),
    ("osborne-1", (5, 33), [5.46489e-5]),
    ("biggs-exp6", (6, 13), [0, 5.65565e-3]),
    ("osborne-2", (11, 65), [4.01377e-2]),
    ("watson", (6, 31), [2.28767e-3]),
    ("watson", (9, 31), [1.39976e-6]),
    ("watson", (12, 31), [4.72238e-10]),
    ("extended-rosenbrock", (10, 10), [0]),
    ("extended-powell", (12, 12), [0]),
    ("penalty-1", (4, 5), [2.24997e-5]),
    ("penalty-1", (10, 11), [7.08765e-5]),
    ("penalty-2", (4, 8), [9.37629e-6]),
    ("penalty-2", (10, 20), [2.93660e-4]),
    ("variably-dimensioned", (10, 12), [0]),
    ("trigonometric", (10, 10), [0]),
    ("brown-almost-linear", (10, 10), [0, 1]),
    ("discrete-boundary-value", (10, 10), [0]),
    ("discrete-integral-equation", (10, 10), [0]),
    ("broyden-tridiagonal", (10, 10), [0]),
    ("broyden-banded", (10, 10), [0]),
    ("linear-full-rank", (5, 10), [5]),
    ("linear-rank-1", (5, 10), [10 * 9 / (2 * 21)]),
    ("linear-rank-1-zeros", (5, 10), [(100 + 30 - 6) / (2 * 17)]),
    ("chebyquad", (8, 8), [3.51687e-3]),
    ("chebyquad", (9, 9), [0]),
    ("chebyquad", (10, 10), [6.50395e-3]),
]


def test_the_list_is_the_papers() -> None:
    assert [function.number for function in FUNCTIONS.values()] == list(range(1, 36))
    assert {name for name, *_ in PUBLISHED} == set(FUNCTIONS)


def near(function: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Any, ...]]:
    """A point near the start, two directions, and the data."""
    n, m = function.sizes()
    rng = np.random.default_rng(function.number)
    x = np.array(function.x0(n)) * (1 + 0.1 * rng.standard_normal(n)) + 0.01 * rng.standard_normal(n)
    return x, rng.standard_normal(n), rng.standard_normal(m), function.data(Doubles(), n, m)


def off(a: Any, b: Any) -> float:
    a, b = np.asarray(a), np.asarray(b)
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-10))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_by_torch_and_by_differences(name: str) -> None:
    function = FUNCTIONS[name]
    x, p, w, data = near(function)
    J, D = function.jacobian(NUMPY, x, *data), function.second(NUMPY, x, p, *data)
    assert function.residual(NUMPY, x, *data).shape == w.shape
    assert J.shape == D.shape == (len(w), len(x))
    with TORCH.scope():
        moved = tuple(map(TORCH.asarray, data))

        def r(xp: Any, x: Any) -> Any:
            return function.residual(xp, x, *moved)

        X, P, W = map(TORCH.asarray, (x, p, w))
        assert off(TORCH.to_numpy(r(TORCH, X)), function.residual(NUMPY, x, *data)) < 1e-13
        assert off(J, TORCH.to_numpy(TORCH.jacobian(r, X))) < 1e-13
        curved = TORCH.jvp(lambda xp, x: xp.vjp(r, x, W), X, P)
        assert off(D.T @ w, TORCH.to_numpy(curved)) < 1e-12

    def on_host(xp: Any, x: Any) -> Any:
        return function.residual(xp, x, *data)

    assert off(J, NUMPY.jacobian(on_host, x)) < 1e-5
    assert (
        off(D, NUMPY.jvp(lambda xp, x: xp.reshape(function.jacobian(xp, x, *data), (-1,)), x, p).reshape(D.shape))
        < 1e-5
    )


BY_JAX = ("helical-valley", "gulf", "brown-almost-linear", "chebyquad")


@pytest.mark.parametrize(
    "name", [name if name in BY_JAX else pytest.param(name, marks=pytest.mark.slow) for name in FUNCTIONS]
)
def test_objectives_by_jax(name: str) -> None:
    """Gradient and Hessian product by JAX's automatic differentiation of the value; Taylor remainders; symmetry."""
    x = near(FUNCTIONS[name])[0]
    check_objective(TestProblem(name).bind(NUMPY), x, autodiff=["jax"], taylor=False, tolerance=1e-9)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_objectives_on_stand_ins(name: str) -> None:
    """What backends find faults in: unequal libraries, donated arguments, scalars, devices."""
    x = near(FUNCTIONS[name])[0]
    v = np.linspace(-1, 1, len(x))
    found = []
    for xp in (NUMPY, TORCH, *standins()):
        with xp.scope():
            objective = TestProblem(name).bind(xp)
            f, tape = objective.forward(xp.asarray(x))
            V = xp.asarray(v)
            parts = (objective.grad(tape), objective.hessian(tape, V), objective.gauss_newton(tape, V))
            found.append(np.concatenate([[float(f)], *map(xp.to_numpy, parts)]))
    for other in found[1:]:
        assert off(other, found[0]) < 1e-13


# ------------------------------------------------------------------------------------------------------- minima
@pytest.mark.parametrize(("name", "sizes", "values"), PUBLISHED)
def test_minima_are_the_published_ones(name: str, sizes: tuple[int, int], values: list[float]) -> None:
    known = known_minima(FUNCTIONS[name], *sizes)
    assert known[0].kind == "global"
    # six digits, some cut off, some rounded
    assert all(any(abs(minimum.F - value) <= 1e-5 * value for minimum in known) for value in values)
    if (name, sizes) != ("chebyquad", (10, 10)):  # there is less than the paper's value for n = 10
        assert abs(known[0].F - values[0]) <= 1e-5 * values[0]
    finite = [minimum.F for minimum in known if minimum.kind == "local"]
    assert all(value > known[0].F for value in finite)
    assert finite == sorted(finite)


@pytest.mark.parametrize("key", MINIMA)
def test_minimisers_have_their_values_in_double_precision(key: tuple[int, int, int]) -> None:
    function = next(f for f in FUNCTIONS.values() if f.number == key[0])
    for minimum in MINIMA[key]:
        if minimum.x:
            F = sum_of_squares(function, minimum.point, key[2])
            # the point is rounded: residuals of badly scaled functions are not
            assert pytest.approx(minimum.F, rel=1e-9, abs=1e-18) == F, minimum


@pytest.mark.parametrize(
    "name", ["freudenstein-roth", "bard", "meyer", "kowalik-osborne", "penalty-2", "biggs-exp6", "watson"]
)
def test_minima_polished_anew_have_their_twenty_digits(name: str) -> None:
    function = FUNCTIONS[name]
    n, m = function.sizes()
    for minimum in known_minima(function):
        if minimum.x and minimum.kind != "saddle":
            point = polish(function, n, m, minimum.point, digits=48, damped=name == "biggs-exp6")
            assert point is not None
            assert point.kind == "local"
            with mpmath.workdps(30):
                assert abs(point.F - mpmath.mpf(minimum.value)) <= mpmath.mpf(10) ** -19 * abs(point.F) + 1e-30


def test_values_at_infinity_are_approached() -> None:
    far = {"bard": [0.0, -1e9, -1.01e9], "gulf": [1e-9, 2.5, 1.0], "gaussian": [0.0, 1e9, 1e4]}
    far["bard"][0] = 12.61 / 15
    for name, x in far.items():
        assert any(
            sum_of_squares(FUNCTIONS[name], x) == pytest.approx(minimum.F, rel=1e-6)
            for minimum in known_minima(FUNCTIONS[name])
            if minimum.kind == "infinity"
        ), name
    with mpmath.workdps(30):
        for name, note, value in INFINITY:
            known = [minimum for minimum in known_minima(FUNCTIONS[name]) if minimum.note == note]
            assert abs(value(Extended()) - mpmath.mpf(known[0].value)) < 1e-19 * value(Extended()), name


def test_browns_flat_point_is_no_minimum() -> None:
    function = FUNCTIONS["brown-almost-linear"]
    assert sum_of_squares(function, FLAT.point) == 1.0
    t = 0.1
    assert 1 - sum_of_squares(function, [t] * 9 + [11 - 10 * t]) == pytest.approx(2 * 11 * t**9, rel=0.1)


# ------------------------------------------------------------------------------------------------------- starts
def test_starts_by_factor() -> None:
    assert get_function("rosenbrock").x0(2, 10.0) == [-12.0, 10.0]
    watson = get_function("watson")
    assert (watson.x0(6), watson.x0(6, 10.0), watson.x0(6, 1.0)) == ([0.0] * 6, [10.0] * 6, [0.0] * 6)
    assert get_function("helical-valley").x0(3, 100.0) == [-100.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rosenbrock", 24.2), ("freudenstein-roth", 400.5), ("wood", 19192), ("powell-singular", 215),
        ("brown-badly-scaled", 999998000003), ("brown-dennis", 7926693.34), ("helical-valley", 2500), ("watson", 30),
        ("meyer", 1.69361e9), ("bard", 41.6817), ("osborne-1", 0.879026), ("osborne-2", 2.09342),
        ("biggs-exp6", 0.77907), ("beale", 14.203125), ("gaussian", 3.88811e-6), ("box", 1031.15),
        ("kowalik-osborne", 5.31317e-3), ("chebyquad", 3.86176e-2),
    ],
)  # fmt: skip
def test_values_at_the_start(name: str, value: float) -> None:
    """Values that programs of the literature print."""
    function = FUNCTIONS[name]
    assert sum_of_squares(function, function.x0(function.n)) == pytest.approx(value, rel=2e-5)


# ------------------------------------------------------------------------------------------------------- end points
def test_where_points_end() -> None:
    bard = FUNCTIONS["bard"]
    least = known_minima(bard)[0].point
    assert classify(bard, least).words == "global minimum"
    assert classify(bard, least).solved
    assert not classify(bard, least * (1 + 1e-3)).solved
    assert classify(bard, [12.61 / 15, -1e5, -1.1e5]).words == "towards infinity, where F is 17.4287"
    assert classify(bard, [1.0, 1.0, 1.0]).words == "neither, F = 41.6817"
    froth = FUNCTIONS["freudenstein-roth"]
    end = classify(froth, [11.412778986902, -0.896805253274])
    assert (end.words, end.solved) == ("local minimum 48.9843", False)
    assert classify(FUNCTIONS["brown-almost-linear"], [0.0] * 9 + [11.0]).words == "saddle 1"
    assert math.isnan(classify(froth, [np.nan, 1.0]).F)
    assert classify(froth, [np.nan, 1.0]).minimum is None
    with pytest.raises(ConfigurationError, match="no minimum of 'penalty-1' is known for n = 7"):
        classify(FUNCTIONS["penalty-1"], [1.0] * 7)


@pytest.mark.parametrize("name", ["rosenbrock", "brown-dennis", "linear-rank-1"])
def test_metrics_say_whether_the_minimum_is_attained(name: str) -> None:
    problem = PROBLEMS.make("mgh", function=name)
    result = solve(problem, SOLVERS.make("lbfgs"), NUMPY, Stop(max_iterations=500, gtol=1e-10))
    assert result.metrics["attained"] == 1.0
    assert 2 * result.loss == pytest.approx(2 * problem.minimum + result.metrics["gap"], rel=1e-12)
    short = solve(problem, SOLVERS.make("lbfgs"), NUMPY, Stop(max_iterations=1))
    assert name == "linear-rank-1" or short.metrics["attained"] == 0.0


def test_one_compiled_step_serves_all_starts() -> None:
    first, second = (PROBLEMS.make("mgh", function="beale", factor=factor) for factor in (1.0, 0.5))
    assert first.bind(JAX).static == second.bind(JAX).static
    assert hash(first.bind(JAX).static) == hash(second.bind(JAX).static)
    assert first.bind(JAX).static != PROBLEMS.make("mgh", function="wood").bind(JAX).static


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"function": "rosenbrok"}, UnknownNameError, "did you mean 'rosenbrock'"),
        ({"function": "wood", "n": 5}, ConfigurationError, "function 'wood' has no n = 5, m = 6; take n = 4, m = 6"),
        ({"function": "extended-rosenbrock", "n": 7}, ConfigurationError, "has no n = 7"),
        ({"function": "extended-powell", "n": 2}, ConfigurationError, "has no n = 2"),
        ({"function": "watson", "n": 32}, ConfigurationError, "has no n = 32"),
        ({"function": "watson", "n": 1}, ConfigurationError, "has no n = 1"),
        ({"function": "box", "m": 2}, ConfigurationError, "has no n = 3, m = 2"),
        ({"function": "gulf", "m": 100}, ConfigurationError, "m = 100"),
        ({"function": "chebyquad", "n": 9, "m": 8}, ConfigurationError, "m = 8"),
        ({"factor": 0.0}, ConfigurationError, "factor must be finite and not 0, not 0.0"),
        ({"factor": "ten"}, ConfigurationError, "factor of problem 'mgh' must be float"),
    ],
)
def test_sizes_and_options_that_do_not_exist(options: dict, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        PROBLEMS.make("mgh", **options)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("extended-rosenbrock", (2, 2)), ("extended-powell", (4, 4)), ("watson", (2, 31)), ("watson", (31, 31)),
        ("penalty-1", (1, 2)), ("penalty-2", (2, 4)), ("variably-dimensioned", (1, 3)), ("trigonometric", (1, 1)),
        ("brown-almost-linear", (2, 2)), ("discrete-boundary-value", (1, 1)), ("discrete-integral-equation", (1, 1)),
        ("broyden-tridiagonal", (1, 1)), ("broyden-banded", (40, 40)), ("linear-full-rank", (3, 3)),
        ("linear-rank-1", (1, 1)), ("linear-rank-1-zeros", (3, 3)), ("chebyquad", (1, 1)), ("chebyquad", (3, 7)),
        ("box", (3, 3)), ("gulf", (3, 3)), ("biggs-exp6", (6, 40)),
    ],
)  # fmt: skip
def test_other_sizes(name: str, sizes: tuple[int, int]) -> None:
    n, m = sizes
    function = FUNCTIONS[name]
    problem = TestProblem(name, n=n, **({"m": m} if "m" in function.free else {}))
    objective: Any = problem.bind(NUMPY)
    f, tape = objective.forward(objective.x0)
    assert objective.jacobian(tape).shape == (m, n)
    assert f == pytest.approx(sum_of_squares(function, problem.start, m) / 2)
    v = np.ones(n)
    assert (
        off(
            objective.hessian(tape, v),
            NUMPY.jvp(lambda xp, x: objective.grad(objective.forward(x)[1]), problem.start, v),
        )
        < 1e-6
    )
