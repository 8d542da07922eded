"""Small objectives of every structure, drawn from a seed: what the fuzzer throws at the solvers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, get_args

import numpy as np

from nmdl_bench.backends import get_backend, stationarity
from nmdl_bench.contracts import Structure
from nmdl_bench.data import from_arrays
from nmdl_bench.networks.architectures import resnet
from nmdl_bench.problems import LearningProblem

FAMILIES = ("least-squares", "quadratic", "logistic", "chain", "network")
TERMS = ("none", "l1", "bounds")
MOST = {"forward": 3_000, "product": 100_000}
"""Calls that no run of a case can need."""


class FuzzError(Exception):
    """A solver did what no solver may."""


class Shape(NamedTuple):
    """What of a problem is not data: equal shapes share compiled steps."""

    family: str
    m: int
    n: int
    term: str = "none"

    @property
    def provides(self) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        if self.family in ("least-squares", "chain"):
            found += ("gauss-newton", "residual")
        if self.family == "least-squares" and self.term == "none":
            found += ("linear",)
        if self.family == "logistic":
            found += ("gauss-newton",)
        if self.term != "none":
            found += ("composite",)
        if self.term == "bounds":
            found += ("bounds",)
        return tuple(s for s in (*found, "blocks") if s in get_args(Structure))


class Data(NamedTuple):
    """Matrix and right-hand side; selections of successors and predecessors; weights of the l1 norm, and bounds."""

    A: Any
    b: Any
    S: Any
    T: Any
    weights: Any
    lower: Any
    upper: Any


class Calls:
    """Counts the calls of a case, and ends one that makes more than any can need.

    One for all objectives: an eager step that is kept for a shape holds the first objective of that shape.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.made = dict.fromkeys(MOST, 0)

    def count(self, what: str) -> None:
        self.made[what] += 1
        if self.made[what] > MOST[what]:
            raise FuzzError(f"endless: more than {MOST[what]} calls of {what}")


CALLS = Calls()


class _Smooth:
    """``f`` by family, with all that its structures promise.

    least-squares  ``1/2 |A x - b|^2``
    quadratic      ``1/2 x^T A x - b^T x``, A symmetric, often singular or indefinite
    logistic       ``1/m sum log(1 + exp(-b_i a_i^T x)) + 1/2 mu |x|^2``
    chain          ``1/2 |r|^2`` with ``r = (w (x_{i+1} - x_i^2), 1 - x_i)``, Rosenbrock's
    """

    mu = 1e-4
    alpha = 0.0  # what "linear" objectives add

    def forward(self, x: Any, batch: Any = None) -> Any:
        xp, data = self.xp, self.arrays
        CALLS.count("forward")
        A, b, family = data.A, data.b, self.static.family
        if family == "least-squares":
            r = A @ x - b
            return 0.5 * xp.dot(r, r), (x, r, A, b)
        if family == "quadratic":
            Ax = A @ x
            return 0.5 * xp.dot(x, Ax) - xp.dot(b, x), (x, Ax, A, b)
        if family == "chain":
            Tx = data.T @ x
            r = xp.concat([b * (data.S @ x - Tx * Tx), 1 - Tx])
            return 0.5 * xp.dot(r, r), (x, r, A, b)
        if batch is not None:
            A, b = xp.take(A, batch), xp.take(b, batch)
        z = -b * (A @ x)
        E = xp.exp(-xp.abs(z))
        value = xp.total(xp.where(z > 0, z, 0 * z) + xp.log1p(E)) * (1 / A.shape[0])
        return value + 0.5 * self.mu * xp.dot(x, x), (x, z, A, b)

    def grad(self, tape: Any) -> Any:
        x, r, A, b = tape
        if self.static.family == "quadratic":
            return r - b
        if self.static.family == "logistic":
            return A.T @ (-b * self._sigmoid(r)) * (1 / A.shape[0]) + self.mu * x
        return self.vjp(tape, r)

    def _sigmoid(self, z: Any) -> Any:
        E = self.xp.exp(-self.xp.abs(z))
        return self.xp.where(z > 0, 1 / (1 + E), E / (1 + E))

    def residual(self, tape: Any) -> Any:
        return self.xp.copy(tape[1])

    def jacobian(self, tape: Any) -> Any:
        x, _, A, b = tape
        if self.static.family != "chain":
            return self.xp.copy(A)
        S, T = self.arrays.S, self.arrays.T
        n = self.static.n
        Tx, w = self.xp.reshape(T @ x, (n - 1, 1)), self.xp.reshape(b, (n - 1, 1))
        return self.xp.concat([w * (S - 2 * Tx * T), -T])

    def jvp(self, tape: Any, v: Any) -> Any:
        CALLS.count("product")
        return self.jacobian(tape) @ v if self.static.family == "chain" else tape[2] @ v

    def vjp(self, tape: Any, w: Any) -> Any:
        CALLS.count("product")
        return (self.jacobian(tape).T if self.static.family == "chain" else tape[2].T) @ w

    def gauss_newton(self, tape: Any, v: Any) -> Any:
        if self.static.family == "logistic":
            return self.hessian(tape, v)
        return self.vjp(tape, self.jvp(tape, v))

    def hessian(self, tape: Any, v: Any) -> Any:
        CALLS.count("product")
        _, r, A, b = tape
        if self.static.family == "quadratic":
            return A @ v
        if self.static.family == "logistic":
            p = self._sigmoid(r)
            return A.T @ (p * (1 - p) * (A @ v)) * (1 / A.shape[0]) + self.mu * v
        if self.static.family == "least-squares":
            return A.T @ (A @ v)
        T, n = self.arrays.T, self.static.n
        return self.gauss_newton(tape, v) - T.T @ (2 * b * r[: n - 1] * (T @ v))


