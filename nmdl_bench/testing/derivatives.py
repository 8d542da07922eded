"""Derivatives of plain functions, automatic or by finite differences, against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np

from nmdl_bench.testing.case import Case
from nmdl_bench.testing.errors import require_close


def check_derivatives(case: Case) -> None:
    """Gradient, ``J v``, ``J^T w``, ``J`` and ``H v`` of functions that use verbs and scalars of the backend.

    The scalar function is ``f(x) = (x.x)^2 / 2 + sum sin x``, the vector function ``r(x) = (x^2, exp x, x.x x)``, with
    verbs that donate: a backend that differentiates has to keep what they overwrite.
    """
    xp, x, v, w = case.xp, case.draw(4), case.draw(4), case.draw(12)
    xx = x @ x
    exact = {
        "gradient": 2 * xx * x + np.cos(x),
        "hessian_product": 2 * xx * v + 4 * x * (x @ v) - np.sin(x) * v,
        "jacobian": np.concatenate([np.diag(2 * x), np.diag(np.exp(x)), xx * np.eye(4) + 2 * np.outer(x, x)]),
    }
    exact["jvp"], exact["vjp"] = exact["jacobian"] @ v, exact["jacobian"].T @ w
    X, V, W = map(xp.asarray, (x, v, w))
    found = {
        "gradient": case.attempt("gradient", xp.gradient, _scalar, X),
        "hessian_product": case.attempt("hessian_product", xp.hessian_product, _scalar, X, V),
        "jacobian": case.attempt("jacobian", xp.jacobian, _vector, X),
        "jvp": case.attempt("jvp", xp.jvp, _vector, X, V),
        "vjp": case.attempt("vjp", xp.vjp, _vector, X, W),
    }
    # central differences are good to eps^(2/3), mixed ones to eps^(1/2), with a factor for the third derivatives
    for name, value in found.items():
        order = 0.5 if name == "hessian_product" else 2 / 3
        tolerance = 100 * xp.eps if xp.automatic else 100 * xp.eps**order
        require_close(f"{name} on {xp!r}", xp.to_numpy(value), exact[name], tolerance)
    case.equal("the point, after its derivatives,", X, x, exact=True)


def _scalar(xp: Any, x: Any) -> Any:
    xx = xp.dot(x, x)
    return 0.5 * xx * xx + xp.total(xp.sin(x))


def _vector(xp: Any, x: Any) -> Any:
    S = xp.set_row(xp.zeros((2, x.shape[0])), 0, x * x)
    S = xp.set_row(S, 1, xp.exp(x))
    return xp.concat([S[0, ...], S[1, ...], xp.scale(xp.dot(x, x), xp.copy(x))])
