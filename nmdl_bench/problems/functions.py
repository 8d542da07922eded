"""Problems from plain functions ``f(xp, x)`` and residuals ``r(xp, x)``, with or without derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nmdl_bench.contracts import Array, ConfigurationError
from nmdl_bench.problems.function_objective import (
    BoundedFunction,
    BoundedResidual,
    Data,
    FunctionObjective,
    Functions,
    Notice,
    ResidualObjective,
)

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


@dataclass(eq=False)
class FunctionProblem:
    """Minimise a scalar function ``f(xp, x, *args)`` from ``x0``.

    Derivatives that are not given are automatic on PyTorch and JAX. On other libraries they are finite differences, and
    the first one that is needed says so in a :class:`~nmdl_bench.problems.function_objective.FiniteDifferenceWarning`.

    Parameters
    ----------
    name : str
        Shown in listings and reports.
    f : callable
        ``f(xp, x, *args)``, a number or 0-d array of the backend at hand, for ``x`` (n,). It may use ``xp`` or the
        library itself. Equal functions share compiled steps, so that what it closes over must not change.
    x0 : array_like
        Start (n,).
    summary : str
        One line about it.
    args : sequence of array_like
        Data, on the device in every call: numbers that may vary belong here.
    grad : callable, optional
        ``grad(xp, x, *args)``, the gradient (n,).
    hessp : callable, optional
        ``hessp(xp, x, v, *args)``, the Hessian times ``v`` (n,).
    bounds : pair of array_like, optional
        ``(lower, upper)``, each (n,) or a number, infinite where there is none. The start is projected onto them.
    minimum : float, optional
        Least value, where it is known.
    tau : float
        Level of 'solved'; see :class:`nmdl_bench.contracts.Problem`.
    measures : callable, optional
        ``measures(x)``, figures of merit by name for ``x`` (n,) on the host.

    Raises
    ------
    ConfigurationError
        The start is not a vector of finite numbers, bounds do not fit, or a function cannot be called.

    Examples
    --------
    A file ``valley.py`` with a problem of one's own, for ``nmdl-bench run experiment.toml --plugin valley.py``, where
    the experiment has ``[[problems]]`` with ``name = "valley"``:

    >>> from nmdl_bench.contracts import PROBLEMS
    >>> from nmdl_bench.problems import ResidualProblem
    >>> def residual(xp, x):
    ...     return xp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])
    >>> @PROBLEMS.register("valley", "Rosenbrock's valley", provides=ResidualProblem.structure)
    ... def valley(seed: int = 0, x1: float = -1.2) -> ResidualProblem:
    ...     return ResidualProblem("valley", residual, [x1, 1.0], minimum=0.0)

    Options of the factory (``x1``) are options of the experiment file; ``seed`` is one of its ``seeds``.
    """

    name: str
    f: Callable[..., Any]
    x0: Any
    _: KW_ONLY
    summary: str = ""
    args: Sequence[Any] = ()
    grad: Callable[..., Array] | None = None
    hessp: Callable[..., Array] | None = None
    bounds: tuple[Any, Any] | None = None
    minimum: float | None = None
    tau: float = 0.1
    measures: Callable[[np.ndarray], Mapping[str, float]] | None = None

    residual: ClassVar[bool] = False
    structure: ClassVar[tuple[str, ...]] = ()
    """What it provides without bounds; with them, ``"composite"`` and ``"bounds"`` besides."""

    def __post_init__(self) -> None:
        self.start = _vector(self.name, "x0", self.x0)
        self.data = tuple(_data(self.name, i, a) for i, a in enumerate(self.args))
        for what in ("f", "grad", "hessp", "jacobian", "jvp", "vjp"):
            function = getattr(self, what, None)
            if function is not None and not callable(function):
                raise ConfigurationError(f"{what} of problem {self.name!r} must be a function, not {function!r}")
        if not 0 < self.tau < 1:
            raise ConfigurationError(f"tau must lie in (0, 1), not {self.tau!r}")
        self.box = None if self.bounds is None else _box(self.name, self.bounds, len(self.start))
        if self.box is not None:
            self.start = np.clip(self.start, *self.box)
        for array in (self.start, *self.data, *(self.box or ())):
            array.setflags(write=False)
        self._notice = Notice(self.name)

    @property
    def provides(self) -> tuple[str, ...]:
        """See :data:`nmdl_bench.contracts.Structure`."""
        return (*self.structure, *(("composite", "bounds") if self.box is not None else ()))

    def _functions(self) -> Functions:
        return Functions(self.f, grad=self.grad, hessp=self.hessp)

    def bind(self, xp: Backend) -> Any:
        bounds = (None, None) if self.box is None else tuple(map(xp.asarray, self.box))
        arrays = Data(tuple(map(xp.asarray, self.data)), *bounds)
        plain, bounded = (ResidualObjective, BoundedResidual) if self.residual else (FunctionObjective, BoundedFunction)
        kind = plain if self.box is None else bounded
        return kind(xp, self._functions(), arrays, xp.asarray(self.start), self._notice)

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """What ``measures`` gives at ``x``."""
        return {} if self.measures is None else dict(self.measures(xp.to_numpy(x)))


@dataclass(eq=False)
class ResidualProblem(FunctionProblem):
    """Minimise ``f(x) = 1/2 |r(x)|^2`` for a residual ``r(xp, x, *args)`` (m,), given as ``f``, from ``x0``.

    ``hessp`` is of ``f``, not of ``r``; there is no ``grad``, which is ``J^T r``.

    Parameters
    ----------
    jacobian : callable, optional
        ``jacobian(xp, x, *args)``, the Jacobian (m, n) of ``r``.
    jvp, vjp : callable, optional
        ``jvp(xp, x, v, *args)`` and ``vjp(xp, x, w, *args)``, the Jacobian times ``v`` (n,) and its transpose times
        ``w`` (m,), where that is cheaper than by ``jacobian``. Given alone, they make the Jacobian.
    """

    jacobian: Callable[..., Array] | None = None
    jvp: Callable[..., Array] | None = None
    vjp: Callable[..., Array] | None = None

    residual: ClassVar[bool] = True
    structure: ClassVar[tuple[str, ...]] = ("gauss-newton", "residual")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grad is not None:
            raise ConfigurationError(f"problem {self.name!r} has residuals; give jacobian or vjp instead of grad")

    def _functions(self) -> Functions:
        return Functions(self.f, hessp=self.hessp, jacobian=self.jacobian, jvp=self.jvp, vjp=self.vjp)


def _vector(name: str, what: str, values: Any) -> np.ndarray:
    try:
        x = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{what} of problem {name!r} must be a vector of numbers, not {values!r}") from None
    if x.ndim != 1 or not len(x):
        raise ConfigurationError(f"{what} of problem {name!r} must be a vector, not of shape {x.shape}")
    if not np.all(np.isfinite(x)):
        raise ConfigurationError(f"{what} of problem {name!r} must be finite, not {x}")
    return x


def _data(name: str, i: int, values: Any) -> np.ndarray:
    a = np.array(values)
    if a.dtype.kind not in "fiub":
        raise ConfigurationError(
            f"args[{i}] of problem {name!r} must be an array of real numbers, not {values!r}; let the function close "
            "over what is no data"
        )
    return a


def _box(name: str, bounds: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        lower, upper = (np.broadcast_to(np.asarray(b, np.float64), (n,)).copy() for b in bounds)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"bounds of problem {name!r} must be (lower, upper), each a number or a vector of {n}, not {bounds!r}"
        ) from None
    crossed = ~(lower <= upper)
    if np.any(crossed):
        i = int(np.argmax(crossed))
        raise ConfigurationError(f"bounds of problem {name!r} cross at x[{i}]: {lower[i]} to {upper[i]}")
    empty = (lower == np.inf) | (upper == -np.inf)
    if np.any(empty):
        i = int(np.argmax(empty))
        raise ConfigurationError(
            f"bounds of problem {name!r} leave no number for x[{i}]: {lower[i]} to {upper[i]}; "
            "where there is no bound, lower is -inf and upper inf"
        )
    return lower, upper