@dataclass(frozen=True, eq=False)
class Small(_Smooth):
    """One of the objectives above, without constraints; its parameters fall into two blocks."""

    xp: Any
    static: Shape
    arrays: Any
    x0: Any

    @property
    def n_samples(self) -> int:
        return self.static.m if self.static.family == "logistic" else 1

    @property
    def blocks(self) -> tuple[slice, ...]:
        n = self.static.n
        return (slice(0, n),) if n == 1 else (slice(0, n // 2), slice(n // 2, n))

    def with_arrays(self, arrays: Any) -> Small:
        return replace(self, arrays=arrays)


class SmallL1(Small):
    """With ``h(x) = sum_i w_i |x_i|``."""

    def penalty(self, x: Any) -> Any:
        return self.xp.dot(self.arrays.weights, self.xp.abs(x))

    def prox(self, v: Any, t: Any) -> Any:
        xp, w = self.xp, t * self.arrays.weights
        return xp.where(v > w, v - w, xp.where(v < -w, v + w, 0 * v))


class SmallBounds(Small):
    """With ``lower <= x <= upper``."""

    @property
    def lower(self) -> Any:
        return self.arrays.lower

    @property
    def upper(self) -> Any:
        return self.arrays.upper

    def penalty(self, x: Any) -> Any:
        return self.xp.s.const(0.0)

    def prox(self, v: Any, t: Any) -> Any:
        xp = self.xp
        return xp.where(v < self.lower, self.lower, xp.where(v > self.upper, self.upper, xp.copy(v)))


class SmallProblem:
    """The problem of a :class:`Small`; its data are on the host."""

    summary, minimum, tau = "", None, 0.1

    def __init__(self, shape: Shape, data: Data, x0: np.ndarray) -> None:
        self.shape, self.data, self.x0 = shape, data, x0
        self.name, self.provides = "-".join(map(str, shape)), shape.provides

    def bind(self, xp: Any) -> Small:
        kind = {"none": Small, "l1": SmallL1, "bounds": SmallBounds}[self.shape.term]
        arrays = Data(*(xp.asarray(a) for a in self.data))
        return kind(xp, self.shape, arrays, xp.asarray(self.x0))

    def metrics(self, xp: Any, x: Any) -> dict[str, float]:
        return {}

    def measure(self, x: np.ndarray) -> tuple[float, float]:
        """How far ``x`` is from stationary, in extended precision, and what round-off may have made of it."""
        data = Data(*(np.asarray(a, np.longdouble) for a in self.data))
        x = np.asarray(x, np.longdouble)
        g, error = _gradient(self.shape, data, x)
        if self.shape.term == "none":
            return float(np.abs(g).max()), float(error.max())
        v = x - g
        w = data.weights
        near = np.sign(v) * np.maximum(np.abs(v) - w, 0) if self.shape.term == "l1" else _clip(v, data)
        return float(np.abs(x - near).max()), float((error + np.abs(x)).max())


def _clip(v: np.ndarray, data: Data) -> np.ndarray:
    return np.minimum(np.maximum(v, data.lower), data.upper)


def _gradient(shape: Shape, data: Data, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient written a second time, and the sum of the moduli of all that it adds up."""
    A, b, S, T = data.A, data.b, data.S, data.T
    a, size = np.abs(A), np.abs(A) @ np.abs(x) + (np.abs(b) if shape.family != "chain" else 0)
    if shape.family == "least-squares":
        return A.T @ (A @ x - b), a.T @ size
    if shape.family == "quadratic":
        return A @ x - b, size
    if shape.family == "logistic":
        z = -b * (A @ x)
        sigmoid = 0.5 * (1 + np.tanh(0.5 * z))
        with_round_off = a.T @ (np.abs(b) * (1 + np.abs(b) * size)) / shape.m
        return A.T @ (-b * sigmoid) / shape.m + _Smooth.mu * x, with_round_off + _Smooth.mu * np.abs(x)
    Tx = T @ x
    r, J = np.concatenate([b * (S @ x - Tx**2), 1 - Tx]), np.concatenate([b[:, None] * (S - 2 * Tx[:, None] * T), -T])
    moduli = np.concatenate([np.abs(b) * (np.abs(S @ x) + Tx**2), 1 + np.abs(Tx)])
    return J.T @ r, np.abs(J).T @ moduli


class TinyNetwork(LearningProblem):
    """A residual network over a few samples of any scale; separable where learning problems are."""

    def measure(self, x: np.ndarray) -> tuple[float, float]:
        """As for the other problems, but in double precision, round-off by what a small relative change of x does."""
        xp, x, change = get_backend("numpy"), np.asarray(x, float), 1e-12
        with xp.scope():
            objective = self.bind(xp)
            nearby = x * (1 + change * np.where(np.arange(x.size) % 2, 1, -1))
            g, g_nearby = (objective.grad(objective.forward(point)[1]) for point in (x, nearby))
            error = 1 + np.abs(g).max() + np.abs(g_nearby - g).max() / change
            return float(stationarity.measure(objective, x, g)), float(error)


# ------------------------------------------------------------------------------------------------------------ draws
def draw_shape(rng: np.random.Generator) -> Shape:
    """Family, numbers of rows and of variables (1 among them, and more than rows), and what is added."""
    family = str(rng.choice(FAMILIES, p=[0.3, 0.2, 0.2, 0.2, 0.1]))
    n = 1 if rng.random() < 0.15 and family != "chain" else int(rng.integers(2, 9))
    m = n if family == "quadratic" else int(rng.integers(1, 13))
    if family == "network":
        return Shape(family, max(m, 2), min(n, 3))
    return Shape(family, m, n, str(rng.choice(TERMS, p=[0.6, 0.2, 0.2])))


def _scale(rng: np.random.Generator, often: float) -> float:
    """1 often, else a power of ten between 1e-150 and 1e150."""
    return 1.0 if rng.random() < often else float(10.0 ** rng.uniform(-150, 150))


def draw_problem(shape: Shape, rng: np.random.Generator) -> Any:
    """Data and start of a problem of that shape."""
    if shape.family == "network":
        return _draw_network(shape, rng)
    m, n = shape.m, shape.n
    A = rng.standard_normal((m, n))
    kind = rng.random()
    if kind < 0.25:
        A[:, rng.integers(n)] = A[:, rng.integers(n)] if n > 1 else 0.0  # two columns alike, or none
    elif kind < 0.35:
        A[rng.integers(m)] = 0.0
    elif kind < 0.4:
        A[...] = 0.0
    elif kind < 0.55:
        A *= np.logspace(0, -rng.uniform(0, 14), n)
    scale = _scale(rng, 0.5)
    if shape.family == "quadratic":
        A = A @ A.T if rng.random() < 0.5 else 0.5 * (A + A.T)
    A = A * scale
    b = rng.standard_normal(n - 1 if shape.family == "chain" else m) * (scale if rng.random() < 0.5 else 1.0)
    b = b * _scale(rng, 0.8)
    if shape.family == "logistic":
        b = np.where(rng.random(m) < 0.5, 1.0, -1.0)
    if shape.family == "chain":
        b = np.full(n - 1, 10.0 * _scale(rng, 0.6))
    x0 = rng.standard_normal(n) * _scale(rng, 0.6)
    if rng.random() < 0.06:
        x0, b = np.zeros(n), b * 0.0 if shape.family in ("least-squares", "quadratic") else b  # stationary
    if rng.random() < 0.1:
        bad = A if rng.random() < 0.5 else b
        bad[tuple(rng.integers(size) for size in bad.shape)] = rng.choice([np.nan, np.inf, -np.inf])
    eye = np.eye(n)
    lower = np.where(rng.random(n) < 0.3, -np.inf, rng.uniform(-2, 0, n))
    upper = np.where(rng.random(n) < 0.3, np.inf, np.maximum(lower, -2.0) + rng.choice([0.0, 1.0, 3.0], n))
    if shape.term == "bounds":
        x0 = np.minimum(np.maximum(x0, lower), upper)
    weights = np.abs(rng.standard_normal(n)) * _scale(rng, 0.8)
    return SmallProblem(shape, Data(A, b, eye[1:], eye[:-1], weights, lower, upper), x0)


def _draw_network(shape: Shape, rng: np.random.Generator) -> TinyNetwork:
    Y = rng.standard_normal((shape.m, 2)) * _scale(rng, 0.6)
    labels = np.arange(shape.m) % 2
    data = from_arrays("few", Y, labels, standardise=False, classes=2, n_validation=0, n_test=0)
    seed = int(rng.integers(1000))
    loss = "least-squares" if shape.m % 2 else "cross-entropy"
    alpha = 1e-3 if shape.m % 3 else 0.0  # part of the compiled text: it goes with the shape
    return TinyNetwork("few", "", data, resnet(2, 2, shape.n, 1, 1.0), loss, alpha, seed)
