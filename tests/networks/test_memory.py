"""Ways to keep states for the gradient: equal results, memory that does not grow, programs that do not grow."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.data import from_arrays
from nmdl_bench.networks.architectures import evolution
from nmdl_bench.networks.evolution import Evolution
from nmdl_bench.networks.kernels import ConvKernel
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.linear_maps import GlobalAverage, Reshape
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.rhs import single
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.testing import numerical_backends
from nmdl_bench.testing.errors import host_reals

DEPTH, WIDTH, SAMPLES, IMAGE = 9, 4, 6, (2, 4, 4)
STEPS: dict[str, dict[str, Any]] = {
    "verlet": {"rhs": "hamiltonian", "integrator": "verlet"},
    "verlet, linear controls": {
        "rhs": "hamiltonian",
        "integrator": "verlet",
        "controls": "linear",
        "number": 4,
        "norm": "batch",
    },
    "symplectic Euler": {"rhs": "hamiltonian-single", "integrator": "symplectic-euler", "activation": "softplus"},
    "leapfrog": {"rhs": "parabolic", "integrator": "leapfrog", "norm": "batch"},
    "rk4, linear controls": {"rhs": "double", "integrator": "rk4", "controls": "linear", "number": 3, "norm": "batch"},
    "convolutions, verlet": {"rhs": "hamiltonian", "kernel": "conv", "integrator": "verlet", "norm": "batch"},
    "convolutions, leapfrog": {
        "rhs": "parabolic",
        "kernel": "circulant",
        "integrator": "leapfrog",
        "controls": "linear",
    },
    "convolutions, imex": {"rhs": "single", "kernel": "conv", "integrator": "imex", "norm": "tv"},
}
"""Options of the time steps; the others have their defaults."""
REVERSIBLE = [name for name in STEPS if STEPS[name]["integrator"] in ("verlet", "symplectic-euler", "leapfrog")]
SLOTS = (1, 2, 3, 8)
FAST = ("numpy", "torch", "poison")


def problem(name: str, memory: str, slots: int = 8, depth: int = DEPTH) -> LearningProblem:
    """An opening, the time steps and a classifier on six samples."""
    steps = evolution(WIDTH, depth, 0.75, memory=memory, slots=slots, **STEPS[name])
    images = "kernel" in STEPS[name]
    if images:
        opening = (Reshape((32,), IMAGE), single(ConvKernel(IMAGE[0], WIDTH, 1), outputs=WIDTH))
        network = Network((*opening, steps, GlobalAverage(), Dense(WIDTH, 3)))
    else:
        network = Network((Dense(3, WIDTH, "tanh"), steps, Dense(WIDTH, 3)))
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((SAMPLES, 32 if images else 3))
    shape = IMAGE if images else None
    data = from_arrays(
        "random", Y, np.arange(SAMPLES) % 3, n_validation=0, n_test=0, standardise=False, classes=3, image_shape=shape
    )
    return LearningProblem("random", "", data, network)


def products(given: LearningProblem, xp: Any) -> dict[str, np.ndarray]:
    """Value and gradient, J v, J^T w, Gauss-Newton and Hessian products, all from one tape."""
    objective = given.bind(xp)
    rng = np.random.default_rng(1)
    v, w = rng.standard_normal(given.start.shape), rng.standard_normal((SAMPLES, 3))

    def every(arrays: Any, x: Any, v: Any, w: Any) -> dict[str, Any]:
        at = objective.with_arrays(arrays)
        f, tape = at.forward(x)
        found = {"jvp": at.jvp(tape, v), "vjp": at.vjp(tape, w), "gauss_newton": at.gauss_newton(tape, v)}
        return {"value": f, "hessian": at.hessian(tape, v), **found, "gradient": at.grad(tape)}

    with xp.scope():
        found = xp.compile(every)(objective.arrays, xp.copy(objective.x0), xp.asarray(v), xp.asarray(w))
        value = np.array(host_reals(xp, [found.pop("value")])[0])
        return {"value": value, **{name: xp.to_numpy(a) for name, a in found.items()}}


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float) -> None:
    for name, value in expected.items():
        if name != "value":
            error = np.linalg.norm(found[name] - value) / np.linalg.norm(value)
            assert error <= tolerance, (name, error)
    assert float(found["value"]) == pytest.approx(float(expected["value"]), rel=tolerance, abs=0)


@pytest.fixture(scope="module")
def expected() -> Callable[[str], dict[str, np.ndarray]]:
    known: dict[str, dict[str, np.ndarray]] = {}

    def of(name: str) -> dict[str, np.ndarray]:
        if name not in known:
            known[name] = products(problem(name, "all"), get_backend("numpy"))
        return known[name]

    return of


def _eager(name: str) -> list[Any]:
    """Two cases see all stand-ins, the others what shows best where something donated lives on."""
    found = [xp for xp in numerical_backends() if xp.eager]
    return found if name in ("symplectic Euler", "convolutions, verlet") else [xp for xp in found if xp.library in FAST]


@pytest.mark.parametrize("name", STEPS)
def test_checkpoints_change_nothing(name: str, expected: Any) -> None:
    for slots in SLOTS:
        assert_equal(products(problem(name, "checkpoint", slots), get_backend("numpy")), expected(name), 1e-12)
    for xp in _eager(name):
        assert_equal(products(problem(name, "checkpoint", 3), xp), expected(name), 1e-12)


@pytest.mark.parametrize("name", REVERSIBLE)
def test_running_backwards_changes_nothing_but_round_off(name: str, expected: Any) -> None:
    for xp in _eager(name):
        assert_equal(products(problem(name, "reversible"), xp), expected(name), 1e-9)


@pytest.mark.parametrize("name", REVERSIBLE)
def test_thirty_two_steps_backwards(name: str) -> None:
    xp = get_backend("numpy")
    all_kept = products(problem(name, "all", depth=32), xp)
    assert_equal(products(problem(name, "reversible", depth=32), xp), all_kept, 1e-9)


@pytest.mark.parametrize(("memory", "slots"), [("checkpoint", 2), ("reversible", 8)])
def test_compiled_modes(memory: str, slots: int, expected: Any) -> None:
    found = products(problem("symplectic Euler", memory, slots), get_backend("jax"))
    assert_equal(found, expected("symplectic Euler"), 1e-12 if memory == "checkpoint" else 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_every_mode_compiled(name: str, expected: Any) -> None:
    xp = get_backend("jax")
    assert_equal(products(problem(name, "all"), xp), expected(name), 1e-11)
    for slots in SLOTS:
        assert_equal(products(problem(name, "checkpoint", slots), xp), expected(name), 1e-11)
    if name in REVERSIBLE:
        assert_equal(products(problem(name, "reversible"), xp), expected(name), 1e-9)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_evaluation_with_given_statistics_is_the_same_in_all_modes(library: str) -> None:
    """Statistics of normalisation belong to a step, so they run backwards with it."""
    xp = get_backend(library)
    networks = [
        problem("verlet, linear controls", *how).network for how in (("all",), ("checkpoint", 2), ("reversible",))
    ]
    rng = np.random.default_rng(0)
    theta, Y, other, Z = (rng.standard_normal(s) for s in (networks[0].size, (SAMPLES, 3), (SAMPLES, 3), (SAMPLES, 3)))
    found = []
    with xp.scope():
        theta, Y, other, Z = (xp.asarray(a) for a in (theta, Y, other, Z))
        for network in networks:
            aux = network.statistics(xp, theta, other)
            S, tapes = network.forward(xp, theta, Y, aux)
            found.append(np.append(xp.to_numpy(S), xp.to_numpy(network.vjp(xp, theta, tapes, xp.copy(Z)))))
        free, _ = networks[0].forward(xp, theta, Y)
    assert np.abs(xp.to_numpy(free) - found[0][: 3 * SAMPLES].reshape(-1, 3)).max() > 1e-3  # the statistics do count
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("integrator", ["verlet", "symplectic-euler", "leapfrog"])
def test_a_thousand_steps_are_undone(integrator: str) -> None:
    xp, rng = get_backend("numpy"), np.random.default_rng(0)
    rhs = "parabolic" if integrator == "leapfrog" else "hamiltonian"
    steps = evolution(8, 1000, 10.0, rhs=rhs, integrator=integrator)
    theta, Y = steps.init(rng), rng.standard_normal((16, 8))
    at = lambda j: {name: block[j] for name, block in theta.items()}  # noqa: E731
    method = steps.integrator
    state = first = method.enter(Y)
    for j in range(steps.depth):
        state, _ = method.forward(xp, steps.rhs, steps.h, at(j), state, None)
    moved = method.leave(xp, state)
    for j in reversed(range(steps.depth)):
        state, _ = method.invert(xp, steps.rhs, steps.h, at(j), state, None)
    assert np.linalg.norm(moved - Y) > 0.1 * np.linalg.norm(Y)  # it went somewhere
    for found, value in zip(state, first):
        assert np.linalg.norm(found - value) <= 1e-10 * np.linalg.norm(value)


# ----------------------------------------------------------------------------------------------------- memory
def _steps(memory: str, depth: int, slots: int = 4) -> Evolution:
    return evolution(8, depth, 4.0, rhs="hamiltonian-single", integrator="verlet", memory=memory, slots=slots)


def _peak(memory: str, depth: int, slots: int = 4) -> float:
    """Peak of NumPy's arrays during value and gradient in states, net of the gradient."""
    xp, rng = get_backend("numpy"), np.random.default_rng(0)
    network = Network((_steps(memory, depth, slots),))
    theta, Y = network.init(rng), rng.standard_normal((2048, 8))

    def call() -> None:
        S, tapes = network.forward(xp, theta, Y)
        network.vjp(xp, theta, tapes, S)

    call()
    tracemalloc.start()
    try:
        call()
        return (tracemalloc.get_traced_memory()[1] - theta.nbytes) / Y.nbytes
    finally:
        tracemalloc.stop()


