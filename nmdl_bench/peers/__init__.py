"""Other libraries' solvers on the same objectives, one library a file, imported when one of its solvers is made.

They own their loops: each implements :class:`nmdl_bench.contracts.Solver`. Value and gradient are ours, by the
adjoint, so that what is compared is the method and its implementation.
"""

from __future__ import annotations

from nmdl_bench.contracts import SOLVERS, ConfigurationError, Solver


def _at_least_one(**options: int) -> None:
    for name, value in options.items():
        if value < 1:
            raise ConfigurationError(f"{name} must be at least 1, not {value!r}")


@SOLVERS.register(
    "scipy-lbfgsb",
    "SciPy's L-BFGS-B without bounds",
    requires=("scipy",),
    backends=("*",),
    kind="peer",
)
def scipy_lbfgsb(memory: int = 10, max_trials: int = 20) -> Solver:
    from nmdl_bench.peers.scipy import ScipyLBFGSB

    _at_least_one(memory=memory, max_trials=max_trials)

    return ScipyLBFGSB(memory, max_trials)


@SOLVERS.register(
    "torch-sgd", "torch.optim.SGD, plain, heavy-ball or Nesterov", requires=("torch",), backends=("torch",), kind="peer"
)
def torch_sgd(
    step_size: float = 0.1, momentum: float = 0.9, nesterov: bool = False, batch_size: int | None = None
) -> Solver:
    from nmdl_bench.peers.torch import TorchFirstOrder

    return TorchFirstOrder("SGD", batch_size, {"lr": step_size, "momentum": momentum, "nesterov": nesterov})


@SOLVERS.register("torch-adam", "torch.optim.Adam", requires=("torch",), backends=("torch",), kind="peer")
def torch_adam(
    step_size: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    batch_size: int | None = None,
) -> Solver:
    from nmdl_bench.peers.torch import TorchFirstOrder

    return TorchFirstOrder("Adam", batch_size, {"lr": step_size, "betas": (beta1, beta2), "eps": epsilon})


@SOLVERS.register(
    "torch-lbfgs",
    "torch.optim.LBFGS with its strong Wolfe search",
    requires=("torch",),
    backends=("torch",),
    kind="peer",
)
def torch_lbfgs(memory: int = 10) -> Solver:
    from nmdl_bench.peers.torch import TorchLBFGS

    _at_least_one(memory=memory)

    return TorchLBFGS(memory)


@SOLVERS.register(
    "optax-sgd", "optax.sgd, plain, heavy-ball or Nesterov", requires=("optax", "jax"), backends=("jax",), kind="peer"
)
def optax_sgd(
    step_size: float = 0.1, momentum: float = 0.9, nesterov: bool = False, batch_size: int | None = None
) -> Solver:
    from nmdl_bench.peers.optax import OptaxFirstOrder

    options = {"learning_rate": step_size, "momentum": momentum, "nesterov": nesterov}
    return OptaxFirstOrder("sgd", batch_size, options)


@SOLVERS.register("optax-adam", "optax.adam", requires=("optax", "jax"), backends=("jax",), kind="peer")
def optax_adam(
    step_size: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    batch_size: int | None = None,
) -> Solver:
    from nmdl_bench.peers.optax import OptaxFirstOrder

    options = {"learning_rate": step_size, "b1": beta1, "b2": beta2, "eps": epsilon}
    return OptaxFirstOrder("adam", batch_size, options)


@SOLVERS.register(
    "optax-lbfgs", "optax.lbfgs with its zoom line search", requires=("optax", "jax"), backends=("jax",), kind="peer"
)
def optax_lbfgs(memory: int = 10, max_trials: int = 20) -> Solver:
    from nmdl_bench.peers.optax import OptaxLBFGS

    _at_least_one(memory=memory, max_trials=max_trials)

    return OptaxLBFGS(memory, max_trials)
