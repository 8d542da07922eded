"""Reference minima of the listed convex problems: ``python -m benchmarks.minima [name ...]`` prints their table.

None of the package's solvers, losses or derivatives takes part. SciPy's L-BFGS-B, scikit-learn's coordinate descent or
SciPy's non-negative least squares find which parameters are free, that is neither zero by a penalty nor at a bound.
Newton steps on the free ones follow, with gradients in extended precision (80 bits on x86), and the conditions of
Karush, Kuhn and Tucker are checked: where one fails, the set of free parameters is corrected, and all is repeated.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, sparse

from nmdl_bench.catalogue import PROBLEMS

LONG = np.longdouble
DENSE = 1500
"""Free parameters up to which the Hessian is formed."""
SEEDS = (0, 1, 2)
CASES: dict[str, list[dict[str, Any]]] = {
    **{
        name: [{"alpha": alpha, "seed": seed} for alpha in (1e-2, 1e-4) for seed in SEEDS]
        for name in ("logistic-digits", "logistic-breast-cancer", "ridge", "ridge-digits")
    },
    "logistic-mnist-5k": [{"alpha": alpha, "seed": 0} for alpha in (1e-2, 1e-4)],
    **{
        name: [{"seed": seed} for seed in SEEDS]
        for name in (
            "lasso", "sparse-recovery", "sparse-logistic-digits", "nonnegative-least-squares",
            "bounded-logistic-digits", "bounded-logistic-breast-cancer",
        )
    },
}  # fmt: skip
"""Options of each problem that minima are found for."""


@dataclass
class Linear:
    """``f(x) = (1/n) sum_i loss(z_i^T X, c_i) + alpha/2 |x|^2`` for ``x`` = X (p + 1, k) in row order, z with a one."""

    Z: np.ndarray
    C: np.ndarray
    loss: str
    alpha: float

    def value_and_grad(self, x: np.ndarray) -> tuple[Any, np.ndarray]:
        """Both in the precision of ``x``."""
        Z, C = self.Z.astype(x.dtype), self.C.astype(x.dtype)
        X = x.reshape(Z.shape[1], -1)
        values, P = self._at(Z @ X, C)
        n = len(Z)
        f = values.sum() / n + LONG(self.alpha) / 2 * (x @ x)
        return (f if x.dtype == LONG else float(f)), ((Z.T @ P) / n + x.dtype.type(self.alpha) * X).ravel()

    def _at(self, S: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss of each sample and its gradient with respect to ``S``."""
        if self.loss == "least-squares":
            return ((S - C) ** 2).sum(axis=1) / 2, S - C
        if self.loss == "cross-entropy":
            top = S.max(axis=1, keepdims=True)
            E = np.exp(S - top)
            total = E.sum(axis=1, keepdims=True)
            return (np.log(total) + top)[:, 0] - (C * S).sum(axis=1), E / total - C
        E = np.exp(-np.abs(S))
        values = np.maximum(S, 0) - C * S + np.log1p(E)
        return values.sum(axis=1), np.where(S >= 0, 1, E) / (1 + E) - C

    def hessian(self, x: np.ndarray) -> Any:
        """Products with the Hessian, as a function of V (size, ...)."""
        Z, k = self.Z, self.C.shape[1]
        P = self._at(Z @ x.reshape(-1, k), self.C)[1] + self.C

        def product(v: np.ndarray) -> np.ndarray:
            T = Z @ v.reshape(-1, k)
            if self.loss == "cross-entropy":
                T = P * T
                T = T - P * T.sum(axis=1, keepdims=True)
            elif self.loss == "binary-cross-entropy":
                T = P * (1 - P) * T
            return (Z.T @ T / len(Z)).ravel() + self.alpha * v

        return product


@dataclass
class Kinks:
    """Penalty ``weight |x_i|`` (zero: none) and bounds of each parameter."""

    weight: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def described(problem: Any) -> tuple[Linear, Kinks]:
    """A listed problem's numbers."""
    smooth, h = getattr(problem, "smooth", problem), getattr(problem, "h", None)
    train = smooth.data.train
    Z = np.column_stack([train.Y, np.ones(len(train.Y))])
    size = Z.shape[1] * train.C.shape[1]
    weight, lower, upper = np.zeros(size), np.full(size, -np.inf), np.full(size, np.inf)
    if hasattr(h, "bounds"):
        lower, upper = h.bounds(size)
    elif h is not None:
        ((start, end, l1),) = h.parts
        weight[start:end] = l1.weight
    return Linear(Z, train.C, smooth.loss, smooth.alpha), Kinks(weight, lower, upper)


