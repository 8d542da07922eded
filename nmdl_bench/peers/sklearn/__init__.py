"""scikit-learn's logistic regression and ridge regression; on the host, on the data of objectives of any backend."""

from __future__ import annotations

from nmdl_bench.peers.registration import Table

_TABLE = Table("sklearn", requires=("sklearn",), backends=("*",))

for _solver, _summary in {
    "lbfgs": "L-BFGS-B",
    "newton-cg": "Newton-CG",
    "newton-cholesky": "Newton with a dense Hessian",
    "sag": "stochastic average gradients",
    "saga": "SAGA",
}.items():
    _TABLE.add(
        f"sklearn-logistic-{_solver}",
        f"scikit-learn's LogisticRegression by {_summary}",
        "logistic.SklearnLogistic",
        _solver,
        needs=("logistic",),
    )
for _solver, _summary in {
    "svd": "a singular value decomposition",
    "cholesky": "the normal equations",
    "lsqr": "LSQR",
    "sag": "stochastic average gradients",
    "saga": "SAGA",
}.items():
    _TABLE.add(
        f"sklearn-ridge-{_solver}",
        f"scikit-learn's Ridge by {_summary}",
        "ridge.SklearnRidge",
        _solver,
        needs=("linear",),
    )
