"""Backtracking that lets the value rise for a while: lower than some past value is low enough."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nmdl_bench.contracts import ConfigurationError, Scalar
from nmdl_bench.optimizers.line_search.base import Search, begin, check_constants, parabola, proceed, sufficient

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


class _Nonmonotone:
    """Backtracking until ``phi(t) <= R + c1 t phi'(0)``, R being ``memory.reference``.

    The next trial minimises the parabola through ``phi(0), phi'(0), phi(t)``, between 0.1 t and 0.9 t. A search that
    starts again from where the last one failed counts that value once more.
    """

    needs_descent: ClassVar[bool] = True

    max_trials: int

    def is_low(self, xp: Backend, search: Search, f_t: Scalar) -> Any:
        return sufficient(xp, search, f_t, search.memory.reference)

    def low(self, xp: Backend, search: Search, f_t: Scalar, df_t: Scalar) -> Search:
        """Accept: the value is all that is asked for."""
        return proceed(xp, search, self.max_trials, search.t > 0, search.t)

    def high(self, xp: Backend, search: Search, f_t: Scalar) -> Search:
        """Shorten the step."""
        shortened = search._replace(hi=search.t, f_hi=f_t)
        return proceed(xp, shortened, self.max_trials, search.t < 0, parabola(xp, shortened))


class Past(NamedTuple):
    """The last values, the youngest first, and the largest of them."""

    values: tuple[Scalar, ...]
    reference: Scalar


@dataclass(frozen=True)
class Grippo(_Nonmonotone):
    """Armijo's rule from the largest of the last M values (Grippo, Lampariello and Lucidi 1986).

    That is::

        phi(t) <= max_{0 <= j < M} f(x_{k-j}) + c1 t phi'(0)

    Parameters
    ----------
    c1 : float
        Share of the predicted decrease that is asked for, in (0, 1).
    M : int
        Number of values, >= 1; with one it is Armijo's rule.
    max_trials : int
        Trials after which the search gives up.
    """

    c1: float = 1e-4
    M: int = 10
    max_trials: int = 40

    def __post_init__(self) -> None:
        check_constants(self.c1, None, self.max_trials)
        if self.M < 1:
            raise ConfigurationError(f"M, the number of past values, must be at least 1, not {self.M!r}")

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        values = (f0,) * self.M if old is None else (f0, *old.memory.values[:-1])
        return begin(xp, self.c1, 0.0, t, f0, df0, old, Past(values, reduce(xp.s.maximum, values)))


class Average(NamedTuple):
    """``C_k`` (the reference), ``Q_k`` and ``eta`` of Zhang and Hager."""

    reference: Scalar
    Q: Scalar
    eta: Scalar


@dataclass(frozen=True)
class ZhangHager(_Nonmonotone):
    """Armijo's rule from a weighted mean of all past values (Zhang and Hager 2004, eqs. 1.4 and 1.6).

    That is::

        phi(t) <= C_k + c1 t phi'(0),      Q_{k+1} = eta Q_k + 1,      C_{k+1} = (eta Q_k C_k + f_{k+1}) / Q_{k+1}

    Parameters
    ----------
    c1 : float
        Share of the predicted decrease that is asked for, in (0, 1).
    eta : float
        Weight of the past, in [0, 1]: Armijo's rule with 0, the plain mean with 1.
    max_trials : int
        Trials after which the search gives up.
    """

    c1: float = 1e-4
    eta: float = 0.85
    max_trials: int = 40

    def __post_init__(self) -> None:
        check_constants(self.c1, None, self.max_trials)
        if not 0 <= self.eta <= 1:
            raise ConfigurationError(f"eta must lie in [0, 1], not {self.eta!r}")

    def start(self, xp: Backend, t: Scalar, f0: Scalar, df0: Scalar, old: Search | None = None) -> Search:
        s = xp.s
        if old is None:
            mean = Average(f0, s.const(1.0), s.const(self.eta))
        else:
            C, Q, eta = old.memory
            weight = eta * Q
            mean = Average(s.div(weight * C + f0, weight + 1.0), weight + 1.0, eta)
        return begin(xp, self.c1, 0.0, t, f0, df0, old, mean)
