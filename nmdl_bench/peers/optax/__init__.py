"""Optax: first-order methods and L-BFGS. Where Optax leaves the step size open, the default is the source's."""

from __future__ import annotations

from typing import Any

from nmdl_bench.peers.registration import Options, Table, at_least, between

_TABLE = Table("optax", requires=("optax", "jax"), backends=("jax",))


def _sgd(step_size: float = 0.1, momentum: float = 0.9, nesterov: bool = False) -> dict[str, Any]:
    return {"learning_rate": step_size, "momentum": momentum, "nesterov": nesterov}


def _step(step_size: float = 1e-3) -> dict[str, Any]:
    return {"learning_rate": step_size}


def _adam(step_size: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> dict[str, Any]:
    between(0, 1, beta1=beta1, beta2=beta2)
    return {"learning_rate": step_size, "b1": beta1, "b2": beta2, "eps": epsilon}


def _adamax(step_size: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> dict[str, Any]:
    return _adam(step_size, beta1, beta2, epsilon)


def _adabelief(
    step_size: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-16
) -> dict[str, Any]:
    return _adam(step_size, beta1, beta2, epsilon)


def _yogi(step_size: float = 1e-2, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-3) -> dict[str, Any]:
    return _adam(step_size, beta1, beta2, epsilon)


def _decayed(
    step_size: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 1e-4,
) -> dict[str, Any]:
    """``weight_decay`` pulls towards zero beside the objective, whose minimum it shifts."""
    return _adam(step_size, beta1, beta2, epsilon) | {"weight_decay": weight_decay}


def _lamb(step_size: float = 1e-2, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-6) -> dict[str, Any]:
    return _adam(step_size, beta1, beta2, epsilon)


def _novograd(
    step_size: float = 1e-2, beta1: float = 0.9, beta2: float = 0.25, epsilon: float = 1e-6
) -> dict[str, Any]:
    return _adam(step_size, beta1, beta2, epsilon)


def _lion(
    step_size: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 1e-3
) -> dict[str, Any]:
    between(0, 1, beta1=beta1, beta2=beta2)
    return {"learning_rate": step_size, "b1": beta1, "b2": beta2, "weight_decay": weight_decay}


def _adan(
    step_size: float = 1e-3, beta1: float = 0.98, beta2: float = 0.92, beta3: float = 0.99, epsilon: float = 1e-8
) -> dict[str, Any]:
    between(0, 1, beta3=beta3)
    return _adam(step_size, beta1, beta2, epsilon) | {"b3": beta3}


def _adagrad(step_size: float = 1e-2, accumulator: float = 0.1, epsilon: float = 1e-7) -> dict[str, Any]:
    return {"learning_rate": step_size, "initial_accumulator_value": accumulator, "eps": epsilon}


def _adadelta(step_size: float = 1.0, rho: float = 0.9, epsilon: float = 1e-6) -> dict[str, Any]:
    return {"learning_rate": step_size, "rho": rho, "eps": epsilon}


def _adafactor(step_size: float = 1e-2, decay: float = 0.8, clip: float = 1.0) -> dict[str, Any]:
    return {"learning_rate": step_size, "decay_rate": decay, "clipping_threshold": clip}


def _rmsprop(
    step_size: float = 1e-2, decay: float = 0.9, epsilon: float = 1e-8, centered: bool = False
) -> dict[str, Any]:
    return {"learning_rate": step_size, "decay": decay, "eps": epsilon, "centered": centered}


def _rprop(
    step_size: float = 1e-2,
    decrease: float = 0.5,
    increase: float = 1.2,
    least_step: float = 1e-6,
    largest_step: float = 50.0,
) -> dict[str, Any]:
    steps = {"min_step_size": least_step, "max_step_size": largest_step}
    return {"learning_rate": step_size, "eta_minus": decrease, "eta_plus": increase, **steps}


def _signum(step_size: float = 1e-4, beta: float = 0.9) -> dict[str, Any]:
    return {"learning_rate": step_size, "beta": beta}


def _sm3(step_size: float = 1e-2, momentum: float = 0.9) -> dict[str, Any]:
    return {"learning_rate": step_size, "momentum": momentum}


def _lars(step_size: float = 1e-1, weight_decay: float = 0.0, momentum: float = 0.9) -> dict[str, Any]:
    return {"learning_rate": step_size, "weight_decay": weight_decay, "momentum": momentum}


def _noisy(step_size: float = 1e-2, eta: float = 1e-2, gamma: float = 0.55) -> dict[str, Any]:
    """The noise is drawn by the run's seed."""
    return {"learning_rate": step_size, "eta": eta, "gamma": gamma}


def _optimistic(step_size: float = 1e-2, alpha: float = 1.0, beta: float = 1.0) -> dict[str, Any]:
    return {"learning_rate": step_size, "alpha": alpha, "beta": beta}


def _polyak(max_step_size: float = 1.0, minimum: float = 0.0, epsilon: float = 0.0) -> dict[str, Any]:
    """``minimum`` is the least value of the objective, as far as known."""
    return {"max_learning_rate": max_step_size, "f_min": minimum, "eps": epsilon}


def _lbfgs(memory: int = 10, max_trials: int = 20) -> dict[str, Any]:
    at_least(1, memory=memory, max_trials=max_trials)
    return {"memory_size": memory, "max_trials": max_trials}


_METHODS: dict[str, Options] = {
    "sgd": _sgd,
    "noisy_sgd": _noisy,
    "sign_sgd": _step,
    "signum": _signum,
    "polyak_sgd": _polyak,
    "optimistic_gradient_descent": _optimistic,
    "adam": _adam,
    "adamw": _decayed,
    "amsgrad": _adam,
    "adamax": _adamax,
    "adamaxw": _decayed,
    "nadam": _adam,
    "nadamw": _decayed,
    "radam": _adam,
    "adabelief": _adabelief,
    "adan": _adan,
    "yogi": _yogi,
    "lion": _lion,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "adafactor": _adafactor,
    "rmsprop": _rmsprop,
    "rprop": _rprop,
    "novograd": _novograd,
    "sm3": _sm3,
    "lamb": _lamb,
    "lars": _lars,
    "fromage": _step,
}
for _method, _options in _METHODS.items():
    _name, _more = f"optax-{_method.replace('_', '-')}", ", plain, heavy-ball or Nesterov" if _method == "sgd" else ""
    _TABLE.add(_name, f"optax.{_method}{_more}", "first_order.OptaxFirstOrder", _method, _options, batches=True)
_TABLE.add("optax-lbfgs", "optax.lbfgs with its zoom line search", "lbfgs.OptaxLBFGS", "lbfgs", _lbfgs)
