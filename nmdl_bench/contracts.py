"""The protocols that the parts of nmdl_bench meet through: the map of the project.

Imports point downwards only: ``cli -> report -> runs -> solve -> problems | optimizers | peers -> networks | data ->
measure -> backends -> contracts``. This file is the bottom: it imports no array library and nothing of the package.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

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


# ---------------------------------------------------------------------------------------------------------- errors
class NmdlError(Exception):
    """Base of every error that this package raises on purpose: one sentence with the thing, its value, the way out."""


class UnknownNameError(NmdlError, ValueError):
    """A problem, solver, backend or option that is not known; the message offers the nearest name."""


class ConfigurationError(NmdlError, ValueError):
    """A value that cannot work: a malformed experiment file, a negative width, an option of the wrong type."""


class DataError(NmdlError, OSError):
    """A data file that is missing, truncated or not what its name says."""


class UnavailableError(NmdlError, ImportError):
    """An array library or device that is not installed or not usable here."""


class StoreError(NmdlError, OSError):
    """The results store cannot be opened, read or written."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """An :class:`UnknownNameError` for ``name`` that suggests the nearest of ``known``."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UnknownNameError(f"unknown {kind} {str(name)!r}; {hint}known: {', '.join(names)}")


# ---------------------------------------------------------------------------------------------------------- layers
class Layer(Protocol):
    """A differentiable map of features with parameters. It holds no arrays.

    ``Y`` is ``(n, features)``: samples first. ``theta`` holds the layer's blocks by name, as views of the flat vector.
    A tape may be used any number of times; only ``vjp``'s ``Z`` may be donated.
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter block."""

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw initial blocks on the host."""

    def forward(self, xp: Backend, theta: Blocks, Y: Array) -> tuple[Array, Tape]:
        """Map ``Y`` and keep on the tape what the derivatives need (``Y`` belongs to the tape)."""

    def jvp(self, xp: Backend, theta: Blocks, tape: Tape, dtheta: Blocks, dY: Array | None) -> Array:
        """``J [dtheta; dY]``; ``dY`` is None where the input does not vary."""

    def vjp(self, xp: Backend, theta: Blocks, tape: Tape, Z: Array, inputs: bool = True) -> tuple[Blocks, Array | None]:
        """``J^T Z`` as (parameter blocks, input part); the input part is None where ``inputs`` is false."""


class Loss(Protocol):
    """A mean over samples of a convex function of the network's output ``S`` (n, k) and the targets ``C`` (n, k)."""

    def forward(self, xp: Backend, S: Array, C: Array) -> tuple[Scalar, Tape]:
        """Value, and a tape for the derivatives."""

    def grad(self, xp: Backend, tape: Tape) -> Array:
        """Gradient with respect to ``S`` (n, k)."""

    def hessian(self, xp: Backend, tape: Tape, V: Array) -> Array:
        """Hessian with respect to ``S``, times ``V`` (n, k)."""


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

    def bind(self, xp: Backend) -> Objective:
        """Move the data to the device."""

    def metrics(self, xp: Backend, x: Array) -> dict[str, float]:
        """Figures of merit at ``x``, such as ``accuracy_train``, ``accuracy_validation``, ``accuracy_test``."""


