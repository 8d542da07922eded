"""Functions of n variables: numbers 1, 13, 14 and 20 to 35; see :mod:`.forms` for what each consists of."""

from __future__ import annotations

from typing import Any

import numpy as np

from nmdl_bench.contracts import Array
from nmdl_bench.problems.mgh.numbers import Numbers, column, count


# ---------------------------------------------------------------------------- data of forms.squares: (c, A, b, L, l)
def rosenbrock_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``r_{2i-1} = 10 (x_{2i} - x_{2i-1}^2)``, ``r_{2i} = 1 - x_{2i-1}``: numbers 1 and 21 (Rosenbrock 1960)."""
    c, A, b, L = [0, 1] * (n // 2), _zeros(n, n), [-10, 0] * (n // 2), _zeros(n, n)
    for i in range(0, n, 2):
        A[i][i + 1], A[i + 1][i], L[i][i] = 10, -1, 1
    return tuple(map(N.array, (c, A, b, L, [0] * n)))


def powell_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """Powell's (1962) singular function, numbers 13 and 22.

    Each four rows are ``x1 + 10 x2``, ``sqrt(5) (x3 - x4)``, ``(x2 - 2 x3)^2``, ``sqrt(10) (x1 - x4)^2``.
    """
    A, L = _zeros(n, n), _zeros(n, n)
    for i in range(0, n, 4):
        A[i][i], A[i][i + 1] = 1, 10
        A[i + 1][i + 2], A[i + 1][i + 3] = N.sqrt(N.ratio(5, 1)), -N.sqrt(N.ratio(5, 1))
        L[i + 2][i + 1], L[i + 2][i + 2] = 1, -2
        L[i + 3][i], L[i + 3][i + 3] = 1, -1
    return tuple(map(N.array, ([0] * n, A, [0, 0, 1, N.sqrt(N.ratio(10, 1))] * (n // 4), L, [0] * n)))


def wood_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``10 (x2 - x1^2), 1 - x1, sqrt(90) (x4 - x3^2), 1 - x3, sqrt(10) (x2 + x4 - 2), (x2 - x4) / sqrt(10)``."""
    a, b = N.sqrt(N.ratio(90, 1)), N.sqrt(N.ratio(10, 1))
    A = [[0, 10, 0, 0], [-1, 0, 0, 0], [0, 0, 0, a], [0, 0, -1, 0], [0, b, 0, b], [0, 1 / b, 0, -1 / b]]
    L = _zeros(6, 4)
    L[0][0] = L[2][2] = 1
    return tuple(map(N.array, ([0, 1, 0, 1, -2 * b, 0], A, [-10, 0, -a, 0, 0, 0], L, [0] * 6)))


def watson_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``sum_j (j-1) x_j t^(j-2) - (sum_j x_j t^(j-1))^2 - 1`` for ``t = i/29``, then ``x1`` and ``x2 - x1^2 - 1``."""
    A, L = _zeros(31, n), _zeros(31, n)
    for i in range(29):
        t = N.ratio(i + 1, 29)
        for j in range(n):
            A[i][j], L[i][j] = j * t ** max(j - 1, 0), t**j
    A[29][0] = A[30][1] = L[30][0] = 1
    return tuple(map(N.array, ([-1] * 29 + [0, -1], A, [-1] * 29 + [0, -1], L, [0] * 31)))


def variably_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``x_i - 1``, then ``s = sum_j j (x_j - 1)`` and ``s^2``: number 25."""
    j = [*range(1, n + 1)]
    A = [*np.eye(n, dtype=int).tolist(), j, [0] * n]
    c, b = [-1] * n + [-sum(j), 0], [0] * (n + 1) + [1]
    return tuple(map(N.array, (c, A, b, [*_zeros(n + 1, n), j], [0] * (n + 1) + [-sum(j)])))


def broyden_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``(3 - 2 x_i) x_i - x_{i-1} - 2 x_{i+1} + 1``: number 30 (Broyden 1965)."""
    A = 3 * np.eye(n, dtype=int) - np.eye(n, k=-1, dtype=int) - 2 * np.eye(n, k=1, dtype=int)
    return tuple(map(N.array, ([1] * n, A.tolist(), [-2] * n, np.eye(n, dtype=int).tolist(), [0] * n)))


def full_rank_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``x_i - (2/m) sum_j x_j - 1``, without ``x_i`` for ``i > n``: number 32."""
    A = [[int(i == j) - N.ratio(2, m) for j in range(n)] for i in range(m)]
    return _linear(N, A, n, m)


def rank_1_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``i sum_j j x_j - 1``: number 33."""
    return _linear(N, [[i * j for j in range(1, n + 1)] for i in range(1, m + 1)], n, m)


def rank_1_zeros_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``(i-1) sum_j j x_j - 1`` over ``1 < j < n``, and -1 for the first and the last i: number 34."""
    inner = [[(i - 1) * (j if 1 < j < n else 0) for j in range(1, n + 1)] for i in range(2, m)]
    return _linear(N, [[0] * n, *inner, [0] * n], n, m)


