"""``check_objective``: a function of one flat vector, its derivatives and its batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nmdl_bench.contracts import Objective
from nmdl_bench.testing import errors
from nmdl_bench.testing.errors import host_reals, require, require_close
from nmdl_bench.testing.references import LIBRARIES, chosen, derivatives
from nmdl_bench.testing.taylor import (
    ROUND_OFF,
    check_adjoint,
    check_second_order,
    check_symmetric,
    check_symmetric_psd,
    check_taylor,
)
from nmdl_bench.testing.trees import leaves


def check_objective(
    objective: Objective,
    x: Any = None,
    autodiff: Sequence[str] | None = None,
    seed: int = 0,
    taylor: bool = True,
    smooth: bool = True,
    batches: bool = True,
    tolerance: float | None = None,
) -> None:
    """Check an objective at a point: derivatives, tapes, batches, and that nothing given is overwritten.

    Taylor remainders of value and gradient to first order, of the value to second (float64 only), ``jvp`` and ``vjp``
    adjoint, the Hessian symmetric, the Gauss-Newton matrix symmetric and positive semidefinite, the mean over two half
    batches equal to the whole, and automatic differentiation of ``forward``: of the gradient and the Hessian product,
    and where the objective is a network's loss, of ``jvp``, ``vjp`` and ``gauss_newton`` too.

    Parameters
    ----------
    objective : Objective
        Bound to the backend to check it on.
    x : array_like, optional
        Point on the host (size,); by default ``x0``, rounded to float32.
    autodiff : sequence of str, optional
        Libraries (``"torch"``, ``"jax"``) to compare with; by default the backend's own where it is one of them. The
        objective must be a dataclass with the fields ``xp``, ``arrays`` and ``x0``.
    seed : int
        Draws the directions.
    taylor : bool
        False where the objective is not differentiable near ``x``.
    smooth : bool
        False where second derivatives may jump near ``x``.
    batches : bool
        False where the value over a batch is no mean over its samples, as with batch normalisation.
    tolerance : float, optional
        Relative; by default 1e-12 in float64 and 1e-4 in float32. Ten times the tolerance of iterations inside.

    Raises
    ------
    CheckError
        A check fails; the sentence says which.
    """
    xp = objective.xp
    rng = np.random.Generator(np.random.Philox(seed))
    name = f"{type(objective).__name__} on {xp!r}"
    tol = errors.tolerance(xp, 1e-12, 1e-4) if tolerance is None else tolerance
    given = [xp.to_numpy(a) for a in (*leaves(objective.arrays), objective.x0)]
    x = np.asarray(xp.to_numpy(objective.x0) if x is None else x, np.float32).astype(np.float64)

    def draw(shape: tuple[int, ...] = x.shape) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32).astype(np.float64)

    with xp.scope():
        evaluate = _Objective(objective)
        v = draw()
        first = evaluate.first(x, v)
        require(np.isfinite(first["value"]), f"{name}: the value at the point is {first['value']}")
        require(
            first["gradient"].shape == x.shape,
            f"{name}: the gradient has shape {first['gradient'].shape}, not {x.shape}",
        )
        require_close(
            f"{name}: the gradient after the tape's other uses", first["gradient again"], first["gradient"], 0.0
        )
        w = draw(first["jvp"].shape)
        JTw = evaluate.vjp(x, w)
        check_adjoint(name, first["jvp"], w, v, JTw, tol)
        check_symmetric_psd(f"{name}: Gauss-Newton matrix", lambda v: evaluate.first(x, v)["gauss_newton"], draw, tol)
        check_symmetric(f"{name}: Hessian", lambda v: evaluate.first(x, v)["hessian"], draw, tol)
        require_close(f"{name}: a second Hessian product", first["hessian again"], first["hessian"], 0.0)
        if taylor and xp.dtype_name == "float64":
            _check_remainders(name, evaluate, (x, v), first, smooth, max(ROUND_OFF, tol))
        if batches and objective.n_samples > 1:
            _check_batches(name, evaluate, x, first, tol)
        for before, after in zip(given, (*leaves(objective.arrays), objective.x0)):
            require_close(f"{name}: data or x0, after all this,", xp.to_numpy(after), before, 0.0)

    for library in chosen(autodiff, xp):
        expected = derivatives(library, objective, x, v, w)
        found = first | {"vjp": JTw}
        for quantity, value in expected.items():
            require_close(f"{name}: {quantity} against {library}'s", found[quantity], value, tol)


def _check_remainders(
    name: str,
    evaluate: _Objective,
    at: tuple[np.ndarray, np.ndarray],
    first: dict[str, Any],
    smooth: bool,
    floor: float,
) -> None:
    x, v = at
    slope = np.vdot(first["gradient"], v)

    def along(quantity: str) -> Callable[[float], Any]:
        return lambda t: evaluate.first(x + t * v, v)[quantity]

    check_taylor(f"{name}: gradient", along("value"), first["value"], slope, floor)
    if smooth:
        check_taylor(f"{name}: Hessian", along("gradient"), first["gradient"], first["hessian"], floor)
        curvature = float(np.vdot(first["hessian"], v))
        what = f"{name}: Hessian to second order"
        check_second_order(what, along("value"), first["value"], float(slope), curvature, floor)


def check_autodiff(
    objective: Objective,
    autodiff: Sequence[str] = LIBRARIES,
    seed: int = 0,
    tolerance: float | None = None,
    references: Mapping[str, dict[str, np.ndarray]] | None = None,
) -> None:
    """The last part of :func:`check_objective` alone, for an objective over a network: one compilation instead of four.

    Parameters
    ----------
    objective, autodiff, seed, tolerance
        As for :func:`check_objective`.
    references : mapping, optional
        What :func:`autodiff_references` gave for the same problem on any backend, where it is checked on many.

    Raises
    ------
    CheckError
        Value, gradient, ``jvp``, ``vjp``, ``gauss_newton`` or ``hessian`` differs from that by automatic
        differentiation.
    """
    xp, bare = objective.xp, objective.with_arrays(None)
    directions = _directions(objective, seed)

    def by_hand(arrays: Any, x: Any, v: Any, w: Any) -> tuple[Any, ...]:
        at = bare.with_arrays(arrays)
        f, tape = at.forward(x)
        return f, at.grad(tape), at.jvp(tape, v), at.vjp(tape, w), at.gauss_newton(tape, v), at.hessian(tape, v)

    with xp.scope():
        f, *arrays = xp.compile(by_hand)(objective.arrays, *map(xp.asarray, directions))
        names = ("value", "gradient", "jvp", "vjp", "gauss_newton", "hessian")
        found = dict(zip(names, (host_reals(xp, [f])[0], *map(xp.to_numpy, arrays))))
    tol = errors.tolerance(xp, 1e-12, 1e-4) if tolerance is None else tolerance
    if references is None:
        references = autodiff_references(objective, autodiff, seed)
    for library, expected in references.items():
        require(
            set(expected) == set(found),
            f"{type(objective).__name__} is no objective over a network; use check_objective",
        )
        for quantity, value in expected.items():
            what = f"{objective.static} on {xp!r}: {quantity} against {library}'s"
            require_close(what, found[quantity], value, tol)


def autodiff_references(
    objective: Objective, autodiff: Sequence[str] = LIBRARIES, seed: int = 0, compiled: bool = True
) -> dict[str, dict[str, np.ndarray]]:
    """What :func:`check_autodiff` compares with: what each library finds in float64.

    Parameters
    ----------
    objective, autodiff, seed
        As for :func:`check_autodiff`.
    compiled : bool
        As for :func:`~nmdl_bench.testing.references.derivatives`.
    """
    directions = _directions(objective, seed)
    return {library: derivatives(library, objective, *directions, compiled=compiled) for library in autodiff}


def _directions(objective: Objective, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The start, a direction and an output's adjoint, exact in float32."""
    x = objective.xp.to_numpy(objective.x0).astype(np.float32).astype(np.float64)
    rng = np.random.Generator(np.random.Philox(seed))
    v, w = (rng.standard_normal(s).astype(np.float32).astype(np.float64) for s in (x.shape, objective.arrays.C.shape))
    return x, v, w


