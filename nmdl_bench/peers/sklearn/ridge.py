"""``sklearn.linear_model.Ridge`` on linear least-squares problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import Ridge

from nmdl_bench.contracts import Array, Counts, Objective, Record, Result, Stop
from nmdl_bench.peers.base import evaluate, on_host
from nmdl_bench.peers.rerun import quietly, rerun

_DIRECT = ("svd", "cholesky")


@dataclass(frozen=True)
class SklearnRidge:
    """``Ridge`` without intercept on ``|A x - b|^2 + alpha |x|^2``, twice the objective.

    It takes the matrix, which is fetched before the clock runs, and starts from zero whatever the start. A
    direct method is one iteration, which counts as a forward with its gradient; SAG and SAGA make one pass over the
    rows an iteration, and LSQR two products. What is recorded says :func:`nmdl_bench.peers.rerun.rerun`.

    Parameters
    ----------
    method : str
        scikit-learn's ``solver``.
    options : dict
        Passed to the class.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    needs: ClassVar[tuple[str, ...]] = ("linear",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        xp, alpha = objective.xp, float(objective.alpha)  # type: ignore[attr-defined]
        A, b = _matrix(objective, x)

        def solve(iterations: int) -> tuple[Array, int, Counts]:
            model = Ridge(
                alpha=alpha,
                fit_intercept=False,
                solver=self.method,
                tol=0.0,
                max_iter=None if self.method in _DIRECT else iterations,
                random_state=seed,
                **self.options,
            )
            quietly(model.fit)(A, b)
            reached = 1 if model.n_iter_ is None else int(np.max(model.n_iter_))
            products = {"jvp": reached, "vjp": reached + 1} if self.method == "lsqr" else {}
            passes = {} if products else {"forward": reached, "gradient": reached}
            return xp.asarray(model.coef_), reached, Counts(**products, **passes)

        return rerun(objective, x, stop, record, solve)


def _matrix(objective: Any, x: Array) -> tuple[np.ndarray, np.ndarray]:
    """``A`` (m, n) and ``b`` (m,) on the host."""
    xp, n = objective.xp, x.shape[0]
    _, tape = evaluate(objective, "forward", x)
    r = on_host(xp, evaluate(objective, "residual", tape))
    J = on_host(xp, evaluate(objective, "jacobian", tape))
    m = len(r) - n if objective.alpha else len(r)  # what follows are the rows of Tikhonov's term
    return J[:m], J[:m] @ on_host(xp, x) - r[:m]
