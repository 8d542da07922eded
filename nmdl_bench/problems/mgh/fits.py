"""Fits of models to data, as residuals over m points: numbers 6, 8 to 12 and 15 to 19; see :mod:`.forms`."""

from __future__ import annotations

from typing import Any

from nmdl_bench.contracts import Array
from nmdl_bench.problems.mgh import tables
from nmdl_bench.problems.mgh.numbers import Numbers, columns, count


# -------------------------------------------------------------------------------- 6 Jennrich and Sampson (1968)
def jennrich_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (count(N, m),)


def jennrich(xp: Any, x: Array, i: Array) -> Array:
    """``r_i = 2 + 2 i - (exp(i x1) + exp(i x2))``."""
    return 2 + 2 * i - (xp.exp(i * x[0]) + xp.exp(i * x[1]))


def jennrich_jacobian(xp: Any, x: Array, i: Array) -> Array:
    return columns(xp, i.shape[0], -i * xp.exp(i * x[0]), -i * xp.exp(i * x[1]))


def jennrich_second(xp: Any, x: Array, p: Array, i: Array) -> Array:
    return columns(xp, i.shape[0], -i * i * xp.exp(i * x[0]) * p[0], -i * i * xp.exp(i * x[1]) * p[1])


# ------------------------------------------------------------------------------------------------- 8 Bard (1970)
def bard_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    u = [*range(1, 16)]
    return N.array(tables.BARD), N.array(u), N.array([16 - i for i in u]), N.array([min(i, 16 - i) for i in u])


def bard(xp: Any, x: Array, y: Array, u: Array, v: Array, w: Array) -> Array:
    """``r = y - (x1 + u / (v x2 + w x3))``."""
    return y - (x[0] + u / (v * x[1] + w * x[2]))


def bard_jacobian(xp: Any, x: Array, y: Array, u: Array, v: Array, w: Array) -> Array:
    d = v * x[1] + w * x[2]
    return columns(xp, y.shape[0], -1, u * v / (d * d), u * w / (d * d))


def bard_second(xp: Any, x: Array, p: Array, y: Array, u: Array, v: Array, w: Array) -> Array:
    d, dd = v * x[1] + w * x[2], v * p[1] + w * p[2]
    g = -2 * u * dd / (d * d * d)
    return columns(xp, y.shape[0], 0, g * v, g * w)


# ------------------------------------------------------------------------------------------------------ 9 Gaussian
def gaussian_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return N.array(tables.GAUSSIAN), (8 - count(N, m)) / 2


def gaussian(xp: Any, x: Array, y: Array, t: Array) -> Array:
    """``r = x1 exp(-x2 (t - x3)^2 / 2) - y``."""
    s = t - x[2]
    return x[0] * xp.exp(-x[1] * s * s / 2) - y


def gaussian_jacobian(xp: Any, x: Array, y: Array, t: Array) -> Array:
    s = t - x[2]
    e = xp.exp(-x[1] * s * s / 2)
    return columns(xp, t.shape[0], e, -x[0] * e * s * s / 2, x[0] * x[1] * e * s)


def gaussian_second(xp: Any, x: Array, p: Array, y: Array, t: Array) -> Array:
    (x1, x2, x3), (p1, p2, p3) = (x[0], x[1], x[2]), (p[0], p[1], p[2])
    s = t - x3
    e = xp.exp(-x2 * s * s / 2)
    de = e * (-s * s / 2 * p2 + x2 * s * p3)
    second = -(p1 * e + x1 * de) * s * s / 2 + x1 * e * s * p3
    third = (p1 * x2 + x1 * p2) * e * s + x1 * x2 * (de * s - e * p3)
    return columns(xp, t.shape[0], de, second, third)


# ------------------------------------------------------------------------------------------------ 10 Meyer (1970)
def meyer_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return N.array(tables.MEYER), 45 + 5 * count(N, m)


def meyer(xp: Any, x: Array, y: Array, t: Array) -> Array:
    """``r = x1 exp(x2 / (t + x3)) - y``."""
    return x[0] * xp.exp(x[1] / (t + x[2])) - y


def meyer_jacobian(xp: Any, x: Array, y: Array, t: Array) -> Array:
    d = t + x[2]
    e = xp.exp(x[1] / d)
    return columns(xp, t.shape[0], e, x[0] * e / d, -x[0] * x[1] * e / (d * d))


def meyer_second(xp: Any, x: Array, p: Array, y: Array, t: Array) -> Array:
    (x1, x2, x3), (p1, p2, p3) = (x[0], x[1], x[2]), (p[0], p[1], p[2])
    d = t + x3
    e = xp.exp(x2 / d)
    de = e * (p2 / d - x2 * p3 / (d * d))
    second = (p1 * e + x1 * de) / d - x1 * e * p3 / (d * d)
    third = -((p1 * x2 + x1 * p2) * e + x1 * x2 * de) / (d * d) + 2 * x1 * x2 * e * p3 / (d * d * d)
    return columns(xp, t.shape[0], de, second, third)


# ------------------------------------------------------- 11 Gulf research and development (Cox 1969)
def gulf_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    t = count(N, m) / 100
    return 25 + N.exp(N.log(-50 * N.log(t)) * 2 / 3), t


