"""Matrix-free linear algebra on any backend."""

from nmdl_bench.linalg.block import block_cg, block_lsqr
from nmdl_bench.linalg.cg import cg, pcg
from nmdl_bench.linalg.cgls import cgls, steepest_descent_ls
from nmdl_bench.linalg.gmres import gmres
from nmdl_bench.linalg.iteration import HISTORY, REASONS, Solution, history_of
from nmdl_bench.linalg.lsmr import lsmr
from nmdl_bench.linalg.lsqr import lsqr
from nmdl_bench.linalg.minres import minres
from nmdl_bench.linalg.stationary import jacobi, landweber, steepest_descent

__all__ = [
    "HISTORY",
    "REASONS",
    "Solution",
    "block_cg",
    "block_lsqr",
    "cg",
    "cgls",
    "gmres",
    "history_of",
    "jacobi",
    "landweber",
    "lsmr",
    "lsqr",
    "minres",
    "pcg",
    "steepest_descent",
    "steepest_descent_ls",
]
