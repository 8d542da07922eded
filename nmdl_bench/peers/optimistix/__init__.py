"""Optimistix: minimisers and least squares; its steps are trials, accepted or not."""

from __future__ import annotations

from typing import Any

from nmdl_bench.peers.registration import Table, at_least, one_of

_TABLE = Table("optimistix", requires=("optimistix", "jax"), backends=("jax",))


def _inverse(inverse: bool = True) -> dict[str, Any]:
    """``inverse``: whether it keeps the inverse of its Hessian approximation."""
    return {"use_inverse": inverse}


def _memory(memory: int = 10) -> dict[str, Any]:
    at_least(1, memory=memory)
    return {"history_length": memory}


def _conjugate(method: str = "polak_ribiere") -> dict[str, Any]:
    """``method`` is ``"polak_ribiere"``, ``"fletcher_reeves"``, ``"hestenes_stiefel"`` or ``"dai_yuan"``."""
    one_of(("polak_ribiere", "fletcher_reeves", "hestenes_stiefel", "dai_yuan"), method=method)
    return {"method": method}


def _step(step_size: float = 1e-2) -> dict[str, Any]:
    return {"learning_rate": step_size}


for _method, _name, _summary, _options in (
    ("BFGS", "bfgs", "optimistix.BFGS with Armijo backtracking", _inverse),
    ("DFP", "dfp", "optimistix.DFP with Armijo backtracking", _inverse),
    ("LBFGS", "lbfgs", "optimistix.LBFGS with Armijo backtracking", _memory),
    ("NonlinearCG", "nonlinear-cg", "optimistix.NonlinearCG with Armijo backtracking", _conjugate),
    ("GradientDescent", "gradient-descent", "optimistix.GradientDescent with a fixed step", _step),
):
    _TABLE.add(f"optimistix-{_name}", _summary, "minimise.OptimistixMinimiser", _method, _options)
_TABLE.add(
    "optimistix-nelder-mead",
    "optimistix.NelderMead, without derivatives",
    "nelder_mead.OptimistixNelderMead",
    "NelderMead",
)
for _method, _name, _summary in (
    ("LevenbergMarquardt", "lm", "optimistix.LevenbergMarquardt"),
    ("GaussNewton", "gauss-newton", "optimistix.GaussNewton with whole steps"),
    ("Dogleg", "dogleg", "optimistix.Dogleg"),
):
    _TABLE.add(f"optimistix-{_name}", _summary, "least_squares.OptimistixLeastSquares", _method, needs=("residual",))
