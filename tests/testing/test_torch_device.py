from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from nmdl_bench.testing import TorchDeviceBackend


@pytest.fixture
def xp() -> TorchDeviceBackend:
    return TorchDeviceBackend()


def test_scalars_and_records_are_tensors_as_on_a_gpu(xp: TorchDeviceBackend) -> None:
    x = xp.asarray(np.arange(3.0))
    for scalar in (xp.dot(x, x), xp.total(x), xp.norm_inf(x), xp.s.const(2.0), xp.s.real(3)):
        assert isinstance(scalar, torch.Tensor)
        assert scalar.shape == ()
    table = xp.record(xp.recorder(1, 2), 0, (xp.dot(x, x), 7.0))
    assert isinstance(table, torch.Tensor)
    np.testing.assert_array_equal(xp.recorded(table), [[5.0, 7.0]])


FLOATS_ONLY: dict[str, Any] = {
    "a float method": lambda xp, a: a.is_integer(),
    "round to a fraction": lambda xp, a: a.as_integer_ratio(),
    "a set of values": lambda xp, a: {a: 1}[xp.s.const(2.0)],
    "torch's function of a float": lambda xp, a: torch.sqrt(math.sqrt(a)),
}


@pytest.mark.parametrize("name", FLOATS_ONLY)
def test_code_for_floats_alone_fails(xp: TorchDeviceBackend, name: str) -> None:
    with pytest.raises((AttributeError, TypeError, KeyError)):
        FLOATS_ONLY[name](xp, xp.s.const(2.0))
