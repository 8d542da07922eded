"""The protocols that the parts of nmdl_bench meet through: the map of the project.

Imports point downwards only: ``cli -> report -> studies -> runs -> solve -> problems | optimizers | peers |
diagnostics -> networks | data -> linalg -> measure -> backends -> contracts``. This file is the bottom, with the errors
and the registries that all parts share: it imports no array library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from nmdl_bench.errors import (
    ConfigurationError,
    DataError,
    NmdlError,
    StoreError,
    UnavailableError,
    UnknownNameError,
    unknown,
)
from nmdl_bench.registry import Entry, Registry

if TYPE_CHECKING:
    import numpy as np

    from nmdl_bench.backends.base import Backend

Array: TypeAlias = Any
"""An array of the backend at hand; its element type is the backend's ``dtype`` unless said otherwise."""
Scalar: TypeAlias = Any
"""A real number as the backend keeps it: a float on eager CPU, a 0-d array on a GPU, a traced value on JAX."""
Blocks: TypeAlias = dict[str, Array]
"""Named parameter blocks of one layer."""
Tape: TypeAlias = Any
"""What a forward pass leaves for the derivatives: a read-only tree of arrays."""
State: TypeAlias = Any
"""A NamedTuple of arrays and scalars; see :class:`Optimizer` for the fields that every state has."""

Status = Literal[
    "converged",
    "max_iterations",
    "max_time",
    "stalled",
    "diverged",
    "out_of_memory",
    "timeout",
    "unavailable",
    "error",
]


# ---------------------------------------------------------------------------------------------------------- layers
class Layer(Protocol):
    """A differentiable map of features with parameters. It holds no arrays: a frozen dataclass of sizes and names.

    ``Y`` is ``(n, features)`` or ``(n, channels, height, width)``: samples first. ``theta`` holds the layer's blocks by
    name, as views of the flat vector; names of other layers may stand beside them. A tape is a tree of tuples and
    dictionaries of arrays that may be used any number of times. No argument is donated.
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter block."""

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw initial blocks on the host."""

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample's output for that of its input; a ConfigurationError where the layer cannot take it."""

    def forward(self, xp: Backend, theta: Blocks, Y: Array, aux: Any = None) -> tuple[Array, Tape]:
        """Map ``Y`` and keep on the tape what the derivatives need (``Y`` belongs to the tape).

        ``aux`` is what is neither parameter nor feature: dropout's masks, normalisation's statistics. Without it,
        normalisation takes the batch's own statistics and dropout is the identity.
        """

    def jvp(
        self, xp: Backend, theta: Blocks, tape: Tape, dtheta: Blocks, dY: Array | None, keep: bool = False
    ) -> tuple[Array, Tape]:
        """``J [dtheta; dY]``, and where ``keep``, what :meth:`dvjp` needs of it (None otherwise).

        ``dY`` is None where the input does not vary.
        """

    def vjp(self, xp: Backend, theta: Blocks, tape: Tape, Z: Array, inputs: bool = True) -> tuple[Blocks, Array | None]:
        """``J^T Z`` as (parameter blocks, input part); the input part is None where ``inputs`` is false."""

    def dvjp(
        self,
        xp: Backend,
        theta: Blocks,
        tape: Tape,
        dtape: Tape,
        dtheta: Blocks,
        Z: Array,
        dZ: Array,
        inputs: bool = True,
    ) -> tuple[Blocks, Array | None, Array | None]:
        """Derivative of ``vjp(theta, Y, Z)`` along ``(dtheta, dY, dZ)``, with the ``dY`` that ``dtape`` was kept for.

        Returns the blocks' derivative, and the input part of ``vjp`` with its derivative: one reverse sweep carries
        ``Z`` and ``dZ`` together, and yields exact Hessian products.
        """

    def statistics(self, tape: Tape) -> Any:
        """What normalisation saw on this tape, as ``aux`` for evaluation; None where nothing is normalised by batch."""

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Any:
        """``aux`` drawn on the host for ``n`` samples whose input has ``shape``; None where nothing is random."""


