"""On JAX a step is traced once for a solver, problem and shape: numbers are data, not text."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import jax
import pytest
from optimizer_cases import BATCHES, LEARNERS, OPTIMIZERS, small, small_for

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import Stop
from nmdl_bench.solve import solve

NUMBERS: dict[str, list[dict[str, Any]]] = {
    "steepest-descent": [{"c1": 1e-4}, {"c1": 0.4}],
    "lbfgs": [{"c1": 1e-4, "c2": 0.9}, {"c1": 1e-3, "c2": 0.5}],
    "bfgs": [{"c1": 1e-4, "c2": 0.9}, {"c1": 1e-3, "c2": 0.3}],
    "nonlinear-cg": [{"c1": 1e-4, "c2": 0.1}, {"c1": 1e-3, "c2": 0.4}],
    "barzilai-borwein": [{"c1": 1e-4}, {"c1": 0.9}],
    "gradient-descent": [{"step_size": 0.1}, {"step_size": 0.01}],
    "sgd": [{"step_size": 0.1}, {"step_size": 0.01, "momentum": 0.5, "final": 0.1}],
    "nesterov": [{"step_size": 0.1}, {"step_size": 0.01, "momentum": 0.5}],
    "adam": [{"step_size": 0.1}, {"step_size": 0.01, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}],
}
TEXT: dict[str, dict[str, Any]] = {
    "steepest-descent": {"max_trials": 7},
    "lbfgs": {"memory": 3},
    "bfgs": {"scaling": "initial"},
    "nonlinear-cg": {"beta": "dai-yuan"},
    "barzilai-borwein": {"rule": "long"},
    "gradient-descent": {"rule": "exact"},
    "sgd": {"schedule": "cosine"},
    "nesterov": {"schedule": "cosine"},
    "adam": {"schedule": "cosine"},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_step_is_traced_and_compiled_once_for_all_numbers(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kind, calls = type(OPTIMIZERS[name].make()), Counter[str]()
    step = kind.step

    def counted(self: Any, *args: Any) -> Any:
        calls["step"] += 1
        return step(self, *args)

    monkeypatch.setattr(kind, "step", counted)
    problem = small(width=4, n=50) if name in LEARNERS else small_for(name).plain()
    xp, stop = get_backend("jax"), Stop(max_iterations=30, max_epochs=2)
    batch = {"batch_size": 8} if name in BATCHES else {}

    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        losses = [solve(problem, kind(**numbers, **batch), xp, stop).loss for numbers in NUMBERS[name]]
        assert calls["step"] == 1
        assert losses[0] != losses[1]  # the second run has used its own numbers
        solve(problem, kind(**NUMBERS[name][0], **batch), xp, Stop(max_iterations=7, max_epochs=1, gtol=1e-3), seed=1)
        assert calls["step"] == 1
        # a trace is compiled again where arguments are on a device in another way, as the first state's once were
        assert caplog.text.count("Finished XLA compilation of jit(chunk)") == 1
    solve(problem, kind(**TEXT[name], **batch), xp, stop)
    assert calls["step"] == 2
