"""Value and gradient, the kernel of every solver, by asv's own clock and memory gauge."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from benchmarks.common import BACKENDS, skipped


@lru_cache(maxsize=1)
def prepared(backend: str, problem: str) -> Any:
    """A function that evaluates and waits, warmed up; raises NotImplementedError where asv should skip."""
    import nmdl_bench.catalogue
    from nmdl_bench.backends import get_backend
    from nmdl_bench.backends.compiled import Evaluation
    from nmdl_bench.contracts import UnavailableError

    try:
        xp = get_backend(backend)
    except UnavailableError as error:
        raise NotImplementedError(str(error)) from error
    xp.scope().__enter__()  # for good: the process does nothing else
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
