"""``check_loss``: value, gradient and Hessian product of a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nmdl_bench.contracts import Loss
from nmdl_bench.testing.errors import host_reals, require_close, tolerance
from nmdl_bench.testing.references import autodiff_backend, chosen, directional, gradient
from nmdl_bench.testing.taylor import check_symmetric_psd, check_taylor

if TYPE_CHECKING:
    from nmdl_bench.backends.base import Backend


def check_loss(
    loss: Loss, xp: Backend, samples: int = 5, classes: int = 3, autodiff: Sequence[str] | None = None, seed: int = 0
) -> None:
    """Check a loss's value, gradient and Hessian product at random outputs and one-hot targets.

    Parameters
    ----------
    loss : Loss
        What to check.
    xp, samples, autodiff, seed
        As for :func:`check_layer`.
    classes : int
        Columns of the output.

    Raises
    ------
    CheckError
        A check fails; the sentence says which.
    """
    rng = np.random.Generator(np.random.Philox(seed))
    name, tol = f"{loss!r} on {xp!r}", tolerance(xp, 1e-12, 1e-4)

    def draw() -> np.ndarray:
        return rng.standard_normal((samples, classes)).astype(np.float32).astype(np.float64)

    S, V, C = draw(), draw(), np.eye(classes)[rng.integers(0, classes, samples)]

    def evaluate(S: Any, C: Any, V: Any) -> tuple[Any, ...]:
        value, tape = loss.forward(xp, S, C)
        HV = loss.hessian(xp, tape, xp.copy(V))
        return value, loss.grad(xp, tape), HV, loss.grad(xp, tape), loss.hessian(xp, tape, V)

    compiled = xp.compile(evaluate)

    def at(S: np.ndarray, V: np.ndarray = V) -> list[np.ndarray]:
        value, *arrays = compiled(xp.asarray(S), xp.asarray(C), xp.asarray(V))
        return [host_reals(xp, [value])[0], *map(xp.to_numpy, arrays)]

    with xp.scope():
        value, g, HV, g_again, HV_again = at(S)
        require_close(f"{name}: a second gradient on the same tape", g_again, g, 0.0)
        require_close(f"{name}: a second Hessian product on the same tape", HV_again, HV, 0.0)
        check_symmetric_psd(f"{name}: Hessian", lambda V: at(S, V)[2], draw, tol)
        if xp.dtype_name == "float64":
            check_taylor(f"{name}: gradient", lambda t: at(S + t * V)[0], value, np.vdot(g, V))
            check_taylor(f"{name}: Hessian", lambda t: at(S + t * V)[1], g, HV)

    for library in chosen(autodiff, xp):
        reference = autodiff_backend(library)
        s, c, v = (reference.asarray(a) for a in (S, C, V))

        def f(s: Any, reference: Backend = reference, c: Any = c) -> Any:
            return loss.forward(reference, s, c)[0]

        def slope(s: Any, library: str = library, f: Callable[[Any], Any] = f) -> Any:
            return gradient(library, f, s)

        require_close(f"{name}: value against {library}", value, reference.to_numpy(f(s)), tol)
        require_close(f"{name}: gradient against {library}'s", g, reference.to_numpy(slope(s)), tol)
        require_close(
            f"{name}: Hessian against {library}'s", HV, reference.to_numpy(directional(library, slope, (s,), (v,))), tol
        )
