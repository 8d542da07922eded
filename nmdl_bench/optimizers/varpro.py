"""Variable projection: a method of this package on the reduced objective, with the whole ``x`` in its state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from inspect import signature
from typing import Any, ClassVar, NamedTuple, cast

from nmdl_bench.backends.compiled import Evaluation
from nmdl_bench.contracts import SOLVERS, Array, Counts, Objective, Optimizer, Scalar, State, unknown
from nmdl_bench.optimizers.lbfgs import LBFGS
from nmdl_bench.optimizers.levenberg_marquardt import LevenbergMarquardt
from nmdl_bench.optimizers.newton_cg import GaussNewtonCG, NewtonCG
from nmdl_bench.optimizers.reduced import JACOBIANS, Reduced, ReducedTape
from nmdl_bench.optimizers.steepest_descent import SteepestDescent
from nmdl_bench.optimizers.steihaug import NewtonTR

METHODS: dict[str, Any] = {
    "gauss-newton-cg": GaussNewtonCG,
    "newton-cg": NewtonCG,
    "newton-tr": NewtonTR,
    # nonlinear parameters, such as rates beside positions, have units of their own
    "levenberg-marquardt": partial(LevenbergMarquardt, scaling="jacobian", factor=100.0),
    "lbfgs": LBFGS,
    "steepest-descent": SteepestDescent,
}
"""What minimises the reduced objective: methods whose step has exactly one forward, outside of branches and loops."""
_SHARED = ("eta_max", "max_cg", "reorthogonalise")


class VarProState(NamedTuple):
    """The whole ``x = (theta, W(theta))``, the gradient's norm there, and the state of the method for ``theta``.

    ``products`` counts how often Newton's method for ``W`` has passed over the samples, the trials that were rejected
    included; :attr:`counts` has each as a Hessian product, though features and last layer are all that it touches.
    """

    x: Array
    g_norm: Scalar
    products: Any
    inner: State

    @property
    def f(self) -> Scalar:
        return self.inner.f

    @property
    def k(self) -> Any:
        return self.inner.k

    @property
    def stalled(self) -> Any:
        return self.inner.stalled

    @property
    def counts(self) -> Counts:
        counts: Counts = self.inner.counts
        return counts._replace(hessian=counts.hessian + self.products)


class _Watched:
    """A reduced objective that keeps the tape of its forward, of which there is one a step."""

    def __init__(self, reduced: Any) -> None:
        self.reduced = reduced
        self.tapes: list[ReducedTape] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reduced, name)

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, ReducedTape]:
        f, tape = self.reduced.forward(x, batch)
        self.tapes.append(tape)
        return f, tape


@SOLVERS.register(
    "varpro", "variable projection: the last layer always optimal, Gauss-Newton for the rest", kind="ours"
)
@dataclass(frozen=True)
class VarPro:
    """Minimise ``F(theta) = min_W f(theta, W)`` (Golub and Pereyra 1973; O'Leary and Rust 2013).

    For cross-entropy, with ``W(theta)`` by Newton's method, after Newman, Ruthotto, Hart and van Bloemen Waanders
    (2021). ``x`` and ``f`` are those of the whole objective, at ``(theta, W(theta))`` from the start on: the last layer
    of the given start serves only for Newton's method to begin with.

    Parameters
    ----------
    method : str
        For ``theta``, a name in :data:`METHODS`; it has its own defaults but for what follows,
        and ``levenberg-marquardt`` is MINPACK's, scaled by the Jacobian.
    jacobian : str
        ``"kaufman"`` or ``"golub-pereyra"``; see :class:`~nmdl_bench.optimizers.reduced.Reduced`.
    eta_max, max_cg, reorthogonalise
        Of conjugate gradients: largest tolerance, number of products, and whether residuals are kept orthogonal, as for
        :class:`~nmdl_bench.optimizers.newton_cg.NewtonCG`, where the method has them.
    """

    method: str = "gauss-newton-cg"
    jacobian: str = "kaufman"
    eta_max: float = 0.3
    max_cg: int = 100
    reorthogonalise: bool | None = None

    batch_size: ClassVar[None] = None
    takes_batches: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("separable",)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("method for variable projection", self.method, METHODS)
        if self.jacobian not in JACOBIANS:
            raise unknown("Jacobian of variable projection", self.jacobian, JACOBIANS)
        GaussNewtonCG(self.eta_max, max_cg=self.max_cg)  # says what is wrong, whatever the method
        _ = self._method

    @cached_property
    def _method(self) -> Optimizer:
        make = METHODS[self.method]
        known = signature(make).parameters
        return make(**{name: getattr(self, name) for name in _SHARED if name in known})

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> VarProState:
        s = objective.xp.s
        reduced = Reduced.of(objective, x, self.jacobian)
        watched = _Watched(Evaluation(cast(Objective, reduced)))
        inner = self._method.init(cast(Objective, watched), x[: reduced.parts.split])
        (tape,) = watched.tapes
        g_norm = s.maximum(inner.g_norm, tape.found.g_norm)
        return VarProState(reduced.full(tape), g_norm, tape.found.products, inner)

    def step(self, objective: Objective, state: VarProState, batch: Array | None = None) -> VarProState:
        xp, s = objective.xp, objective.xp.s
        reduced, before = Reduced.of(objective, state.x, self.jacobian), state.inner.k
        watched = _Watched(reduced)
        inner = self._method.step(cast(Objective, watched), state.inner)
        (tape,) = watched.tapes
        moved = inner.k > before
        x = xp.cond(moved, lambda x: reduced.full(tape), lambda x: x, state.x)
        g_norm = s.where(moved, s.maximum(inner.g_norm, tape.found.g_norm), state.g_norm)
        return VarProState(x, g_norm, state.products + tape.found.products, inner)
