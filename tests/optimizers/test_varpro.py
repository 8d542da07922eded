"""Variable projection: the same steps everywhere, one trace, all is counted, half the evaluations of Gauss-Newton."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import compiled, get_backend
from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.contracts import HISTORY_COLUMNS, ConfigurationError, Result, Stop, UnknownNameError
from nmdl_bench.networks.losses import get_loss
from nmdl_bench.optimizers.reduced import Reduced
from nmdl_bench.optimizers.varpro import METHODS, VarPro
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.solve import solve
from nmdl_bench.testing import (
    check_bad_data,
    check_objective,
    check_optimizer,
    check_zero_gradient,
    numerical_backends,
    standins,
)

XP = get_backend("numpy")
EAGER = [XP, get_backend("torch"), *standins()]
LOSSES = ("least-squares", "cross-entropy")


def small(loss: str = "cross-entropy", **options: Any) -> LearningProblem:
    """Forty points of MATLAB's peaks in five classes, and three hidden features."""
    chosen = {"n": 50, "n_validation": 5, "n_test": 5, "width": 3, "alpha": 1e-2, **options}
    return PROBLEMS.make("single-layer-peaks", loss=loss, **chosen)  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------------------- agreement
@pytest.mark.parametrize("loss", LOSSES)
def test_first_twenty_steps(loss: str) -> None:
    found = check_optimizer(VarPro(), small(loss), numerical_backends())
    assert found.counts[-1, 0] > 5
    assert (found.counts[-1, 5] > 0) == (loss == "cross-entropy")  # Newton's method for the last layer is counted


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_the_same_steps(method: str) -> None:
    # the trust region's Gauss-Newton needs a residual
    problem = small("least-squares" if method == "levenberg-marquardt" else "cross-entropy")
    found = check_optimizer(VarPro(method), problem, EAGER, steps=10)
    assert found.f[-1] < found.f[0]


@pytest.mark.parametrize("loss", LOSSES)
def test_first_steps_in_float32(loss: str) -> None:
    backends = [get_backend("numpy", "float32"), get_backend("torch", "float32"), *standins("float32")]
    check_optimizer(VarPro(), small(loss), backends, steps=4, tolerance=1e-3)


def test_golub_and_pereyras_jacobian_takes_other_steps_to_the_same_value() -> None:
    problem, stop = small("least-squares"), Stop(300, gtol=1e-8)
    results = [solve(problem, VarPro("levenberg-marquardt", kind), XP, stop) for kind in ("kaufman", "golub-pereyra")]
    assert [result.status for result in results] == ["converged"] * 2
    first = [result.history[1, HISTORY_COLUMNS.index("loss")] for result in results]
    assert first[0] != pytest.approx(first[1], rel=1e-6)
    assert results[0].loss == pytest.approx(results[1].loss, rel=1e-9)


# ------------------------------------------------------------------------------------------------------- the state
def test_x_is_the_whole_point_with_the_last_layer_optimal() -> None:
    problem = small()
    objective = problem.bind(XP)
    optimizer, split = VarPro("lbfgs"), objective.separable.split
    state = optimizer.init(objective, objective.x0)
    np.testing.assert_array_equal(state.x[:split], objective.x0[:split])
    for _ in range(8):
        state = optimizer.step(objective, state)
        f, tape = objective.forward(state.x)
        g = objective.grad(tape)
        assert f == pytest.approx(state.f, rel=1e-13)
        assert np.abs(g[split:]).max() <= 1e-10
        assert np.abs(g).max() == pytest.approx(state.g_norm, rel=1e-9)


