"""Which of our optimizers is held against which peer, where, and on what: one line each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SMALL = 20
"""Variables where only the overhead of a step counts."""
LARGE, DENSE, RESIDUAL = 200_000, 400, 200
"""Variables where only bandwidth does: of methods with vectors, with a dense matrix, and of least squares."""


@dataclass(frozen=True)
class Pair:
    """Ours and a peer that implements the same method."""

    ours: str
    peer: str
    backend: str
    problem: str = "bench-valley"
    """What an iteration is timed on; see ``targets/optimizer_problems.py``."""
    large: int = LARGE
    iterations: int = 40
    """Iterations timed: few where methods end soon."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options that both take."""
    ours_options: dict[str, Any] = field(default_factory=dict)
    peer_options: dict[str, Any] = field(default_factory=dict)
    same_steps: bool = False
    """Whether both take the very same steps, so that there are no evaluations to compare."""
    products: bool = False
    """Whether both take products with the Hessian: compared are passes, forwards and products together."""

    left_out: tuple[str, ...] = ()
    """Problems with too many variables for both."""

    @property
    def label(self) -> str:
        """``lbfgs ~ scipy-lbfgsb``."""
        return f"{self.ours} ~ {self.peer}"


_STEP: dict[str, Any] = {"options": {"step_size": 1e-5}, "same_steps": True}
_NEWTON: dict[str, Any] = {"iterations": 8, "products": True}
_BFGS: dict[str, Any] = {"large": DENSE, "iterations": 20, "left_out": ("digits",)}
_WHOLE: dict[str, Any] = {"ours_options": {"search": "none"}}  # the peers take every step whole
_FIT: dict[str, Any] = {"problem": "bench-fit", "large": RESIDUAL, "iterations": 8}

PAIRS = (
    Pair("lbfgs", "scipy-lbfgsb", "numpy"),
    Pair("lbfgs", "torch-lbfgs", "torch"),
    Pair("lbfgs", "optax-lbfgs", "jax"),
    Pair("lbfgs", "jaxopt-lbfgs", "jax"),
    Pair("lbfgs", "optimistix-lbfgs", "jax"),
    Pair("bfgs", "scipy-bfgs", "numpy", **_BFGS),
    Pair("bfgs", "jaxopt-bfgs", "jax", **_BFGS),
    Pair("bfgs", "optimistix-bfgs", "jax", **_BFGS),
    Pair("nonlinear-cg", "scipy-cg", "numpy"),
    Pair("nonlinear-cg", "jaxopt-nonlinear-cg", "jax"),
    Pair("nonlinear-cg", "optimistix-nonlinear-cg", "jax"),
    Pair("newton-cg", "scipy-newton-cg", "numpy", **_NEWTON),
    Pair("newton-tr", "scipy-trust-ncg", "numpy", **_NEWTON),
    Pair("newton-gltr", "scipy-trust-krylov", "numpy", **_NEWTON),
    Pair("levenberg-marquardt", "scipy-lm", "numpy", **_FIT),
    Pair("levenberg-marquardt", "optimistix-lm", "jax", **_FIT),
    Pair("levenberg-marquardt", "jaxopt-lm", "jax", **_FIT),
    Pair("gauss-newton", "jaxopt-gauss-newton", "jax", **_FIT, **_WHOLE),
    Pair("gauss-newton", "optimistix-gauss-newton", "jax", **_FIT, **_WHOLE),
    Pair("gradient-descent", "torch-sgd", "torch", peer_options={"momentum": 0.0}, **_STEP),
    Pair("gradient-descent", "optax-sgd", "jax", peer_options={"momentum": 0.0}, **_STEP),
    Pair("gradient-descent", "optimistix-gradient-descent", "jax", **_STEP),
    Pair("fista", "jaxopt-proximal-gradient", "jax", problem="bench-sparse"),
    Pair("projected-gradient", "jaxopt-projected-gradient", "jax", problem="bench-bounded"),
    Pair("projected-lbfgs", "scipy-lbfgsb", "numpy", problem="bench-bounded"),
    Pair("projected-lbfgs", "jaxopt-lbfgsb", "jax", problem="bench-bounded"),
    Pair("sgd", "torch-sgd", "torch", **_STEP),
    Pair("sgd", "optax-sgd", "jax", **_STEP),
    Pair("nesterov", "torch-sgd", "torch", peer_options={"nesterov": True}, **_STEP),
    Pair("nesterov", "optax-sgd", "jax", peer_options={"nesterov": True}, **_STEP),
    Pair("adam", "torch-adam", "torch", same_steps=True),
    Pair("adam", "optax-adam", "jax", same_steps=True),
)


@dataclass(frozen=True)
class Instance:
    """A problem on which evaluations are counted."""

    problem: str
    options: dict[str, Any] = field(default_factory=dict)
    tau: float = 1e-6
    """The gap: what a target leaves of the start's distance to the least value that is known or that either reached."""

    @property
    def label(self) -> str:
        """Name and options."""
        return self.problem + "".join(f" {value}" for value in self.options.values())


_MGH = (
    "rosenbrock",
    "helical-valley",
    "powell-singular",
    "wood",
    "brown-dennis",
    "variably-dimensioned",
    "trigonometric",
)

INSTANCES = (
    Instance("logistic-digits", {"alpha": 1e-2}),
    Instance("logistic-digits", {"alpha": 1e-4}),
    Instance("spirals", {"n": 600}, 1e-2),  # of networks, each method finds a minimum of its own
    Instance("digits", {"n": 600, "depth": 2}, 1e-2),
    Instance("lasso"),
    Instance("sparse-recovery"),
    Instance("sparse-logistic-digits", {"n": 600}),
    Instance("nonnegative-least-squares", {"n": 600}),
    Instance("bounded-logistic-breast-cancer"),
    *(Instance("mgh", {"function": function}) for function in _MGH),
)
"""Each pair meets those that fit both its solvers; what is not registered is passed over."""
