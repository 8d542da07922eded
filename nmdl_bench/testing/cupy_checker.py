"""The real ``cupy`` namespace around NumPy's data: runs :class:`~nmdl_bench.backends.cupy.CupyBackend` without a GPU.

``import cupy`` works on a machine without a driver, so every name, signature and method can be held against the library
itself; only the numbers come from NumPy. What a GPU would make slow or impossible is refused or counted: NumPy arrays
among device arrays are an error, and whatever makes the host wait for the device is one *synchronisation*.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from nmdl_bench.backends.cupy import CupyBackend
from nmdl_bench.contracts import NmdlError
from nmdl_bench.testing.trees import tree_map

_UFUNC_OPTIONS = {"out", "dtype", "casting"}
_SUBMODULES = {"fft", "linalg"}
_DATA_DEPENDENT = {"nonzero", "argwhere", "flatnonzero", "unique", "extract", "count_nonzero"}


class CupyCallError(NmdlError, TypeError):
    """A call that CuPy has not, or has with another signature, or that mixes host and device."""


class DeviceArray:
    """Stands for ``cupy.ndarray``: has its attributes and methods only, and turns into no NumPy array by itself."""

    __slots__ = ("_a", "_checker")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, checker: CupyChecker, a: Any) -> None:
        self._checker, self._a = checker, np.asarray(a)

    def __repr__(self) -> str:
        return f"DeviceArray({self._a!r})"

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise CupyCallError("implicit conversion of a CuPy array to a NumPy array; use xp.to_numpy")

    def __array_function__(self, function: Any, *args: Any) -> NoReturn:
        raise CupyCallError(f"numpy.{function.__name__} is called on a CuPy array; use xp")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._checker.attribute(self, name)

    # ------------------------------------------------------------------------------------------ the host waits
    def __bool__(self) -> bool:
        return bool(self._checker.wait("bool", self))

    def __float__(self) -> float:
        return float(self._checker.wait("float", self))

    def __int__(self) -> int:
        return int(self._checker.wait("int", self))

    def __index__(self) -> int:
        return self._checker.wait("index", self).__index__()

    def __complex__(self) -> complex:
        return complex(self._checker.wait("complex", self))

    # ------------------------------------------------------------------------------------------ slices
    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator[DeviceArray]:
        if self._a.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self._a)))

    def __getitem__(self, key: Any) -> DeviceArray:
        host = self._checker.key(key)
        basic = all(isinstance(k, int | slice | type(None) | type(Ellipsis)) for k in host)
        if basic and Ellipsis not in host:
            host = (*host, Ellipsis)  # a 0-d view, as CuPy gives, where NumPy gives a number
        return DeviceArray(self._checker, self._a[host])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._a[self._checker.key(key)] = self._checker.host(value, "assignment to a slice")


def _binary(name: str, in_place: bool = False) -> Callable[[DeviceArray, Any], Any]:
    def operate(self: DeviceArray, other: Any) -> Any:
        if not isinstance(other, DeviceArray | int | float | np.generic):
            if isinstance(other, np.ndarray):
                raise CupyCallError(
                    f"a NumPy array of shape {other.shape} meets a CuPy array in {name}; use xp.asarray"
                )
            return NotImplemented
        with np.errstate(all="ignore"):  # CuPy is silent
            value = getattr(self._a, name)(self._checker.host(other, name))
        if value is NotImplemented:
            return value
        if in_place:
            self._a = value
            return self
        return DeviceArray(self._checker, value)

    return operate


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(DeviceArray, f"__{_name}__", _binary(f"__{_name}__"))
    setattr(DeviceArray, f"__r{_name}__", _binary(f"__r{_name}__"))
    setattr(DeviceArray, f"__i{_name}__", _binary(f"__i{_name}__", in_place=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(DeviceArray, f"__{_name}__", _binary(f"__{_name}__"))


def _unary(name: str) -> Callable[[DeviceArray], DeviceArray]:
    return lambda self: DeviceArray(self._checker, getattr(self._a, name)())


for _name in ("neg", "pos", "abs", "invert"):
    setattr(DeviceArray, f"__{_name}__", _unary(f"__{_name}__"))


class CupyChecker:
    """Stands for the module ``cupy``; pass it as ``module=`` to :class:`~nmdl_bench.backends.cupy.CupyBackend`.

    Attributes
    ----------
    waits : Counter
        How often the host waited for the device, by cause; :attr:`synchronisations` is the sum.
    """

    def __init__(self) -> None:
        import cupy

        self._real = cupy
        self.waits: Counter[str] = Counter()
        self.cuda = _Cuda(self)
        self.ndarray = DeviceArray
        self._pool = SimpleNamespace(total_bytes=lambda: 0, used_bytes=lambda: 0, free_all_blocks=lambda: None)

    @property
    def synchronisations(self) -> int:
        """Number of times that the host waited since the last :meth:`reset`."""
        return sum(self.waits.values())

    def reset(self) -> None:
        """Count from zero again."""
        self.waits.clear()

    def wait(self, cause: str, x: DeviceArray) -> np.ndarray:
        self.waits[cause] += 1
        return x._a

    # ------------------------------------------------------------------------------------------ functions
    def __getattr__(self, name: str) -> Any:
        if name in _SUBMODULES:
            return _Submodule(self, f"cupy.{name}", getattr(self._real, name), getattr(np, name))
        return self.checked("cupy", self._real, np, name)

    def checked(self, module: str, real: Any, host: Any, name: str) -> Any:
        """``module.name``, computed by ``host``'s function of that name under the signature of the ``real`` one."""
        try:
            function = getattr(real, name)
        except AttributeError:
            raise CupyCallError(f"{module} {self._real.__version__} has no {name!r}") from None
        if isinstance(function, type) or not callable(function):
            return function  # dtype, float64, newaxis, pi
        full = f"{module}.{name}"
        is_ufunc = isinstance(function, self._real.ufunc)
        signature = None if is_ufunc else inspect.signature(function)

        def call(*args: Any, **options: Any) -> Any:
            if signature is None:
                _check_ufunc(full, function, args, options)
            else:
                _bind(full, signature, args, options)
            if name in _DATA_DEPENDENT:
                self.waits[name] += 1
            options.pop("blocking", None)
            args, options = self.host(args, full), self.host(options, full)
            with np.errstate(all="ignore"):
                return self._device(getattr(host, name)(*args, **options))

        call.__name__ = name
        return call

    def array(self, obj: Any, dtype: Any = None, copy: bool = True) -> DeviceArray:
        return DeviceArray(self, np.array(self._upload(obj), dtype=dtype))

    def asarray(self, a: Any, dtype: Any = None) -> DeviceArray:
        if isinstance(a, DeviceArray) and dtype in (None, a._a.dtype):
            return a
        return DeviceArray(self, np.array(self._upload(a), dtype=dtype))

    def asnumpy(self, a: Any) -> np.ndarray:
        if not isinstance(a, DeviceArray):
            raise CupyCallError(f"asnumpy of {type(a).__name__}; only device arrays are moved to the host")
        return self.wait("asnumpy", a).copy()

    def get_default_memory_pool(self) -> Any:
        return self._pool

    # ------------------------------------------------------------------------------------------ methods
    def attribute(self, x: DeviceArray, name: str) -> Any:
        real = getattr(self._real.ndarray, name, None)
        if real is None:
            raise CupyCallError(f"cupy {self._real.__version__}'s ndarray has no {name!r}")
        if name in ("get", "item", "tolist"):
            return lambda: self.wait(name, x).copy() if name == "get" else getattr(self.wait(name, x), name)()
        value = getattr(x._a, name)
        if not callable(value):
            return self._device(value)
        signature = _documented_signature(name, real)

        def call(*args: Any, **options: Any) -> Any:
            if signature is not None:
                _bind(f"cupy.ndarray.{name}", signature, args, options)
            return self._device(value(*self.host(args, f".{name}"), **self.host(options, f".{name}")))

        return call

    # ------------------------------------------------------------------------------------------ data
    def host(self, tree: Any, where: str) -> Any:
        """The NumPy data under a tree of arguments; NumPy arrays among them are refused."""

        def unwrap(leaf: Any) -> Any:
            if isinstance(leaf, np.ndarray):
                raise CupyCallError(f"{where} gets a NumPy array of shape {leaf.shape}; move it by xp.asarray")
            return leaf._a if isinstance(leaf, DeviceArray) else leaf

        return tree_map(unwrap, tree)

    def key(self, key: Any) -> tuple[Any, ...]:
        keys = key if isinstance(key, tuple) else (key,)
        for k in keys:
            if isinstance(k, DeviceArray) and k._a.dtype == bool:
                self.waits["mask"] += 1
        return tuple(self.host(k, "an index") for k in keys)

    def _upload(self, a: Any) -> Any:
        if isinstance(a, list | tuple) and any(isinstance(v, DeviceArray) for v in a):
            return [v._a if isinstance(v, DeviceArray) else v for v in a]
        return a._a if isinstance(a, DeviceArray) else a

    def _device(self, value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return DeviceArray(self, value)
        if isinstance(value, list) or (isinstance(value, tuple) and any(isinstance(v, np.ndarray) for v in value)):
            return (list if isinstance(value, list) else tuple)(self._device(v) for v in value)
        return value


class _Submodule:
    """A submodule of the library over the one of NumPy or SciPy that computes the same."""

    def __init__(self, checker: CupyChecker, name: str, real: Any, host: Any) -> None:
        self._checker, self._name, self._real, self._host = checker, name, real, host

    def __getattr__(self, name: str) -> Any:
        return self._checker.checked(self._name, self._real, self._host, name)


class _Cuda:
    """What :class:`~nmdl_bench.backends.cupy.CupyBackend` uses of ``cupy.cuda``: one device that is always there."""

    def __init__(self, checker: CupyChecker) -> None:
        def synchronize() -> None:
            checker.waits["synchronize"] += 1

        self.runtime = SimpleNamespace(getDeviceCount=lambda: 1)
        self.Device = lambda index: SimpleNamespace(id=index, use=lambda: None, synchronize=synchronize)
        self.Event = lambda: SimpleNamespace(record=lambda: None, synchronize=synchronize)

    def is_available(self) -> bool:
        return True

    def get_elapsed_time(self, start: Any, end: Any) -> float:
        return 0.0


def _check_ufunc(name: str, real: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    wrong = set(options) - _UFUNC_OPTIONS
    if wrong:
        raise CupyCallError(f"{name} is a ufunc and takes no {', '.join(sorted(wrong))}")
    if not real.nin <= len(args) <= real.nargs:
        raise CupyCallError(f"{name} takes {real.nin} to {real.nargs} arguments, not {len(args)}")
    if not any(isinstance(arg, DeviceArray) for arg in args):
        raise CupyCallError(f"{name} gets no device array but {args!r}; use xp.s for scalars")


def _bind(name: str, signature: inspect.Signature, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        raise CupyCallError(f"{name}{signature}: {error}") from None


def _documented_signature(name: str, method: Any) -> inspect.Signature | None:
    """Cython methods carry theirs in the first line of the docstring; None where it cannot be read."""
    first = (method.__doc__ or "").partition("\n")[0]
    match = re.match(rf"_ndarray_base\.{name}\((self.*?)\)( ->.*)?$", first)
    if match is None:
        return None
    # types such as 'str order' and defaults that only Cython knows are dropped: names and places matter
    parts = [re.sub(r"^(\*{0,2})(?:\w+ )*(\w+)(=.*)?$", r"\1\2\3", part.strip()) for part in match[1].split(", ")]
    parts = [re.sub(r"=.*", "=None", part) for part in parts[1:]]
    try:
        return inspect.signature(eval(f"lambda {', '.join(parts)}: None", {}))
    except SyntaxError:
        return None


def checked_cupy(dtype: str = "float64") -> CupyBackend:
    """The CuPy backend over a fresh :class:`CupyChecker`, reachable as ``xp.cp``."""
    import cupyx.scipy.special
    import scipy.special

    checker = CupyChecker()
    special = _Submodule(checker, "cupyx.scipy.special", cupyx.scipy.special, scipy.special)
    return CupyBackend("cuda:0", dtype, module=checker, special=special)