class Loss(Protocol):
    """A mean over samples of a convex function of the network's output ``S`` (n, k) and the targets ``C`` (n, k)."""

    @property
    def smooth(self) -> bool:
        """Whether it has two continuous derivatives; where not, ``hessian`` is one of its generalised Hessians."""

    def forward(self, xp: Backend, S: Array, C: Array) -> tuple[Scalar, Tape]:
        """Value, and a tape for the derivatives."""

    def grad(self, xp: Backend, tape: Tape) -> Array:
        """Gradient with respect to ``S`` (n, k)."""

    def hessian(self, xp: Backend, tape: Tape, V: Array) -> Array:
        """Hessian with respect to ``S``, times ``V`` (n, k)."""


class Regulariser(Protocol):
    """A convex function of the parameters alone; hashable, since it is part of an objective's ``static``."""

    def value(self, xp: Backend, x: Array) -> Scalar:
        """Value at ``x`` (size,)."""

    def grad(self, xp: Backend, x: Array) -> Array:
        """Gradient (size,); a fresh array."""

    def hessian(self, xp: Backend, x: Array, v: Array) -> Array:
        """Hessian times ``v`` (size,); a fresh array."""


# ------------------------------------------------------------------------------------------------------ objectives
class Objective(Protocol):
    """A function of one flat vector ``x``, bound to a backend, with its data on the device."""

    xp: Backend
    arrays: Any
    """Tree of the data's arrays, so that a compiled step takes them as arguments, never as constants."""
    x0: Array
    """Start (size,); read-only. ``Optimizer.init`` copies it."""
    n_samples: int
    """Number of training samples; 1 where the objective is not a mean over samples."""
    static: Any
    """Hashable description of everything but the arrays: equal descriptions share one compiled step."""

    def with_arrays(self, arrays: Any) -> Objective:
        """The same objective over other arrays of the same shapes."""

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, Tape]:
        """Value at ``x``, over the samples whose indices ``batch`` holds, or over all."""

    def grad(self, tape: Tape) -> Array:
        """Gradient (size,) at the tape's point; a fresh array."""

    def jvp(self, tape: Tape, v: Array) -> Array:
        """Jacobian of the residual or network output, times ``v``."""

    def vjp(self, tape: Tape, w: Array) -> Array:
        """Transposed Jacobian of the residual or network output, times ``w``."""

    def gauss_newton(self, tape: Tape, v: Array) -> Array:
        """Gauss-Newton matrix ``J^T H J`` of the whole objective (regulariser included), times ``v``."""

    def hessian(self, tape: Tape, v: Array) -> Array:
        """Exact Hessian of the whole objective, times ``v``."""

    def redraw(self, epoch: int, seed: int) -> Any:
        """Arrays as ``arrays``, with what is random (dropout's masks, augmented samples) drawn for one epoch.

        Equal arguments give equal arrays on every backend. Where nothing is random it is ``arrays`` itself, and an
        objective that has no such method is taken for one.
        """


Structure = Literal["gauss-newton", "residual", "linear", "logistic", "composite", "bounds", "blocks", "separable"]
"""What some solvers need beyond value, gradient and Hessian products. A problem declares it (``provides``), a solver
requires it (``needs``) or makes use of it where there is any (``accepts``); what an objective has then:

``gauss-newton``  ``jvp``, ``vjp`` and ``gauss_newton``
``residual``      ``residual(tape)`` (m,) and ``jacobian(tape)`` (m, n) with ``f = 1/2 |r|^2``
``linear``        ``residual`` with ``r = [A x - b; sqrt(alpha) x]``, the second part where ``alpha`` is positive alone;
                  ``jvp``, ``vjp`` and ``gauss_newton`` are the same on every tape
``logistic``      the loss of one affine map of features, ``f = E([Y 1] W, C) + alpha/2 |W|^2`` with ``alpha > 0``, over
                  ``arrays`` (Y, C) and with ``x`` the rows of W; E is the cross-entropy, ``static.loss``, of
                  probabilities by softmax, or of one by the logistic function
``composite``     ``penalty(x)``, a convex h that need not be smooth, and ``prox(v, t)``, the x that minimises
                  ``h(x) + |x - v|^2 / 2t``, afresh; minimised is ``f + h``, and ``forward`` and ``grad`` are of ``f``
``bounds``        ``lower`` and ``upper`` (size,), infinite where there is none; ``composite`` with their indicator as h
``blocks``        ``blocks``, slices of x that partition it, for methods that alternate between them
``separable``     see :mod:`nmdl_bench.problems.separable`
"""


