"""Minima of ``F = sum r_i^2`` by (number, n, m), to 20 digits.

Written by ``python -m benchmarks.mgh_minima --write``.
"""

from nmdl_bench.problems.mgh.minimum import Minimum

MINIMA: dict[tuple[int, int, int], tuple[Minimum, ...]] = {
    (1, 2, 2): (
        Minimum("global", "0", ("1.0", "1.0", )),
    ),
    (2, 2, 2): (
        Minimum("global", "0", ("5.0", "4.0", )),
        Minimum("local", "48.9842536792400212", ("11.412778986902093927", "-0.89680525327447651819", )),
    ),
    (3, 2, 2): (
        Minimum("global", "0", ("0.000010981593296998174557", "9.1061467398665240109", )),
        Minimum("infinity", "1.0e-8", (), "x1 to 0, x2 to infinity"),
    ),
    (4, 2, 3): (
        Minimum("global", "0", ("1000000.0", "2.0e-6", )),
    ),
}
