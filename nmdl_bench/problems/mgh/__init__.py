"""The test functions of More, Garbow and Hillstrom (1981), "Testing unconstrained optimization software".

ACM Transactions on Mathematical Software 7(1), 17-41. Each is a residual ``r(x)`` with exact first and second
derivatives; the paper's function is ``F = sum r_i^2``, the objective of the problem ``f = F/2``.

Known minima agree with the paper's but for two: its value for Chebyquad with n = m = 10, 6.50395e-3, is a local minimum
(there is 4.77271e-3), and its local minimum 1 of Brown's almost-linear function is a saddle, flat to order n - 1.
"""

from nmdl_bench.problems.mgh.catalogue import FUNCTIONS, TestFunction, get_function
from nmdl_bench.problems.mgh.minimum import End, Minimum, classify, is_at, known_minima, sum_of_squares
from nmdl_bench.problems.mgh.problem import TestProblem

__all__ = [
    "FUNCTIONS",
    "End",
    "Minimum",
    "TestFunction",
    "TestProblem",
    "classify",
    "get_function",
    "is_at",
    "known_minima",
    "sum_of_squares",
]
