"""JAXopt: smooth minimisers, proximal and projected gradients, least squares.

Its last release, 0.8.5, runs with the present JAX and says on import that it is no longer maintained.
"""

from __future__ import annotations

from typing import Any

from nmdl_bench.peers.registration import Table, at_least, one_of, positive

_TABLE = Table("jaxopt", requires=("jaxopt", "jax"), backends=("jax",))


def _search(search: str = "zoom", max_trials: int = 30) -> dict[str, Any]:
    """``search`` is ``"zoom"``, ``"backtracking"`` or ``"hager-zhang"``."""
    at_least(1, max_trials=max_trials)
    one_of(("zoom", "backtracking", "hager-zhang"), search=search)
    return {"linesearch": search, "maxls": max_trials}


def _memory(memory: int = 10, search: str = "zoom", max_trials: int = 30) -> dict[str, Any]:
    at_least(1, memory=memory)
    return {"history_size": memory, **_search(search, max_trials)}


def _conjugate(method: str = "polak-ribiere", search: str = "zoom", max_trials: int = 30) -> dict[str, Any]:
    """``method`` is ``"polak-ribiere"``, ``"fletcher-reeves"`` or ``"hestenes-stiefel"``."""
    one_of(("polak-ribiere", "fletcher-reeves", "hestenes-stiefel"), method=method)
    return {"method": method, **_search(search, max_trials)}


def _gradient(step_size: float = 0.0, acceleration: bool = True, max_trials: int = 15) -> dict[str, Any]:
    """A step size of 0 stands for backtracking; ``acceleration`` is Nesterov's, as in FISTA."""
    at_least(1, max_trials=max_trials)
    return {"stepsize": step_size, "acceleration": acceleration, "maxls": max_trials}


def _damped(damping: float = 1e-6, solver: str = "cholesky") -> dict[str, Any]:
    """``solver`` is ``"cholesky"``, ``"qr"``, ``"lu"`` or ``"inv"``."""
    one_of(("cholesky", "qr", "lu", "inv"), solver=solver)
    positive(damping=damping)
    return {"damping_parameter": damping, "solver": solver}


_SMOOTH, _STEPS = "minimise.JaxoptMinimiser", "proximal.JaxoptProximal"
_TABLE.add("jaxopt-lbfgs", "jaxopt.LBFGS", _SMOOTH, "LBFGS", _memory)
_TABLE.add("jaxopt-bfgs", "jaxopt.BFGS", _SMOOTH, "BFGS", _search)
_TABLE.add("jaxopt-nonlinear-cg", "jaxopt.NonlinearCG", _SMOOTH, "NonlinearCG", _conjugate)
_TABLE.add("jaxopt-lbfgsb", "jaxopt.LBFGSB", "minimise.JaxoptBounded", "LBFGSB", _memory, needs=("bounds",))
_TABLE.add("jaxopt-gradient-descent", "jaxopt.GradientDescent, accelerated", _STEPS, "GradientDescent", _gradient)
_TABLE.add(
    "jaxopt-projected-gradient",
    "jaxopt.ProjectedGradient, accelerated",
    "proximal.JaxoptProjected",
    "ProjectedGradient",
    _gradient,
    needs=("bounds",),
)
_TABLE.add(
    "jaxopt-proximal-gradient",
    "jaxopt.ProximalGradient, accelerated: FISTA",
    "proximal.JaxoptComposite",
    "ProximalGradient",
    _gradient,
    needs=("composite",),
)
_SQUARES = ("residual",)
_TABLE.add(
    "jaxopt-gauss-newton", "jaxopt.GaussNewton", "least_squares.JaxoptGaussNewton", "GaussNewton", needs=_SQUARES
)
_TABLE.add(
    "jaxopt-lm",
    "jaxopt.LevenbergMarquardt, dense",
    "least_squares.JaxoptLevenbergMarquardt",
    "LevenbergMarquardt",
    _damped,
    needs=_SQUARES,
)
