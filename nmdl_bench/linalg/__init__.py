"""Matrix-free linear algebra on any backend."""

from nmdl_bench.linalg.cg import cg

__all__ = ["cg"]