@runtime_checkable
class Problem(Protocol):
    """Pure description on the host: what is minimised, from where, over which data."""

    name: str
    summary: str
    minimum: float | None
    """Known minimum of the objective, where there is one."""
    tau: float
    """'Solved' means f <= f_best + tau (f(x0) - f_best), f_best the least value that any solver reached
    (More and Wild 2009, eq. 2.2)."""
    # provides: tuple[Structure, ...], where it has any of it

    def bind(self, xp: Backend) -> Objective:
        """Move the data to the device."""

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """Figures of merit at ``x``, such as ``accuracy_train``, ``accuracy_validation``, ``accuracy_test``."""


# --------------------------------------------------------------------------------------------------------- solvers
class Counts(NamedTuple):
    """Evaluations so far, each over the samples that it touched. A Gauss-Newton product is one jvp and one vjp."""

    forward: Any = 0
    gradient: Any = 0
    jvp: Any = 0
    vjp: Any = 0
    hessian: Any = 0

    @property
    def passes(self) -> Any:
        """Passes over the samples: one a forward with its gradient, one a product with a Hessian or Jacobian."""
        return self.forward + self.jvp + self.hessian

    @classmethod
    def start(cls, xp: Backend, forward: int = 0, gradient: int = 0) -> Counts:
        """Counters as integers of the backend, for a state."""
        return cls(*map(xp.s.int, (forward, gradient, 0, 0, 0)))


class Optimizer(Protocol):
    """A step-wise method, as a frozen dataclass of hyper-parameters.

    ``step`` is pure but for donation: its ``state`` is dead afterwards. Numeric hyper-parameters travel in the state
    (``step`` never reads a float of ``self``), so that a sweep over them compiles once. Every state has the fields

    ``x`` the iterate; ``f`` the value at ``x`` (stochastic methods: of the last batch, before the update);
    ``g_norm`` the gradient's maximum norm (NaN where the method does not form it); ``k`` the number of iterations,
    that is of accepted steps; ``counts`` a :class:`Counts`; ``stalled`` true where the method cannot go on. Where the
    objective is composite, ``f`` is the total value and ``g_norm`` :func:`nmdl_bench.backends.stationarity.measure`. A
    state has ``passes`` where products touch a part of the samples only. A method that takes batches and whose ``step``
    never reads ``f`` may say so by a class attribute ``forgets_value``, of its own and not inherited: loops then keep
    the first one, and those that are compiled spare its computation.
    """

    batch_size: int | None
    """Samples a step for methods that take batches, None for all of them at once."""
    takes_batches: bool
    """Whether the method is meant for mini-batches: epochs bound it then, and the full loss is seen at their ends."""

    def init(self, objective: Objective, x: Array, batch: Array | None = None) -> State: ...

    def step(self, objective: Objective, state: State, batch: Array | None = None) -> State: ...


CAPACITY = 64
"""Rows of the table that a chunk of iterations records into; the last is spare."""


