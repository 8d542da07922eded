"""What a caller hands in, looked at before anything is solved: limits, and what functions return at the start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import ConfigurationError

if TYPE_CHECKING:
    from nmdl_bench.problems.function_objective import FunctionObjective


def check_args(args: Any) -> None:
    """Data are a sequence, one entry for each further argument; else a ConfigurationError."""
    if not isinstance(args, Sequence) or isinstance(args, str):
        raise ConfigurationError(f"args must be a tuple of data, such as args=(a,), not {args!r}")


def check_options(options: Any) -> None:
    """A method's options are a mapping, or None; else a ConfigurationError."""
    if options is not None and not isinstance(options, Mapping):
        raise ConfigurationError(f"options must be a mapping, such as {{'memory': 5}}, not {options!r}")


def check_limits(tol: Any, maxiter: Any, maxfev: Any, max_time: Any, seed: Any) -> None:
    """Types and signs of limits and seed; a ConfigurationError names the one that cannot be."""
    for name, value, least in (("maxiter", maxiter, 1), ("maxfev", maxfev, 1), ("seed", seed, 0)):
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not (whole and value >= least) and not (name == "maxfev" and value is None):
            raise ConfigurationError(f"{name} must be at least {least}, a whole number, not {value!r}")
    for name, value in (("tol", tol), ("max_time", max_time)):
        number = isinstance(value, Real) and not isinstance(value, bool)
        if value is not None and not (number and value >= 0):
            raise ConfigurationError(f"{name} must be a number, not negative, or None; not {value!r}")
    if tol is not None and not math.isfinite(tol):
        raise ConfigurationError(f"tol must be finite, not {tol!r}")


def check_functions(objective: FunctionObjective, residual: bool) -> None:
    """Call each function that a user gives once at the start, and look at what it returns.

    Parameters
    ----------
    objective : FunctionObjective
        Bound to a backend; its start is not overwritten.
    residual : bool
        Whether the function is a residual (m,).

    Raises
    ------
    ConfigurationError
        Something else than a real scalar, residual (m,), gradient (n,), Jacobian (m, n) or product (n,), as an array of
        the backend's library. What the functions raise themselves, propagates.
    """
    xp, functions, args = objective.xp, objective.static, objective.arrays.args
    n = objective.x0.shape[0]
    with xp.scope():

        def call(function: Any, *more: Any) -> Any:
            return function(xp, xp.copy(objective.x0), *more, *args)  # its own x: functions may write on it

        array, value = type(objective.x0), call(functions.f)
        if residual:
            _array("fun", value, array, "a vector (m,)", "a scalar function is for minimize")
            if len(value.shape) != 1 or not value.shape[0]:
                what = f"an array of shape {tuple(value.shape)}" if value.shape else "a scalar"
                raise ConfigurationError(
                    f"fun must return a vector (m,), not {what}; a scalar function is for minimize, and a residual has "
                    "one entry or more"
                )
        else:
            _scalar(value, array)
            if isinstance(value, (int, float)) and functions.grad is None and xp.automatic:
                _differentiable(objective, value)  # verbs may give numbers of Python, and functions constants
        derivatives: tuple[tuple[str, Any, tuple[Any, ...], tuple[int, ...]], ...] = (
            ("jac", functions.grad, (), (n,)),
            ("jac", functions.jacobian, (), (value.shape[0], n) if residual else ()),
            ("hessp", functions.hessp, (xp.copy(objective.x0),), (n,)),
        )
        for what, function, more, shape in derivatives:
            if function is None:
                continue
            found = call(function, *more)
            _array(what, found, array, f"an array of shape {shape}", "xp.stack([...]) makes one from numbers")
            if tuple(found.shape) != shape:
                raise ConfigurationError(
                    f"{what} must return an array of shape {shape}, not of shape {tuple(found.shape)}, for x of shape "
                    f"({n},)"
                )


def _differentiable(objective: FunctionObjective, value: Any) -> None:
    """A library cannot differentiate a number of Python that does not come from its verbs."""
    xp = objective.xp
    try:
        xp.gradient(objective._value, xp.copy(objective.x0))
    except (RuntimeError, TypeError, AttributeError):
        raise ConfigurationError(
            f"fun returns {value!r}, which {xp.library} cannot differentiate; compute it from x, or give jac"
        ) from None


def _scalar(value: Any, array: type) -> None:
    """A real number, of Python or of the library."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return
    several = isinstance(value, list) or bool(getattr(value, "shape", ()))
    way_out = "a residual is for least_squares" if several else "such as the sum of squares of x"
    _array("fun", value, array, "a scalar", way_out)
    if value.shape:
        raise ConfigurationError(
            f"fun must return a scalar, not an array of shape {tuple(value.shape)}; a residual is for least_squares"
        )


def _array(what: str, value: Any, array: type, wanted: str, way_out: str) -> None:
    """A real array of the library (or, where that is NumPy, a scalar of it)."""
    library = (array, np.generic) if issubclass(array, np.ndarray) else array
    if not isinstance(value, library):
        kind = type(value)
        full = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
        raise ConfigurationError(
            f"{what} must return {wanted}, of the backend's library ({array.__module__}), not {value!r} ({full}); "
            f"{way_out}"
        )
    dtype = str(getattr(value, "dtype", ""))
    if "bool" in dtype or "complex" in dtype:
        raise ConfigurationError(f"{what} must return real numbers, not {dtype}; return their real part, or a sum")