# --------------------------------------------------------------------------------------------------------- solvers
class Counts(NamedTuple):
    """Evaluations so far, each over the samples that it touched."""

    forward: Any = 0
    gradient: Any = 0
    jvp: Any = 0
    vjp: Any = 0
    hessian: Any = 0

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
    that is of accepted steps; ``counts`` a :class:`Counts`; ``stalled`` true where the method cannot go on.
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
    tolerance in ``|g(x)|_inf <= gtol * max(1, |g(x0)|_inf)``.
    """

    max_iterations: int = 100
    max_epochs: int = 20
    max_evaluations: int | None = None
    max_time: float | None = None
    gtol: float = 1e-6

    @property
    def chunk(self) -> int:
        """Iterations between two looks at clock and metrics: a twentieth of all, at most what a table of rows holds."""
        return min(max(-(-self.max_iterations // 20), 1), CAPACITY - 1)


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
        """Note the rows (iteration, forward, gradient, loss, grad_norm) of a chunk that ended at ``x``."""

    def why(self) -> tuple[Status, str]:
        """Status and reason of the last call that asked the solver to stop."""


HISTORY_COLUMNS = ("iteration", "forward", "gradient", "passes", "loss", "grad_norm", "time", "measured")
"""Columns of ``Result.history``: counts so far, passes over the training part, training loss, gradient maximum norm
(NaN where unknown), seconds on the clock, and 1 where that time was read (0 where it is interpolated)."""


@dataclass
class Result:
    """What a solver returns, and the harness completes."""

    x: Any
    status: Status
    reason: str
    iterations: int
    counts: Counts
    passes: float = float("nan")
    """Passes over the training part: forwards weighted by the share of samples that each touched."""
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


# -------------------------------------------------------------------------------------------------------- registry
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One named problem or solver: how it is made, and what `nmdl-bench list` says of it."""

    name: str
    summary: str
    make: Callable[..., T]
    requires: tuple[str, ...] = ()
    """Libraries that must be installed (``"optax"``), by import name."""
    backends: tuple[str, ...] = ("numpy", "torch", "jax", "cupy")
    """Array libraries it runs on; ``("*",)`` for any."""
    kind: str = ""
    """Group shown in listings, such as ``"ours"`` or ``"peer"``."""

    def runs_on(self, library: str) -> bool:
        """Whether the named array library is among those it runs on."""
        return "*" in self.backends or library in self.backends


class Registry(Generic[T]):
    """Names to entries, in order of registration. A plug-in file adds to the very same registries."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str, summary: str, **options: Any) -> Callable[[F], F]:
        """Decorator: ``@PROBLEMS.register("my-problem", "one line about it")`` above a factory."""

        def add(make: F) -> F:
            if name in self._entries and self._entries[name].make.__module__ != make.__module__:
                raise ConfigurationError(f"{self.kind} {name!r} is registered already; choose another name")
            self._entries[name] = Entry(name, summary, make, **options)
            return make

        return add

    def __getitem__(self, name: str) -> Entry[T]:
        try:
            return self._entries[name]
        except KeyError:
            raise unknown(self.kind, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Any:
        return iter(self._entries.values())

    def options(self, name: str) -> tuple[str, ...] | None:
        """Names of the options that ``name`` takes, by its ``make.options`` or its signature; None for any."""
        make = self[name].make
        if hasattr(make, "options"):
            return tuple(make.options)
        parameters = inspect.signature(make).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        return None if takes_any else tuple(parameters)

    def make(self, name: str, /, **options: Any) -> T:
        """Build ``name`` with ``options``.

        Raises
        ------
        UnknownNameError
            The name, or an option that it does not take.
        ConfigurationError
            An option's value cannot work.
        """
        known = self.options(name)
        for option in options:
            if known is not None and option not in known:
                raise unknown(f"option of {self.kind} {name!r}:", option, known)
        try:
            return self[name].make(**{option: self._checked(name, option, value) for option, value in options.items()})
        except TypeError as error:
            raise ConfigurationError(f"{self.kind} {name!r} cannot be made with {options!r}: {error}") from error

    def _checked(self, name: str, option: str, value: Any) -> Any:
        """The value, where it is of the type that the option is annotated with."""
        try:
            kind = typing.get_type_hints(self[name].make).get(option)
        except (NameError, TypeError):  # annotations that cannot be resolved here bind nobody
            return value
        if kind not in (int, float, str, bool, int | None, float | None, str | None):
            return value
        import msgspec

        try:
            return msgspec.convert(value.item() if hasattr(value, "item") else value, kind)
        except msgspec.ValidationError:
            word = getattr(kind, "__name__", str(kind))
            raise ConfigurationError(f"{option} of {self.kind} {name!r} must be {word}, not {value!r}") from None


PROBLEMS: Registry[Problem] = Registry("problem")
SOLVERS: Registry[Solver | Optimizer] = Registry("solver")
