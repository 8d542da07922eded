"""On JAX a step is traced once for a solver, problem and shape: numbers are data, not text."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import jax
import pytest
from optimizer_cases import BATCHES, LEARNING, OPTIMIZERS, small, small_for

from nmdl_bench.backends import compiled, get_backend
from nmdl_bench.contracts import Stop
from nmdl_bench.solve import solve

TIGHT = {"eta_max": 0.01, "gamma": 0.5, "exponent": 1.5}
"""Other tolerances of inner iterations than the defaults."""
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
    "proximal-gradient": [{}, {"growth": 3.0, "shrink": 0.5}],
    "fista": [{}, {"growth": 3.0, "shrink": 0.5}],
    "ipalm": [{}, {"inertia": 0.1, "growth": 3.0, "shrink": 0.7}],
    "projected-gradient": [{"c1": 1e-4}, {"c1": 0.9}],
    "projected-lbfgs": [{}, {"near": 1e-2, "c1": 0.4}],
    "newton-cg": [{}, TIGHT | {"c1": 0.4}],
    "gauss-newton-cg": [{}, TIGHT | {"c1": 0.4}],
    "subsampled-newton-cg": [{"sample_seed": 0}, TIGHT | {"c1": 0.4, "sample_seed": 1}],
    "subsampled-gauss-newton-cg": [{"sample_seed": 0}, TIGHT | {"c1": 0.4, "sample_seed": 1}],
    "gauss-newton": [{"c1": 1e-4}, {"c1": 0.45}],
    "newton-tr": [{}, TIGHT | {"radius": 0.1, "max_radius": 0.3, "accept": 0.2}],
    "newton-gltr": [{}, TIGHT | {"radius": 0.1, "max_radius": 0.3, "accept": 0.2}],
    "levenberg-marquardt-cg": [{}, TIGHT | {"damping": 0.1}],
    "levenberg-marquardt": [{}, {"factor": 0.1, "accept": 0.2}],
    "varpro": [{"eta_max": 0.5}, {"eta_max": 0.01}],
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
    "proximal-gradient": {"max_trials": 7},
    "fista": {"restart": "function"},
    "ipalm": {"max_trials": 7},
    "projected-gradient": {"spectral": True},
    "projected-lbfgs": {"memory": 3},
    "newton-cg": {"max_cg": 5},
    "gauss-newton-cg": {"reorthogonalise": False},
    "subsampled-newton-cg": {"sample_size": 8},
    "subsampled-gauss-newton-cg": {"search": "wolfe"},
    "gauss-newton": {"search": "wolfe"},
    "newton-tr": {"matrix": "gauss-newton"},
    "newton-gltr": {"max_cg": 5},
    "levenberg-marquardt-cg": {"max_cg": 5},
    "varpro": {"jacobian": "golub-pereyra"},
}
"""What is part of the compiled step; Levenberg and Marquardt's dense method has numbers alone."""
FEW = ("gauss-newton", "levenberg-marquardt")
"""Methods that are done soon."""


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
    monkeypatch.setattr(compiled, "_COMPILED", {})  # other tests may have compiled the same
    problem = small_for(name).plain() if small_for(name) is not LEARNING else small(width=4, n=50)
    xp, stop = get_backend("jax"), Stop(max_iterations=3 if name in FEW else 30, max_epochs=2)
    batch = {"batch_size": 8} if name in BATCHES else {}

    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        losses = [solve(problem, kind(**numbers, **batch), xp, stop).loss for numbers in NUMBERS[name]]
        assert calls["step"] == 1
        assert losses[0] != losses[1]  # the second run has used its own numbers
        solve(problem, kind(**NUMBERS[name][0], **batch), xp, Stop(max_iterations=7, max_epochs=1, gtol=1e-3), seed=1)
        assert calls["step"] == 1
        # a trace is compiled again where arguments are on a device in another way, as the first state's once were
        assert caplog.text.count("Finished XLA compilation of jit(chunk)") == 1
    if name in TEXT:
        solve(problem, kind(**TEXT[name], **batch), xp, stop)
        assert calls["step"] == 2
