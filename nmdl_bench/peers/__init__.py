"""Other libraries' solvers on the same objectives, one library a folder, imported when one of its solvers is made.

They own their loops: each implements :class:`nmdl_bench.contracts.Solver`. Value, gradient and products are ours, so
that what is compared is the method and its implementation. Each folder's ``__init__`` is the table of its solvers.
"""

from nmdl_bench.peers import jaxopt, optax, optimistix, scipy, sklearn, torch

__all__ = ["jaxopt", "optax", "optimistix", "scipy", "sklearn", "torch"]
