"""The asv suite as asv sees it: discovery, what its benchmarks return, what an absent backend does."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from asv.config import Config
from asv_runner.benchmarks.track import TrackBenchmark
from asv_runner.discovery import disc_benchmarks

from benchmarks import common, gradients, solvers
from benchmarks.convolutions import Convolutions
from benchmarks.idioms import Idioms

ADAM = ("numpy", "spirals", "adam")


def asv(folder, *arguments, **environment):
    command = [sys.executable, "-m", "asv", *arguments]
    variables = os.environ | environment
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def suite(root):
    return {benchmark.name: benchmark for benchmark in disc_benchmarks(str(root / "benchmarks"))}


@pytest.fixture(scope="module")
def cases():
    return solvers.sweep(only="spirals | adam | numpy")


def test_asv_accepts_the_suite(root):
    done = asv(root, "check", "-E", f"existing:{sys.executable}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_configuration_names_no_branch(root):
    config = Config.load(str(root / "asv.conf.json"))
    assert config.branches == ["HEAD"]
    assert config.environment_type == "virtualenv"


def test_suite_measures_all_that_is_promised(suite):
    names = {name.split(".", 1)[1] for name in suite}
    assert names == {
        "ValueAndGradient.time_value_and_gradient",
        "ValueAndGradient.peakmem_value_and_gradient",
        "Solvers.track_solve_time",
        "Solvers.track_step_time",
        "Solvers.track_compile_time",
        "Solvers.track_memory",
        "Solvers.track_iterations_to_target",
        "Solvers.track_evaluations_to_target",
        "Solvers.track_gap",
        "Convolution.time_value_and_gradient",
        "Convolution.peakmem_value_and_gradient",
        "Convolutions.track_ratio",
        "Convolutions.track_time",
        "Convolutions.track_memory",
        "Idioms.track_ratio",
        "Idioms.track_time",
        "Idioms.track_memory",
        "Architectures.track_value_and_gradient",
        "Architectures.track_gauss_newton",
        "Architectures.track_hessian",
        "Memory.track_peak",
        "Optimizers.track_time_ratio",
        "Optimizers.track_step_time",
        "Optimizers.track_evaluations_ratio",
    }


def test_every_benchmark_has_the_backend_for_parameter_and_a_version_given_by_hand(suite):
    for benchmark in suite.values():
        assert benchmark.param_names[0] == "backend"
        assert benchmark.params[0] == [repr(backend) for backend in common.BACKENDS]
        assert len(benchmark.version) <= 2  # else any edit of its text would make asv forget its history: a hash has 64
        assert benchmark.type != "track" or benchmark.unit != "unit"


def test_suite_takes_its_parameters_from_the_experiment_it_runs():
    from nmdl_bench.runs.run import plan

    spec = plan(solvers.SWEEP).file.spec
    swept = (spec.backends, [p.name for p in spec.problems], [s.name for s in spec.solvers])
    assert tuple(map(list, solvers.Solvers.params)) == swept
    assert set(solvers.BEST) == set(swept[1])


def test_tracks_return_samples_or_finite_floats_that_json_can_hold(cases):
    assert set(cases) == {ADAM}
    for name in (name for name in vars(solvers.Solvers) if name.startswith("track_")):
        adapter = solvers.Solvers()
        adapter.setup(cases, *ADAM)
        value = getattr(adapter, name)(cases, *ADAM)
        if name.endswith(("solve_time", "step_time")):
            assert set(value) == {"samples", "number"}
            assert value["number"] == 1
            assert len(value["samples"]) == 3
            assert all(type(sample) is float and sample > 0 for sample in value["samples"])
        else:
            assert isinstance(value, float | int)
            assert not isinstance(value, np.generic)
            assert math.isfinite(value)
        json.dumps(value, allow_nan=False)


def test_what_the_sweep_says_is_consistent(cases):
    found = cases[ADAM]
    assert found["step"][0] < found["solve"][0]
    assert 0 < found["gap"] < 1
    assert found["evaluations"] >= found["iterations"] > 0


def row(losses, **columns):
    history = np.full((len(losses), 8), np.nan)
    history[:, 0] = history[:, 1] = np.arange(len(losses))
    history[:, 4] = losses
    given = {"status": "max_iterations", "reason": "", "history": history, "loss0": losses[0], "loss": losses[-1]}
    rest = {"time": 2.0, "iterations": len(losses) - 1, "compile_time": 0.5, "memory_host": 7e6, "memory_device": None}
    return given | rest | columns


def test_target_that_is_not_reached_is_nan():
    found = solvers.summary("spirals", [row([1.0, 0.9])])
    assert math.isnan(found["iterations"])
    assert math.isnan(found["evaluations"])
    assert found["gap"] == pytest.approx(0.9, abs=1e-3)


def test_target_counts_to_the_first_row_that_meets_it_and_the_device_is_the_memory_that_counts():
    found = solvers.summary("spirals", [row([1.0, 0.5, 0.009, 0.008], memory_device=3e9)])
    assert found["iterations"] == 2
    assert found["memory"] == 3e9
    assert found["step"] == [pytest.approx(2 / 3)]


def test_unavailable_case_is_skipped_and_a_failed_one_fails():
    one = {"history": None, "status": "unavailable", "reason": "no such device"}
    cases = {("cupy", "spirals", "adam"): solvers.summary("spirals", [one])}
    with pytest.raises(NotImplementedError, match="no such device"):
        solvers.Solvers().setup(cases, "cupy", "spirals", "adam")
    cases = {ADAM: solvers.summary("spirals", [one | {"status": "timeout", "reason": "killed"}])}
    with pytest.raises(RuntimeError, match="timeout: killed"):
        solvers.Solvers().setup(cases, *ADAM)


def test_backend_that_is_not_usable_is_skipped():
    with pytest.raises(NotImplementedError, match="torch"):
        gradients.ValueAndGradient().setup("torch:cuda:99", "spirals")


def test_backend_that_is_not_installed_is_skipped_without_a_process(monkeypatch):
    monkeypatch.setattr(common, "ABSENT", ["jax"])
    skipped = common.skipped((["numpy", "jax"], [4, 64]))
    assert skipped == [("jax", 4), ("jax", 64)]
    case = type(
        "Case", (), {"params": (["numpy", "jax"], [4, 64]), "skip_params": skipped, "unit": "s", "version": "1"}
    )
    benchmark = TrackBenchmark("case.track_it", lambda *_: 1.0, [case()])
    benchmark.set_param_idx(2)
    assert benchmark.do_setup()  # true: to be skipped
    benchmark.set_param_idx(0)
    assert not benchmark.do_setup()


def test_value_and_gradient_is_ready_after_setup():
    adapter = gradients.ValueAndGradient()
    adapter.setup("numpy", "spirals")
    adapter.time_value_and_gradient("numpy", "spirals")
    adapter.peakmem_value_and_gradient("numpy", "spirals")
    assert gradients.prepared("numpy", "spirals") is adapter.evaluate  # a repeat's setup builds nothing


@pytest.mark.parametrize("kernel", gradients.CONVOLUTIONS)
def test_convolution_is_ready_after_setup(kernel):
    adapter = gradients.Convolution()
    adapter.setup("numpy", kernel)
    adapter.time_value_and_gradient("numpy", kernel)
    adapter.peakmem_value_and_gradient("numpy", kernel)
    assert gradients.prepared_convolution("numpy", kernel) is adapter.evaluate


@pytest.mark.parametrize(("ratios", "case"), [(Idioms, 4), (Convolutions, "float32")])
def test_ratios_look_up_the_rows_of_the_cache(ratios, case):
    found = {"reason": "", "ratio": {"value": 0.9}, "samples": (1e-3, 2e-3), "memory_ours": 5}
    rows = {("torch", case): found, ("cupy", case): {"reason": "not usable here"}}
    adapter = ratios()
    adapter.setup(rows, "torch", case)
    assert adapter.track_ratio(rows, "torch", case) == 0.9
    assert adapter.track_time(rows, "torch", case) == {"samples": (1e-3, 2e-3), "number": 1}
    assert adapter.track_memory(rows, "torch", case) == 5
    with pytest.raises(NotImplementedError, match="not usable here"):
        ratios().setup(rows, "cupy", case)


BENCHMARKS = """
class Suite:
    params = ["samples", "nan", "absent"]

    def setup(self, what):
        if what == "absent":
            raise NotImplementedError

    def track_it(self, what):
        return {"samples": [1.0, 2.0, 4.0], "number": 1} if what == "samples" else float("nan")

    track_it.unit = "seconds"
