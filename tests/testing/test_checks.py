"""The checks find planted faults, and name them."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from product_layer import (
    FAULTS,
    ForgetsCurvature,
    ForgetsMask,
    ForgetsMovingZ,
    Product,
    SpoilsAndRestores,
    WrongAltogether,
    WrongZin,
)

from nmdl_bench import testing
from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.catalogue import PROBLEMS
from nmdl_bench.contracts import ConfigurationError, NmdlError
from nmdl_bench.networks.layers import Dense, EulerBlock
from nmdl_bench.networks.losses import LeastSquares, SoftmaxCrossEntropy
from nmdl_bench.networks.parts import Activate
from nmdl_bench.optimizers import SGD, SteepestDescent
from nmdl_bench.problems.learning import LearningObjective, LearningProblem
from nmdl_bench.testing import (
    CheckError,
    PoisonBackend,
    autodiff_references,
    check_autodiff,
    check_backend,
    check_bad_data,
    check_layer,
    check_loss,
    check_objective,
    check_optimizer,
    check_zero_gradient,
    numerical_backends,
)
from nmdl_bench.testing.taylor import check_second_order


def small_problem() -> LearningProblem:
    return PROBLEMS.make("spirals", n=30, width=3, depth=2)


# ------------------------------------------------------------------------------------------------ check_backend
BROKEN: dict[str, Callable[[Any], Any]] = {
    "asarray": lambda xp: lambda a: np.asarray(a, dtype=xp.dtype if np.asarray(a).dtype.kind == "f" else np.intp),
    "to_numpy": lambda xp: lambda a: a,
    "copy": lambda xp: lambda x: x,
    "one_hot": lambda xp: lambda i, n: np.eye(n)[i].astype("float32"),
    "take": lambda xp: lambda x, i, axis=None: np.take(x, i, axis),
    "sum": lambda xp: lambda x, axis=None, keepdims=False: np.sum(x, axis=axis),
    "dot": lambda xp: lambda x, y: abs(float(x.dot(y))),
    "norm_inf": lambda xp: lambda x: float(np.nanmax(np.abs(x))),
    "axpy": lambda xp: lambda a, x, y: x * a - y,
    "aypx": lambda xp: lambda a, x, y: _clobber(x) + a * y,
    "addmm": lambda xp: lambda Z, A, B, a=1.0: Z + A @ B,
    "set_row": lambda xp: lambda S, i, v: S,
    "add_scaled": lambda xp: lambda y, a, x: y if a == 0 else y + a * x,
    "act_relu": lambda xp: lambda X: np.fmax(X, 0),
    "act_softplus": lambda xp: lambda X: np.log1p(np.exp(X)),
    "act_relu_derivative": lambda xp: lambda A, Z: (A >= 0) * Z,
    "act_tanh_derivative": lambda xp: lambda A, Z: (1 - A) * Z,
    "softmax": lambda xp: lambda S: (np.exp(S) / np.exp(S).sum(1, keepdims=True), np.log(np.exp(S).sum(1))[:, None]),
    "while_loop": lambda xp: lambda cond, body, state: body(state),
    "cond": lambda xp: lambda pred, then, else_, *args: then(*args),
    "scan": lambda xp: lambda body, carry, xs, reverse=False, unroll=False: type(xp).scan(xp, body, carry, xs),
    "ravel": lambda xp: lambda parts: np.concatenate([np.ravel(p) for p in parts if not isinstance(p, list)]),
    "loop": lambda xp: lambda body, carry, table: type(xp).loop(xp, body, carry, table[::-1]),
    "constant": lambda xp: lambda a, first={}: first.setdefault(a.shape, xp.asarray(a)),
    "erf": lambda xp: lambda x: np.tanh(1.2 * x),
    "permute_dims": lambda xp: lambda x, axes: x.transpose(axes[::-1]),
    "irfft2": lambda xp: lambda F, size: np.fft.irfft2(F)[..., : size[1]],
    "conv2d": lambda xp: lambda Y, K, s=1, p=0, g=1: Backend.conv2d(xp, Y, K[:, :, ::-1], s, p, g),
    "conv2d_grad": lambda xp: lambda Y, Z, size, s=1, p=0, g=1: Backend.conv2d_grad(xp, Y, Z**2, size, s, p, g),
    "conv2d_transpose": lambda xp: lambda Z, K, size, s=1, p=0, g=1: _last_pixels_lost(
        Backend.conv2d_transpose(xp, Z, K, size, s, p, g), s
    ),
    "conv2d_adjoints": lambda xp: lambda Y, Z, K, s=1, p=0, g=1: Backend.conv2d_adjoints(xp, Y, Z, K, s, p, g)[::-1],
    "avg_pool2d": lambda xp: lambda Y, k: type(xp).avg_pool2d(xp, Y, k) * k**2,
    "avg_pool2d_transpose": lambda xp: lambda Z, k: np.kron(Z, np.ones((k, k))),
    "act_silu": lambda xp: lambda X: X / (1 + np.exp(-1.01 * X)),
    "act_gelu_derivative": lambda xp: lambda X, Z: Backend.act_gelu_derivative(xp, X, X),
    "act_leaky_relu": lambda xp: lambda X, slope: np.maximum(X, slope),
    "recorded": lambda xp: lambda table: table.astype("float32"),
    "memory_peak": lambda xp: lambda: -1,
}  # fmt: skip


def _last_pixels_lost(x: Any, stride: int) -> Any:
    x[:, :, -1] *= stride == 1
    return x


def _clobber(x: Any) -> Any:
    fresh = x.copy()
    x[...] = 0
    return fresh


@pytest.mark.parametrize("verb", BROKEN)
def test_check_backend_names_the_broken_verb(verb: str) -> None:
    xp = get_backend("numpy")
    setattr(xp, verb, BROKEN[verb](xp))
    with pytest.raises(CheckError) as caught:
        check_backend(xp)
    assert verb.removeprefix("act_").split("_")[0] in str(caught.value)
    assert "numpy" in str(caught.value)


SCALARS: dict[str, Any] = {
    "div": lambda a, b: a / b,
    "sqrt": lambda a: abs(a) ** 0.5,
    "maximum": max,
    "minimum": min,
    "where": lambda c, a, b: c * a + (1 - c) * b,
    "not_": lambda a: ~a,
    "isfinite": lambda a: a == a,
    "exp": lambda a: 2.718281828**a if a < 700 else float("inf"),
    "or_": lambda a, *rest: a and all(rest),
}


@pytest.mark.parametrize("name", SCALARS)
def test_check_backend_names_the_broken_scalar_operation(name: str) -> None:
    xp = get_backend("numpy")
    setattr(xp.s, name, SCALARS[name])
    with pytest.raises(CheckError) as caught:
        check_backend(xp)
    assert name.strip("_") in str(caught.value) or name == "where"


def test_a_check_error_is_an_assertion_and_one_of_ours() -> None:
    assert issubclass(CheckError, AssertionError)
    assert issubclass(CheckError, NmdlError)


# ------------------------------------------------------------------------------------------ check_layer, check_loss
@pytest.mark.parametrize("layer", FAULTS)
def test_check_layer_finds(layer: Any) -> None:
    with pytest.raises(CheckError, match=FAULTS[layer]):
        check_layer(layer(3), get_backend("numpy"))


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "poison", "strict", "strict-scalar", "cupy", "torch-device"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_check_layer_passes_a_right_layer(name: str, dtype: str) -> None:
    xp = next(xp for xp in numerical_backends(dtype) if xp.library == name)
    check_layer(Product(3), xp, autodiff=("torch", "jax"))


@pytest.mark.parametrize(
    ("layer", "quantity"),
    [(WrongAltogether, "jvp"), (ForgetsCurvature, "dvjp's input part"), (ForgetsMovingZ, "dvjp's w")],
)
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_check_layer_finds_by_autodiff_what_float32_hides_from_taylor(layer: Any, quantity: str, library: str) -> None:
    xp = get_backend("numpy", "float32")
    check_layer(layer(3), xp)
    with pytest.raises(CheckError, match=f"{quantity} against {library}'s"):
        check_layer(layer(3), xp, autodiff=(library,))


def test_check_layer_finds_the_curvature_by_taylor_of_the_output_alone() -> None:
    """To second order, where the pull-back's own remainders are not looked at."""
    with pytest.raises(CheckError, match=r"to second order: Taylor remainders .* do not fall by 64"):
        check_second_order("f to second order", lambda t: float(np.exp(t)), 1.0, 1.0, 1.01)
    check_second_order("f", lambda t: float(np.exp(t)), 1.0, 1.0, 1.0)


