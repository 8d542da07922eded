"""``scipy.optimize.minimize`` on the host, with value, gradient and Hessian products from any backend."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy import optimize

from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.host import Host

_NO_LIMIT = 2**31 - 1
# what switches off each method's own stopping rules: the harness's alone shall end the run
_OWN_RULES: dict[str, dict[str, Any]] = {
    "CG": {"gtol": 0.0},
    "BFGS": {"gtol": 0.0},
    "Newton-CG": {"xtol": 0.0},
    "trust-ncg": {"gtol": 0.0},
    "trust-krylov": {"gtol": 0.0},
    "trust-exact": {"gtol": 0.0},
    "dogleg": {"gtol": 0.0},
    "Nelder-Mead": {"xatol": 0.0, "fatol": 0.0, "maxfev": _NO_LIMIT},
    "Powell": {"ftol": 0.0, "maxfev": _NO_LIMIT},
    "COBYLA": {"tol": 1e-12},
    "L-BFGS-B": {"ftol": 0.0, "gtol": 0.0, "maxfun": _NO_LIMIT},
    "TNC": {"ftol": 0.0, "xtol": 0.0, "gtol": 0.0, "maxfun": _NO_LIMIT},
    "SLSQP": {"ftol": 0.0},
    "trust-constr": {"gtol": 0.0, "xtol": 0.0},
}
_PRODUCTS = {"Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"}
_DENSE = {"trust-exact", "dogleg"}
_WITHOUT_DERIVATIVES = {"Nelder-Mead", "Powell", "COBYLA"}
_FUSED = {"L-BFGS-B", "TNC"}  # ask for both at every point


@dataclass(frozen=True)
class ScipyMinimize:
    """``scipy.optimize.minimize`` by one of its methods.

    Hessian products are taken on the tape of the iterate, so that an inner iteration costs no forward. Methods with a
    dense Hessian pay n products for it. An iteration is a call of SciPy's callback at a new iterate.

    Parameters
    ----------
    method : str
        SciPy's name.
    options : dict
        Passed to SciPy.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    accepts: ClassVar[tuple[str, ...]] = ()

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        has_gradient = self.method not in _WITHOUT_DERIVATIVES
        host = Host(objective, stop, record, fused=self.method in _FUSED, known=has_gradient)
        arguments: dict[str, Any] = {"jac": host.gradient} if has_gradient else {}
        if self.method in _PRODUCTS:
            arguments["hessp"] = host.hessian_product
        if self.method in _DENSE:
            arguments["hess"] = host.hessian
        if host.bounds is not None:
            arguments["bounds"] = optimize.Bounds(*host.bounds)  # type: ignore[arg-type]
        options = {"maxiter": _NO_LIMIT, **_OWN_RULES[self.method], **self.options}

        def callback(z: np.ndarray, *_: Any) -> None:
            host.note(z)

        def loop(z: np.ndarray) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its message says the same
                return optimize.minimize(
                    host.value, z, method=self.method, callback=callback, options=options, **arguments
                )

        return host.run(x, loop)


class ScipyBounded(ScipyMinimize):
    """A method of ``scipy.optimize.minimize`` that bounds may be given to, and are where the problem has them."""

    accepts: ClassVar[tuple[str, ...]] = ("bounds",)
