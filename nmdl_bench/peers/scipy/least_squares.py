"""``scipy.optimize.least_squares`` on the host, with residual and Jacobian from any backend."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy import optimize

from nmdl_bench.contracts import Array, ConfigurationError, Objective, Record, Result, Stop
from nmdl_bench.peers.host import Host


@dataclass(frozen=True)
class ScipyLeastSquares:
    """``scipy.optimize.least_squares`` by ``"lm"`` (More 1978), ``"trf"`` (Branch et al. 1999) or ``"dogbox"``.

    An iteration is an evaluation of the Jacobian: all three evaluate it at the start and at every point that they
    accept, and nowhere else. It counts as a gradient.

    Parameters
    ----------
    method : str
        SciPy's name.
    options : dict
        Passed to SciPy.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    needs: ClassVar[tuple[str, ...]] = ("residual",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        host = Host(objective, stop, record, squares=True)

        def jacobian(z: np.ndarray) -> np.ndarray:
            J = host.jacobian(z)
            host.note(z)
            return J

        def loop(z: np.ndarray) -> Any:
            # the least tolerances that SciPy takes: the harness's rule shall end the run
            tolerances = dict.fromkeys(("ftol", "xtol", "gtol"), float(np.finfo(float).eps))
            limit = 2**31 - 1
            m = host.residual(z).size
            if self.method == "lm" and m < z.size:
                raise ConfigurationError(
                    f"scipy-lm needs at least as many residuals as unknowns, not {m} and {z.size}; take scipy-trf"
                )
            arguments = {} if host.bounds is None else {"bounds": host.bounds}
            return optimize.least_squares(
                host.residual,
                z,
                jacobian,
                method=self.method,
                max_nfev=limit,
                **arguments,
                **tolerances,
                **self.options,
            )

        return host.run(x, loop)


class ScipyBoundedLeastSquares(ScipyLeastSquares):
    """``"trf"`` or ``"dogbox"``, which bounds may be given to, and are where the problem has them."""

    accepts: ClassVar[tuple[str, ...]] = ("bounds",)
