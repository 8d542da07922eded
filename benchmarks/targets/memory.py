"""Ours: value and gradient of a deep reversible network, with each way to keep what the gradient needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmdl_bench.backends import get_backend
from nmdl_bench.networks.architectures import evolution
from nmdl_bench.networks.network import Network

TIME = 4.0


def network(mode: str, depth: int, slots: int, width: int) -> Network:
    """``depth`` steps of Stoermer and Verlet for two fields that share a kernel (Haber and Ruthotto 2017, eq. 15)."""
    steps = evolution(width, depth, TIME, rhs="hamiltonian-single", integrator="verlet", memory=mode, slots=slots)
    return Network((steps,))


def value_and_gradient(
    spec: str, dtype: str, mode: str, depth: int, slots: int, samples: int, width: int
) -> tuple[Callable[[], Any], Callable[[Any], Any], Any]:
    """Half the squared norm of the last state, and its gradient in all parameters."""
    xp = get_backend(spec, dtype)
    xp.scope().__enter__()  # for good: this process does nothing else
    rng = np.random.Generator(np.random.Philox(0))
    Y = xp.asarray(rng.standard_normal((samples, width)))

    def prepared(depth: int) -> Callable[[], Any]:
        net = network(mode, depth, slots, width)
        theta = xp.asarray(net.init(rng))

        def value_and_grad(theta: Any, Y: Any) -> Any:
            S, tapes = net.forward(xp, theta, Y)
            return 0.5 * xp.total(S * S), net.vjp(xp, theta, tapes, S)

        compiled = xp.compile(value_and_grad)

        def call() -> Any:
            found = compiled(theta, Y)
            xp.synchronize(found)
            return found

        return call

    call = prepared(depth)
    on_host = xp.device.startswith("cpu")
    # what libraries make once, and on the host the room that compilers take, are no memory of the call
    (prepared(2) if xp.eager or not on_host else call)()
    return call, xp.synchronize, None if on_host else xp
