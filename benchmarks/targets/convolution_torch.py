"""PyTorch's own: autograd through ``torch.nn.functional.conv2d``."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from common import Factory
from convolution import PADDING, leave, make_data, ours

__all__ = ["autograd", "ours"]


def autograd(spec: str, dtype: str, answer: str = "") -> Factory:
    """Value and its ``backward``, images and kernel both requiring gradients."""
    device = torch.device(spec.partition(":")[2] or "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    Y, K = (torch.tensor(a, device=device).requires_grad_() for a in make_data(dtype))

    def call() -> Any:
        Y.grad = K.grad = None
        A = F.conv2d(Y, K, padding=PADDING)
        value = 0.5 * torch.sum(A * A)
        value.backward()
        return value

    if answer:
        value = call().item()
        leave(answer, value, K.grad.cpu(), Y.grad.cpu())
    return call, torch.cuda.synchronize if device.type == "cuda" else lambda: None
