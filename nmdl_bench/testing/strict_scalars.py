"""Scalars that take ``+ - *``, unary minus and comparisons, and refuse everything else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from nmdl_bench.backends.numpy import NumpyBackend
from nmdl_bench.backends.scalars import FloatScalars
from nmdl_bench.contracts import Array, NmdlError, Scalar
from nmdl_bench.testing.trees import tree_map


class ScalarError(NmdlError, TypeError):
    """An operation on a scalar that one of the backends would not survive."""


class StrictScalar:
    """A real or an integer of the backend, or (of kind ``"truth"``) the outcome of a comparison.

    Division and roots of scalars follow IEEE on every backend, Python's own do not: whatever is refused here goes
    through ``xp.s``. ``bool``, ``float`` and ``int`` read the value on the host, which is right between compiled
    functions, and an error inside one, as it is under JAX: :attr:`inside` counts the compiled functions, loops, scans
    and branches that are being run.
    """

    __slots__ = ("kind", "value")
    inside: ClassVar[int] = 0
    __array_ufunc__ = None  # array * scalar then asks the scalar
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Any, kind: str) -> None:
        self.value, self.kind = value, kind

    def __repr__(self) -> str:
        return f"StrictScalar({self.value!r}, {self.kind!r})"

    def _other(self, other: Any, operation: str) -> Any:
        """The operand's value, where the two may meet."""
        if self.kind == "truth" or (isinstance(other, StrictScalar) and other.kind == "truth"):
            raise ScalarError(f"{operation} on a truth value; combine them by xp.s.and_, xp.s.or_ and xp.s.not_")
        if isinstance(other, StrictScalar):
            kind, value = other.kind, other.value
        elif isinstance(other, bool | np.bool_):
            raise ScalarError(f"{operation} of a scalar and the truth value {other!r}; use xp.s.where")
        elif isinstance(other, int | np.integer):
            return other
        elif isinstance(other, float | np.floating):
            kind, value = "real", other
        else:
            return NotImplemented
        if kind != self.kind:
            raise ScalarError(f"{operation} of an integer and a real; turn the integer into one by xp.s.real")
        return value

    def _arithmetic(self, other: Any, operation: str, apply: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, np.ndarray):
            if self.kind != "real":
                raise ScalarError(f"{operation} of an array and a scalar of kind {self.kind!r}; use xp.s.real")
            return apply(self.value, other)
        value = self._other(other, operation)
        return value if value is NotImplemented else StrictScalar(apply(self.value, value), self.kind)

    def __add__(self, other: Any) -> Any:
        return self._arithmetic(other, "+", lambda a, b: a + b)

    def __radd__(self, other: Any) -> Any:
        return self._arithmetic(other, "+", lambda a, b: b + a)

    def __sub__(self, other: Any) -> Any:
        return self._arithmetic(other, "-", lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._arithmetic(other, "-", lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return self._arithmetic(other, "*", lambda a, b: a * b)

    def __rmul__(self, other: Any) -> Any:
        return self._arithmetic(other, "*", lambda a, b: b * a)

    def __neg__(self) -> StrictScalar:
        if self.kind == "truth":
            raise ScalarError("unary minus on a truth value; use xp.s.not_")
        return StrictScalar(-self.value, self.kind)

    def _compare(self, other: Any, operation: str, apply: Callable[[Any, Any], bool]) -> Any:
        value = self._other(other, operation)
        return value if value is NotImplemented else StrictScalar(apply(self.value, value), "truth")

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, "<", lambda a, b: a < b)

    def __le__(self, other: Any) -> Any:
        return self._compare(other, "<=", lambda a, b: a <= b)

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, ">", lambda a, b: a > b)

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, ">=", lambda a, b: a >= b)

    def __eq__(self, other: Any) -> Any:
        return self._compare(other, "==", lambda a, b: a == b)

    def __ne__(self, other: Any) -> Any:
        return self._compare(other, "!=", lambda a, b: a != b)

    def _read(self, how: str) -> Any:
        if StrictScalar.inside:
            raise ScalarError(
                f"the host looks at {self!r} by {how} inside a compiled function or a loop; use xp.cond or xp.s.where "
                "for 'if', xp.while_loop for 'while', and xp.s.and_, xp.s.or_, xp.s.not_ for 'and', 'or', 'not'"
            )
        return self.value

    def __bool__(self) -> bool:
        return bool(self._read("bool()"))

    def __float__(self) -> float:
        return float(self._read("float()"))

    def __int__(self) -> int:
        return int(self._read("int()"))