def test_newtons_passes_are_counted_for_rejected_trials_too(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, calls = small(), Counter[str]()
    objective = problem.bind(XP)
    network_forward = type(objective.separable).features

    def counted(self: Any, theta: Any) -> Any:
        calls["features"] += 1
        return network_forward(self, theta)

    monkeypatch.setattr(type(objective.separable), "features", counted)
    optimizer = VarPro("steepest-descent")
    state = optimizer.init(objective, objective.x0)
    products, rejected = [state.counts.hessian], 0
    for _ in range(25):
        k = state.k
        state = optimizer.step(objective, state)
        rejected += state.k == k
        products.append(state.counts.hessian)
    assert calls["features"] == state.counts.forward == 26
    assert rejected > 0
    assert np.all(np.diff(products) >= 3)  # each trial solves for its own last layer
    assert state.counts.passes == state.counts.forward + state.counts.hessian


# ------------------------------------------------------------------------------------------------------- no network
@dataclass(frozen=True)
class Exponentials:
    """``c(t) = sum_j w_j exp(-theta_j t)``: what a user writes to have rates fitted and amplitudes eliminated."""

    xp: Any
    arrays: Any
    x0: Any
    n_samples: int = 40
    static: Any = "exponentials"
    split: int = 2
    shape: tuple[int, int] = (2, 1)
    alpha: float = 0.0
    alpha_theta: float = 0.0

    @property
    def loss(self) -> Any:
        return get_loss("least-squares")

    @property
    def separable(self) -> Exponentials:
        return self

    @property
    def targets(self) -> Any:
        return self.arrays[1]

    def with_arrays(self, arrays: Any) -> Exponentials:
        return replace(self, arrays=arrays)

    def features(self, theta: Any) -> tuple[Any, Any]:
        Z = self.xp.exp(-self.arrays[0] * theta)
        return Z, Z

    def features_jvp(self, Z: Any, v: Any, keep: bool = False) -> tuple[Any, Any]:
        return -self.arrays[0] * Z * v, ()

    def features_vjp(self, Z: Any, M: Any) -> Any:
        return self.xp.sum(-self.arrays[0] * Z * M, axis=0)

    def features_dvjp(self, Z: Any, dtape: Any, v: Any, M: Any, dM: Any) -> Any:
        t = self.arrays[0]
        return self.xp.sum(t * Z * (t * v * M - dM), axis=0)

    def outer(self, theta: Any) -> Any:
        return self.xp.s.const(0.0)

    def outer_grad(self, theta: Any) -> Any:
        return 0 * theta

    def outer_hessian(self, theta: Any, v: Any) -> Any:
        return 0 * v


@pytest.mark.filterwarnings("ignore:overflow")  # a trial with a large negative rate
@pytest.mark.parametrize("method", ["levenberg-marquardt", "gauss-newton-cg", "newton-tr"])
def test_rates_and_amplitudes_of_exponentials(method: str) -> None:
    t = np.linspace(0, 4, 40)[:, None]
    C = np.exp(-t * [0.5, 3.0]) @ [[2.0], [-1.0]]
    for xp in EAGER[:2]:
        objective = Exponentials(xp, (xp.asarray(t), xp.asarray(C)), xp.asarray(np.array([0.2, 5.0, 1.0, 1.0])))
        check_objective(Reduced.of(objective, objective.x0), batches=False, autodiff=(), tolerance=1e-9)
        optimizer = VarPro(method)
        state = optimizer.init(objective, objective.x0)
        for _ in range(40):
            state = optimizer.step(objective, state)
        np.testing.assert_allclose(xp.to_numpy(state.x), [0.5, 3.0, 2.0, -1.0], rtol=1e-6)


# ------------------------------------------------------------------------------------------------------- compilation
def test_step_is_traced_once_for_all_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, step = Counter[str](), VarPro.step

    def counted(self: Any, *args: Any) -> Any:
        calls["step"] += 1
        return step(self, *args)

    monkeypatch.setattr(VarPro, "step", counted)
    monkeypatch.setattr(compiled, "_COMPILED", {})  # other tests may have compiled the same
    xp, problem = get_backend("jax"), small("least-squares")
    losses = [solve(problem, VarPro(eta_max=eta), xp, Stop(20)).loss for eta in (0.5, 0.01)]
    assert calls["step"] == 1
    assert losses[0] != losses[1]
    solve(small("least-squares", seed=1), VarPro(), xp, Stop(5, gtol=1e-3))
    assert calls["step"] == 1


# ------------------------------------------------------------------------------------------------------- bad data
def over(problem: LearningProblem, **change: Any) -> LearningProblem:
    train = problem.data.train
    changed = {name: of(getattr(train, name)) for name, of in change.items()}
    return replace(problem, data=replace(problem.data, train=train._replace(**changed)), _on_device={})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("loss", LOSSES)
def test_bad_data_show_in_the_value(loss: str) -> None:
    problem = over(small(loss), Y=lambda Y: nan * Y)
    check_bad_data(VarPro(), problem, EAGER)
    result = solve(problem, VarPro(), XP, Stop(5))
    assert result.status == "diverged"
    np.testing.assert_array_equal(result.x, problem.start)


def test_nothing_moves_where_the_gradient_is_zero() -> None:
    problem = over(small("least-squares", alpha=0.0), C=lambda C: 0 * C)
    check_zero_gradient(VarPro(), problem, EAGER)
    result = solve(problem, VarPro(), XP)
    assert (result.status, result.iterations, result.loss) == ("converged", 0, 0.0)


def test_constant_features_and_one_sample() -> None:
    found = check_optimizer(VarPro(), over(small("least-squares"), Y=lambda Y: 0 * Y), EAGER, steps=5)
    assert np.all(np.isfinite(found.x))
    for loss in LOSSES:
        single = over(small(loss), **{name: lambda a: a[:1] for name in ("Y", "C", "labels")})
        assert np.all(np.isfinite(check_optimizer(VarPro(), single, EAGER, steps=5).f))


@pytest.mark.parametrize("method", ["gauss-newton-cg", "newton-tr"])
def test_options_of_conjugate_gradients_are_handed_on(method: str) -> None:
    inner: Any = VarPro(method, eta_max=0.2, max_cg=7, reorthogonalise=False)._method
    assert (inner.eta_max, inner.max_cg, inner.reorthogonalise) == (0.2, 7, False)


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lbfgs'"):
        VarPro("lbgfs")
    with pytest.raises(UnknownNameError, match="did you mean 'kaufman'"):
        VarPro(jacobian="kaufmann")
    with pytest.raises(ConfigurationError, match="eta_max"):
        VarPro(eta_max=1.5)
    with pytest.raises(ConfigurationError, match="it needs separable, which the problem does not provide"):
        solve(PROBLEMS.make("elm-peaks", n=50, width=5), VarPro(), XP)


# ------------------------------------------------------------------------------------------------------- its point
def evaluations(result: Result, target: float) -> float:
    """Forwards until the loss is at most the target."""
    history = result.history
    reached = history[:, HISTORY_COLUMNS.index("loss")] <= target
    return history[reached.argmax(), HISTORY_COLUMNS.index("forward")] if reached.any() else np.inf


def test_half_the_evaluations_of_joint_gauss_newton() -> None:
    """The same method with the same settings, on ``F(theta)`` and on ``f(theta, W)``, to the same losses."""
    ratios = []
    for seed in range(3):
        problem = PROBLEMS.make("peaks-regression", seed=seed)
        joint = solve(problem, SOLVERS.make("gauss-newton-cg"), XP, Stop(70))
        reduced = solve(problem, SOLVERS.make("varpro", method="gauss-newton-cg"), XP, Stop(30))
        f0, best = joint.history[0, HISTORY_COLUMNS.index("loss")], min(joint.loss, reduced.loss)
        assert best < 0.05 * f0
        targets = [best + tau * (f0 - best) for tau in (0.3, 0.1, 0.03)]
        ratios.append([evaluations(reduced, target) / evaluations(joint, target) for target in targets])
    # of each target the geometric mean over starts and samples
    assert np.all(np.exp(np.log(ratios).mean(axis=0)) <= 0.5)
