from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nmdl_bench.testing import StrictBackend, StrictScalarBackend
from nmdl_bench.testing.strict_scalars import ScalarError


@pytest.fixture
def xp() -> StrictScalarBackend:
    return StrictScalarBackend()


REFUSED: dict[str, Any] = {
    "division": lambda s, a: a / 2.0,
    "division of a number": lambda s, a: 1 / a,
    "power": lambda s, a: a**2,
    "abs": abs,
    "math.sqrt": lambda s, a: math.sqrt(a),
    "if": lambda s, a: 1 if a > 0 else 2,
    "and": lambda s, a: (a > 0) and (a < 2),
    "not": lambda s, a: not (a > 0),
    "~": lambda s, a: ~(a > 0),
    "&": lambda s, a: (a > 0) & (a < 2),
    "max": lambda s, a: max(a, 2.0),
    "float": lambda s, a: float(a),
    "int": lambda s, a: int(a),
    "a product with a truth value": lambda s, a: (a > 0) * a,
    "a sum of an integer and a real": lambda s, a: s.int(1) + a,
    "an integer times 0.5": lambda s, a: s.int(1) * 0.5,
    "a list's index": lambda s, a: [1, 2][s.int(1)],
    "a NumPy function": lambda s, a: np.sqrt(a),
    "an array divided by it": lambda s, a: np.ones(2) / a,
    "an array times an integer": lambda s, a: np.ones(2) * s.int(2),
    "xp.s.mod of reals": lambda s, a: s.mod(a, 2),
    "xp.s.where of a real": lambda s, a: s.where(a, 1.0, 2.0),
    "xp.s.and_ of reals": lambda s, a: s.and_(a > 0, a),
    "xp.s.real of a truth value": lambda s, a: s.real(a > 0),
    "xp.s.const of a scalar": lambda s, a: s.const(a),
    "xp.s.maximum of both kinds": lambda s, a: s.maximum(a, s.int(1)),
    "xp.cond of a real": None,
    "xp.while_loop of an integer": None,
}


@pytest.mark.parametrize("name", REFUSED)
def test_strict_scalars_refuse(xp: StrictScalarBackend, name: str) -> None:
    call = REFUSED[name]
    if name == "xp.cond of a real":
        call = lambda s, a: xp.cond(a, lambda: 1, lambda: 2)  # noqa: E731
    if name == "xp.while_loop of an integer":
        call = lambda s, a: xp.while_loop(lambda k: k, lambda k: k - 1, s.int(1))  # noqa: E731
    with pytest.raises((ScalarError, TypeError)):
        xp.compile(lambda a: call(xp.s, a))(xp.s.const(1.5))


def test_strict_scalars_take_what_all_backends_take(xp: StrictScalarBackend) -> None:
    s = xp.s

    def allowed(a: Any) -> Any:
        b = 2.0 * a + 1 - a * a
        c = s.where(s.and_(a > 0, s.not_(b < 0), s.int(1) + 1 >= 2), s.div(a, b), -a)
        x = np.ones(2) * a + a * np.ones(2) - a
        return xp.cond(c > 0, lambda x: xp.dot(x, x), lambda x: s.const(0.0), x)

    assert float(xp.compile(allowed)(s.const(1.5))) == pytest.approx(4.5)


def test_strict_scalars_may_be_read_between_compiled_functions(xp: StrictScalarBackend) -> None:
    value = xp.dot(np.ones(3), np.ones(3))
    assert (float(value), int(value), bool(value > 2)) == (3.0, 3, True)
    with pytest.raises(ScalarError, match=r"by float\(\) inside a compiled function"):
        xp.scan(lambda c, x: (float(c), None), value, np.ones((1, 1)))
    assert float(value) == 3.0  # the failure has not left it inside


LOOPED: dict[str, Any] = {
    "if": lambda xp, i, x: x if i else -x,
    "a comparison in an if": lambda xp, i, x: x if i == 0 else -x,
    "an offset in an if": lambda xp, i, x: x if 2 * i - 1 else -x,
}


@pytest.mark.parametrize("name", LOOPED)
def test_a_loops_integer_decides_no_branch(xp: StrictScalarBackend, name: str) -> None:
    with pytest.raises(ScalarError):
        xp.loop(lambda x, row: LOOPED[name](xp, row[0], x), np.ones(2), [[0], [1]])


def test_a_loops_integer_indexes_and_chooses(xp: StrictScalarBackend) -> None:
    s = xp.s

    def body(S: Any, row: Any) -> Any:
        (i,) = row
        return xp.set_row(S, i, S[i + 1, ...] * s.where(i < 1, s.real(i + 2), s.const(10.0)))

    assert xp.loop(body, np.array([1.0, 2.0, 3.0]), [[0], [1]]).tolist() == [4.0, 30.0, 3.0]


STANDARD_ONLY: dict[str, Any] = {
    "an incomplete index": lambda xp, x: x[0],
    "a boolean times a real": lambda xp, x: (x > 0) * x,
    "a NumPy array": lambda xp, x: x + np.ones((2, 3)),
    "an array of another device": lambda xp, x: x + xp.namespace.ones((2, 3), device=xp.namespace.Device("CPU_DEVICE")),
    "a method of NumPy's": lambda xp, x: x.sum(),
    "a keyword of NumPy's": lambda xp, x: xp.sum(x, axis=0, initial=1.0),
    "a sum of integers and reals": lambda xp, x: x[:, 0] + xp.asarray(np.arange(2)),
    "a list": lambda xp, x: x * [1.0, 2.0, 3.0],
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", STANDARD_ONLY)
def test_the_strict_backend_refuses(name: str, dtype: str) -> None:
    xp = StrictBackend(dtype=dtype)
    x = xp.asarray(np.ones((2, 3)))
    with pytest.raises((TypeError, ValueError, IndexError, AttributeError)):
        STANDARD_ONLY[name](xp, x)


def test_the_strict_float32_device_knows_no_float64() -> None:
    xp = StrictBackend(dtype="float32")
    with pytest.raises(ValueError, match="float64"):
        xp.namespace.zeros((2,), dtype=xp.namespace.float64, device=xp.strict_device)