@dataclass(frozen=True)
class Stop:
    """When a solver has to end.

    ``max_iterations`` counts accepted steps and holds for methods that use all samples; ``max_epochs`` counts passes
    over the training part and holds for mini-batch methods; ``max_evaluations`` bounds forwards; ``max_time`` is in
    seconds on the clock (None: no limit). Mini-batch methods look at both at the ends of epochs. ``gtol`` is the
    tolerance in ``|g(x)|_inf <= gtol * max(1, |g(x0)|_inf)``. ``looks`` is how often clock and metrics are looked at on
    the way to ``max_iterations``, or once every 63 iterations if that is more often: compiled steps run without the
    host in between.
    """

    max_iterations: int = 100
    max_epochs: int = 20
    max_evaluations: int | None = None
    max_time: float | None = None
    gtol: float = 1e-6
    looks: int = 20

    def __post_init__(self) -> None:
        if isinstance(self.looks, bool) or not isinstance(self.looks, int) or self.looks < 1:
            raise ConfigurationError(f"looks must be a whole number of at least 1, not {self.looks!r}")
        if self.max_evaluations is not None and not self.max_evaluations >= 1:
            raise ConfigurationError(f"max_evaluations must be at least 1, or None, not {self.max_evaluations!r}")
        for name, value in (("max_time", self.max_time), ("gtol", self.gtol)):
            if value is not None and not value >= 0:
                raise ConfigurationError(f"{name} must not be negative, not {value!r}")

    @property
    def chunk(self) -> int:
        """Iterations between two looks at clock and metrics, at most what a table of rows holds."""
        return min(max(-(-self.max_iterations // self.looks), 1), CAPACITY - 1)


class Record(Protocol):
    """What a solver tells while it runs: iterations one by one (the call), or a chunk of them at once."""

    @property
    def g_stop(self) -> float:
        """Tolerance for the gradient's maximum norm, known once iteration 0 is noted."""

    def begin(self) -> None:
        """Let the clock run; call it when the set-up that users do once is done."""

    def __call__(
        self,
        iteration: int,
        loss: Scalar | None,
        *,
        x: Array,
        counts: Counts,
        grad_norm: Scalar = float("nan"),
        passes: float | None = None,
    ) -> bool:
        """Note one iteration, and say whether the solver must stop. The first call is for iteration 0, the start.

        The clock stands while metrics are evaluated, and the full loss where ``loss`` is None. ``passes`` over the
        training part are the forwards where not given.
        """

    def chunk(self, rows: Callable[[], np.ndarray], x: Array) -> bool:
        """Note the rows (iteration, forward, gradient, passes, loss, grad_norm) of a chunk that ended at ``x``."""

    def why(self) -> tuple[Status, str]:
        """Status and reason of the last call that asked the solver to stop."""


HISTORY_COLUMNS = ("iteration", "forward", "gradient", "passes", "loss", "grad_norm", "time", "measured")
"""Columns of ``Result.history``: counts so far, passes over the training part, training loss, gradient maximum norm
(NaN where unknown), seconds on the clock, and 1 where that time was read (0 where it is interpolated)."""
ROW = HISTORY_COLUMNS[:6]
"""What a step-wise method knows of an iteration by itself."""


@dataclass
class Result:
    """What a solver returns, and the harness completes."""

    x: Any
    status: Status
    reason: str
    iterations: int
    counts: Counts
    passes: float = float("nan")
    """Passes over the training part: :attr:`Counts.passes`, each weighted by the share of samples that it touched."""
    loss: float = float("nan")
    """Full training objective at ``x``, recomputed by the harness."""
    grad_norm: float = float("nan")
    """Maximum norm of the full gradient at ``x``, recomputed by the harness."""
    time: float = float("nan")
    """Seconds on the clock: solver steps only, metrics and compilation excluded."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: Any = None
    """NumPy array (rows, len(HISTORY_COLUMNS)), float64."""
    metric_history: list[dict[str, float]] = field(default_factory=list)
    """Metrics where they were evaluated: each with ``iteration``, ``passes`` and ``time`` beside the metrics."""


@runtime_checkable
class Solver(Protocol):
    """What runs and reports know of a method, ours or a peer's."""

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        """Minimise from ``x``. ``seed`` draws the batches."""


# ------------------------------------------------------------------------------------------------------ registries
PROBLEMS: Registry[Problem] = Registry("problem")
SOLVERS: Registry[Solver | Optimizer] = Registry("solver")

__all__ = [
    "CAPACITY", "HISTORY_COLUMNS", "PROBLEMS", "ROW", "SOLVERS", "Array", "Blocks", "ConfigurationError", "Counts",
    "DataError", "Entry", "Layer", "Loss", "NmdlError", "Objective", "Optimizer", "Problem", "Record", "Registry",
    "Regulariser", "Result", "Scalar", "Solver", "State", "Status", "Stop", "StoreError", "Structure", "Tape",
    "UnavailableError", "UnknownNameError", "unknown",
]  # fmt: skip