def test_poison_finds_a_spoilt_tape_that_is_put_right_again() -> None:
    check_layer(SpoilsAndRestores(3), get_backend("numpy"))
    with pytest.raises(CheckError):
        check_layer(SpoilsAndRestores(3), PoisonBackend())


def test_check_layer_takes_masks_and_a_tolerance_of_the_callers() -> None:
    mask = np.array([[1.0, 0.0, 2.0]] * 4)
    with pytest.raises(CheckError, match="dvjp"):
        check_layer(ForgetsMask(3), get_backend("numpy"), samples=4, aux={"mask": mask})
    check_layer(WrongZin(3), get_backend("numpy"), tolerance=1e-2)


def test_smooth_false_leaves_out_what_jumps_at_a_kink() -> None:
    check_layer(ForgetsCurvature(3), get_backend("numpy"), smooth=False, autodiff=())
    with pytest.raises(CheckError, match="dvjp's input part against torch's"):
        check_layer(ForgetsCurvature(3), get_backend("numpy"), smooth=False, autodiff=("torch",))
    check_layer(Activate("relu"), get_backend("numpy"), 4, smooth=False, autodiff=("torch", "jax"))


def test_check_layer_asks_for_the_shape_of_a_sample() -> None:
    with pytest.raises(ConfigurationError, match="number of features"):
        check_layer(Dense(3, 4), get_backend("numpy"))


