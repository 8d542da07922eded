"""Matrix-free linear algebra on any backend."""

from nmdl_bench.linalg.block import block_cg, block_lsqr
from nmdl_bench.linalg.cg import cg, pcg
from nmdl_bench.linalg.cgls import cgls, steepest_descent_ls
from nmdl_bench.linalg.gmres import gmres
from nmdl_bench.linalg.hybrid import HybridSolution, hybrid_lsqr
from nmdl_bench.linalg.iteration import HISTORY, REASONS, Solution, history_of
from nmdl_bench.linalg.lanczos import golub_kahan, lanczos
from nmdl_bench.linalg.lsmr import lsmr
from nmdl_bench.linalg.lsqr import lsqr
from nmdl_bench.linalg.minres import minres
from nmdl_bench.linalg.parameter_choice import (
    Spectrum,
    choose_discrepancy,
    choose_gcv,
    choose_l_curve,
    choose_stochastic_gcv,
    projected_spectrum,
    spectrum,
    stochastic_traces,
)
from nmdl_bench.linalg.stationary import jacobi, landweber, steepest_descent
from nmdl_bench.linalg.svd import SVD, randomised_svd, tikhonov_solution, truncated_solution

__all__ = [
    "HISTORY",
    "REASONS",
    "SVD",
    "HybridSolution",
    "Solution",
    "Spectrum",
    "block_cg",
    "block_lsqr",
    "cg",
    "cgls",
    "choose_discrepancy",
    "choose_gcv",
    "choose_l_curve",
    "choose_stochastic_gcv",
    "gmres",
    "golub_kahan",
    "history_of",
    "hybrid_lsqr",
    "jacobi",
    "lanczos",
    "landweber",
    "lsmr",
    "lsqr",
    "minres",
    "pcg",
    "projected_spectrum",
    "randomised_svd",
    "spectrum",
    "steepest_descent",
    "steepest_descent_ls",
    "stochastic_traces",
    "tikhonov_solution",
    "truncated_solution",
]
