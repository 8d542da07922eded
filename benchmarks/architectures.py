"""Value and gradient, Gauss-Newton and Hessian products of each architecture: ``python -m benchmarks.architectures``.

Each backend has a process of its own, which measures all architectures on one thread, in turn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import BACKENDS, Samples, skipped

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "single, Euler": {"rhs": "single"},
    "double, RK4": {"rhs": "double", "integrator": "rk4"},
    "parabolic, leapfrog": {"rhs": "parabolic", "integrator": "leapfrog"},
    "antisymmetric, RK4": {"rhs": "antisymmetric", "integrator": "rk4"},
    "Hamiltonian, Verlet": {"rhs": "hamiltonian", "integrator": "verlet"},
    "single, IMEX": {"rhs": "single", "integrator": "imex"},
    "convolutions, Euler": {"kernel": "conv"},
    "convolutions, Verlet": {"rhs": "hamiltonian", "kernel": "conv", "integrator": "verlet"},
    "lean convolutions, Euler": {"kernel": "lean"},
    "circulant convolutions, Euler": {"kernel": "circulant"},
}
"""Options of :func:`~nmdl_bench.networks.architectures.resnet`, or of ``conv_resnet`` where they name a kernel."""
QUANTITIES = ("value_and_gradient", "gauss_newton", "hessian")
_LIMIT = 300.0  # s for all architectures of a backend
_SHORTEST = 5e-3  # s that a sample lasts at least


def problem(architecture: str) -> Any:
    """256 samples of 16 features through 12 steps of width 16; or 32 images of 8 x 8 through 10 steps of 8 channels."""
    from nmdl_bench.data import from_arrays
    from nmdl_bench.networks.architectures import conv_resnet, resnet
    from nmdl_bench.problems import LearningProblem

    options, rng = ARCHITECTURES[architecture], np.random.Generator(np.random.Philox(0))
    images = "kernel" in options
    if images:
        network, samples, features = conv_resnet((1, 8, 8), 4, (8,), 10, 4.0, "tanh", **options), 32, 64
    else:
        network, samples, features = resnet(16, 4, 16, 12, 4.0, **options), 256, 16
    Y, shape = rng.standard_normal((samples, features)), (1, 8, 8) if images else None
    sizes: dict[str, Any] = {"n_validation": 0, "n_test": 0, "image_shape": shape}
    data = from_arrays("random", Y, np.arange(samples) % 4, standardise=False, classes=4, **sizes)
    return LearningProblem("random", "", data, network)


def calls(backend: str, architecture: str) -> dict[str, Callable[[], Any]]:
    """What is timed: each waits for the device."""
    from nmdl_bench.backends import get_backend

    xp = get_backend(backend)
    xp.scope().__enter__()  # for good: the process does nothing else
    objective = problem(architecture).bind(xp)
    arrays, x = objective.arrays, objective.x0
    v = xp.asarray(np.random.Generator(np.random.Philox(1)).standard_normal(x.shape[0]))

    def value_and_gradient(arrays: Any, x: Any) -> Any:
        at = objective.with_arrays(arrays)
        f, tape = at.forward(x)
        return f, at.grad(tape)

    def product(name: str) -> Callable[..., Any]:
        def at_a_tape(arrays: Any, tape: Any, v: Any) -> Any:
            return getattr(objective.with_arrays(arrays), name)(tape, v)

        return at_a_tape

    tape = xp.compile(lambda arrays, x: objective.with_arrays(arrays).forward(x)[1])(arrays, x)

    def waiting(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        compiled = xp.compile(function)

        def call() -> None:
            xp.synchronize(compiled(*arguments))

        return call

    found = {"value_and_gradient": waiting(value_and_gradient, arrays, x)}
    return found | {name: waiting(product(name), arrays, tape, v) for name in QUANTITIES[1:]}


def measure(backend: str, rounds: int = 5, architectures: Sequence[str] = ()) -> dict[str, dict[str, list[float]]]:
    """Seconds a call for each architecture and quantity, ``rounds`` samples each, in turn; in this process."""
    from nmdl_bench.measure.clock import timed
    from nmdl_bench.measure.interleave import interleave

    subjects: dict[tuple[str, str], Callable[[], float]] = {}
    for architecture in architectures or ARCHITECTURES:
        for quantity, call in calls(backend, architecture).items():
            call()
            number = max(1, round(_SHORTEST / max(timed(call).seconds, 1e-6)))

            def sample(call: Callable[[], Any] = call, number: int = number) -> float:
                return timed(lambda: [call() for _ in range(number)]).seconds / number

            subjects[architecture, quantity] = sample
    samples = interleave(subjects, rounds, own_clock=True)
    found: dict[str, dict[str, list[float]]] = {}
    for (architecture, quantity), seconds in samples.items():
        found.setdefault(architecture, {})[quantity] = seconds
    return found


def measured(backend: str, rounds: int = 5) -> dict[str, Any]:
    """The same from a process of its own: ``reason`` where there is nothing."""
    from nmdl_bench.measure.process import worker_environment

    command = [sys.executable, "-m", "benchmarks.architectures", "--here", backend, "--rounds", str(rounds)]
    root = Path(__file__).parents[1]
    environment = worker_environment(1)
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"took more than {_LIMIT:g} s"}
    if done.returncode:
        return {"reason": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    return json.loads(done.stdout)


def table(found: dict[str, dict[str, Any]]) -> str:
    """Markdown: medians in milliseconds, a line for each architecture, a column for each backend and quantity."""
    usable = {backend: each for backend, each in found.items() if "reason" not in each}
    heads = [f"{backend}: {quantity.replace('_', ' ')}" for backend in usable for quantity in QUANTITIES]
    lines = ["| architecture | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for name in ARCHITECTURES:
        cells = [f"{np.median(each[name][q]) * 1e3:.3g}" for each in usable.values() for q in QUANTITIES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [f"\n{backend}: {each['reason']}" for backend, each in found.items() if "reason" in each]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), metavar="BACKEND", help="such as torch:cuda:0")
    parser.add_argument("--rounds", type=int, default=20, help="samples of each")
    parser.add_argument("--here", metavar="BACKEND", help="measure one backend in this process; JSON")
    given = parser.parse_args(arguments)
    if given.here:
        print(json.dumps(measure(given.here, given.rounds)))
        return
    print(table({backend: measured(backend, given.rounds) for backend in given.backends}))
    print("\nMilliseconds a call, medians; products at a tape that is at hand; float64, one thread.")


class Architectures:
    """The same for asv, measured once a commit."""

    params = (BACKENDS, [*ARCHITECTURES])
    param_names = ("backend", "architecture")
    skip_params = skipped(params)
    version = "1"

    def setup_cache(self) -> Any:
        from benchmarks.common import ABSENT

        return {backend: measured(backend) for backend in BACKENDS if backend not in ABSENT}

    setup_cache.timeout = 900  # type: ignore[attr-defined]

    def setup(self, found: Any, backend: str, architecture: str) -> None:
        if "reason" in found[backend]:
            raise NotImplementedError(found[backend]["reason"])
        self.found = found[backend][architecture]

    def track_value_and_gradient(self, found: Any, backend: str, architecture: str) -> Samples:
        return {"samples": self.found["value_and_gradient"], "number": 1}

    def track_gauss_newton(self, found: Any, backend: str, architecture: str) -> Samples:
        return {"samples": self.found["gauss_newton"], "number": 1}

    def track_hessian(self, found: Any, backend: str, architecture: str) -> Samples:
        return {"samples": self.found["hessian"], "number": 1}


Architectures.track_value_and_gradient.unit = "seconds"  # type: ignore[attr-defined]
Architectures.track_gauss_newton.unit = "seconds"  # type: ignore[attr-defined]
Architectures.track_hessian.unit = "seconds"  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
