"""``minimize`` and ``least_squares``: any of our methods on a plain function, called as SciPy's functions are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.backends.base import Backend
from nmdl_bench.catalogue import SOLVERS
from nmdl_bench.contracts import ConfigurationError, Objective, Result, Status, Stop
from nmdl_bench.problems.functions import FunctionProblem, ResidualProblem
from nmdl_bench.registry import mismatch
from nmdl_bench.solve import bind, solve
from nmdl_bench.solve.first_call import check_args, check_functions, check_limits, check_options

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

STATUS: dict[Status, int] = {"converged": 0, "max_iterations": 1, "stalled": 2, "diverged": 3, "max_time": 4}
"""``status`` of a result, as an integer; its ``message`` begins with the word."""


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: Sequence[Any] = (),
    method: str | None = None,
    *,
    backend: str | Backend = "numpy",
    dtype: str = "float64",
    jac: Callable[..., Any] | None = None,
    hessp: Callable[..., Any] | None = None,
    bounds: Any = None,
    tol: float | None = None,
    maxiter: int = 1000,
    maxfev: int | None = None,
    max_time: float | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> OptimizeResult:
    """Minimise a scalar function of a vector by one of this package's methods.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``, a scalar, for ``x`` (n,), an array of the backend's library. A function whose first parameter
        is called ``xp`` is called as ``fun(xp, x, *args)``, with the backend; so are ``jac`` and ``hessp``. Each is
        called once at ``x0`` beforehand, for a look at what it returns; that call is not counted.
    x0 : array_like
        Start (n,).
    args : sequence of array_like
        Data, moved to the device. On JAX, only what stands here may change between calls with the same function.
    method : str
        Name of a solver, as in ``nmdl-bench list solvers``; by default ``"lbfgs"``, and ``"projected-lbfgs"`` with
        bounds.
    backend : str or Backend
        Such as ``"numpy"``, ``"torch:cuda:0"``, ``"jax"``.
    dtype : str
        ``"float64"`` or ``"float32"``; not looked at where ``backend`` is a Backend.
    jac : callable, optional
        ``jac(x, *args)``, the gradient (n,). Without it, it is automatic on PyTorch and JAX, and by finite differences
        on NumPy and CuPy, with a warning.
    hessp : callable, optional
        ``hessp(x, v, *args)``, the Hessian times ``v``, for methods that use it; without it as for ``jac``.
    bounds : sequence of pairs or scipy.optimize.Bounds, optional
        ``(least, greatest)`` for each variable, None where there is none; for methods that take bounds.
    tol : float, optional
        For ``|g(x)|_inf <= tol max(1, |g(x0)|_inf)``; by default the root of the unit round-off.
    maxiter, maxfev, max_time : int, int, float
        Limits: iterations, evaluations of ``fun``, seconds.
    options : mapping, optional
        The method's own options, such as ``{"memory": 5}``.
    seed : int
        Of methods that draw.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``; ``fun``, ``jac`` (value and gradient there); ``nit``, ``nfev``, ``njev``, ``nhev`` (Hessian products);
        ``success``, ``status`` (0 converged, 1 out of iterations or evaluations, 2 stalled, 3 diverged, 4 out of time),
        ``message``; ``counts`` of all evaluations, ``history`` (rows of
        :data:`~nmdl_bench.contracts.HISTORY_COLUMNS`), ``time`` in seconds. Arrays are NumPy's.

    Raises
    ------
    UnknownNameError
        No such method, option or backend.
    ConfigurationError
        A function cannot be called that way, or returns an array of another shape, type or library; a limit, bounds,
        data or options cannot be; or the method needs what the problem has not.

    Examples
    --------
    >>> from nmdl_bench import minimize
    >>> found = minimize(lambda x: ((x - 3) ** 2).sum(), [0.0, 0.0], backend="torch")
    >>> found.success, found.x.round(6).tolist()
    (True, [3.0, 3.0])
    """
    check_args(args)
    problem = FunctionProblem(
        _name(fun),
        _with_backend("fun", fun, 1 + len(args)),
        x0,
        args=args,
        grad=_with_backend("jac", jac, 1 + len(args)),
        hessp=_with_backend("hessp", hessp, 2 + len(args)),
        bounds=_pairs(bounds, np.size(x0)),
    )
    method = method or ("lbfgs" if bounds is None else "projected-lbfgs")
    limits = tol, maxiter, maxfev, max_time
    result, objective = _run(problem, method, backend, dtype, options, limits, seed)
    return _result(result, fun=float(result.loss), jac=_at(objective, result)["gradient"])


def least_squares(
    fun: Callable[..., Any],
    x0: Any,
    jac: Callable[..., Any] | None = None,
    bounds: Any = None,
    method: str | None = None,
    *,
    args: Sequence[Any] = (),
    backend: str | Backend = "numpy",
    dtype: str = "float64",
    tol: float | None = None,
    maxiter: int = 1000,
    maxfev: int | None = None,
    max_time: float | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> OptimizeResult:
    """Minimise ``1/2 |r(x)|^2`` for a residual ``r`` by one of this package's methods.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``, the residual (m,); or ``fun(xp, x, *args)``, see :func:`minimize`.
    x0 : array_like
        Start (n,).
    jac : callable, optional
        ``jac(x, *args)``, the Jacobian (m, n).
    bounds : pair of array_like or scipy.optimize.Bounds, optional
        ``(lower, upper)``, each (n,) or a number.
    method : str
        By default ``"levenberg-marquardt"``, and ``"projected-lbfgs"`` with bounds. For variables of very different
        units, the former has ``options={"scaling": "jacobian", "factor": 100.0}``, MINPACK's choices.
    args, backend, dtype, tol, maxiter, maxfev, max_time, options, seed
        As for :func:`minimize`; methods for scalar functions minimise residuals too.

    Returns
    -------
    scipy.optimize.OptimizeResult
        As of :func:`minimize`, but ``fun`` is the residual (m,), ``jac`` the Jacobian (m, n), ``cost`` the value
        ``1/2 |r|^2``, ``grad`` the gradient, ``optimality`` its maximum norm.

    Raises
    ------
    UnknownNameError, ConfigurationError
        As :func:`minimize`.
    """
    check_args(args)
    problem = ResidualProblem(
        _name(fun),
        _with_backend("fun", fun, 1 + len(args)),
        x0,
        args=args,
        jacobian=_with_backend("jac", jac, 1 + len(args)),
        bounds=None if bounds is None else (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds,
    )
    method = method or ("levenberg-marquardt" if bounds is None else "projected-lbfgs")
    limits = tol, maxiter, maxfev, max_time
    result, objective = _run(problem, method, backend, dtype, options, limits, seed)
    there = _at(objective, result, residual=True)
    return _result(
        result, fun=there["residual"], jac=there["jacobian"], grad=there["gradient"],
        cost=float(result.loss), optimality=result.grad_norm,
    )  # fmt: skip


def _run(
    problem: FunctionProblem,
    method: str,
    backend: str | Backend,
    dtype: str,
    options: Mapping[str, Any] | None,
    limits: tuple[float | None, int, int | None, float | None],
    seed: int,
) -> tuple[Result, Objective]:
    check_options(options)
    check_limits(*limits, seed)
    if not isinstance(backend, (str, Backend)):
        raise ConfigurationError(f"backend must be a name such as 'numpy', or a Backend, not {backend!r}")
    xp = get_backend(backend, dtype) if isinstance(backend, str) else backend
    entry = SOLVERS[method]
    unfit = mismatch(problem.provides, entry.needs, entry.accepts)
    if unfit:
        fitting = [
            other.name
            for other in SOLVERS
            if other.runs_on(xp.library) and not mismatch(problem.provides, other.needs, other.accepts)
        ]
        raise ConfigurationError(f"method {method!r}: {unfit}; methods for it: {', '.join(fitting) or 'none'}")
    # a backend of the user's own is not in the lists, and ours run on any
    if not entry.runs_on(xp.library) and (isinstance(backend, str) or entry.kind == "peer"):
        raise ConfigurationError(
            f"method {method!r} does not run on {xp.library!r}, but on {', '.join(entry.backends)}"
        )
    solver = SOLVERS.make(method, **dict(options or {}))
    tol, maxiter, maxfev, max_time = limits
    gtol = xp.eps**0.5 if tol is None else tol
    with xp.scope():
        objective = bind(problem, xp)
    check_functions(cast(Any, objective), problem.residual)
    result = solve(problem, solver, xp, Stop(maxiter, maxiter, maxfev, max_time, gtol), seed)
    return result, objective


def _at(objective: Any, result: Result, residual: bool = False) -> dict[str, np.ndarray]:
    """Gradient, and residual and Jacobian, at the result, on the host."""
    xp = objective.xp
    with xp.scope():
        _, tape = objective.forward(xp.asarray(result.x))
        found = {"gradient": objective.grad(tape)}
        if residual:
            found |= {"residual": objective.residual(tape), "jacobian": objective.jacobian(tape)}
        return {name: xp.to_numpy(a) for name, a in found.items()}


def _result(result: Result, **fields: Any) -> OptimizeResult:
    from scipy.optimize import OptimizeResult

    counts = result.counts
    return OptimizeResult(
        x=result.x, success=result.status == "converged", status=STATUS.get(result.status, 5),
        message=f"{result.status}: {result.reason}", nit=result.iterations, nfev=counts.forward,
        njev=counts.gradient, nhev=counts.hessian, counts=counts, history=result.history, time=result.time, **fields,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------- what is called
@dataclass(frozen=True)
class WithoutBackend:
    """``fun(x, ...)`` as a function of ``(xp, x, ...)``; equal for equal functions."""

    __wrapped__: Callable[..., Any]

    def __call__(self, xp: Any, *args: Any) -> Any:
        return self.__wrapped__(*args)


def _with_backend(what: str, fun: Callable[..., Any] | None, arguments: int) -> Any:
    """``fun`` as a function of ``(xp, x, ...)``, after a look at whether it can be called with so many arguments.

    Raises
    ------
    ConfigurationError
        It is no function, or takes other arguments.
    """
    if fun is None:
        return None
    if not callable(fun):
        raise ConfigurationError(f"{what} must be a function, not {fun!r}")
    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):  # some built-in functions tell nothing: they are taken for functions of x
        return WithoutBackend(fun)
    first = next(iter(signature.parameters), "")
    takes_backend = first == "xp"
    try:
        signature.bind(*range(arguments + takes_backend))
    except TypeError:
        names = ", ".join(("xp",) * takes_backend + ("x", "v")[: 1 + (what == "hessp")])
        more = arguments - 1 - (what == "hessp")
        called = f"{what}({names}{f' and {more} args' if more else ''})"
        raise ConfigurationError(
            f"{what} is called as {called}, and {_name(fun)}{signature} cannot be; data go into args, and a function "
            "that wants the backend calls its first parameter xp"
        ) from None
    return fun if takes_backend else WithoutBackend(fun)


def _name(fun: Any) -> str:
    return getattr(fun, "__name__", type(fun).__name__)


def _pairs(bounds: Any, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(lower, upper) of ``n`` variables from SciPy's two forms of bounds."""
    if bounds is None:
        return None
    if hasattr(bounds, "lb"):
        return bounds.lb, bounds.ub
    try:
        pairs = [(-np.inf if a is None else float(a), np.inf if b is None else float(b)) for a, b in bounds]
    except (TypeError, ValueError):
        raise ConfigurationError(f"bounds must be a pair (least, greatest) for each variable, not {bounds!r}") from None
    if len(pairs) != n:
        raise ConfigurationError(f"bounds must be a pair (least, greatest) for each of {n} variables, not {bounds!r}")
    return cast(tuple[np.ndarray, np.ndarray], tuple(np.array(pairs).T))