def _linear(N: Numbers, A: list[list[Any]], n: int, m: int) -> tuple[Any, ...]:
    return tuple(map(N.array, ([-1] * m, A, [0] * m, _zeros(m, n), [0] * m)))


def _zeros(m: int, n: int) -> list[list[Any]]:
    return [[0] * n for _ in range(m)]


# ----------------------------------------------------------------------------------- data of forms.cubes: (A, K, t + 1)
def boundary_value_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``2 x_i - x_{i-1} - x_{i+1} + h^2 (x_i + t_i + 1)^3 / 2``, ``t_i = i h``: number 28 (More and Cosnard 1979)."""
    eye = np.eye(n, dtype=int)
    A = 2 * eye - np.eye(n, k=-1, dtype=int) - np.eye(n, k=1, dtype=int)
    K = [[int(i == j) * N.ratio(1, 2 * (n + 1) ** 2) for j in range(n)] for i in range(n)]
    return N.array(A.tolist()), N.array(K), 1 + count(N, n) / (n + 1)


def integral_equation_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    """``x_i + h ((1-t_i) sum_{j<=i} t_j w_j^3 + t_i sum_{j>i} (1-t_j) w_j^3) / 2``, ``w = x + t + 1``: number 29."""
    t = [N.ratio(i, n + 1) for i in range(1, n + 1)]
    green = [[min(t[i], t[j]) * (1 - max(t[i], t[j])) / (2 * (n + 1)) for j in range(n)] for i in range(n)]
    return N.array(np.eye(n, dtype=int).tolist()), N.array(green), 1 + count(N, n) / (n + 1)


# -------------------------------------------------------------------------------------------------- 23 penalty I
def penalty1_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (N.array(N.sqrt(N.ratio(1, 100000))), N.array(np.eye(n, dtype=int).tolist()))


def penalty1(xp: Any, x: Array, a: Array, eye: Array) -> Array:
    """``r = (a (x - 1), x.x - 1/4)``, ``a = sqrt(1e-5)`` (Gill, Murray and Pitfield 1972)."""
    return xp.concat([a * (x - 1), xp.stack([x @ x - 0.25])])


def penalty1_jacobian(xp: Any, x: Array, a: Array, eye: Array) -> Array:
    return xp.concat([a * eye, xp.reshape(2 * x, (1, -1))])


def penalty1_second(xp: Any, x: Array, p: Array, a: Array, eye: Array) -> Array:
    return xp.concat([0 * eye, xp.reshape(2 * p, (1, -1))])


# ------------------------------------------------------------------------------------------------- 24 penalty II
def penalty2_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    sums = (np.eye(n, dtype=int) + np.eye(n, k=-1, dtype=int))[1:]
    M = [*sums.tolist(), *np.eye(n, dtype=int)[1:].tolist()]
    e = [N.exp(N.ratio(i, 10)) for i in range(n + 1)]
    y = [*(e[i] + e[i - 1] for i in range(2, n + 1)), *([1 / e[1]] * (n - 1))]
    first = np.eye(1, n, dtype=int).tolist()
    return (
        N.array(N.sqrt(N.ratio(1, 100000))), N.array(M), N.array(y), N.array(first), N.array(N.ratio(1, 5)),
        N.array([*range(n, 0, -1)]),
    )  # fmt: skip


def penalty2(xp: Any, x: Array, a: Array, M: Array, y: Array, e1: Array, c: Array, w: Array) -> Array:
    """``r = (x1 - 1/5, a (M exp(x/10) - y), w.x^2 - 1)``: sums of neighbours, then single ones; ``w_j = n - j + 1``."""
    return xp.concat([e1 @ x - c, a * (M @ xp.exp(x / 10) - y), xp.stack([w @ (x * x) - 1])])


def penalty2_jacobian(xp: Any, x: Array, a: Array, M: Array, y: Array, e1: Array, c: Array, w: Array) -> Array:
    return xp.concat([e1, a * M * (xp.exp(x / 10) / 10), xp.reshape(2 * w * x, (1, -1))])


def penalty2_second(xp: Any, x: Array, p: Array, a: Array, M: Array, y: Array, e1: Array, c: Array, w: Array) -> Array:
    return xp.concat([0 * e1, a * M * (xp.exp(x / 10) * p / 100), xp.reshape(2 * w * p, (1, -1))])


# --------------------------------------------------------------------------------- 26 trigonometric (Spedicato 1975)
def trigonometric_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return count(N, n), N.array(np.eye(n, dtype=int).tolist()), N.array([[1] * n] * n)


def trigonometric(xp: Any, x: Array, i: Array, eye: Array, ones: Array) -> Array:
    """``r_i = n - sum_j cos x_j + i (1 - cos x_i) - sin x_i``."""
    c = 1 - xp.cos(x)
    return ones @ c + i * c - xp.sin(x)


def trigonometric_jacobian(xp: Any, x: Array, i: Array, eye: Array, ones: Array) -> Array:
    return ones * xp.sin(x) + eye * (i * xp.sin(x) - xp.cos(x))


def trigonometric_second(xp: Any, x: Array, p: Array, i: Array, eye: Array, ones: Array) -> Array:
    return ones * (xp.cos(x) * p) + eye * ((i * xp.cos(x) + xp.sin(x)) * p)


# -------------------------------------------------------------------------------- 27 Brown almost-linear (1969)
def almost_linear_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    A = [[1 + int(i == j) for j in range(n)] for i in range(n - 1)]
    last = [0] * (n - 1) + [1]
    return N.array([*A, [0] * n]), N.array([-(n + 1)] * (n - 1) + [-1]), N.array(last)


def almost_linear(xp: Any, x: Array, A: Array, c: Array, last: Array) -> Array:
    """``r_i = x_i + sum_j x_j - (n + 1)``, and last ``prod_j x_j - 1``."""
    product = x[0]
    for j in range(1, x.shape[0]):
        product = product * x[j]
    return A @ x + c + product * last


def almost_linear_jacobian(xp: Any, x: Array, A: Array, c: Array, last: Array) -> Array:
    return A + column(xp, last) * xp.stack(_products_of_others(x, 0 * x)[0])


def almost_linear_second(xp: Any, x: Array, p: Array, A: Array, c: Array, last: Array) -> Array:
    return column(xp, last) * xp.stack(_products_of_others(x, p)[1])


def _products_of_others(x: Array, p: Array) -> tuple[list[Array], list[Array]]:
    """``prod_{l != j} x_l`` for each j, and its derivative along ``p``: what is left of j times what is right of it."""
    n = x.shape[0]
    one, nothing = 0 * x[0] + 1, 0 * x[0]
    left, right = [(one, nothing)], [(one, nothing)]
    for j in range(n - 1):
        value, slope = left[-1]
        left.append((value * x[j], slope * x[j] + value * p[j]))
        value, slope = right[-1]
        k = n - 1 - j
        right.append((value * x[k], slope * x[k] + value * p[k]))
    pairs = [*zip(left, reversed(right))]
    return [a * b for (a, _), (b, _) in pairs], [da * b + a * db for (a, da), (b, db) in pairs]


# ----------------------------------------------------------------------------------- 31 Broyden banded (1971)
def banded_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    band = [[int(i != j and i - 5 <= j <= i + 1) for j in range(n)] for i in range(n)]
    return N.array(np.eye(n, dtype=int).tolist()), N.array(band)


def banded(xp: Any, x: Array, eye: Array, B: Array) -> Array:
    """``r_i = x_i (2 + 5 x_i^2) + 1 - sum_j x_j (1 + x_j)`` over the band ``i-5 <= j <= i+1`` without i."""
    return x * (2 + 5 * x * x) + 1 - B @ (x * (1 + x))


def banded_jacobian(xp: Any, x: Array, eye: Array, B: Array) -> Array:
    return eye * (2 + 15 * x * x) - B * (1 + 2 * x)


def banded_second(xp: Any, x: Array, p: Array, eye: Array, B: Array) -> Array:
    return eye * (30 * x * p) - B * (2 * p)


# ---------------------------------------------------------------------------------- 35 Chebyquad (Fletcher 1965)
def chebyquad_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (N.array([0 if i % 2 else N.ratio(-1, i * i - 1) for i in range(1, m + 1)]),)


def chebyquad(xp: Any, x: Array, integral: Array) -> Array:
    """``r_i = mean_j T_i(x_j) - int T_i``, for the Chebyshev polynomials shifted to [0, 1]."""
    T, _, _ = _chebyshev(x, integral.shape[0])
    return xp.sum(xp.stack(T), axis=1) / x.shape[0] - integral


def chebyquad_jacobian(xp: Any, x: Array, integral: Array) -> Array:
    return xp.stack(_chebyshev(x, integral.shape[0])[1]) / x.shape[0]


def chebyquad_second(xp: Any, x: Array, p: Array, integral: Array) -> Array:
    return xp.stack(_chebyshev(x, integral.shape[0])[2]) * p / x.shape[0]


def _chebyshev(x: Array, m: int) -> tuple[list[Array], list[Array], list[Array]]:
    """``T_1, ..., T_m`` at ``x`` with two derivatives, by ``T_{i+1} = 2 z T_i - T_{i-1}``, ``z = 2 x - 1``."""
    z, zero = 2 * x - 1, 0 * x
    T, dT, ddT = [zero + 1, z], [zero, zero + 2], [zero, zero]
    for _ in range(m - 1):
        T.append(2 * z * T[-1] - T[-2])
        dT.append(4 * T[-2] + 2 * z * dT[-1] - dT[-2])
        ddT.append(8 * dT[-2] + 2 * z * ddT[-1] - ddT[-2])
    return T[1:], dT[1:], ddT[1:]
