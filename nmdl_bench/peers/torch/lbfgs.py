"""``torch.optim.LBFGS``, on a leaf tensor whose ``grad`` is our adjoint's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch._dynamo  # torch.optim imports it at its first step: done here, no case is charged with it

from nmdl_bench.contracts import Array, Objective, Record, Result, Status, Stop
from nmdl_bench.peers.base import Counted


@dataclass(frozen=True)
class TorchLBFGS:
    """``torch.optim.LBFGS`` with ``line_search_fn="strong_wolfe"``, one iteration a call.

    Each call starts by evaluating where the last one ended. A user's closure pays for that once in ``max_iter``
    iterations; here the known value is handed back, so that one iteration a call costs no more.

    Parameters
    ----------
    method : str
        Name in ``torch.optim``.
    options : dict
        ``history_size``.
    """

    method: str
    options: dict[str, Any] = field(hash=False)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        value_and_grad = Counted(objective)
        parameter = torch.nn.Parameter(x.clone())
        x_k = parameter.detach()
        optimizer = getattr(torch.optim, self.method)(
            [parameter],
            max_iter=1,
            max_eval=25,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
            **self.options,
        )
        evaluated: list[tuple[torch.Tensor, Any, torch.Tensor]] = []

        def here() -> tuple[torch.Tensor, Any, torch.Tensor]:
            """The present point with value and gradient, evaluated unless it was."""
            known = next((entry for entry in reversed(evaluated) if torch.equal(entry[0], x_k)), None)
            if known is None:
                known = (x_k.clone(), *value_and_grad(x_k))
                evaluated.append(known)
            return known

        def closure() -> torch.Tensor:
            _, f, parameter.grad = here()
            return torch.as_tensor(f, dtype=x_k.dtype, device=x_k.device)

        record.begin()
        x_last, f, g = here()
        over = record(0, f, x=x_k, counts=value_and_grad.counts, grad_norm=g.abs().max())
        status: Status = "max_iterations"
        k, reason = 0, f"{stop.max_iterations} iterations"
        while not over and k < stop.max_iterations:
            if stop.max_evaluations is not None and value_and_grad.calls >= stop.max_evaluations:
                reason = f"{value_and_grad.calls} forwards"
                break
            optimizer.step(closure)
            if torch.equal(x_last, x_k):
                status, reason = "stalled", "its line search made no step"
                break
            x_last, f, g = here()
            evaluated[:] = [(x_last, f, g)]
            k += 1
            over = record(k, f, x=x_k, counts=value_and_grad.counts, grad_norm=g.abs().max())
        if over:
            status, reason = record.why()
        counts = value_and_grad.counts
        return Result(x_k, status, reason, k, counts, float(counts.forward))
