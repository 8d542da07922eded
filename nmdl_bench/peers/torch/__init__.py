"""``torch.optim``: first-order methods and L-BFGS. Defaults are PyTorch's, but for SGD and the step of AdaFactor."""

from __future__ import annotations

from typing import Any

from nmdl_bench.peers.registration import Table, at_least, between

_TABLE = Table("torch", requires=("torch",), backends=("torch",))


def _sgd(step_size: float = 0.1, momentum: float = 0.9, nesterov: bool = False) -> dict[str, Any]:
    return {"lr": step_size, "momentum": momentum, "nesterov": nesterov}


def _adam(step_size: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> dict[str, Any]:
    between(0, 1, beta1=beta1, beta2=beta2)
    return {"lr": step_size, "betas": (beta1, beta2), "eps": epsilon}


def _adamax(step_size: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> dict[str, Any]:
    return _adam(step_size, beta1, beta2, epsilon)


def _adamw(
    step_size: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 1e-2,
) -> dict[str, Any]:
    """``weight_decay`` pulls towards zero beside the objective, whose minimum it shifts."""
    return _adam(step_size, beta1, beta2, epsilon) | {"weight_decay": weight_decay}


def _nadam(
    step_size: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> dict[str, Any]:
    return _adam(step_size, beta1, beta2, epsilon) | {"momentum_decay": momentum_decay}


def _adagrad(step_size: float = 1e-2, accumulator: float = 0.0, epsilon: float = 1e-10) -> dict[str, Any]:
    return {"lr": step_size, "initial_accumulator_value": accumulator, "eps": epsilon}


def _adadelta(step_size: float = 1.0, rho: float = 0.9, epsilon: float = 1e-6) -> dict[str, Any]:
    return {"lr": step_size, "rho": rho, "eps": epsilon}


def _rmsprop(
    step_size: float = 1e-2,
    decay: float = 0.99,
    epsilon: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
) -> dict[str, Any]:
    return {"lr": step_size, "alpha": decay, "eps": epsilon, "momentum": momentum, "centered": centered}


def _rprop(
    step_size: float = 1e-2,
    decrease: float = 0.5,
    increase: float = 1.2,
    least_step: float = 1e-6,
    largest_step: float = 50.0,
) -> dict[str, Any]:
    return {"lr": step_size, "etas": (decrease, increase), "step_sizes": (least_step, largest_step)}


def _asgd(step_size: float = 1e-2, decay: float = 1e-4, power: float = 0.75, t0: float = 1e6) -> dict[str, Any]:
    return {"lr": step_size, "lambd": decay, "alpha": power, "t0": t0}


def _adafactor(step_size: float = 1e-2, beta2_decay: float = -0.8, clip: float = 1.0) -> dict[str, Any]:
    return {"lr": step_size, "beta2_decay": beta2_decay, "d": clip}


def _lbfgs(memory: int = 10) -> dict[str, Any]:
    at_least(1, memory=memory)
    return {"history_size": memory}


for _method, _options, _more in (
    ("SGD", _sgd, ", plain, heavy-ball or Nesterov"),
    ("Adam", _adam, ""),
    ("AdamW", _adamw, ""),
    ("Adamax", _adamax, ""),
    ("NAdam", _nadam, ""),
    ("RAdam", _adam, ""),
    ("Adagrad", _adagrad, ""),
    ("Adadelta", _adadelta, ""),
    ("Adafactor", _adafactor, ", of a vector: no factors"),
    ("RMSprop", _rmsprop, ""),
    ("Rprop", _rprop, ", for all samples at once"),
    ("ASGD", _asgd, ", the step and not the average"),
):
    _TABLE.add(
        f"torch-{_method.lower()}",
        f"torch.optim.{_method}{_more}",
        "first_order.TorchFirstOrder",
        _method,
        _options,
        batches=True,
    )
_TABLE.add("torch-lbfgs", "torch.optim.LBFGS with its strong Wolfe search", "lbfgs.TorchLBFGS", "LBFGS", _lbfgs)
