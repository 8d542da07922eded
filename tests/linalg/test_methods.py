"""Every method: alike on all backends, right where it converges, and what it says of systems that it cannot solve."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from systems import BLOCK, HYBRID, SQUARE, TALL, general, method, symmetric

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.linalg import REASONS, cgls, gmres, history_of, landweber, lsqr, minres, pcg
from nmdl_bench.testing import checked_cupy, numerical_backends

ALL = (*SQUARE, *TALL, *BLOCK)
XP = get_backend("numpy")
BACKENDS = numerical_backends()
OPTIONS: dict[str, dict[str, Any]] = {
    "jacobi": {"weight": 0.7},
    "landweber": {"weight": 0.05},
    "gmres": {"restart": 3},
}


def system(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    if name == "gmres":
        return general(12, 12, 4.0) + 3 * np.eye(12), rng.standard_normal(12)
    if name in SQUARE:
        return symmetric(12, 5.0) + 4 * np.eye(12), rng.standard_normal(12)
    if name == "block_cg":
        return symmetric(12, 5.0), rng.standard_normal((12, 3))
    A = general(15, 11, 6.0)
    return A, rng.standard_normal((15, 2) if name in BLOCK else 15)


@lru_cache
def on_numpy(name: str) -> tuple[np.ndarray, np.ndarray, str]:
    return run(name, XP)


def run(name: str, xp: Backend) -> tuple[np.ndarray, np.ndarray, str]:
    A, b = system(name)

    def solve(A: Any, b: Any) -> Any:
        def watch(x: Any) -> Any:
            flat = xp.reshape(x, (-1,))
            return xp.dot(flat, flat)

        return method(name, xp, A, b, max_iterations=4, watch=watch, **OPTIONS.get(name, {}))

    with xp.scope():
        found = xp.compile(solve)(xp.asarray(A), xp.asarray(b))
        return xp.to_numpy(found.x), history_of(xp, found), found.reason


@pytest.mark.parametrize("xp", BACKENDS[1:], ids=lambda xp: xp.library)
@pytest.mark.parametrize("name", ALL)
def test_backends_agree(name: str, xp: Backend) -> None:
    x, history, why = run(name, xp)
    x_numpy, history_numpy, why_numpy = on_numpy(name)
    np.testing.assert_allclose(x, x_numpy, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(history, history_numpy, rtol=1e-9, atol=1e-12)
    assert (history.shape, why) == ((5, 3), why_numpy)


@pytest.mark.slow
@pytest.mark.parametrize("xp", numerical_backends("float32"), ids=lambda xp: xp.library)
@pytest.mark.parametrize("name", ALL)
def test_single_precision(name: str, xp: Backend) -> None:
    x, history, _ = run(name, xp)
    x_numpy, history_numpy, _ = on_numpy(name)
    np.testing.assert_allclose(x, x_numpy, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(history, history_numpy, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_histories_watch_the_iterates(name: str) -> None:
    x, history, _ = on_numpy(name)
    assert history[-1, 2] == pytest.approx(np.sum(x**2), rel=1e-12)
    assert np.all(np.isfinite(history[:, 0]))
    A, b = system(name)
    assert history[-1, 0] == pytest.approx(np.linalg.norm(b - A @ x), rel=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_solutions(name: str) -> None:
    A, b = system(name)
    found = method(name, XP, A, b, max_iterations=2000, **OPTIONS.get(name, {}))
    expected = np.linalg.lstsq(A, b, rcond=None)[0]
    np.testing.assert_allclose(found.x, expected, rtol=2e-7, atol=1e-8)
    assert found.reason == ("least_squares" if name in TALL or name == "block_lsqr" else "solved")
    assert found.k < 2000


@pytest.mark.parametrize("name", ALL)
def test_a_right_hand_side_of_zeros_is_solved_by_zeros(name: str) -> None:
    A, b = system(name)
    found = method(name, XP, A, 0 * b, **OPTIONS.get(name, {}))
    assert not np.any(found.x)
    assert (found.k, found.r_norm) == (0, 0)
    assert found.reason in ("solved", "least_squares")


@pytest.mark.parametrize("xp", BACKENDS[:2], ids=lambda xp: xp.library)
@pytest.mark.parametrize("where", ["b", "A"])
@pytest.mark.parametrize("name", ALL)
def test_what_is_not_finite_is_said(name: str, where: str, xp: Backend) -> None:
    A, b = system(name)
    (A if where == "A" else b)[2] = np.nan
    with xp.scope():
        found = method(name, xp, xp.asarray(A), xp.asarray(b), max_iterations=20, **OPTIONS.get(name, {}))
    assert found.reason == "not_finite"
    assert found.k <= 2


@pytest.mark.parametrize("name", [*ALL, *HYBRID])
@pytest.mark.parametrize("size", [1e-24, 1e24])
def test_squares_in_single_precision_neither_underflow_nor_overflow(name: str, size: float) -> None:
    xp = get_backend("numpy", "float32")
    A, b = system(name)
    options: dict[str, Any] = {"max_iterations": 600, "rtol": 1e-5, "watch": xp.norm_inf, **OPTIONS.get(name, {})}
    if name in BLOCK:
        options.pop("watch")
    if name in ("lsqr", "lsmr", *HYBRID):
        options.pop("rtol")
    if name in HYBRID:
        options["max_iterations"] = 8
    with xp.scope():
        tiny, plain = (method(name, xp, xp.asarray(A), xp.asarray(u * b), **options) for u in (size, 1.0))
        start = {} if name in HYBRID else {"x0": xp.asarray(tiny.x)}
        started = method(name, xp, xp.asarray(A), xp.asarray(size * b), **start, **options)
    assert np.any(plain.x)
    np.testing.assert_allclose(tiny.x / np.float32(size), plain.x, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(started.x / np.float32(size), plain.x, rtol=1e-3, atol=1e-3)
    assert tiny.r_norm == pytest.approx(size * plain.r_norm, rel=1e-2, abs=1e-5 * size)
    if name not in BLOCK:
        assert history_of(xp, tiny)[0, 0] == pytest.approx(size * np.linalg.norm(b), rel=1e-5)
        # hybrid LSQR's iterates are watched, and its solution is the best of them
        last = size * history_of(xp, plain)[-1, 2] if name in HYBRID else np.abs(tiny.x).max()
        assert history_of(xp, tiny)[-1, 2] == pytest.approx(last, rel=1e-3 if name in HYBRID else 1e-5)


@pytest.mark.parametrize("name", [*ALL, *HYBRID])
@pytest.mark.parametrize("size", [1e-200, 1e-170, 1e160, 1e200])
def test_data_beyond_the_square_root_of_the_range_change_the_unit_alone(name: str, size: float) -> None:
    A, b = system(name)
    options = {"max_iterations": 8, "watch": lambda x: np.abs(x).max(), **OPTIONS.get(name, {})}
    far, plain = (method(name, XP, A, u * b, **options) for u in (size, 1.0))
    assert (far.k, far.reason) == (plain.k, plain.reason)
    assert plain.k > 0
    np.testing.assert_allclose(far.x / size, plain.x, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(history_of(XP, far) / size, history_of(XP, plain), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["lsqr", "lsmr", "cgls"])
@pytest.mark.parametrize("size", [1e-140, 1.0, 1e140])
def test_least_squares_of_deficient_rank_give_the_shortest_solution(name: str, size: float) -> None:
    A, b = general(30, 20, 10.0), size * np.random.default_rng(1).standard_normal(30)
    A = A @ np.diag(np.arange(20) < 12).astype(float)
    found = method(name, XP, A, b, max_iterations=100)
    np.testing.assert_allclose(found.x, np.linalg.pinv(A) @ b, rtol=1e-5, atol=1e-6 * size)
    assert found.reason == "least_squares"


def test_a_compatible_system_is_solved_by_its_residual() -> None:
    A = general(30, 20, 10.0)
    found = lsqr(XP, lambda v: A @ v, lambda w: A.T @ w, A @ np.ones(20), max_iterations=100)
    assert found.reason == "solved"
    assert found.r_norm <= 1e-6


def test_limits_of_the_condition_number_stop() -> None:
    A, b = general(30, 20, 1e6), np.random.default_rng(1).standard_normal(30)
    for name in ("lsqr", "lsmr"):
        found = method(name, XP, A, b, atol=0.0, btol=0.0, conlim=1e3, max_iterations=500)
        assert found.reason == "ill_conditioned", name


def test_damping_is_tikhonovs_term() -> None:
    A, b = general(30, 20, 1e3), np.random.default_rng(1).standard_normal(30)
    tight = {"atol": 1e-12, "btol": 1e-12}
    expected = np.linalg.solve(A.T @ A + 4.0 * np.eye(20), A.T @ b)
    for name, options in (("lsqr", tight), ("lsmr", tight), ("cgls", {"rtol": 1e-10})):
        found = method(name, XP, A, b, damp=2.0, max_iterations=200, **options)
        np.testing.assert_allclose(found.x, expected, rtol=1e-6, atol=1e-8)
    found = method("lsqr", XP, A, b, damp=2.0, **tight)
    assert found.r_norm == pytest.approx(np.linalg.norm(b - A @ expected), rel=1e-6)


def test_steepest_descent_and_landweber_converge_as_the_condition_number_says() -> None:
    A, x = general(30, 20, 10.0), np.ones(20)
    watch = {"watch": lambda y: np.linalg.norm(A @ (y - x)), "max_iterations": 40, "rtol": 0.0}
    rates = {"steepest_descent_ls": 99 / 101, "landweber": 1 - 0.01 / 1}
    for name, rate in rates.items():
        options = {"weight": 1 / 100} if name == "landweber" else {}
        errors = history_of(XP, method(name, XP, A, A @ x, **watch, **options))[:, 2]
        assert np.all(errors[1:] <= rate * errors[:-1] * (1 + 1e-12)), name
    damped = np.linalg.solve(A.T @ A + 4.0 * np.eye(20), A.T @ (A @ x))
    found = method("steepest_descent_ls", XP, A, A @ x, damp=2.0, max_iterations=2000)
    np.testing.assert_allclose(found.x, damped, rtol=1e-6)


def test_indefinite_systems_break_conjugate_gradients_down_and_not_minres() -> None:
    A, b = symmetric(20, 10.0, definite=False), np.random.default_rng(1).standard_normal(20)
    found = pcg(XP, lambda v: A @ v, b, max_iterations=100)
    assert found.reason == "breakdown"
    assert np.all(np.isfinite(found.x))
    found = minres(XP, lambda v: A @ v, b, max_iterations=100)
    assert found.reason == "solved"
    np.testing.assert_allclose(A @ found.x, b, atol=1e-7)


def test_singular_symmetric_systems() -> None:
    A = symmetric(20, 10.0)
    w, Q = np.linalg.eigh(A)
    A = (Q * np.where(np.arange(20) < 5, 0, w)) @ Q.T
    b = A @ np.ones(20)
    for found in (pcg(XP, lambda v: A @ v, b), minres(XP, lambda v: A @ v, b), gmres(XP, lambda v: A @ v, b)):
        assert found.reason == "solved"
        np.testing.assert_allclose(A @ found.x, b, atol=1e-7)
    found = minres(XP, lambda v: A @ v, b + Q[:, 0], max_iterations=200)  # no solution: least squares
    assert found.reason == "least_squares"
    np.testing.assert_allclose(A @ (A @ found.x), A @ b, atol=1e-6)


@pytest.mark.parametrize("rtol", [1e-6, 1e-8, 1e-10, 1e-12, 0.0])
@pytest.mark.parametrize("start", ["zero", "x0", "M"])
def test_minres_stays_near_the_shortest_least_squares_solution(rtol: float, start: str) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        Q, w = np.linalg.qr(rng.standard_normal((40, 40)))[0], np.linspace(-1, 1, 40)
        w[::7] = 0
        A, b = (Q * w) @ Q.T, rng.standard_normal(40)
        d = np.linspace(1, 4, 40) if start == "M" else np.ones(40)
        x0 = rng.standard_normal(40) if start == "x0" else np.zeros(40)
        shortest = np.linalg.pinv(A, rcond=1e-10) @ b
        options = {"rtol": rtol, "x0": x0, "M": lambda r, d=d: d * r, "max_iterations": 200}
        found = minres(XP, lambda v, A=A: A @ v, b, **options)
        assert found.reason == "least_squares", seed
        assert np.linalg.norm(found.x) <= 5 * np.linalg.norm(shortest)
        # M's norm is the one that is least: d r lies in the null space
        r = b - A @ found.x
        assert np.linalg.norm(A @ (d * r)) <= 1e-5 * np.linalg.norm(d * r)
        if start != "M":
            assert np.linalg.norm(r) == pytest.approx(np.linalg.norm(b - A @ shortest), rel=1e-8)
        consistent = minres(XP, lambda v, A=A: A @ v, A @ b, **options)
        assert consistent.reason == "solved"
        np.testing.assert_allclose(A @ consistent.x, A @ b, atol=1e-4 if rtol == 1e-6 else 1e-6)


@pytest.mark.parametrize("rtol", [1e-10, 0.0])
def test_minres_ends_a_singular_system_of_few_eigenvalues(rtol: float) -> None:
    """The space is exhausted after few steps, and what follows is round-off."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        Q, b = np.linalg.qr(rng.standard_normal((30, 30)))[0], rng.standard_normal(30)
        A = (Q * np.repeat([1.0, -0.1, 0.0], 10)) @ Q.T
        found = minres(XP, lambda v, A=A: A @ v, b, rtol=rtol)
        assert (found.reason, found.k <= 8) == ("least_squares", True), seed
        assert np.linalg.norm(b - A @ found.x) == pytest.approx(np.linalg.norm(Q[:, 20:].T @ b), rel=1e-10)
        assert np.linalg.norm(found.x) <= 20 * np.linalg.norm(np.linalg.pinv(A, rcond=1e-10) @ b)


