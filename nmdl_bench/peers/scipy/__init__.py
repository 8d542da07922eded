"""SciPy's minimisers, least-squares methods and Krylov solvers; on the host, for objectives of any backend."""

from __future__ import annotations

from typing import Any

from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.peers.registration import Table, at_least, between, positive

_TABLE = Table("scipy", requires=("scipy",), backends=("*",))


def _wolfe(c1: float = 1e-4, c2: float = 0.9) -> dict[str, Any]:
    if not 0 < c1 < c2 < 1:
        raise ConfigurationError(f"Wolfe's conditions need 0 < c1 < c2 < 1, not c1 = {c1!r} and c2 = {c2!r}")
    return {"c1": c1, "c2": c2}


def _wolfe_cg(c1: float = 1e-4, c2: float = 0.4) -> dict[str, Any]:
    return _wolfe(c1, c2)


def _limited_memory(memory: int = 10, max_trials: int = 20) -> dict[str, Any]:
    at_least(1, memory=memory, max_trials=max_trials)
    return {"maxcor": memory, "maxls": max_trials}


def _radius(radius: float = 1.0, max_radius: float = 1000.0, eta: float = 0.15) -> dict[str, Any]:
    between(0, 0.25, eta=eta)
    positive(radius=radius)
    if not radius < max_radius:
        raise ConfigurationError(f"radius must be less than max_radius = {max_radius!r}, not {radius!r}")
    return {"initial_trust_radius": radius, "max_trust_radius": max_radius, "eta": eta}


def _barrier(radius: float = 1.0) -> dict[str, Any]:
    positive(radius=radius)
    return {"initial_tr_radius": radius}


def _simplex(adaptive: bool = False) -> dict[str, Any]:
    return {"adaptive": adaptive}


def _linear_model(radius: float = 1.0) -> dict[str, Any]:
    positive(radius=radius)
    return {"rhobeg": radius}


def _truncated(max_products: int = 0) -> dict[str, Any]:
    """``max_products`` in an iteration; 0 lets TNC choose by the size."""
    at_least(0, max_products=max_products)
    return {"maxCGit": max_products or -1}


def _scaling(scale: bool = False) -> dict[str, Any]:
    """``scale``: variables by the Jacobian's columns; MINPACK does so by default, SciPy's own methods do not."""
    return {"x_scale": "jac" if scale else 1.0}


def _scaling_lm(scale: bool = True) -> dict[str, Any]:
    return _scaling(scale)


def _restart(restart: int = 20) -> dict[str, Any]:
    at_least(1, restart=restart)
    return {"restart": restart}


_MINIMISE = "minimize.ScipyMinimize"
_TABLE.add("scipy-cg", "SciPy's nonlinear conjugate gradients (Polak-Ribiere +)", _MINIMISE, "CG", _wolfe_cg)
_TABLE.add("scipy-bfgs", "SciPy's BFGS", _MINIMISE, "BFGS", _wolfe)
_TABLE.add("scipy-newton-cg", "SciPy's Newton-CG with a Wolfe line search", _MINIMISE, "Newton-CG", _wolfe)
_TABLE.add("scipy-trust-ncg", "SciPy's trust region with Steihaug's CG", _MINIMISE, "trust-ncg", _radius)
_TABLE.add("scipy-trust-krylov", "SciPy's trust region with Lanczos (GLTR)", _MINIMISE, "trust-krylov", _radius)
_TABLE.add("scipy-trust-exact", "SciPy's trust region, nearly exact; dense Hessian", _MINIMISE, "trust-exact", _radius)
_TABLE.add("scipy-dogleg", "SciPy's dogleg, for convex problems; dense Hessian", _MINIMISE, "dogleg", _radius)
_TABLE.add("scipy-nelder-mead", "SciPy's Nelder-Mead simplex, without derivatives", _MINIMISE, "Nelder-Mead", _simplex)
_TABLE.add("scipy-powell", "SciPy's Powell directions, without derivatives", _MINIMISE, "Powell")
_TABLE.add("scipy-cobyla", "SciPy's COBYLA, without derivatives", _MINIMISE, "COBYLA", _linear_model)

_BOUNDED = "minimize.ScipyBounded"
_BOX = ("bounds",)
_TABLE.add("scipy-lbfgsb", "SciPy's L-BFGS-B", _BOUNDED, "L-BFGS-B", _limited_memory, accepts=_BOX)
_TABLE.add("scipy-tnc", "SciPy's truncated Newton", _BOUNDED, "TNC", _truncated, accepts=_BOX)
_TABLE.add("scipy-slsqp", "SciPy's sequential least-squares programming", _BOUNDED, "SLSQP", accepts=_BOX)
_TABLE.add(
    "scipy-trust-constr", "SciPy's trust region, bounds by a barrier", _BOUNDED, "trust-constr", _barrier, accepts=_BOX
)

_SQUARES = "least_squares.ScipyLeastSquares"
_TABLE.add("scipy-lm", "MINPACK's Levenberg-Marquardt through SciPy", _SQUARES, "lm", _scaling_lm, needs=("residual",))
for _method, _summary in (("trf", "trust regions, reflected at bounds"), ("dogbox", "a dogleg in a box")):
    _TABLE.add(
        f"scipy-{_method}",
        f"SciPy's least squares by {_summary}",
        "least_squares.ScipyBoundedLeastSquares",
        _method,
        _scaling,
        needs=("residual",),
        accepts=_BOX,
    )

_NORMAL, _BIDIAGONAL = "linear.ScipyNormal", "linear.ScipyBidiagonal"
_TABLE.add("scipy-sparse-cg", "SciPy's CG on the normal equations", _NORMAL, "cg", needs=("linear",))
_TABLE.add("scipy-sparse-minres", "SciPy's MINRES on the normal equations", _NORMAL, "minres", needs=("linear",))
_TABLE.add("scipy-sparse-gmres", "SciPy's GMRES on the normal equations", _NORMAL, "gmres", _restart, needs=("linear",))
_TABLE.add("scipy-sparse-lsqr", "SciPy's LSQR", _BIDIAGONAL, "lsqr", needs=("linear",))
_TABLE.add("scipy-sparse-lsmr", "SciPy's LSMR", _BIDIAGONAL, "lsmr", needs=("linear",))