def gulf(xp: Any, x: Array, y: Array, t: Array) -> Array:
    """``r = exp(-|y - x2|^x3 / x1) - t``; "y m i" in the paper stands for ``y -``."""
    return xp.exp(-xp.exp(x[2] * xp.log(xp.abs(y - x[1]))) / x[0]) - t


def gulf_jacobian(xp: Any, x: Array, y: Array, t: Array) -> Array:
    a, sign, _, e, q = _gulf_parts(xp, x, y)
    return columns(xp, t.shape[0], e * q / x[0], sign * e * q * x[2] / a, -e * q * xp.log(a))


def gulf_second(xp: Any, x: Array, p: Array, y: Array, t: Array) -> Array:
    (x1, _, x3), (p1, p2, p3) = (x[0], x[1], x[2]), (p[0], p[1], p[2])
    a, sign, log_a, e, q = _gulf_parts(xp, x, y)
    dq = q * (p3 * log_a - sign * x3 * p2 / a - p1 / x1)
    deq = e * dq * (1 - q)
    first = deq / x1 - e * q * p1 / (x1 * x1)
    second = sign * (deq * x3 + e * q * p3) / a + e * q * x3 * p2 / (a * a)
    third = -deq * log_a + sign * e * q * p2 / a
    return columns(xp, t.shape[0], first, second, third)


def _gulf_parts(xp: Any, x: Array, y: Array) -> tuple[Array, Array, Array, Array, Array]:
    """``a = |y - x2|``, its sign and logarithm, ``e = exp(-q)`` and ``q = a^x3 / x1``."""
    one = 1 + xp.zeros(tuple(y.shape))
    sign = xp.where(y - x[1] < 0, -one, one)
    a = xp.abs(y - x[1])
    log_a = xp.log(a)
    q = xp.exp(x[2] * log_a) / x[0]
    return a, sign, log_a, xp.exp(-q), q


# ------------------------------------------------------------------------------- 12 Box three-dimensional (1966)
def box_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (count(N, m) / 10,)


def box(xp: Any, x: Array, t: Array) -> Array:
    """``r = exp(-t x1) - exp(-t x2) - x3 (exp(-t) - exp(-10 t))``."""
    return xp.exp(-t * x[0]) - xp.exp(-t * x[1]) - x[2] * (xp.exp(-t) - xp.exp(-10 * t))


def box_jacobian(xp: Any, x: Array, t: Array) -> Array:
    return columns(xp, t.shape[0], -t * xp.exp(-t * x[0]), t * xp.exp(-t * x[1]), xp.exp(-10 * t) - xp.exp(-t))


def box_second(xp: Any, x: Array, p: Array, t: Array) -> Array:
    return columns(xp, t.shape[0], t * t * xp.exp(-t * x[0]) * p[0], -t * t * xp.exp(-t * x[1]) * p[1], 0)


# -------------------------------------------------------------------------------- 15 Kowalik and Osborne (1968)
def kowalik_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return N.array(tables.KOWALIK_Y), N.array(tables.KOWALIK_U)


def kowalik(xp: Any, x: Array, y: Array, u: Array) -> Array:
    """``r = y - x1 (u^2 + u x2) / (u^2 + u x3 + x4)``."""
    return y - x[0] * u * (u + x[1]) / (u * (u + x[2]) + x[3])


def kowalik_jacobian(xp: Any, x: Array, y: Array, u: Array) -> Array:
    top, d = u * (u + x[1]), u * (u + x[2]) + x[3]
    g = x[0] * top / (d * d)
    return columns(xp, u.shape[0], -top / d, -x[0] * u / d, g * u, g)


def kowalik_second(xp: Any, x: Array, p: Array, y: Array, u: Array) -> Array:
    top, d = u * (u + x[1]), u * (u + x[2]) + x[3]
    dtop, dd = u * p[1], u * p[2] + p[3]
    first = -dtop / d + top * dd / (d * d)
    second = -p[0] * u / d + x[0] * u * dd / (d * d)
    dg = (p[0] * top + x[0] * dtop) / (d * d) - 2 * x[0] * top * dd / (d * d * d)
    return columns(xp, u.shape[0], first, second, dg * u, dg)


# --------------------------------------------------------------------------------- 16 Brown and Dennis (1971)
def brown_dennis_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (count(N, m) / 5,)


def brown_dennis(xp: Any, x: Array, t: Array) -> Array:
    """``r = (x1 + t x2 - exp(t))^2 + (x3 + x4 sin(t) - cos(t))^2``."""
    a, b = x[0] + t * x[1] - xp.exp(t), x[2] + x[3] * xp.sin(t) - xp.cos(t)
    return a * a + b * b


def brown_dennis_jacobian(xp: Any, x: Array, t: Array) -> Array:
    a, b = x[0] + t * x[1] - xp.exp(t), x[2] + x[3] * xp.sin(t) - xp.cos(t)
    return columns(xp, t.shape[0], 2 * a, 2 * a * t, 2 * b, 2 * b * xp.sin(t))


