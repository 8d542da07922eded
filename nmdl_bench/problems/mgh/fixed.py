"""Functions of two and three variables: numbers 2 to 5 and 7 of More, Garbow and Hillstrom (1981)."""

from __future__ import annotations

from typing import Any

from nmdl_bench.contracts import Array
from nmdl_bench.problems.mgh.numbers import Numbers, columns, matrix, vector


# ------------------------------------------------------------------------------------- 2 Freudenstein and Roth (1963)
def freudenstein_roth(xp: Any, x: Array) -> Array:
    x1, x2 = x[0], x[1]
    return vector(xp, x1 - 13 + ((5 - x2) * x2 - 2) * x2, x1 - 29 + ((x2 + 1) * x2 - 14) * x2)


def freudenstein_roth_jacobian(xp: Any, x: Array) -> Array:
    x2 = x[1]
    return matrix(xp, (1, (10 - 3 * x2) * x2 - 2), (1, (3 * x2 + 2) * x2 - 14))


def freudenstein_roth_second(xp: Any, x: Array, p: Array) -> Array:
    x2, p2 = x[1], p[1]
    return matrix(xp, (0, (10 - 6 * x2) * p2), (0, (6 * x2 + 2) * p2))


# --------------------------------------------------------------------------------------- 3 Powell badly scaled (1970)
def powell_bad_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (N.array(N.ratio(10001, 10000)),)


def powell_bad(xp: Any, x: Array, c: Array) -> Array:
    return vector(xp, 10000 * x[0] * x[1] - 1, xp.exp(-x[0]) + xp.exp(-x[1]) - c)


def powell_bad_jacobian(xp: Any, x: Array, c: Array) -> Array:
    return matrix(xp, (10000 * x[1], 10000 * x[0]), (-xp.exp(-x[0]), -xp.exp(-x[1])))


def powell_bad_second(xp: Any, x: Array, p: Array, c: Array) -> Array:
    return matrix(xp, (10000 * p[1], 10000 * p[0]), (xp.exp(-x[0]) * p[0], xp.exp(-x[1]) * p[1]))


# ----------------------------------------------------------------------------------------------- 4 Brown badly scaled
def brown_bad_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (N.array([10**6, N.ratio(2, 10**6), 2]),)


def brown_bad(xp: Any, x: Array, c: Array) -> Array:
    return vector(xp, x[0], x[1], x[0] * x[1]) - c


def brown_bad_jacobian(xp: Any, x: Array, c: Array) -> Array:
    return matrix(xp, (1, 0), (0, 1), (x[1], x[0]))


def brown_bad_second(xp: Any, x: Array, p: Array, c: Array) -> Array:
    return matrix(xp, (0, 0), (0, 0), (p[1], p[0]))


# ------------------------------------------------------------------------------------------------------ 5 Beale (1958)
def beale_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (N.array([1.5, 2.25, 2.625]),)


def beale(xp: Any, x: Array, y: Array) -> Array:
    """``r_i = y_i - x1 (1 - x2^i)``."""
    x1, x2 = x[0], x[1]
    return y - x1 * (1 - vector(xp, x2, x2 * x2, x2 * x2 * x2))


def beale_jacobian(xp: Any, x: Array, y: Array) -> Array:
    x1, x2 = x[0], x[1]
    powers, slopes = vector(xp, x2, x2 * x2, x2 * x2 * x2), vector(xp, 1, 2 * x2, 3 * x2 * x2)
    return columns(xp, 3, powers - 1, x1 * slopes)


def beale_second(xp: Any, x: Array, p: Array, y: Array) -> Array:
    x1, x2, p1, p2 = x[0], x[1], p[0], p[1]
    slopes, curves = vector(xp, 1, 2 * x2, 3 * x2 * x2), vector(xp, 0, 2, 6 * x2)
    return columns(xp, 3, slopes * p2, slopes * p1 + x1 * curves * p2)


# --------------------------------------------------------------------- 7 helical valley (Fletcher and Powell 1963)
def helical_data(N: Numbers, n: int, m: int) -> tuple[Any, ...]:
    return (N.array(1 / (2 * N.pi)),)


def helical(xp: Any, x: Array, c: Array) -> Array:
    """``r = (10 (x3 - 10 theta), 10 (rho - 1), x3)`` in cylindrical coordinates, theta in turns from -1/4 to 3/4."""
    x1, x2, x3 = x[0], x[1], x[2]
    zero = xp.zeros(())
    theta = c * xp.atan(x2 / x1) + xp.where(x1 < 0, zero + 0.5, zero)
    return vector(xp, 10 * (x3 - 10 * theta), 10 * (xp.sqrt(x1 * x1 + x2 * x2) - 1), x3)


def helical_jacobian(xp: Any, x: Array, c: Array) -> Array:
    x1, x2 = x[0], x[1]
    rho2 = x1 * x1 + x2 * x2
    rho = xp.sqrt(rho2)
    return matrix(xp, (100 * c * x2 / rho2, -100 * c * x1 / rho2, 10), (10 * x1 / rho, 10 * x2 / rho, 0), (0, 0, 1))


def helical_second(xp: Any, x: Array, p: Array, c: Array) -> Array:
    x1, x2, p1, p2 = x[0], x[1], p[0], p[1]
    rho2 = x1 * x1 + x2 * x2
    rho3 = rho2 * xp.sqrt(rho2)
    t11, t12 = 2 * c * x1 * x2 / (rho2 * rho2), c * (x2 * x2 - x1 * x1) / (rho2 * rho2)  # of theta; t22 = -t11
    r11, r12, r22 = x2 * x2 / rho3, -x1 * x2 / rho3, x1 * x1 / rho3  # of rho
    return matrix(
        xp,
        (-100 * (t11 * p1 + t12 * p2), -100 * (t12 * p1 - t11 * p2), 0),
        (10 * (r11 * p1 + r12 * p2), 10 * (r12 * p1 + r22 * p2), 0),
        (0, 0, 0),
    )
