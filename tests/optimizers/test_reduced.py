"""The reduced objective: value and derivatives against automatic differentiation through the solve, both Jacobians."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import ConfigurationError, UnknownNameError
from nmdl_bench.data import from_arrays
from nmdl_bench.networks.architectures import resnet
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.network import Network
from nmdl_bench.networks.regularisers import smoothness, tikhonov
from nmdl_bench.optimizers.reduced import JACOBIANS, Reduced
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.testing import check_objective, fake_cuda_backend, standins

XP = get_backend("numpy")
LOSSES = ("least-squares", "cross-entropy")
N, WIDTH, CLASSES = 25, 4, 3


@lru_cache
def problem(loss: str = "least-squares", alpha: float = 0.05, network: Network | None = None) -> LearningProblem:
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((N, 2)).astype(np.float32).astype(np.float64)
    data = from_arrays("few", Y, rng.integers(CLASSES, size=N), n_validation=0, n_test=0, standardise=False)
    network = network or Network((Dense(2, WIDTH, "tanh"), Dense(WIDTH, CLASSES)))
    return LearningProblem("few", "", data, network, loss, alpha)


def reduced(loss: str, kind: str = "kaufman", xp: Any = XP, **options: Any) -> Reduced:
    objective = problem(loss, **options).bind(xp)
    return Reduced.of(objective, objective.x0, kind)


def functional(library: str, loss: str, alpha: float, W0: np.ndarray) -> Any:
    """``F(theta)`` in plain torch or JAX: by the normal equations, or by Newton steps from a minimiser."""
    if library == "torch":
        import torch as np_like

        as_array = np_like.as_tensor
    else:
        import jax.numpy as np_like

        as_array = np_like.asarray
    train = problem(loss).data.train
    Y, C, W0 = (as_array(np.array(a)) for a in (train.Y, train.C, W0))
    eye = as_array(np.eye(W0.shape[0]))

    def cost(S: Any) -> Any:
        if loss == "least-squares":
            return 0.5 * ((S - C) ** 2).sum() / N
        return (np_like.log(np_like.exp(S).sum(1)) - (C * S).sum(1)).sum() / N

    def F(theta: Any) -> Any:
        K, b = theta[: 2 * WIDTH].reshape(2, WIDTH), theta[2 * WIDTH :]
        A = np_like.tanh(Y @ K + b)
        Z = np_like.concatenate([A, 1 + 0 * A[:, :1]], 1)
        W = W0
        if loss == "least-squares":
            W = np_like.linalg.solve(Z.T @ Z / N + alpha * eye, Z.T @ C / N)
        else:
            for _ in range(3):  # each makes one more derivative exact
                E = np_like.exp(Z @ W)
                P = E / E.sum(1, keepdims=True)
                D = np_like.einsum("ic,cd->icd", P, as_array(np.eye(CLASSES))) - P[:, :, None] * P[:, None, :]
                H = np_like.einsum("ij,icd,il->jcld", Z, D, Z).reshape(W.shape[0] * CLASSES, -1) / N
                g = (Z.T @ (P - C) / N + alpha * W).reshape(-1)
                step = np_like.linalg.solve(H + alpha * as_array(np.eye(H.shape[0])), g)
                W = W - step.reshape(W.shape)
        return cost(Z @ W) + 0.5 * alpha * ((W**2).sum() + (theta**2).sum())

    return F


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_gradient_and_hessian_are_those_by_automatic_differentiation(library: str, loss: str) -> None:
    F, theta = reduced(loss), XP.copy(reduced(loss).x0)
    f, tape = F.forward(theta)
    v = np.random.default_rng(1).standard_normal(theta.shape)
    through = functional(library, loss, 0.05, tape.found.W)
    if library == "torch":
        import torch

        at, along = torch.as_tensor(theta), torch.as_tensor(v)
        value, g = through(at), torch.func.grad(through)(at)
        Hv = torch.func.jvp(torch.func.grad(through), (at,), (along,))[1]
    else:
        import jax

        get_backend("jax")  # float64
        value, g = jax.value_and_grad(through)(theta)
        Hv = jax.jvp(jax.grad(through), (theta,), (v,))[1]
    assert f == pytest.approx(float(value), rel=1e-13)
    np.testing.assert_allclose(F.grad(tape), np.asarray(g), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(F.hessian(tape, v), np.asarray(Hv), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", JACOBIANS)
@pytest.mark.parametrize("loss", LOSSES)
def test_taylor_adjoint_and_symmetry(loss: str, kind: str) -> None:
    F = reduced(loss, kind)
    check_objective(F, batches=False, autodiff=(), tolerance=1e-10)


def test_smooth_controls_and_weights_of_two_kinds() -> None:
    network = resnet(2, CLASSES, WIDTH, 2)
    data = problem().data
    R = (smoothness(network, 0.3), tikhonov(network, 0.2, "features"), tikhonov(network, 0.01, "classifier"))
    objective = LearningProblem("few", "", data, network, "least-squares", 0.02, regularisers=R).bind(XP)
    F = Reduced.of(objective, objective.x0)
    assert F.parts.alpha == pytest.approx(0.03)
    assert F.parts.alpha_theta is None
    check_objective(F, batches=False, autodiff=(), tolerance=1e-10)
    f, tape = F.forward(F.x0)
    whole, at = objective.forward(F.full(tape))
    assert f == pytest.approx(whole, rel=1e-14)
    g = objective.grad(at)
    np.testing.assert_allclose(g[: F.parts.split], F.grad(tape), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(g[F.parts.split :], 0, atol=1e-14)
    with pytest.raises(ConfigurationError, match="a residual needs the loss 'least-squares' and no regulariser"):
        F.residual(tape)


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_and_stand_ins_agree_with_numpy(loss: str) -> None:
    F = reduced(loss, "golub-pereyra")
    v = np.random.default_rng(1).standard_normal(F.x0.shape).astype(np.float32).astype(np.float64)
    _, tape = F.forward(F.x0)
    expected = F.grad(tape), F.hessian(tape, v), F.gauss_newton(tape, v)
    cases = [(xp, 1e-11) for xp in [get_backend("torch"), *standins()]]
    for xp, tolerance in [*cases, (get_backend("numpy", "float32"), 1e-4), (get_backend("torch", "float32"), 1e-4)]:
        with xp.scope():
            G, w = reduced(loss, "golub-pereyra", xp), xp.asarray(v)
            _, tape = G.forward(xp.copy(G.x0))
            found = G.grad(tape), G.hessian(tape, w), G.gauss_newton(tape, w)
            for a, b in zip(found, expected):
                np.testing.assert_allclose(xp.to_numpy(a), b, atol=tolerance, err_msg=repr(xp))


def test_nothing_waits_for_a_gpu() -> None:
    with fake_cuda_backend() as xp:
        F = reduced("least-squares", "golub-pereyra", xp)
        _, tape = F.forward(F.x0)
        for found in (F.full(tape), F.grad(tape), F.hessian(tape, F.x0), F.gauss_newton(tape, F.x0), F.jacobian(tape)):
            assert found.device.type == "cuda"


# ------------------------------------------------------------------------------------------------------- Jacobians
def projector(theta: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """``Phi`` and ``c`` of the variable projection functional, for one target after the other."""
    train = problem().data.train
    K, b = theta[: 2 * WIDTH].reshape(2, WIDTH), theta[2 * WIDTH :]
    Z = np.concatenate([np.tanh(train.Y @ K + b), np.ones((N, 1))], axis=1)
    Phi = np.concatenate([Z / np.sqrt(N), np.sqrt(alpha) * np.eye(WIDTH + 1)])
    return Phi, np.concatenate([train.C / np.sqrt(N), np.zeros((WIDTH + 1, CLASSES))])


@pytest.mark.parametrize("alpha", [0.05, 0.0])
def test_residual_and_jacobian_are_golub_and_pereyras(alpha: float) -> None:
    F = reduced("least-squares", "golub-pereyra", alpha=alpha)
    theta, h = XP.copy(F.x0), 1e-6
    f, tape = F.forward(theta)

    def r(theta: np.ndarray) -> np.ndarray:
        Phi, c = projector(theta, alpha)
        r = Phi @ np.linalg.pinv(Phi) @ c - c
        rows = N if not alpha else len(r)
        return np.concatenate([r[:N].ravel(), r[N:rows].ravel(), np.sqrt(alpha) * theta if alpha else []])

    np.testing.assert_allclose(F.residual(tape), r(theta), atol=1e-13)
    assert f == pytest.approx(0.5 * np.sum(F.residual(tape) ** 2), rel=1e-13)
    steps = h * np.eye(len(theta))
    differences = np.stack([(r(theta + e) - r(theta - e)) / (2 * h) for e in steps], axis=1)
    J = F.jacobian(tape)
    np.testing.assert_allclose(J, differences, atol=1e-8)
    np.testing.assert_allclose(J.T @ F.residual(tape), F.grad(tape), atol=1e-14)
    v = np.random.default_rng(1).standard_normal(len(theta))
    np.testing.assert_allclose(F.gauss_newton(tape, v), J.T @ (J @ v), atol=1e-13)


def test_kaufmans_jacobian_leaves_out_what_is_orthogonal_to_its_range() -> None:
    """Of Golub and Pereyra's, ``P^perp dPhi Phi^+ c`` stays, and ``(P^perp dPhi Phi^+)^T c`` goes."""
    full, part = (reduced("least-squares", kind) for kind in ("golub-pereyra", "kaufman"))
    tapes = [F.forward(F.x0)[1] for F in (full, part)]
    J, K = full.jacobian(tapes[0]), part.jacobian(tapes[1])
    Phi, c = projector(full.x0, 0.05)
    P = Phi @ np.linalg.pinv(Phi)

    def projected(J: np.ndarray, i: int) -> np.ndarray:
        """``P`` times a column's part for the variable projection functional."""
        column = J[:, i]
        return P @ np.concatenate([column[: N * CLASSES].reshape(N, -1), column[N * CLASSES : c.size].reshape(-1, 3)])

    assert all(np.abs(projected(K, i)).max() <= 1e-13 for i in range(K.shape[1]))
    assert max(np.abs(projected(J, i)).max() for i in range(J.shape[1])) > 1e-3
    kept = np.stack([(J[:, i] - K[:, i])[: c.size] for i in range(J.shape[1])])
    assert np.abs(kept @ K[: c.size]).max() <= 1e-13
    np.testing.assert_allclose(full.grad(tapes[0]), part.grad(tapes[1]), atol=1e-15)
    np.testing.assert_allclose(J.T @ full.residual(tapes[0]), K.T @ part.residual(tapes[1]), atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_kaufmans_gauss_newton_matrix_is_the_schur_complement_of_the_whole_one(loss: str) -> None:
    F, objective = reduced(loss), problem(loss).bind(XP)
    _, tape = F.forward(F.x0)
    _, at = objective.forward(F.full(tape))
    q, n = F.parts.split, len(objective.x0)
    for product, whole in ((F.gauss_newton, objective.gauss_newton), (F.hessian, objective.hessian)):
        B = np.stack([whole(at, e) for e in np.eye(n)])
        schur = B[:q, :q] - B[:q, q:] @ np.linalg.solve(B[q:, q:], B[q:, :q])
        np.testing.assert_allclose(np.stack([product(tape, e) for e in np.eye(q)]), schur, atol=1e-12)


def test_rank_deficient_features() -> None:
    """Two equal hidden features and no regulariser: value, gradient and residual are those of one of them."""
    twice, once = problem(alpha=0.0), Network((Dense(2, WIDTH - 1, "tanh"), Dense(WIDTH - 1, CLASSES)))
    single = LearningProblem("few", "", twice.data, once, "least-squares", 0.0)
    rng = np.random.default_rng(3)
    K, b = rng.standard_normal((2, WIDTH - 1)), rng.standard_normal(WIDTH - 1)
    doubled = np.concatenate([np.concatenate([K, K[:, -1:]], axis=1).ravel(), b, b[-1:]])
    one = Reduced.of(single.bind(XP), single.start)
    f, tape = one.forward(np.concatenate([K.ravel(), b]))
    for kind in JACOBIANS:
        two = reduced("least-squares", kind, alpha=0.0)
        value, at = two.forward(doubled)
        assert value == pytest.approx(f, rel=1e-12)
        assert np.all(np.isfinite(two.jacobian(at)))
        K2, b2 = np.split(two.grad(at), [2 * WIDTH])
        K1, b1 = np.split(one.grad(tape), [2 * (WIDTH - 1)])
        # the shortest weights share one feature's between the two
        np.testing.assert_allclose(b2, [*b1[:-1], b1[-1] / 2, b1[-1] / 2], atol=1e-12)
        expected = K1.reshape(2, -1)[:, [0, 1, 2, 2]] * [1, 1, 0.5, 0.5]
        np.testing.assert_allclose(K2.reshape(2, -1), expected, atol=1e-12)


# ------------------------------------------------------------------------------------------------------- mistakes
def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'kaufman'"):
        reduced("least-squares", "kaufmann")
    F = reduced("cross-entropy")
    with pytest.raises(ConfigurationError, match="leave batch out"):
        F.forward(F.x0, np.arange(3))
    with pytest.raises(ConfigurationError, match="take a solver that does not need 'residual'"):
        F.residual(F.forward(F.x0)[1])
