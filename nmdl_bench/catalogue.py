"""Importing this module fills ``PROBLEMS`` and ``SOLVERS`` with all that the package ships."""

from nmdl_bench import optimizers, peers, problems
from nmdl_bench.contracts import PROBLEMS, SOLVERS

__all__ = ["PROBLEMS", "SOLVERS", "optimizers", "peers", "problems"]
