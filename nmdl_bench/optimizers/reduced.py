"""The reduced objective of variable projection: a separable one in which the last layer is always optimal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from nmdl_bench.contracts import Array, ConfigurationError, Objective, Scalar, Tape, unknown
from nmdl_bench.optimizers.elimination import Eliminated, eliminate, is_least_squares, project, solve

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend

JACOBIANS = ("kaufman", "golub-pereyra")


class ReducedTape(NamedTuple):
    """A point ``theta``, its features ``Z`` with their tape, and what was found for the last layer."""

    theta: Array
    Z: Array
    features: Tape
    found: Eliminated


@dataclass(frozen=True)
class Reduced:
    """``F(theta) = min_W f(theta, W)`` for a separable objective ``f``: an :class:`~nmdl_bench.contracts.Objective`.

    With ``W = W(theta)`` the minimiser, ``G`` and ``H`` gradient and Hessian of the loss at ``S = Z W``::

        grad F  = J_Z^T (G W^T) + grad R                             (W is stationary: its change does not matter)
        S'(v)   = dZ W + Z dW,  dZ = J_Z v,  dW = W'(v)              see :mod:`nmdl_bench.optimizers.elimination`
        F'' v   = J_Z^T (G dW^T + H(S' v) W^T) + (dJ_Z)^T (G W^T) + R'' v

    For least squares, ``F = 1/2 |r|^2`` with the variable projection functional ``r = (I - Phi Phi^+) c`` of Golub and
    Pereyra (1973), up to its sign, for ``Phi = [Z / sqrt(n); sqrt(alpha) I]`` and ``c = [C / sqrt(n); 0]`` (O'Leary and
    Rust 2013); its Jacobian is theirs or, without the second part of ``dW``, Kaufman's (1975). The latter leaves out
    what is of the size of the residual; both give the same gradient. For other losses the same products are the
    Gauss-Newton matrix's; with Kaufman's, it is the Schur complement of that of ``f`` (Newman, Ruthotto, Hart and van
    Bloemen Waanders 2021).

    Parameters
    ----------
    base : Objective
        Separable; see :mod:`nmdl_bench.problems.separable`.
    W : Array
        Where the search for the last layer starts (p, k), where it is one.
    kind : str
        ``"kaufman"`` or ``"golub-pereyra"``: which derivative of ``S`` (``jvp``, ``vjp``, ``gauss_newton``,
        ``jacobian``) is meant. ``grad`` and ``hessian`` are exact with both.
    """

    base: Any
    W: Array
    kind: str = "kaufman"

    def __post_init__(self) -> None:
        if self.kind not in JACOBIANS:
            raise unknown("Jacobian of variable projection", self.kind, JACOBIANS)

    @classmethod
    def of(cls, objective: Objective, x: Array, kind: str = "kaufman") -> Reduced:
        """The reduced objective, and the last layer of ``x`` (size,) to start from."""
        split, shape = objective.separable.split, objective.separable.shape  # type: ignore[attr-defined]
        base = objective.with_arrays(objective.arrays)  # of an evaluation that stands in for it, the objective itself
        return cls(base, objective.xp.reshape(x[split:], shape), kind)

    @property
    def xp(self) -> Backend:
        return self.base.xp

    @property
    def arrays(self) -> Any:
        return self.base.arrays, self.W

    @property
    def x0(self) -> Array:
        return self.base.x0[: self.parts.split]

    @property
    def n_samples(self) -> int:
        return self.base.n_samples

    @property
    def static(self) -> Any:
        return type(self.base), self.base.static, self.kind

    def with_arrays(self, arrays: Any) -> Reduced:
        base, W = (None, None) if arrays is None else arrays
        return replace(self, base=self.base.with_arrays(base), W=W)

    @cached_property
    def parts(self) -> Any:
        """The :class:`~nmdl_bench.problems.separable.Separable`."""
        return self.base.separable

    def forward(self, x: Array, batch: Array | None = None) -> tuple[Scalar, ReducedTape]:
        if batch is not None:
            raise ConfigurationError("variable projection takes all samples at once: leave batch out")
        parts = self.parts
        Z, features = parts.features(x)
        found = eliminate(self.xp, parts.loss, Z, parts.targets, parts.alpha, self.W)
        return found.f + parts.outer(x), ReducedTape(x, Z, features, found)

    def full(self, tape: ReducedTape) -> Array:
        """``(theta, W(theta))`` (size,), afresh."""
        return self.xp.concat([tape.theta, self.xp.reshape(tape.found.W, (-1,))])

    def grad(self, tape: ReducedTape) -> Array:
        parts, found = self.parts, tape.found
        G = parts.loss.grad(self.xp, found.loss)
        return self.xp.axpy(1.0, parts.outer_grad(tape.theta), parts.features_vjp(tape.features, G @ found.W.T))

    def jvp(self, tape: ReducedTape, v: Array) -> Array:
        """``S'(v)`` (n, k)."""
        dZ, _ = self.parts.features_jvp(tape.features, v)
        dS, _ = self._vary(tape, dZ, self.kind == "golub-pereyra")
        return dS

    def vjp(self, tape: ReducedTape, w: Array) -> Array:
        """Transpose of :meth:`jvp`: with ``Q = H_WW^-1 Z^T w``, ``J_Z^T ((w - H(Z Q)) W^T - G Q^T)``."""
        return self.parts.features_vjp(tape.features, self._transpose(tape, w, tape.Z.T @ w))

    def gauss_newton(self, tape: ReducedTape, v: Array) -> Array:
        """``S'^T H S' v + alpha W'^T W' v + R'' v``."""
        xp, parts, found = self.xp, self.parts, tape.found
        dZ, _ = parts.features_jvp(tape.features, v)
        dS, dW = self._vary(tape, dZ, self.kind == "golub-pereyra")
        HdS = parts.loss.hessian(xp, found.loss, dS)
        if self.kind == "kaufman":  # the part in W vanishes: Z^T H S' v + alpha W' v = 0
            M = HdS @ found.W.T
        else:
            M = self._transpose(tape, HdS, tape.Z.T @ HdS + parts.alpha * dW)
        return xp.axpy(1.0, parts.outer_hessian(tape.theta, v), parts.features_vjp(tape.features, M))

    def hessian(self, tape: ReducedTape, v: Array) -> Array:
        xp, parts, found = self.xp, self.parts, tape.found
        dZ, dfeatures = parts.features_jvp(tape.features, v, keep=True)
        dS, dW = self._vary(tape, dZ, True)
        G, dG = parts.loss.grad(xp, found.loss), parts.loss.hessian(xp, found.loss, dS)
        M, dM = G @ found.W.T, dG @ found.W.T + G @ dW.T
        Hv = parts.features_dvjp(tape.features, dfeatures, v, M, dM)
        return xp.axpy(1.0, parts.outer_hessian(tape.theta, v), Hv)

    # ------------------------------------------------------------------------------------------ least squares
    def residual(self, tape: ReducedTape) -> Array:
        """``r = [(Z W - C) / sqrt(n); sqrt(alpha) W; sqrt(alpha_theta) theta]`` (m,), with ``F = 1/2 |r|^2``."""
        parts, found = self.parts, tape.found
        return self._stacked(parts.loss.grad(self.xp, found.loss) * float(self.n_samples), found.W, tape.theta)

    def jacobian(self, tape: ReducedTape) -> Array:
        """Derivative of :meth:`residual` (m, split), column by column."""
        xp, q = self.xp, self.parts.split

        def column(carry: Any, v: Array) -> tuple[Any, Array]:
            dZ, _ = self.parts.features_jvp(tape.features, v)
            return carry, self._stacked(*self._vary(tape, dZ, self.kind == "golub-pereyra"), v)

        _, columns = xp.scan(column, xp.s.int(0), xp.eye(q))
        return xp.reshape(xp.ravel([columns]), (q, -1)).T

    def _stacked(self, S: Array, W: Array, theta: Array) -> Array:
        xp, parts = self.xp, self.parts
        if not is_least_squares(parts.loss) or parts.alpha_theta is None:
            raise ConfigurationError(
                "a residual needs the loss 'least-squares' and no regulariser of the features but a multiple of "
                "|theta|^2; take a solver that does not need 'residual'"
            )
        weights = (self.n_samples**-0.5, parts.alpha**0.5, parts.alpha_theta**0.5)
        return xp.concat([w * xp.reshape(part, (-1,)) for w, part in zip(weights, (S, W, theta)) if w])

    # ------------------------------------------------------------------------------------------ the last layer's change
    def _vary(self, tape: ReducedTape, dZ: Array, full: bool) -> tuple[Array, Array]:
        """``S'`` (n, k) and ``dW`` (p, k) along ``dZ``; ``full`` with the part of ``dW`` that G makes."""
        xp, parts, Z, found = self.xp, self.parts, tape.Z, tape.found
        T = dZ @ found.W
        dW = -project(xp, parts.loss, Z, parts.alpha, found, T)
        if full:
            G = parts.loss.grad(xp, found.loss)
            dW = dW - solve(xp, Z, parts.alpha, found, dZ.T @ G)
        return T + Z @ dW, dW

    def _transpose(self, tape: ReducedTape, w: Array, Y: Array) -> Array:
        """``M`` (n, p) with ``<dZ W, w> + <dW, Y> = <dZ, M>`` for all ``dZ = J_Z v``, for w (n, k) and Y (p, k)."""
        xp, parts, Z, found = self.xp, self.parts, tape.Z, tape.found
        Q = solve(xp, Z, parts.alpha, found, Y)
        M = (w - parts.loss.hessian(xp, found.loss, Z @ Q)) @ found.W.T
        return M - parts.loss.grad(xp, found.loss) @ Q.T if self.kind == "golub-pereyra" else M