def _check_batches(name: str, evaluate: _Objective, x: np.ndarray, whole: dict[str, Any], tol: float) -> None:
    n = evaluate.objective.n_samples
    order = np.random.Generator(np.random.Philox(3)).permutation(n)
    value, g = evaluate.batch(x, order)
    require_close(f"{name}: value over a batch of all samples", value, whole["value"], tol)
    require_close(f"{name}: gradient over a batch of all samples", g, whole["gradient"], tol)
    half = n // 2
    (f1, g1), (f2, g2) = evaluate.batch(x, order[:half]), evaluate.batch(x, order[half : 2 * half])
    value, g = evaluate.batch(x, order[: 2 * half])
    require_close(f"{name}: mean value of two half batches", (f1 + f2) / 2, value, tol)
    require_close(f"{name}: mean gradient of two half batches", (g1 + g2) / 2, g, tol)


class _Objective:
    """An objective's functions on host arrays, each compiled once, the data as arguments."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.xp = objective, objective.xp
        xp, bare = objective.xp, objective.with_arrays(None)

        def first(arrays: Any, x: Any, v: Any) -> tuple[Any, ...]:
            at = bare.with_arrays(arrays)
            f, tape = at.forward(x)
            g = at.grad(tape)
            spent = xp.scale(0.0, at.grad(tape))  # a fresh array: the caller may overwrite it
            Hv, Jv, Gv = at.hessian(tape, v), at.jvp(tape, v), at.gauss_newton(tape, v)
            return f, g, Jv, Gv, Hv, xp.axpy(1.0, spent, at.grad(tape)), at.hessian(tape, v)

        def transposed(arrays: Any, x: Any, w: Any) -> Any:
            at = bare.with_arrays(arrays)
            return at.vjp(at.forward(x)[1], w)

        def batch(arrays: Any, x: Any, indices: Any) -> tuple[Any, Any]:
            at = bare.with_arrays(arrays)
            f, tape = at.forward(x, indices)
            return f, at.grad(tape)

        self._first, self._transposed, self._batch = map(xp.compile, (first, transposed, batch))

    def first(self, x: np.ndarray, v: np.ndarray) -> dict[str, Any]:
        at, along = self.xp.asarray(x), self.xp.asarray(v)
        f, *arrays = self._first(self.objective.arrays, at, along)
        names = ("gradient", "jvp", "gauss_newton", "hessian", "gradient again", "hessian again")
        found = dict(zip(names, map(self.xp.to_numpy, arrays)))
        for what, given, host in (("the point", at, x), ("the direction", along, v)):
            require_close(f"on {self.xp!r}: {what}, after the evaluation,", self.xp.to_numpy(given), host, self.xp.eps)
        return {"value": host_reals(self.xp, [f])[0]} | found

    def vjp(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        along = self.xp.asarray(w)
        found = self.xp.to_numpy(self._transposed(self.objective.arrays, self.xp.asarray(x), along))
        require_close(f"on {self.xp!r}: the argument of vjp, afterwards,", self.xp.to_numpy(along), w, self.xp.eps)
        return found

    def batch(self, x: np.ndarray, indices: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = self._batch(self.objective.arrays, self.xp.asarray(x), self.xp.asarray(indices))
        return host_reals(self.xp, [f])[0], self.xp.to_numpy(g)