def test_an_autodiff_library_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="no automatic differentiation by 'autograd'"):
        check_layer(Dense(3, 4), get_backend("numpy"), 3, autodiff=("autograd",))


class WrongLossGradient(SoftmaxCrossEntropy):
    def grad(self, xp: Any, tape: Any) -> Any:
        return 0.999 * super().grad(xp, tape)


class WrongHessian(SoftmaxCrossEntropy):
    def hessian(self, xp: Any, tape: Any, V: Any) -> Any:
        return tape.P * V * (1 / V.shape[0])


class NegativeHessian(LeastSquares):
    def hessian(self, xp: Any, tape: Any, V: Any) -> Any:
        return -super().hessian(xp, tape, V)


@pytest.mark.parametrize(
    ("loss", "message"),
    [(WrongLossGradient, "gradient: Taylor"), (WrongHessian, "Hessian: Taylor"), (NegativeHessian, "is negative")],
)
def test_check_loss_finds(loss: Any, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        check_loss(loss(), get_backend("numpy"))


# ------------------------------------------------------------------------------------------------ check_objective
@dataclass(frozen=True)
class WrongGradient(LearningObjective):
    def grad(self, tape: Any) -> Any:
        return super().grad(tape) * 0.999


@dataclass(frozen=True)
class ForgetsRegulariser(LearningObjective):
    def gauss_newton(self, tape: Any, v: Any) -> Any:
        return super().gauss_newton(tape, v) - self.static.alpha * v


@dataclass(frozen=True)
class WrongHessianProduct(LearningObjective):
    """Wrong, and symmetric all the same."""

    def hessian(self, tape: Any, v: Any) -> Any:
        return super().hessian(tape, v) + 1e-3 * v


@dataclass(frozen=True)
class AsymmetricHessian(LearningObjective):
    def hessian(self, tape: Any, v: Any) -> Any:
        Hv = super().hessian(tape, v)
        return self.xp.concat([1.001 * Hv[:4], Hv[4:]])


@dataclass(frozen=True)
class GaussNewtonForHessian(LearningObjective):
    def hessian(self, tape: Any, v: Any) -> Any:
        return super().gauss_newton(tape, v)


@dataclass(frozen=True)
class ForgetsRegulariserInHessian(LearningObjective):
    def hessian(self, tape: Any, v: Any) -> Any:
        return super().hessian(tape, v) - self.static.alpha * v


@dataclass(frozen=True)
class SumsBatches(LearningObjective):
    def forward(self, x: Any, batch: Any = None) -> Any:
        f, tape = super().forward(x, batch)
        return (f if batch is None else f * (batch.shape[0] / self.n_samples)), tape


@dataclass(frozen=True)
class SpoilsPoint(LearningObjective):
    def grad(self, tape: Any) -> Any:
        g = super().grad(tape)
        self.xp.scale(1.0 + 1e-9, tape.x)
        return g


OBJECTIVES = {
    WrongGradient: "gradient: Taylor remainders",
    ForgetsRegulariser: "gauss_newton against torch's",
    WrongHessianProduct: "Hessian: Taylor remainders",
    AsymmetricHessian: "Hessian: .* not symmetric",
    GaussNewtonForHessian: "Hessian: Taylor remainders",
    ForgetsRegulariserInHessian: "Hessian: Taylor remainders",
    SumsBatches: "mean value of two half batches",
    SpoilsPoint: "the point, after the evaluation",
}


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_check_objective_finds(kind: Any) -> None:
    problem = small_problem()
    problem.alpha = 0.1
    bound = problem.bind(get_backend("numpy"))
    objective = kind(bound.xp, bound.static, bound.arrays, bound.x0)
    with pytest.raises(CheckError, match=OBJECTIVES[kind]):
        check_objective(objective, autodiff=("torch",))


@pytest.mark.parametrize(
    ("kind", "quantity"),
    [(WrongGradient, "gradient"), (GaussNewtonForHessian, "hessian"), (ForgetsRegulariser, "gauss_newton")],
)
def test_check_autodiff_finds(kind: Any, quantity: str) -> None:
    problem = small_problem()
    problem.alpha = 0.1
    bound = problem.bind(get_backend("numpy"))
    objective = kind(bound.xp, bound.static, bound.arrays, bound.x0)
    references = autodiff_references(bound, ("torch",))
    for given in (None, references):
        with pytest.raises(CheckError, match=f"{quantity} against torch's"):
            check_autodiff(objective, autodiff=("torch",), references=given)
    check_autodiff(bound, references=references)


@dataclass(frozen=True)
class QuarticPenalty:
    """``sum x^4``: its Hessian depends on the point."""

    second: float = 12.0

    def value(self, xp: Any, x: Any) -> Any:
        return xp.total(x * x * x * x)

    def grad(self, xp: Any, x: Any) -> Any:
        return 4.0 * x * x * x

    def hessian(self, xp: Any, x: Any, v: Any) -> Any:
        return self.second * x * x * v


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_check_autodiff_knows_regularisers(library: str) -> None:
    problem = small_problem()
    for penalty, right in ((QuarticPenalty(), True), (QuarticPenalty(11.9), False)):
        problem.regularisers = (penalty,)
        bound = problem.bind(get_backend("numpy"))
        if right:
            check_autodiff(bound, autodiff=(library,))
        else:
            with pytest.raises(CheckError, match=rf"(gauss_newton|hessian) against {library}'s"):
                check_autodiff(bound, autodiff=(library,))


# ------------------------------------------------------------------------------------------------ check_optimizer
@dataclass(frozen=True)
class DependsOnBackend(SGD):
    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        state = super().step(objective, state, batch)
        return state._replace(x=state.x * (1 + 1e-6)) if objective.xp.library == "torch" else state


@dataclass(frozen=True)
class CountsOnBackend(SteepestDescent):
    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        state = super().step(objective, state, batch)
        extra = 1 if objective.xp.library == "torch" else 0
        return state._replace(counts=state.counts._replace(jvp=state.counts.jvp + extra))


@dataclass(frozen=True)
class SpoilsStart(SGD):
    def init(self, objective: Any, x: Any, batch: Any = None) -> Any:
        return super().init(objective, x, batch)._replace(x=x)


@dataclass(frozen=True)
class MovesWithoutCounting(SGD):
    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        return super().step(objective, state, batch)._replace(k=state.k)


@dataclass(frozen=True)
class ReadsState(SGD):
    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        fresh = super().step(objective, state, batch)
        return fresh._replace(x=fresh.x + 0 * state.x)  # state is dead


OPTIMIZERS = {
    DependsOnBackend: "is off by a relative",
    CountsOnBackend: "evaluations and stalled are",
    SpoilsStart: "x0 or data after the steps",
    MovesWithoutCounting: "where k does not count",
    ReadsState: "is off by a relative",
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_check_optimizer_finds(kind: Any) -> None:
    backends = [get_backend("numpy"), get_backend("torch"), PoisonBackend()]
    with pytest.raises(CheckError, match=OPTIMIZERS[kind]):
        check_optimizer(kind(), small_problem(), backends, steps=3)


@dataclass(frozen=True)
class HidesNaN(SGD):
    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        return super().step(objective, state, batch)._replace(f=objective.xp.s.const(0.0))


@dataclass(frozen=True)
class Normalised(SGD):
    """Divides by the gradient's norm."""

    def step(self, objective: Any, state: Any, batch: Any = None) -> Any:
        state, g = self._next(objective, state, batch)
        return state._replace(x=state.x - g / np.sqrt(g @ g))


def test_check_bad_data_and_check_zero_gradient_find() -> None:
    xp, problem = get_backend("numpy"), small_problem()
    spoilt = replace(
        problem, data=replace(problem.data, train=problem.data.train._replace(Y=problem.data.train.Y * np.nan))
    )
    check_bad_data(SGD(), spoilt, [xp])
    with pytest.raises(CheckError, match="hide that they are bad"):
        check_bad_data(HidesNaN(), spoilt, [xp])

    flat = PROBLEMS.make("spirals", n=30, depth=0, loss="least-squares", alpha=0.0)
    flat.data.train.C.setflags(write=True)
    flat.data.train.C[:] = 0.0
    flat.start = np.zeros_like(flat.start)
    check_zero_gradient(SGD(), flat, [xp])
    with np.errstate(all="ignore"), pytest.raises(CheckError, match="where the gradient is zero"):
        check_zero_gradient(Normalised(), flat, [xp])


def test_right_parts_pass_everywhere() -> None:
    for xp in (get_backend("numpy"), get_backend("torch")):
        check_layer(EulerBlock(3, 2), xp, 3, autodiff=("torch",))
        check_loss(LeastSquares(), xp, autodiff=("torch",))
        check_objective(small_problem().bind(xp), autodiff=("torch",))


@pytest.mark.parametrize("name", ["", ".backends", ".fake_cuda"])
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(f"nmdl_bench.testing{name}")
    done = doctest.testmod(module)
    assert (done.failed, done.attempted > 0) == (0, True)


def test_all_that_is_offered_exists() -> None:
    assert all(callable(getattr(testing, name)) for name in testing.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'check_everything'"):
        _ = testing.check_everything