def _refuse(operation: str) -> Callable[..., NoReturn]:
    def refuse(self: StrictScalar, *args: Any) -> NoReturn:
        raise ScalarError(f"{operation} on the scalar {self!r}; use what xp.s offers for it")

    return refuse


_REFUSED = """
    truediv rtruediv floordiv rfloordiv mod rmod divmod rdivmod pow rpow and rand or ror xor rxor lshift rlshift rshift
    rrshift matmul rmatmul invert abs round trunc floor ceil complex index array iter len getitem
"""
for _name in _REFUSED.split():
    setattr(StrictScalar, f"__{_name}__", _refuse(f"__{_name}__"))


class StrictIndex(int):
    """An integer of ``xp.loop``'s table: indexes arrays and takes ``+ - *``, but decides no branch.

    It is an ``int``, since arrays take nothing else as an index; on JAX it is traced.
    """

    __hash__ = int.__hash__

    def __bool__(self) -> bool:
        if StrictScalar.inside:
            raise ScalarError(f"the host looks at the loop's integer {int(self)} by bool(); use xp.cond or xp.s.where")
        return int(self) != 0


def _of_index(operation: str) -> Callable[[StrictIndex, Any], Any]:
    def operate(self: StrictIndex, other: Any) -> Any:
        value = getattr(int, operation)(self, other)
        return value if value is NotImplemented else StrictIndex(value)

    def compare(self: StrictIndex, other: Any) -> Any:
        value = getattr(int, operation)(self, other)
        return value if value is NotImplemented else StrictScalar(value, "truth")

    return compare if operation.strip("_") in ("lt", "le", "gt", "ge", "eq", "ne") else operate


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(StrictIndex, f"__{_name}__", _of_index(f"__{_name}__"))


def _value(x: Any) -> Any:
    return x.value if isinstance(x, StrictScalar) else x


def _kind(x: Any) -> str:
    if isinstance(x, StrictScalar):
        return x.kind
    if isinstance(x, bool | np.bool_):
        return "truth"
    return "integer" if isinstance(x, int | np.integer) else "real"


class StrictScalars:
    """``xp.s`` over :class:`StrictScalar`; each operation also says which kinds it takes."""

    def __init__(self, dtype: Any) -> None:
        self._round = np.dtype(dtype).type

    def const(self, v: Any) -> Scalar:
        if not isinstance(v, int | float | np.number):
            raise ScalarError(f"const takes a number of the host, not {v!r}")
        return StrictScalar(float(self._round(v)), "real")

    def int(self, i: Any) -> Any:
        if _kind(i) != "integer":
            raise ScalarError(f"int takes an integer, not {i!r}")
        return StrictScalar(int(_value(i)), "integer")

    def real(self, k: Any) -> Scalar:
        if _kind(k) == "truth":
            raise ScalarError(f"real takes an integer, not the truth value {k!r}; use xp.s.where")
        return StrictScalar(float(_value(k)), "real")

    def where(self, c: Any, a: Any, b: Any) -> Any:
        if _kind(c) != "truth":
            raise ScalarError(f"where takes a truth value first, not {c!r}")
        kinds = {_kind(a), _kind(b)}
        if len(kinds) > 1 and any(isinstance(x, StrictScalar | float) and _kind(x) != "real" for x in (a, b)):
            raise ScalarError(f"where between {a!r} and {b!r}: both must be reals, integers or truth values")
        return StrictScalar(_value(a) if _value(c) else _value(b), "real" if "real" in kinds else kinds.pop())


