"""Kernels against the matrices that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import correlate

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.networks.kernel_algebra import (
    AntisymmetricKernel,
    SumKernel,
    TransposedKernel,
    lean_kernel,
    rename,
)
from nmdl_bench.networks.kernels import CirculantKernel, ConvKernel, DenseKernel, ScalingKernel
from nmdl_bench.networks.sparse import SparseKernel
from nmdl_bench.testing import numerical_backends

XP = get_backend("numpy")
KERNELS: list[tuple[Any, tuple[int, ...]]] = [
    (DenseKernel(4, 3), (4,)),
    (SparseKernel.random(5, 4, 2), (5,)),
    (SparseKernel(3, 4, ((0, 0), (2, 0), (1, 3))), (3,)),
    (ScalingKernel(3), (3,)),
    (ScalingKernel(2), (2, 3, 3)),
    (ConvKernel(2, 3, 3), (2, 4, 5)),
    (ConvKernel(2, 3, 1), (2, 3, 3)),
    (ConvKernel(2, 3, 3, stride=2), (2, 6, 5)),
    (ConvKernel(2, 2, 3, stride=2, padding=0), (2, 6, 6)),
    (ConvKernel(3, 3, 3, depthwise=True), (3, 4, 4)),
    (CirculantKernel(2, 3, 3), (2, 4, 5)),
    (CirculantKernel(2, 2, 3, depthwise=True), (2, 5, 4)),
    (lean_kernel(2, 2), (2, 4, 4)),
    (TransposedKernel(DenseKernel(3, 4), -1.0), (4,)),
    (TransposedKernel(ConvKernel(3, 2, 3)), (2, 4, 4)),
    (AntisymmetricKernel(DenseKernel(4, 4)), (4,)),
    (AntisymmetricKernel(ConvKernel(2, 2, 3)), (2, 4, 4)),
    (AntisymmetricKernel(SparseKernel.random(4, 4, 2)), (4,)),
]


@pytest.fixture(scope="module", params=["float64", "float32"])
def backends(request: pytest.FixtureRequest) -> list[Backend]:
    return numerical_backends(request.param)


@pytest.mark.parametrize(
    ("kernel", "shape"), KERNELS, ids=[f"{i}-{type(k).__name__}" for i, (k, _) in enumerate(KERNELS)]
)
def test_the_three_products_are_gradients_of_one_trilinear_form(
    backends: list[Backend], kernel: Any, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    draw = lambda *s: rng.standard_normal(s).astype(np.float32).astype(float)  # noqa: E731
    w = {name: draw(*s) for name, s in kernel.shapes().items()}
    Y = draw(3, *shape)
    Z = draw(3, *kernel.output(shape))
    reference: dict[str, np.ndarray] = {}
    for xp in backends:
        with xp.scope():
            on = {name: xp.asarray(block) for name, block in w.items()}

            def products(on: Any, Y: Any, Z: Any, xp: Backend = xp) -> Any:
                blocks, W = kernel.adjoints(xp, on, Y, Z)
                return kernel.apply(xp, on, Y), kernel.transpose(xp, on, Z, shape), kernel.grad(xp, Y, Z), blocks, W

            X, V, grad, blocks, W = xp.compile(products)(on, xp.asarray(Y), xp.asarray(Z))
            found = {
                "X": X,
                "V": V,
                "W": W,
                **{f"g{k}": g for k, g in grad.items()},
                **{f"b{k}": g for k, g in blocks.items()},
            }
            host = {name: xp.to_numpy(a) for name, a in found.items()}
        form = np.vdot(host["X"], Z)
        scale = np.linalg.norm(host["X"]) * np.linalg.norm(Z)
        tolerance = 100 * xp.eps * scale
        assert host["X"].shape == Z.shape
        assert host["V"].shape == Y.shape
        assert abs(np.vdot(Y, host["V"]) - form) <= tolerance, xp
        assert abs(sum(np.vdot(w[k], host[f"g{k}"]) for k in w) - form) <= tolerance, xp
        reference = reference or host
        for name, a in host.items():
            np.testing.assert_allclose(
                a, reference[name], atol=100 * xp.eps * np.abs(reference[name]).max(), err_msg=str(xp)
            )
        np.testing.assert_array_equal(host["V"].shape, host["W"].shape)


def test_convolutions_are_correlations() -> None:
    rng = np.random.default_rng(1)
    Y, K = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((4, 3, 3, 3))
    for kernel, mode in ((ConvKernel(3, 4), "constant"), (CirculantKernel(3, 4), "wrap")):
        expected = np.zeros((2, 4, 6, 5))
        for n in range(2):
            for o in range(4):
                expected[n, o] = sum(correlate(Y[n, i], K[o, i], mode=mode) for i in range(3))
        np.testing.assert_allclose(kernel.apply(XP, {"K": K}, Y), expected, atol=1e-12)


def test_the_spectrum_holds_the_eigenvalues_of_the_circulant_matrix() -> None:
    """Lecture 5: ``K = F* diag(lam) F``."""
    kernel, rng = CirculantKernel(1, 1, 3), np.random.default_rng(2)
    w = kernel.init(rng)
    matrix = kernel.apply(XP, w, np.eye(20).reshape(20, 1, 4, 5)).reshape(20, 20)
    lam = kernel.spectrum(XP, w, (4, 5))[0, 0]
    full = np.concatenate([lam, np.conj(lam[:, 1:])], axis=1)  # a real stencil's spectrum is symmetric
    found, expected = np.linalg.eigvals(matrix), full.ravel()
    assert sorted(np.round(np.abs(found), 10)) == sorted(np.round(np.abs(expected), 10))
    assert found.sum() == pytest.approx(expected.real.sum(), abs=1e-12)


def test_sparse_and_lean_kernels_are_what_they_say() -> None:
    rng = np.random.default_rng(3)
    sparse = SparseKernel.random(6, 5, 2, seed=4)
    w, Y = sparse.init(rng), rng.standard_normal((3, 6))
    K = np.zeros((6, 5))
    for (i, j), weight in zip(sparse.pairs, w["K"]):
        K[i, j] = weight
    assert (np.count_nonzero(K, axis=0) == 2).all()
    np.testing.assert_allclose(sparse.apply(XP, w, Y), Y @ K, atol=1e-14)
    lean, images = lean_kernel(3, 3), rng.standard_normal((2, 3, 4, 4))
    w = lean.init(rng)
    assert {name: block.shape for name, block in w.items()} == {"K_stencil": (3, 1, 3, 3), "K_mix": (3, 3, 1, 1)}
    stencil = ConvKernel(3, 3, depthwise=True).apply(XP, {"K": w["K_stencil"]}, images)
    np.testing.assert_allclose(
        lean.apply(XP, w, images), stencil + np.einsum("oi,nihw->nohw", w["K_mix"][..., 0, 0], images)
    )


def test_antisymmetric_kernels_have_imaginary_eigenvalues() -> None:
    rng = np.random.default_rng(5)
    dense, conv = AntisymmetricKernel(DenseKernel(5, 5)), AntisymmetricKernel(ConvKernel(2, 2, 3))
    for kernel, shape in ((dense, (5,)), (conv, (2, 3, 3))):
        size = int(np.prod(shape))
        matrix = kernel.apply(XP, kernel.init(rng), np.eye(size).reshape(size, *shape)).reshape(size, size)
        np.testing.assert_allclose(matrix, -matrix.T, atol=1e-14)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ConvKernel(2, 3, depthwise=True), "depthwise kernel has as many outputs"),
        (lambda: ConvKernel(2, 3, padding=-1), "padding must be a non-negative integer, not -1"),
        (lambda: ConvKernel(0, 3), "inputs must be a positive integer, not 0"),
        (lambda: ConvKernel(2, 3).output((3, 4, 4)), "takes images of 2 channels"),
        (lambda: ConvKernel(2, 3, 5, padding=0).output((2, 4, 4)), "larger than images of 4 x 4"),
        (lambda: CirculantKernel(2, 3, 4), "size must be odd, not 4"),
        (lambda: CirculantKernel(2, 3, 5).output((2, 4, 4)), "wrap onto itself"),
        (lambda: SparseKernel(2, 2, ((0, 0), (0, 0))), "distinct places in a 2 x 2 matrix"),
        (lambda: SparseKernel(2, 2, ((0, 2),)), "distinct places in a 2 x 2 matrix"),
        (lambda: DenseKernel(2, 2).output((3,)), "takes 2 features"),
        (lambda: SumKernel((DenseKernel(2, 2), DenseKernel(2, 2))), "different names"),
        (lambda: SumKernel((DenseKernel(2, 2), DenseKernel(2, 3, "L"))).output((2,)), "different shapes"),
        (lambda: lean_kernel(2, 3), "keeps the number of channels"),
        (lambda: AntisymmetricKernel(DenseKernel(2, 3)).output((2,)), "keeps the shape"),
        (lambda: TransposedKernel(ConvKernel(2, 2, 3, stride=2)).output((2, 4, 4)), "has no transpose"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(make: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        make()


def test_renamed_kernels_are_the_same_maps() -> None:
    for kernel in (
        DenseKernel(2, 2),
        lean_kernel(2, 2),
        AntisymmetricKernel(DenseKernel(2, 2)),
        SparseKernel.random(2, 2, 1),
    ):
        assert list(rename(kernel, "2").shapes()) == [f"{name}2" for name in kernel.shapes()]