def brown_dennis_second(xp: Any, x: Array, p: Array, t: Array) -> Array:
    da, db = p[0] + t * p[1], p[2] + p[3] * xp.sin(t)
    return columns(xp, t.shape[0], 2 * da, 2 * da * t, 2 * db, 2 * db * xp.sin(t))


# ------------------------------------------------------------------------------------------ 17 Osborne 1 (1972)
def osborne1_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return N.array(tables.OSBORNE_1), 10 * count(N, m, 0)


def osborne1(xp: Any, x: Array, y: Array, t: Array) -> Array:
    """``r = y - (x1 + x2 exp(-t x4) + x3 exp(-t x5))``."""
    return y - (x[0] + x[1] * xp.exp(-t * x[3]) + x[2] * xp.exp(-t * x[4]))


def osborne1_jacobian(xp: Any, x: Array, y: Array, t: Array) -> Array:
    e4, e5 = xp.exp(-t * x[3]), xp.exp(-t * x[4])
    return columns(xp, t.shape[0], -1, -e4, -e5, x[1] * t * e4, x[2] * t * e5)


def osborne1_second(xp: Any, x: Array, p: Array, y: Array, t: Array) -> Array:
    e4, e5 = t * xp.exp(-t * x[3]), t * xp.exp(-t * x[4])
    fourth, fifth = (p[1] - x[1] * t * p[3]) * e4, (p[2] - x[2] * t * p[4]) * e5
    return columns(xp, t.shape[0], 0, e4 * p[3], e5 * p[4], fourth, fifth)


# ----------------------------------------------------------------------------------------- 18 Biggs EXP6 (1971)
def biggs_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    t = count(N, m) / 10
    return N.exp(-t) - 5 * N.exp(-10 * t) + 3 * N.exp(-4 * t), t


def biggs(xp: Any, x: Array, y: Array, t: Array) -> Array:
    """``r = x3 exp(-t x1) - x4 exp(-t x2) + x6 exp(-t x5) - y``."""
    return x[2] * xp.exp(-t * x[0]) - x[3] * xp.exp(-t * x[1]) + x[5] * xp.exp(-t * x[4]) - y


def biggs_jacobian(xp: Any, x: Array, y: Array, t: Array) -> Array:
    e1, e2, e5 = xp.exp(-t * x[0]), xp.exp(-t * x[1]), xp.exp(-t * x[4])
    return columns(xp, t.shape[0], -t * x[2] * e1, t * x[3] * e2, e1, -e2, -t * x[5] * e5, e5)


def biggs_second(xp: Any, x: Array, p: Array, y: Array, t: Array) -> Array:
    e1, e2, e5 = t * xp.exp(-t * x[0]), t * xp.exp(-t * x[1]), t * xp.exp(-t * x[4])
    first, second = (t * x[2] * p[0] - p[2]) * e1, (p[3] - t * x[3] * p[1]) * e2
    return columns(xp, t.shape[0], first, second, -e1 * p[0], e2 * p[1], (t * x[5] * p[4] - p[5]) * e5, -e5 * p[4])


# ------------------------------------------------------------------------------------------ 19 Osborne 2 (1972)
def osborne2_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return N.array(tables.OSBORNE_2), count(N, m, 0) / 10


_PEAKS = ((1, 5, 8), (2, 6, 9), (3, 7, 10))
"""Height, sharpness and place of each Gaussian among the variables."""


def osborne2(xp: Any, x: Array, y: Array, t: Array) -> Array:
    """``r = y - (x1 exp(-t x5) + sum over three (a, b, c) of a exp(-(t - c)^2 b))``."""
    model = x[0] * xp.exp(-t * x[4])
    for a, b, c in _PEAKS:
        model = model + x[a] * xp.exp(-(t - x[c]) * (t - x[c]) * x[b])
    return y - model


def osborne2_jacobian(xp: Any, x: Array, y: Array, t: Array) -> Array:
    found: dict[int, Array] = {0: -xp.exp(-t * x[4]), 4: x[0] * t * xp.exp(-t * x[4])}
    for a, b, c in _PEAKS:
        s = t - x[c]
        e = xp.exp(-s * s * x[b])
        found |= {a: -e, b: x[a] * s * s * e, c: -2 * x[a] * x[b] * s * e}
    return columns(xp, t.shape[0], *(found[j] for j in range(11)))


def osborne2_second(xp: Any, x: Array, p: Array, y: Array, t: Array) -> Array:
    e = t * xp.exp(-t * x[4])
    found: dict[int, Array] = {0: e * p[4], 4: (p[0] - x[0] * t * p[4]) * e}
    for a, b, c in _PEAKS:
        s = t - x[c]
        e = xp.exp(-s * s * x[b])
        de = e * (2 * x[b] * s * p[c] - s * s * p[b])
        found[a] = -de
        found[b] = (p[a] * e + x[a] * de) * s * s - 2 * x[a] * s * p[c] * e
        found[c] = -2 * ((p[a] * x[b] + x[a] * p[b]) * s * e + x[a] * x[b] * (s * de - p[c] * e))
    return columns(xp, t.shape[0], *(found[j] for j in range(11)))
