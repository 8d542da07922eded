"""Step-wise solvers, one file each: ``init(objective, x)`` makes a state, ``step(objective, state)`` advances it.

Importing this package registers them; a user's own registers itself the same way, from any file.
"""

from nmdl_bench.optimizers.adam import Adam
from nmdl_bench.optimizers.fista import FISTA
from nmdl_bench.optimizers.gauss_newton import GaussNewton
from nmdl_bench.optimizers.gltr import NewtonGLTR
from nmdl_bench.optimizers.ipalm import IPALM
from nmdl_bench.optimizers.lbfgs import LBFGS
from nmdl_bench.optimizers.levenberg_marquardt import LevenbergMarquardt
from nmdl_bench.optimizers.levenberg_marquardt_cg import LevenbergMarquardtCG
from nmdl_bench.optimizers.nesterov import Nesterov
from nmdl_bench.optimizers.newton_cg import GaussNewtonCG, NewtonCG
from nmdl_bench.optimizers.projected_gradient import ProjectedGradient
from nmdl_bench.optimizers.projected_lbfgs import ProjectedLBFGS
from nmdl_bench.optimizers.proximal_gradient import ProximalGradient
from nmdl_bench.optimizers.sgd import SGD
from nmdl_bench.optimizers.steepest_descent import SteepestDescent
from nmdl_bench.optimizers.steihaug import NewtonTR
from nmdl_bench.optimizers.subsampled import SubsampledGaussNewtonCG, SubsampledNewtonCG
from nmdl_bench.optimizers.varpro import VarPro

__all__ = [
    "FISTA",
    "IPALM",
    "LBFGS",
    "SGD",
    "Adam",
    "GaussNewton",
    "GaussNewtonCG",
    "LevenbergMarquardt",
    "LevenbergMarquardtCG",
    "Nesterov",
    "NewtonCG",
    "NewtonGLTR",
    "NewtonTR",
    "ProjectedGradient",
    "ProjectedLBFGS",
    "ProximalGradient",
    "SteepestDescent",
    "SubsampledGaussNewtonCG",
    "SubsampledNewtonCG",
    "VarPro",
]