def _add_operation(name: str, takes: tuple[str, ...], gives: str = "") -> None:
    host = getattr(FloatScalars, name)

    def operation(self: StrictScalars, *args: Any) -> StrictScalar:
        for x in args:
            # a bare Python integer may stand for a real
            if _kind(x) not in takes and not (isinstance(x, int) and not isinstance(x, bool) and "real" in takes):
                raise ScalarError(f"xp.s.{name} takes {' or '.join(takes)}, not {x!r}")
        kinds = {_kind(x) for x in args if isinstance(x, StrictScalar)}
        if len(kinds) > 1:
            raise ScalarError(f"xp.s.{name} of an integer and a real; turn the integer into one by xp.s.real")
        kind = kinds.pop() if kinds else _kind(args[0])
        return StrictScalar(host(*map(_value, args)), gives or kind)

    operation.__name__ = name
    setattr(StrictScalars, name, operation)


for _name in ("div", "sqrt", "exp", "pow", "cos"):
    _add_operation(_name, ("real",), "real")
for _name in ("maximum", "minimum", "abs"):
    _add_operation(_name, ("real", "integer"))
_add_operation("isfinite", ("real", "integer"), "truth")
_add_operation("mod", ("integer",), "integer")
for _name in ("and_", "or_", "not_"):
    _add_operation(_name, ("truth",), "truth")


class StrictScalarBackend(NumpyBackend):
    """NumPy whose scalars are :class:`StrictScalar`; inside, only ``while_loop`` and ``cond`` look at one."""

    library: ClassVar[str] = "strict-scalar"

    def __init__(self, device: str = "cpu", dtype: str = "float64") -> None:
        super().__init__(device, dtype)
        self.s = StrictScalars(dtype)
        for verb in (
            "axpy",
            "aypx",
            "axpby",
            "scale",
            "addmm",
            "set_row",
            "set_column",
            "one_hot",
            "add_scaled",
            "head",
        ):
            setattr(self, verb, _unwrapping(getattr(self, verb)))

    def asarray(self, a: Any) -> Array:
        return super().asarray(tree_map(_value, a))

    def to_numpy(self, a: Array) -> np.ndarray:
        return super().to_numpy(_value(a))

    def dot(self, x: Array, y: Array) -> Scalar:
        return StrictScalar(super().dot(x, y), "real")

    def total(self, x: Array) -> Scalar:
        return StrictScalar(super().total(x), "real")

    def norm_inf(self, x: Array) -> Scalar:
        return StrictScalar(super().norm_inf(x), "real")

    def while_loop(self, cond: Callable[[Any], Any], body: Callable[[Any], Any], state: Any) -> Any:
        with _inside():
            return super().while_loop(lambda state: _truth("while_loop", cond(state)), body, state)

    def cond(self, pred: Any, then: Callable[..., Any], else_: Callable[..., Any], *args: Any) -> Any:
        with _inside():
            return super().cond(_truth("cond", pred), then, else_, *args)

    def scan(
        self,
        body: Callable[[Any, Any], tuple[Any, Any]],
        carry: Any,
        xs: Any,
        reverse: bool = False,
        unroll: bool = False,
    ) -> Any:
        with _inside():
            return super().scan(body, carry, xs, reverse, unroll)

    def loop(self, body: Callable[[Any, tuple[Any, ...]], Any], carry: Any, table: Any) -> Any:
        with _inside():
            return super().loop(lambda carry, row: body(carry, tuple(StrictIndex(i) for i in row)), carry, table)

    def compile(self, fn: Callable[..., Any], donate: tuple[int, ...] = ()) -> Callable[..., Any]:
        def compiled(*args: Any) -> Any:
            with _inside():
                return fn(*args)

        return compiled

    def record(self, table: Any, row: Any, values: Sequence[Any]) -> Any:
        return super().record(table, _value(row), [_value(v) for v in values])


@contextlib.contextmanager
def _inside() -> Iterator[None]:
    StrictScalar.inside += 1
    try:
        yield
    finally:
        StrictScalar.inside -= 1


def _unwrapping(method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return method(*map(_value, args), **kwargs)

    call.__doc__ = method.__doc__
    return call


def _truth(verb: str, pred: Any) -> bool:
    if _kind(pred) != "truth":
        raise ScalarError(f"{verb} takes a truth value, not {pred!r}")
    return bool(_value(pred))
