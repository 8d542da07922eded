"""PyTorch's idiom: autograd on an ``nn.Module``."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from common import Factory, blocks, flat, make_problem, ours, write
from torch import nn

__all__ = ["module", "ours"]


class ResNet(nn.Module):
    """``Y + h tanh(linear(Y))`` between an opening layer and a classifier."""

    def __init__(self, features: int, classes: int, width: int, depth: int, h: float) -> None:
        super().__init__()
        self.opening = nn.Linear(features, width)
        self.steps = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.classifier = nn.Linear(width, classes)
        self.h = h

    def forward(self, Y: torch.Tensor) -> torch.Tensor:
        Y = torch.tanh(self.opening(Y))
        for step in self.steps:
            Y = Y + self.h * torch.tanh(step(Y))
        return self.classifier(Y)


def module(spec: str, dtype: str, width: int, answer: str = "") -> Factory:
    """Loss and its ``backward``."""
    device = torch.device(spec.partition(":")[2] or "cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    problem, kind = make_problem(width), getattr(torch, dtype)
    data, block = problem.data, problem.network.layers[1]
    model = ResNet(data.features, data.classes, width, block.depth, block.h).to(device, kind)
    linear = [model.opening, *model.steps, model.classifier]
    with torch.no_grad():
        for layer, (K, b) in zip(linear, blocks(problem)):
            layer.weight.copy_(torch.tensor(K.T))
            layer.bias.copy_(torch.tensor(b))
    Y = torch.tensor(data.train.Y, dtype=kind, device=device)
    labels = torch.tensor(data.train.labels, device=device)

    def call() -> Any:
        model.zero_grad()
        loss = F.cross_entropy(model(Y), labels)
        loss.backward()
        return loss

    if answer:
        value = call().item()
        write(answer, value, flat([(layer.weight.grad.T.cpu(), layer.bias.grad.cpu()) for layer in linear]))
    return call, torch.cuda.synchronize if device.type == "cuda" else lambda: None
