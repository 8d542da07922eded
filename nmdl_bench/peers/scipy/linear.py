"""``scipy.sparse.linalg`` on linear least-squares problems, with products from any backend.

Both kinds solve for the step ``d = x - x0`` from the objective's start, which need not be zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import linalg

from nmdl_bench.contracts import Array, Counts, Objective, Record, Result, Stop
from nmdl_bench.peers.base import evaluate, on_host, ours
from nmdl_bench.peers.host import Host
from nmdl_bench.peers.rerun import rerun

_TINY = 1e-300  # a tolerance that is never met


@dataclass(frozen=True)
class ScipyNormal:
    """``cg``, ``minres`` or ``gmres`` on ``(A^T A + alpha I) d = -g(x0)``, by products with the Gauss-Newton matrix.

    None of them knows the objective: the harness evaluates it at their iterates. GMRES shows one at each restart.

    Parameters
    ----------
    method : str
        SciPy's name.
    options : dict
        ``restart`` of GMRES.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    needs: ClassVar[tuple[str, ...]] = ("linear",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        host = Host(objective, stop, record, known=False)
        xp = host.xp
        tape: Any = None  # of the start

        def product(v: np.ndarray) -> np.ndarray:
            host.count(jvp=1, vjp=1)
            return host.to_host(ours(evaluate, objective, "gauss_newton", tape, xp.asarray(v)))

        def loop(z: np.ndarray) -> Any:
            nonlocal tape
            b, tape = -host.gradient(z), host.at(z).tape
            matrix = linalg.LinearOperator((z.size, z.size), matvec=product, dtype=np.float64)
            if self.method == "gmres":
                return self._restarted(host, matrix, b, z)
            d, code = getattr(linalg, self.method)(
                matrix, b, maxiter=2**31 - 1, callback=lambda d: host.note(z + d), **_NEVER[self.method]
            )
            return _Found(z + d, f"{self.method} ended by its own rule with code {code}")

        return host.run(x, loop)

    def _restarted(self, host: Host, matrix: Any, b: np.ndarray, z: np.ndarray) -> Any:
        """Cycles of GMRES, one a call, so that the last is no longer than the iterations that are left."""
        d = np.zeros_like(b)
        while True:
            cycle = min(self.options["restart"], host.stop.max_iterations - host.iteration, b.size)
            d, _ = linalg.gmres(matrix, b, d, rtol=0.0, atol=_TINY, restart=cycle, maxiter=1)
            host.note(z + d, steps=cycle)


_NEVER: dict[str, dict[str, float]] = {"cg": {"rtol": 0.0, "atol": _TINY}, "minres": {"rtol": _TINY}}


@dataclass(frozen=True)
class _Found:
    x: np.ndarray
    message: str


@dataclass(frozen=True)
class ScipyBidiagonal:
    """``lsqr`` (Paige and Saunders 1982) or ``lsmr`` (Fong and Saunders 2011) on ``J d = -r`` with the residual at x0.

    Tikhonov's term is among its rows: from ``x0 = 0`` it is what SciPy does for ``damp = sqrt(alpha)``. They have no
    callback: see :func:`nmdl_bench.peers.rerun.rerun` for what is recorded.

    Parameters
    ----------
    method : str
        SciPy's name.
    options : dict
        Passed to SciPy.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    needs: ClassVar[tuple[str, ...]] = ("linear",)

    def run(self, objective: Objective, x: Array, stop: Stop, record: Record, seed: int = 0) -> Result:
        xp = objective.xp
        limit = {"lsqr": "iter_lim", "lsmr": "maxiter"}[self.method]

        def solve(iterations: int) -> tuple[Array, int, Counts]:
            counts = {"jvp": 0, "vjp": 0}

            def product(name: str, u: np.ndarray) -> np.ndarray:
                counts[name] += 1
                return on_host(xp, ours(evaluate, objective, name, tape, xp.asarray(u)))

            _, tape = ours(evaluate, objective, "forward", x)
            r, z = on_host(xp, ours(evaluate, objective, "residual", tape)), on_host(xp, x)
            matrix = linalg.LinearOperator(
                (r.size, z.size), matvec=partial(product, "jvp"), rmatvec=partial(product, "vjp"), dtype=np.float64
            )
            found = getattr(linalg, self.method)(
                matrix, -r, atol=0.0, btol=0.0, conlim=0.0, **{limit: iterations}, **self.options
            )
            return xp.asarray(z + found[0]), int(found[2]), Counts(1, 0, **counts)

        return rerun(objective, x, stop, record, solve)