"""


def test_asv_takes_samples_from_a_track_and_publishes_nan_as_absent(tmp_path):
    """Not a documented contract of asv: this holds the version that is pinned to it."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "suite.py").write_text(BENCHMARKS)
    names = {"project": "it", "repo": ".", "branches": ["HEAD"], "environment_type": "virtualenv"}
    (tmp_path / "asv.conf.json").write_text(json.dumps({"version": 1, "benchmark_dir": "benchmarks", **names}))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True, timeout=60)
    home = {"HOME": str(tmp_path)}  # where asv keeps what it knows of the machine
    run = ["run", "-E", f"existing:{sys.executable}", "--set-commit-hash", "HEAD"]
    for arguments in (["machine", "--yes", "--machine", "here"], [*run, "--machine", "here"]):
        done = asv(tmp_path, *arguments, **home)
        assert done.returncode == 0, done.stdout + done.stderr
    [path] = [p for p in (tmp_path / "results" / "here").glob("*.json") if p.name != "machine.json"]
    stored = json.loads(path.read_text())
    columns = dict(zip(stored["result_columns"], stored["results"]["suite.Suite.track_it"]))
    assert columns["result"][0] == 2.0
    assert all(math.isnan(value) for value in columns["result"][1:])
    assert columns["stats_q_25"][0] == 1.5
    published = asv(tmp_path, "publish", **home)
    assert published.returncode == 0, published.stdout + published.stderr
    assert (tmp_path / "html" / "index.html").exists()