def test_memory_of_a_reversible_network_does_not_grow_with_depth() -> None:
    assert _peak("reversible", 256) <= 1.05 * _peak("reversible", 16)


def test_memory_of_checkpoints_is_that_of_the_slots() -> None:
    few, deep, more = _peak("checkpoint", 16), _peak("checkpoint", 128), _peak("checkpoint", 16, slots=8)
    assert deep <= 1.05 * few
    assert 4 <= more - few <= 9  # four states more, twice: a gradient leaves the tape's slots as they are


def test_memory_of_tapes_grows_with_depth() -> None:
    assert _peak("all", 64) >= 3 * _peak("all", 16)


# ----------------------------------------------------------------------------------------------------- programs
def _equations(jaxpr: Any) -> int:
    """Number of equations, those of inner programs included."""
    import jax

    total = len(jaxpr.eqns)
    for equation in jaxpr.eqns:
        for value in jax.tree.leaves([*equation.params.values()], is_leaf=lambda a: hasattr(a, "eqns")):
            body = getattr(value, "jaxpr", value)
            total += _equations(body) if hasattr(body, "eqns") else 0
    return total


@pytest.mark.parametrize("memory", ["checkpoint", "reversible"])
def test_program_does_not_grow_with_depth(memory: str) -> None:
    import jax

    xp = get_backend("jax")

    def program(depth: int) -> tuple[int, int]:
        network = Network((_steps(memory, depth),))

        def value_and_grad(theta: Any, Y: Any) -> Any:
            S, tapes = network.forward(xp, theta, Y)
            return xp.total(S), network.vjp(xp, theta, tapes, S)

        given = jax.ShapeDtypeStruct((network.size,), xp.dtype), jax.ShapeDtypeStruct((32, 8), xp.dtype)
        lowered = jax.jit(value_and_grad).lower(*given).as_text()
        return _equations(jax.make_jaxpr(value_and_grad)(*given).jaxpr), len(lowered.splitlines())

    equations, lines = program(64)
    assert equations > 30
    assert program(1024) == (equations, lines)


def test_compiled_memory_of_a_reversible_network_does_not_grow_with_depth() -> None:
    """What XLA sets aside, which does not depend on the machine's load."""
    import jax

    xp = get_backend("jax")

    def set_aside(depth: int) -> int:
        network = Network((_steps("reversible", depth),))

        def gradient(theta: Any, Y: Any) -> Any:
            S, tapes = network.forward(xp, theta, Y)
            return network.vjp(xp, theta, tapes, S)

        given = jax.ShapeDtypeStruct((network.size,), xp.dtype), jax.ShapeDtypeStruct((16384, 8), xp.dtype)
        return jax.jit(gradient).lower(*given).compile().memory_analysis().temp_size_in_bytes

    assert set_aside(1024) <= 1.1 * set_aside(32)


def test_statistics_need_no_particular_mode() -> None:
    """Evaluation recomputes them from a sweep that keeps tapes, whatever training keeps."""
    xp = get_backend("numpy")
    kept, reversible = (problem("convolutions, verlet", memory) for memory in ("all", "reversible"))
    assert replace(kept.network.layers[2], memory="reversible") == reversible.network.layers[2]
    found = [one.metrics(xp, xp.asarray(one.start)) for one in (kept, reversible)]
    assert found[0] == found[1]
