"""Step-wise solvers, one file each: ``init(objective, x)`` makes a state, ``step(objective, state)`` advances it.

Importing this package registers them; a user's own registers itself the same way, from any file.
"""

from nmdl_bench.optimizers.adam import Adam
from nmdl_bench.optimizers.barzilai_borwein import BarzilaiBorwein
from nmdl_bench.optimizers.bfgs import BFGS
from nmdl_bench.optimizers.gradient_descent import GradientDescent
from nmdl_bench.optimizers.lbfgs import LBFGS
from nmdl_bench.optimizers.nesterov import Nesterov
from nmdl_bench.optimizers.nonlinear_cg import NonlinearCG
from nmdl_bench.optimizers.sgd import SGD
from nmdl_bench.optimizers.steepest_descent import SteepestDescent

__all__ = [
    "BFGS",
    "LBFGS",
    "SGD",
    "Adam",
    "BarzilaiBorwein",
    "GradientDescent",
    "Nesterov",
    "NonlinearCG",
    "SteepestDescent",
]
