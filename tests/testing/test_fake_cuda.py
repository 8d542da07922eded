from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException

from nmdl_bench.testing import fake_cuda_backend
from nmdl_bench.testing.fake_cuda import HiddenSynchronisationError

HIDDEN: dict[str, Any] = {
    "if": lambda xp, x: 1 if xp.dot(x, x) > 0 else 2,
    "float": lambda xp, x: float(xp.total(x)),
    "item": lambda xp, x: x[0].item(),
    "alpha=": lambda xp, x: torch.add(x, x, alpha=xp.dot(x, x)),
    "xp.cond": lambda xp, x: xp.cond(xp.total(x) > 0, lambda: 1, lambda: 2),
    "an index on the device": lambda xp, x: x[torch.argmax(x)],
    "a mask": lambda xp, x: x[x > 0],
    "to_numpy": lambda xp, x: xp.to_numpy(x),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_synchronisations_raise(name: str) -> None:
    with fake_cuda_backend() as xp:
        x = xp.asarray(np.ones(3))
        with pytest.raises((DataDependentOutputException, HiddenSynchronisationError)):
            HIDDEN[name](xp, x)


def test_mixed_devices_raise() -> None:
    with fake_cuda_backend() as xp, pytest.raises(RuntimeError, match=r"cuda:0(,| and) cpu"):
        xp.asarray(np.ones(3)) + torch.ones(3, dtype=torch.float64)


def test_shapes_types_and_devices_are_those_of_the_real_thing() -> None:
    with fake_cuda_backend("float32") as xp:
        S = xp.set_row(xp.zeros((3, 4)), 1, xp.asarray(np.ones(4)))
        S = xp.set_column(S, 2, xp.one_hot(1, 3))
        rows = [S[0], S[:, 1], S[1:, 2], S[-1]]
        scalar = xp.dot(rows[0], rows[3])
        x = xp.axpy(scalar, rows[0], xp.copy(rows[3]))
        picked = xp.take(S, xp.asarray(np.array([0, 2])))
        flat = xp.ravel([S, picked])
        table = xp.record(xp.recorder(2, 2), 0, (scalar, 1.0))
    assert [tuple(row.shape) for row in rows] == [(4,), (3,), (2,), (4,)]
    assert (tuple(x.shape), tuple(picked.shape), tuple(flat.shape)) == ((4,), (2, 4), (20,))
    assert {a.device.type for a in (S, scalar, x, picked, flat, table)} == {"cuda"}
    assert {a.dtype for a in (S, scalar, x, picked, flat)} == {torch.float32}


def test_convolutions_and_transforms_stay_on_the_device() -> None:
    with fake_cuda_backend("float32") as xp:
        Y, K = xp.asarray(np.ones((2, 3, 7, 8))), xp.asarray(np.ones((4, 3, 3, 3)))
        A = xp.conv2d(Y, K, 2, 1)
        dK, dY = xp.conv2d_adjoints(Y, A, K, 2, 1)
        alone = xp.conv2d_grad(Y, A, (3, 3), 2, 1), xp.conv2d_transpose(A, K, (7, 8), 2, 1)
        depthwise = xp.conv2d(Y, xp.asarray(np.ones((3, 1, 3, 3))), 1, 1, 3)
        means = xp.avg_pool2d(A, 2)
        spread = xp.avg_pool2d_transpose(means, 2)
        filtered = xp.irfft2(xp.conj(xp.rfft2(Y)), (7, 8))
        rows = xp.loop(
            lambda S, row: xp.set_row(S, row[0], S[row[1], ...] + xp.constant(np.ones((3, 7, 8)))), xp.copy(Y), [[0, 1]]
        )
    found = (A, dK, dY, *alone, depthwise, means, spread, filtered, rows)
    shapes = [(2, 4, 4, 4), K.shape, Y.shape, K.shape, Y.shape, Y.shape, (2, 4, 2, 2), (2, 4, 4, 4), Y.shape, Y.shape]
    assert [tuple(a.shape) for a in found] == [tuple(shape) for shape in shapes]
    assert {(a.device.type, a.dtype) for a in found} == {("cuda", torch.float32)}
