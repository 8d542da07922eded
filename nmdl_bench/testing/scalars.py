"""``check_scalars``: the scalar operations ``xp.s`` against IEEE arithmetic."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from math import inf, nan, pi
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.testing.errors import CheckError, deviation, require

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

_REALS: list[tuple[str, tuple[float, ...], float]] = [
    ("div", (3.0, 2.0), 1.5), ("div", (1.0, 0.0), inf), ("div", (-1.0, 0.0), -inf), ("div", (1.0, -0.0), -inf),
    ("div", (0.0, 0.0), nan), ("div", (nan, 0.0), nan), ("div", (1.0, inf), 0.0), ("div", (inf, inf), nan),
    ("sqrt", (2.25,), 1.5), ("sqrt", (-1.0,), nan), ("sqrt", (inf,), inf), ("sqrt", (nan,), nan),
    ("sqrt", (0.0,), 0.0), ("exp", (0.0,), 1.0), ("exp", (1000.0,), inf), ("exp", (-inf,), 0.0), ("exp", (nan,), nan),
    ("cos", (pi,), -1.0), ("cos", (inf,), nan), ("cos", (nan,), nan), ("pow", (2.0, 0.5), 2**0.5),
    ("pow", (0.0, 2.0), 0.0), ("pow", (0.0, -1.0), inf), ("pow", (-1.0, 0.5), nan), ("pow", (10.0, 1000.0), inf),
    ("pow", (nan, 2.0), nan), ("pow", (0.5, inf), 0.0), ("maximum", (1.0, 2.0), 2.0), ("maximum", (2.0, 1.0), 2.0),
    ("maximum", (nan, 1.0), nan), ("maximum", (1.0, nan), nan), ("maximum", (-inf, 1.0), 1.0),
    ("minimum", (1.0, 2.0), 1.0), ("minimum", (2.0, 1.0), 1.0), ("minimum", (nan, 1.0), nan),
    ("minimum", (1.0, nan), nan), ("minimum", (inf, 1.0), 1.0), ("abs", (-1.5,), 1.5), ("abs", (-inf,), inf),
    ("abs", (nan,), nan),
]  # fmt: skip
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


def check_scalars(xp: Backend) -> None:
    """Hold ``xp.s`` against IEEE arithmetic, special values included.

    Raises
    ------
    CheckError
        With the operation, its arguments and what came.
    """
    s, table = xp.s, _Table(xp)
    expect, truth = table.expect, table.truth
    for name, args, expected in _REALS:
        what = f"xp.s.{name}{args}"
        expect(what, partial(getattr(s, name), *map(s.const, args)), expected)
        if len(args) == 2:  # a number of the host may stand beside a scalar
            expect(f"{what} with a host number", partial(getattr(s, name), s.const(args[0]), args[1]), expected)
    a, b = s.const(1.5), s.const(-2.0)
    expect("a + b", lambda: a + b, -0.5)
    expect("a - b", lambda: a - b, 3.5)
    expect("a * b", lambda: a * b, -3.0)
    expect("-a", lambda: -a, -1.5)
    expect("2.0 - a", lambda: 2.0 - a, 0.5)
    expect("2 * a + 1", lambda: 2 * a + 1, 4.0)
    for name, compare in _COMPARISONS.items():
        for x, y in ((1.0, 2.0), (2.0, 1.0), (1.0, 1.0), (nan, 1.0), (1.0, nan), (inf, inf), (-inf, 0.0)):
            truth(f"{x} {name} {y}", partial(compare, s.const(x), s.const(y)), compare(x, y))
    for x in (1.0, 0.0, inf, -inf, nan):
        truth(f"xp.s.isfinite({x})", partial(s.isfinite, s.const(x)), x - x == 0)
    _add_logic(table)
    table.check()


class _Table:
    """Scalar expressions and what they should give, evaluated in one compiled function."""

    def __init__(self, xp: Backend) -> None:
        self.xp = xp
        self._rows: list[tuple[str, Callable[[], Any], float]] = []

    def expect(self, what: str, call: Callable[[], Any], expected: float) -> None:
        """Ask that the real ``call()`` be ``expected``."""
        self._rows.append((what, call, expected))

    def truth(self, what: str, call: Callable[[], Any], expected: bool) -> None:
        """Ask that the truth value ``call()`` be ``expected``."""
        s = self.xp.s
        self.expect(what, lambda: s.where(call(), s.const(1.0), s.const(0.0)), float(expected))

    def _evaluate(self, calls: list[Callable[[], Any]]) -> np.ndarray:
        xp = self.xp
        record = xp.compile(lambda table: xp.record(table, 0, [call() for call in calls]))
        with np.errstate(all="ignore"):
            return xp.recorded(record(xp.recorder(1, len(calls))))[0]

    def check(self) -> None:
        """Evaluate all and compare."""
        xp, tolerance = self.xp, 16 * self.xp.eps
        try:
            values = self._evaluate([call for _, call, _ in self._rows])
        except Exception:
            for what, call, _ in self._rows:  # which one is it?
                try:
                    self._evaluate([call])
                except Exception as error:
                    raise CheckError(f"{what} on {xp!r} raises {type(error).__name__}: {error}") from error
            raise
        for (what, _, expected), got in zip(self._rows, map(float, values)):
            right = deviation(got, expected) <= tolerance
            require(right, f"{what} on {xp!r} gives {got!r} instead of {expected!r}")


def _add_logic(table: _Table) -> None:
    """Truth values of reals (which may live on the device) and of integers (which may live on the host), mixed."""
    s, truth, expect = table.xp.s, table.truth, table.expect
    real, integer = s.const(1.0), s.int(1)
    for a in (True, False):
        for b in (True, False):
            of_real, of_integer = (real > 0 if a else real < 0), (integer > 0 if b else integer < 0)
            for name, (x, y) in {"": (of_real, of_integer), " reversed": (of_integer, of_real)}.items():
                truth(f"xp.s.and_ of {a}, {b}{name}", partial(s.and_, x, y), a and b)
                truth(f"xp.s.or_ of {a}, {b}{name}", partial(s.or_, x, y), a or b)
        truth(f"xp.s.not_ of a comparison of reals that is {a}", partial(s.not_, of_real), not a)
        truth(f"xp.s.not_ of a comparison of integers that is {b}", partial(s.not_, of_integer), not b)
    truth("xp.s.and_ of three", lambda: s.and_(integer > 0, real > 0, real < 0), False)
    truth("xp.s.or_ of three", lambda: s.or_(integer < 0, real < 0, real > 0), True)
    expect("xp.s.where, false,", lambda: s.where(real < 0, s.const(nan), s.const(2.0)), 2.0)
    expect("xp.s.where with a host number", lambda: s.where(real > 0, real, 0.0), 1.0)
    expect("xp.s.where of integers by a real's comparison", lambda: s.real(s.where(real > 0, s.int(3), s.int(4))), 3.0)
    expect("xp.s.where of integers by an integer's", lambda: s.real(s.where(integer > 1, s.int(3), s.int(4))), 4.0)
    expect("xp.s.real", lambda: s.real(integer + 2) * s.const(0.5), 1.5)
    expect("xp.s.mod", lambda: s.real(s.mod(integer + 6, 3)), 1.0)
    expect("xp.s.abs of an integer", lambda: s.real(s.abs(s.int(-4))), 4.0)
    expect("xp.s.maximum of integers", lambda: s.real(s.maximum(s.int(3), s.int(5))), 5.0)
    expect("xp.s.minimum of integers", lambda: s.real(s.minimum(s.int(3), s.int(5))), 3.0)
