from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nmdl_bench.backends.cupy import CupyBackend
from nmdl_bench.testing import CupyChecker, checked_cupy
from nmdl_bench.testing.cupy_checker import CupyCallError

WRONG: dict[str, tuple[Any, str]] = {
    "a function that CuPy lacks": (lambda cp, x: cp.vecdot(x, x), "cupy .* has no 'vecdot'"),
    "a method that CuPy lacks": (lambda cp, x: x.to_device("cpu"), "ndarray has no 'to_device'"),
    "a submodule's function": (lambda cp, x: cp.linalg.multi_dot([x, x]), "multi_dot"),
    "a submodule's function that only NumPy has": (
        lambda cp, x: cp.linalg.vector_norm(x),
        "cupy.linalg .* has no 'vec",
    ),
    "a keyword of a submodule's function": (lambda cp, x: cp.fft.rfft2(x, out=x), r"cupy.fft.rfft2.*'out'"),
    "a NumPy argument of a submodule's function": (
        lambda cp, x: cp.fft.rfft(np.ones(3)),
        "fft.rfft gets a NumPy array",
    ),
    "a keyword of a function": (lambda cp, x: cp.sum(x, where=True), r"cupy.sum.*unexpected keyword argument 'where'"),
    "a keyword of a ufunc": (lambda cp, x: cp.exp(x, where=True), "is a ufunc and takes no where"),
    "too many arguments of a ufunc": (lambda cp, x: cp.exp(x, x, x), "takes 1 to 2 arguments, not 3"),
    "a keyword of a method": (lambda cp, x: x.sum(where=True), r"cupy.ndarray.sum.*'where'"),
    "a device for zeros": (lambda cp, x: cp.zeros((2,), device="cuda"), r"cupy.zeros.*'device'"),
    "a NumPy operand": (lambda cp, x: x + np.ones(3), "a NumPy array of shape .* meets a CuPy array"),
    "a NumPy operand on the left": (lambda cp, x: np.ones(3) * x, "a NumPy array of shape .* meets a CuPy array"),
    "a NumPy argument": (lambda cp, x: cp.dot(x, np.ones(3)), "cupy.dot gets a NumPy array"),
    "a NumPy array in a list": (lambda cp, x: cp.stack([x, np.ones(3)]), "cupy.stack gets a NumPy array"),
    "a NumPy index": (lambda cp, x: x[np.array([0])], "an index gets a NumPy array"),
    "a NumPy value": (lambda cp, x: x.__setitem__(slice(0, 2), np.ones(2)), "assignment to a slice"),
    "a NumPy function": (lambda cp, x: np.sin(x), "does not support ufuncs"),
    "NumPy's concatenate": (lambda cp, x: np.concatenate([x, x]), "numpy.concatenate is called on a CuPy array"),
    "np.asarray": (lambda cp, x: np.asarray(x), "implicit conversion"),
    "a ufunc of host numbers": (lambda cp, x: cp.sqrt(2.0), "gets no device array"),
    "asnumpy of a host array": (lambda cp, x: cp.asnumpy(np.ones(2)), "asnumpy of ndarray"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cupy_would_refuse(name: str) -> None:
    call, message = WRONG[name]
    cp = CupyChecker()
    with pytest.raises((CupyCallError, TypeError, AttributeError), match=message):
        call(cp, cp.asarray(np.ones(3)))


WAITS: dict[str, Any] = {
    "bool": lambda cp, x: bool(x[0] > 0),
    "if": lambda cp, x: 1 if x[0] > 0 else 2,
    "and": lambda cp, x: x[0] > 0 and 1,
    "float": lambda cp, x: float(cp.sum(x)),
    "int": lambda cp, x: int(cp.sum(x)),
    "index": lambda cp, x: [1, 2][cp.asarray(np.array(1))],
    "item": lambda cp, x: x[0].item(),
    "get": lambda cp, x: x.get(),
    "tolist": lambda cp, x: x.tolist(),
    "asnumpy": lambda cp, x: cp.asnumpy(x),
    "mask": lambda cp, x: x[x > 0],
    "nonzero": lambda cp, x: cp.nonzero(x),
    "synchronize": lambda cp, x: cp.cuda.Device(0).synchronize(),
    "max": lambda cp, x: max(x[0], x[1]),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_makes_the_host_wait_is_counted(name: str) -> None:
    cp = CupyChecker()
    x = cp.asarray(np.ones(3))
    WAITS[name](cp, x)
    assert cp.synchronisations == 1
    cp.reset()
    assert cp.synchronisations == 0


def test_what_stays_on_the_device_is_not_counted() -> None:
    cp = CupyChecker()
    x = cp.asarray(np.arange(6.0).reshape(2, 3))
    y = 2.0 * x - x / 3 + cp.exp(-x) + np.float64(1.0)
    y += cp.where(y > 0, y, cp.zeros(y.shape))
    y[0, 1] = 4.0
    y[1, :] = x[0]
    s = cp.dot(x[0], y[0]) + y.sum(axis=0)[1]
    assert isinstance(s, cp.ndarray)
    assert s.shape == ()
    assert len(x) == 2
    assert [row.shape for row in x] == [(3,), (3,)]
    assert (x.T @ y).shape == (3, 3)
    assert cp.synchronisations == 0


def test_slices_are_views_and_elements_stay_on_the_device() -> None:
    cp = CupyChecker()
    x = cp.asarray(np.arange(6.0).reshape(2, 3))
    x[1][0] = 9.0
    element = x[1, 0]
    assert isinstance(element, cp.ndarray)
    x[1, 0] = 8.0
    assert cp.asnumpy(element) == 8.0


def test_special_functions_are_held_against_cupyx() -> None:
    xp = checked_cupy()
    assert xp.cp.asnumpy(xp.erf(xp.asarray(np.zeros(2)))).tolist() == [0.0, 0.0]
    with pytest.raises(CupyCallError, match=r"cupyx.scipy.special.erf gets no device array"):
        xp.erf(0.5)
    with pytest.raises(CupyCallError, match=r"cupyx.scipy.special.erf is a ufunc and takes no where"):
        xp.erf(xp.asarray(np.zeros(2)), where=True)


def test_convolutions_never_wait() -> None:
    xp = checked_cupy()
    Y, K = xp.asarray(np.ones((2, 3, 6, 6))), xp.asarray(np.ones((4, 3, 3, 3)))
    for stride in (1, 2):
        A = xp.conv2d(Y, K, stride, 1)
        xp.conv2d_adjoints(Y, A, K, stride, 1)
    xp.irfft2(xp.rfft2(xp.avg_pool2d(Y, 2)), (3, 3))
    assert xp.cp.synchronisations == 0


def test_the_backend_is_the_very_class() -> None:
    xp = checked_cupy("float32")
    assert type(xp) is CupyBackend
    x = xp.asarray(np.ones(3))
    assert xp.to_numpy(x).dtype == np.float32
    assert xp.cp.waits == {"asnumpy": 1}
    value, seconds = xp.elapsed(lambda: xp.dot(x, x))
    assert isinstance(value, xp.cp.ndarray)
    assert seconds == 0.0
    assert xp.cp.waits == {"asnumpy": 1, "synchronize": 1}
