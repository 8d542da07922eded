"""Value and gradient, the kernel of every solver, and those of convolutions, by asv's own clock and memory gauge."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from benchmarks.common import BACKENDS, skipped

CONVOLUTIONS = {
    "3x3": (3, 1, 1, False),
    "3x3-stride": (3, 2, 1, False),
    "1x1": (1, 1, 0, False),
    "depthwise": (3, 1, 1, True),
}
"""Pixels of the kernel, stride, padding, and whether each channel has its own filter."""


def entered(backend: str) -> Any:
    """The backend, ready for good: the process does nothing else. NotImplementedError where asv should skip."""
    from nmdl_bench.backends import get_backend
    from nmdl_bench.contracts import UnavailableError

    try:
        xp = get_backend(backend)
    except UnavailableError as error:
        raise NotImplementedError(str(error)) from error
    xp.scope().__enter__()
    return xp


@lru_cache(maxsize=1)
def prepared_convolution(backend: str, kernel: str) -> Any:
    """A function that evaluates half the squared norm of a convolution, its gradients, and waits; warmed up."""
    import numpy as np

    xp, (k, stride, padding, depthwise) = entered(backend), CONVOLUTIONS[kernel]
    rng, channels = np.random.Generator(np.random.Philox(0)), 16
    Y = xp.asarray(rng.standard_normal((16, channels, 32, 32)))
    K = xp.asarray(rng.standard_normal((channels, 1 if depthwise else channels, k, k)))
    how = (stride, padding, channels if depthwise else 1)

    def value_and_grad(Y: Any, K: Any) -> Any:
        A = xp.conv2d(Y, K, *how)
        return 0.5 * xp.total(A * A), *xp.conv2d_adjoints(Y, A, K, *how)

    compiled = xp.compile(value_and_grad)

    def evaluate() -> None:
        xp.synchronize(compiled(Y, K))

    evaluate()
    return evaluate


@lru_cache(maxsize=1)
def prepared(backend: str, problem: str) -> Any:
    """A function that evaluates and waits, warmed up; raises NotImplementedError where asv should skip."""
    import nmdl_bench.catalogue
    from nmdl_bench.backends.compiled import Evaluation

    xp = entered(backend)
    evaluation = Evaluation(nmdl_bench.catalogue.PROBLEMS.make(problem, seed=0).bind(xp))

    def evaluate() -> None:
        xp.synchronize(evaluation.value_and_grad(evaluation.x0))

    evaluate()
    return evaluate


class ValueAndGradient:
    params = (BACKENDS, ["spirals", "digits", "mnist-5k"])
    param_names = ("backend", "problem")
    skip_params = skipped(params)
    rounds, repeat, warmup_time, sample_time = 1, (5, 20, 2.0), 0.1, 0.02
    timeout = 120
    version = "1"

    def setup(self, backend: str, problem: str) -> None:
        self.evaluate = prepared(backend, problem)

    def time_value_and_gradient(self, backend: str, problem: str) -> None:
        self.evaluate()

    def peakmem_value_and_gradient(self, backend: str, problem: str) -> None:
        self.evaluate()


class Convolution:
    params = (BACKENDS, list(CONVOLUTIONS))
    param_names = ("backend", "kernel")
    skip_params = skipped(params)
    rounds, repeat, warmup_time, sample_time = 1, (5, 20, 2.0), 0.1, 0.02
    timeout = 120
    version = "1"

    def setup(self, backend: str, kernel: str) -> None:
        self.evaluate = prepared_convolution(backend, kernel)

    def time_value_and_gradient(self, backend: str, kernel: str) -> None:
        self.evaluate()

    def peakmem_value_and_gradient(self, backend: str, kernel: str) -> None:
        self.evaluate()
