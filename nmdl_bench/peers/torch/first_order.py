"""First-order methods of ``torch.optim``, on a leaf tensor whose ``grad`` is our adjoint's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch._dynamo  # torch.optim imports it at its first step: done here, no case is charged with it

from nmdl_bench.contracts import Array, Objective, Record, Result, Stop
from nmdl_bench.peers.base import Counted, chunks


@dataclass(frozen=True)
class TorchFirstOrder:
    """``torch.optim.SGD``, ``Adam`` and their kin: one gradient a step, of all samples or of a batch.

    Parameters
    ----------
    method : str
        Name in ``torch.optim``.
    batch_size : int or None
        Samples a step; all of them where None.
    options : dict
        Passed to the class.
    """

    method: str
    batch_size: int | None
    options: dict[str, Any] = field(hash=False)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        value_and_grad = Counted(objective)
        parameter = torch.nn.Parameter(x.clone())
        optimizer = getattr(torch.optim, self.method)([parameter], **self.options)
        x_k = parameter.detach()  # shares the parameter's memory
        record.begin()
        k, passes, over = 0, 0.0, record(0, None, x=x_k, counts=value_and_grad.counts)
        for arrays, order, steps, share in chunks(objective, self.batch_size, stop, seed):
            if over:
                break
            value_and_grad.take(arrays)
            for batch in [None] * steps if order is None else order.unbind(0):
                _, parameter.grad = value_and_grad(x_k, batch)
                optimizer.step()
            k, passes = k + steps, passes + share
            over = record(k, None, x=x_k, counts=value_and_grad.counts, passes=passes)
        status, reason = record.why() if over else ("max_iterations", f"{k} steps")
        return Result(x_k, status, reason, k, value_and_grad.counts, passes)