def test_gmres_says_where_a_singular_system_has_no_solution() -> None:
    A, b = np.diag([1.0, 2.0, 0.0]), np.array([1.0, 1.0, 1.0])
    found = gmres(XP, lambda v: A @ v, b, max_iterations=50)
    assert found.reason == "breakdown"
    assert found.r_norm == pytest.approx(1.0)
    nilpotent = np.array([[0.0, 1.0], [0.0, 0.0]])
    found = gmres(XP, lambda v: nilpotent @ v, np.array([1.0, 0.0]), max_iterations=50)
    assert found.reason in ("breakdown", "solved")
    assert np.all(np.isfinite(found.x))


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("seed", range(3))
def test_gmres_ends_with_the_least_residual_of_a_singular_system(size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    A, b = size * (Q * np.repeat([1.0, 2.0, 0.0], 10)) @ Q.T, rng.standard_normal(30)
    for x0 in (None, rng.standard_normal(30) / size):
        found = gmres(XP, lambda v, A=A: A @ v, b, x0=x0, max_iterations=50)
        assert found.reason == "breakdown"
        assert found.k <= 4
        assert np.linalg.norm(b - A @ found.x) == pytest.approx(np.linalg.norm(Q[:, 20:].T @ b), rel=1e-12)
        assert np.linalg.norm(found.x) < 20 / size


def test_landweber_begins_with_one_product() -> None:
    A, b = general(15, 11, 6.0), np.ones(15)
    products: list[int] = []

    def transposed(w: Any) -> Any:
        products.append(1)
        return A.T @ w

    found = landweber(XP, lambda v: A @ v, transposed, b, weight=0.05, max_iterations=3)
    assert len(products) == found.k + 1 == 4


def test_restarts_go_on_from_the_iterate() -> None:
    A, b = general(30, 30, 5.0) + 8 * np.eye(30), np.random.default_rng(1).standard_normal(30)
    norms = []
    for k in (5, 10, 15):
        found = gmres(XP, lambda v: A @ v, b, restart=5, rtol=0.0, max_iterations=k)
        norms.append(np.linalg.norm(b - A @ found.x))
        assert found.r_norm == pytest.approx(norms[-1], rel=1e-10)
    by_hand = np.zeros(30)
    for _ in range(3):
        by_hand = gmres(XP, lambda v: A @ v, b, restart=5, x0=by_hand, rtol=0.0, max_iterations=5).x
    np.testing.assert_allclose(found.x, by_hand, rtol=1e-10)
    assert norms[0] > norms[1] > norms[2]


def test_a_preconditioner_speeds_blocks_up() -> None:
    A = symmetric(40, 10.0) + np.diag(np.geomspace(1, 1e4, 40))
    B, d = np.random.default_rng(1).standard_normal((40, 3)), (1 / np.diag(A))[:, None]
    plain, preconditioned = (
        method("block_cg", XP, A, B, M=M, x0=np.ones((40, 3)), max_iterations=200) for M in (None, lambda R: d * R)
    )
    assert preconditioned.k < plain.k
    for found in (plain, preconditioned):
        assert found.reason == "solved"
        np.testing.assert_allclose(A @ found.x, B, atol=1e-8)


def test_blocks_need_fewer_iterations_than_single_systems() -> None:
    A, B = symmetric(60, 1e3), np.random.default_rng(1).standard_normal((60, 4))
    block = method("block_cg", XP, A, B, rtol=1e-8, max_iterations=200)
    single = [method("pcg", XP, A, B[:, i], rtol=1e-8, max_iterations=400).k for i in range(4)]
    assert block.k < min(single) / 2
    np.testing.assert_allclose(A @ block.x, B, atol=1e-6)
    A, B = general(80, 60, 1e2), np.random.default_rng(1).standard_normal((80, 4))
    block = method("block_lsqr", XP, A, B, rtol=1e-8, max_iterations=200)
    single = [method("lsqr", XP, A, B[:, i], max_iterations=400).k for i in range(4)]
    assert block.k < min(single) / 2
    np.testing.assert_allclose(block.x, np.linalg.lstsq(A, B, rcond=None)[0], atol=1e-5)


def test_one_column_of_a_block_is_the_method_for_one() -> None:
    A, b = symmetric(20, 50.0), np.random.default_rng(1).standard_normal(20)
    for k in (1, 3, 6):
        block = method("block_cg", XP, A, b[:, None], rtol=0.0, max_iterations=k)
        np.testing.assert_allclose(block.x[:, 0], method("pcg", XP, A, b, rtol=0.0, max_iterations=k).x, rtol=1e-9)
    A, b = general(30, 20, 50.0), np.random.default_rng(1).standard_normal(30)
    for k in (1, 3, 6):
        block = method("block_lsqr", XP, A, b[:, None], rtol=0.0, max_iterations=k)
        single = method("lsqr", XP, A, b, atol=0.0, btol=0.0, conlim=0.0, max_iterations=k)
        np.testing.assert_allclose(block.x[:, 0], single.x, rtol=1e-9)
        assert block.r_norm == pytest.approx(single.r_norm, rel=1e-10)
        assert block.s_norm == pytest.approx(single.s_norm, rel=1e-7)


def test_dependent_right_hand_sides() -> None:
    A, b = symmetric(20, 50.0), np.random.default_rng(1).standard_normal((20, 2))
    B = np.column_stack([b, b @ [1.0, 2.0]])
    found = method("block_cg", XP, A, B, max_iterations=100)
    assert found.reason == "solved"
    np.testing.assert_allclose(A @ found.x, B, atol=1e-7)


def test_semiconvergence_is_recorded() -> None:
    rng = np.random.default_rng(0)
    A = general(40, 40, 1e8)
    x = np.ones(40)
    b = A @ x + 1e-2 * np.linalg.norm(A @ x) / np.sqrt(40) * rng.standard_normal(40)
    found = cgls(
        XP, lambda v: A @ v, lambda w: A.T @ w, b, rtol=0.0, max_iterations=60, watch=lambda y: np.linalg.norm(y - x)
    )  # fmt: skip
    history = history_of(XP, found)
    best = int(history[:, 2].argmin())
    assert 0 < best < 59
    assert history[-1, 2] > 1.5 * history[best, 2]
    assert np.all(np.diff(history[:, 0]) <= 1e-12 * history[0, 0])  # while the residual falls throughout


def test_reasons_are_words() -> None:
    assert len(set(REASONS)) == len(REASONS)
    found = pcg(XP, lambda v: v, np.ones(3), max_iterations=0)
    assert (found.reason, found.k) == ("max_iterations", 0)
    with pytest.raises(ConfigurationError, match="must not be negative, not -1"):
        pcg(XP, lambda v: v, np.ones(3), max_iterations=-1)
    with pytest.raises(ConfigurationError, match="call the method with record=True"):
        history_of(XP, found)
    with pytest.raises(ConfigurationError, match="restart must be at least 1, not 0"):
        gmres(XP, lambda v: v, np.ones(3), restart=0)


def test_identity_operators_may_hand_back_their_argument() -> None:
    xp = next(xp for xp in BACKENDS if xp.library == "poison")
    b = xp.asarray(np.arange(1.0, 4.0))
    for name in (*SQUARE[:3], "steepest_descent", *TALL):
        options = {"weight": 1.0} if name == "landweber" else {}
        call = __import__("nmdl_bench.linalg", fromlist=[name]).__dict__[name]
        operators = (lambda v: v, lambda w: w) if name in TALL else (lambda v: v,)
        np.testing.assert_allclose(call(xp, *operators, b, **options).x, [1, 2, 3], rtol=1e-12)


def test_tolerances_are_data_and_not_text() -> None:
    xp = next(xp for xp in BACKENDS if xp.library == "jax")
    A, b = map(xp.asarray, system("lsqr"))
    traces = []

    def solve(b: Any, damp: Any, atol: Any) -> Any:
        traces.append(1)
        return lsqr(xp, lambda v: A @ v, lambda w: A.T @ w, b, damp=damp, atol=atol, max_iterations=20).x

    compiled = xp.compile(solve)
    first, second = (xp.to_numpy(compiled(b, xp.s.const(d), xp.s.const(1e-10))) for d in (0.1, 3.0))
    assert len(traces) == 1
    assert np.linalg.norm(second) < np.linalg.norm(first)


@pytest.mark.parametrize("name", ALL)
def test_the_host_waits_for_the_device_once_an_iteration(name: str) -> None:
    """To know whether to go on; once more where a restart or an indefinite block is another case."""
    xp: Any = checked_cupy()
    A, b = map(xp.asarray, system(name))
    waits = []
    for k in (1, 4):
        xp.cp.reset()
        method(name, xp, A, b, max_iterations=k, record=True, **OPTIONS.get(name, {}))
        waits.append(xp.cp.synchronisations)
    assert (waits[1] - waits[0]) / 3 <= (2 if name in ("gmres", *BLOCK) else 1)
