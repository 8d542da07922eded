"""The functions as a listed problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmdl_bench.contracts import PROBLEMS, Array, ConfigurationError
from nmdl_bench.problems.functions import ResidualProblem
from nmdl_bench.problems.mgh.catalogue import TestFunction, get_function
from nmdl_bench.problems.mgh.minimum import is_at, known_minima, sum_of_squares
from nmdl_bench.problems.mgh.numbers import Doubles

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(frozen=True)
class HessianProduct:
    """``H v = J^T J v + D(v)^T r`` of ``f = 1/2 |r|^2``; equal for equal functions, which share compiled steps."""

    function: TestFunction

    def __call__(self, xp: Backend, x: Array, v: Array, *data: Array) -> Array:
        r, J = self.function.residual(xp, x, *data), self.function.jacobian(xp, x, *data)
        return J.T @ (J @ v) + self.function.second(xp, x, v, *data).T @ r


class TestProblem(ResidualProblem):
    """``f = 1/2 |r|^2 = F/2`` of a :class:`~nmdl_bench.problems.mgh.catalogue.TestFunction`, with exact products.

    Parameters
    ----------
    function : str
        Name, such as ``"rosenbrock"``.
    factor : float
        Of the standard start.
    n, m : int, optional
        Sizes, where the function has others than its own.
    tau : float
        See :class:`nmdl_bench.contracts.Problem`; the metric ``attained`` is by the known minimum instead.
    """

    __test__ = False

    def __init__(
        self, function: str, factor: float = 1.0, n: int | None = None, m: int | None = None, tau: float = 1e-6
    ) -> None:
        chosen = get_function(function)
        if not 0 < abs(factor) < float("inf"):
            raise ConfigurationError(f"factor must be finite and not 0, not {factor!r}")
        size = chosen.sizes(n, m)
        self.function, self.factor = chosen, factor
        self.known = known_minima(chosen, *size)
        super().__init__(
            chosen.name,
            chosen.residual,
            chosen.x0(size[0], factor),
            summary=f"function {chosen.number} of More, Garbow and Hillstrom, n = {size[0]}, m = {size[1]}",
            args=chosen.data(Doubles(), *size),
            jacobian=chosen.jacobian,
            hessp=HessianProduct(chosen),
            minimum=self.known[0].F / 2 if self.known else None,
            tau=tau,
        )
        self.m = size[1]

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """``gap``, ``F - F*`` for ``F = sum r_i^2`` in double precision, and ``attained``, 1 where that is small."""
        if not self.known:
            return {}
        F, least = sum_of_squares(self.function, xp.to_numpy(x), self.m), self.known[0].F
        return {"gap": F - least, "attained": float(is_at(F, least))}


def _structure(options: dict[str, Any]) -> tuple[str, ...]:
    """That of residuals; a function that is not known is refused where the structure is asked for."""
    get_function(options.get("function", "rosenbrock"))
    return ResidualProblem.structure


@PROBLEMS.register(
    "mgh",
    "one of the 35 test functions of More, Garbow and Hillstrom (1981)",
    provides=_structure,
)
def mgh(
    seed: int = 0,
    function: str = "rosenbrock",
    factor: float = 1.0,
    n: int | None = None,
    m: int | None = None,
    tau: float = 1e-6,
) -> TestProblem:
    return TestProblem(function, factor, n, m, tau)