def rough(model: Linear, kinks: Kinks) -> np.ndarray:
    """A minimiser to seven digits or so, by another library's method."""
    size = len(kinks.weight)
    if kinks.weight.any() and model.loss == "least-squares":
        from sklearn.linear_model import Lasso

        fitted = Lasso(alpha=kinks.weight.max(), tol=1e-14, max_iter=10**6).fit(model.Z[:, :-1], model.C[:, 0])
        return np.append(fitted.coef_, fitted.intercept_)
    if model.loss == "least-squares" and np.all(kinks.lower[:1] == 0):  # intercepts as differences
        n, p = model.Z.shape
        A = np.vstack([model.Z / np.sqrt(n), np.sqrt(model.alpha) * np.eye(p)])
        A = np.column_stack([A, -A[:, -1]])
        found = [optimize.nnls(A, np.append(c / np.sqrt(n), np.zeros(p)), maxiter=100 * p)[0] for c in model.C.T]
        return np.array([np.append(v[: p - 1], v[p - 1] - v[p]) for v in found]).T.ravel()
    split = kinks.weight > 0  # x = u - v with u, v >= 0 where there is a penalty

    def fun(z: np.ndarray) -> tuple[float, np.ndarray]:
        x = z[:size].copy()
        x[split] -= z[size:]
        f, g = model.value_and_grad(x)
        w = kinks.weight[split]
        return f + w @ (z[:size][split] + z[size:]), np.append(g + kinks.weight, w - g[split])

    lower = np.append(np.where(split, 0, kinks.lower), np.zeros(split.sum()))
    upper = np.append(kinks.upper, np.full(split.sum(), np.inf))
    options = {"maxiter": 10**5, "maxfun": 10**6, "ftol": 0.0, "gtol": 1e-9, "maxcor": 50}
    start = np.clip(np.zeros(len(lower)), lower, upper)
    z = optimize.minimize(fun, start, jac=True, method="L-BFGS-B", bounds=list(zip(lower, upper)), options=options).x
    x = z[:size].copy()
    x[split] -= z[size:]
    x[split & (np.abs(x) < 1e-9)] = 0
    return x


def newton_step(model: Linear, x: np.ndarray, g: np.ndarray, free: np.ndarray) -> np.ndarray:
    """``H_FF^-1 g_F`` in float64."""
    product, count = model.hessian(x.astype(np.float64)), int(free.sum())

    def on_free(v: np.ndarray) -> np.ndarray:
        full = np.zeros(len(free))
        full[free] = v
        return product(full)[free]

    b = g[free].astype(np.float64)
    if count <= DENSE:
        H = np.array([on_free(e) for e in np.eye(count)])
        return np.linalg.lstsq((H + H.T) / 2, b, rcond=1e-14)[0]
    operator = sparse.linalg.LinearOperator((count, count), on_free)
    return sparse.linalg.cg(operator, b, rtol=1e-8, maxiter=20000)[0]


def refined(model: Linear, kinks: Kinks, x: np.ndarray) -> tuple[Any, float, int]:
    """Minimum in extended precision, what is left of the conditions in the maximum norm, and the free parameters."""
    x = x.astype(LONG)
    weight, lower, upper = (a.astype(LONG) for a in (kinks.weight, kinks.lower, kinks.upper))
    sign = np.sign(x) * (weight > 0)
    at_lower, at_upper = x <= lower + 1e-12, x >= upper - 1e-12
    for _ in range(50):
        held = at_lower | at_upper | ((weight > 0) & (sign == 0))
        x = np.where(at_lower, lower, np.where(at_upper, upper, np.where(held, LONG(0), x)))
        for _ in range(12):
            g = model.value_and_grad(x)[1] + weight * sign
            left = float(np.abs(g[~held]).max(initial=0))
            if left < 1e-17:
                break
            x[~held] -= newton_step(model, x, g, ~held)
        f, g = model.value_and_grad(x)
        crossed = (sign != 0) & (np.sign(x) != sign)
        pulled = (weight > 0) & (sign == 0) & (np.abs(g) > weight)
        below, above = ~held & (x < lower), ~held & (x > upper)
        off_lower, off_upper = at_lower & (g < 0) & (lower < upper), at_upper & (g > 0) & (lower < upper)
        if not np.any(crossed | pulled | below | above | off_lower | off_upper):
            return f + weight @ np.abs(x), left, int((~held).sum())
        sign = np.where(crossed, 0, np.where(pulled, -np.sign(g), sign))
        at_lower, at_upper = (at_lower | below) & ~off_lower, (at_upper | above) & ~off_upper
    raise RuntimeError("the set of free parameters does not settle")


def main(names: list[str]) -> None:
    warnings.filterwarnings("ignore", module="sklearn")
    print("MINIMA = {")
    for name in names or CASES:
        print(f'    "{name}": (', flush=True)
        for options in CASES[name]:
            signature = PROBLEMS[name].make.__signature__ if hasattr(PROBLEMS[name].make, "__signature__") else None
            problem = PROBLEMS.make(name, **options)
            defaults = {} if signature is None else {o: p.default for o, p in signature.parameters.items()}
            shown = {o: v for o, v in options.items() if v != defaults.get(o, 0)}
            model, kinks = described(problem)
            f, left, free = refined(model, kinks, rough(model, kinks))
            digits = np.format_float_scientific(f, precision=18, unique=False)
            print(f"        ({shown!r}, {float(f)!r}),  # {digits}, conditions to {left:.0e}, {free} free", flush=True)
        print("    ),")
    print("}")


if __name__ == "__main__":
    main(sys.argv[1:])
