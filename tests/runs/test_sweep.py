"""A sweep over solvers that do each thing that a solver must not: it goes on, and each has its row."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import numpy as np
import psutil
import pytest
from sweep_helpers import experiment, start_cli, sweep, write

from nmdl_bench.contracts import HISTORY_COLUMNS, ConfigurationError
from nmdl_bench.runs.executor import Measured, Started
from nmdl_bench.runs.store import Store

ODD = [
    "tests-good", "tests-nan", "tests-raises", "tests-hangs", "tests-hungry", "tests-memory-error", "tests-exits",
    "tests-dies", "tests-segfault", "tests-chatty", "tests-needs-more", "tests-victim",
]  # fmt: skip


def kill_when_named(path):
    while not (path.exists() and path.read_text()):
        time.sleep(0.02)
    psutil.Process(int(path.read_text())).send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One sweep over all of them, with two repeats of each."""
    folder = tmp_path_factory.mktemp("odd")
    named = folder / "victim"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NMDL_TEST_PID", str(named))
        threading.Thread(target=kill_when_named, args=(named,), daemon=True).start()
        path = write(folder, experiment(ODD, repeats=2, limits="time = 6.0\nmemory = 0.25"))
        done, rows, progress = sweep(path, folder / "store.sqlite")
    return done, {(row["solver"], row["repeat"]): row for row in rows}, progress, path, folder / "store.sqlite"


def one(odd, name):
    """The only row of a solver that failed for good."""
    rows = {repeat: row for (solver, repeat), row in odd[1].items() if solver == name}
    assert list(rows) == [0]
    return rows[0]


def test_good_solver_is_measured_whole(odd):
    done, rows, _, _, _ = odd
    for repeat in (0, 1):
        row = rows["tests-good", repeat]
        assert (row["status"], row["iterations"], row["n_forward"]) == ("max_iterations", 8, 8)
        assert row["time"] > 0
        assert row["wall"] >= row["time"]
        assert row["compile_time"] >= 0
        assert 0 <= row["memory_host"] < 2e8
        assert row["history"].shape == (8, len(HISTORY_COLUMNS))
        assert row["x"].shape == (8,)
        assert row["agreement"] == 0.0
        assert row["agrees"] == 1
        assert row["metrics"] == {"accuracy_train": 0.5}
        assert row["minimum"] == 0.0  # what the problem says
        assert row["loss0"] == pytest.approx(row["history"][0, HISTORY_COLUMNS.index("loss")], rel=1e-15)
        assert np.isfinite(row["loss"])
    assert done.left == 0
    assert sum(done.statuses.values()) == len(ODD)


def test_nan_is_diverged(odd):
    row = one(odd, "tests-nan")
    assert row["status"] == "diverged"
    assert row["x"] is not None
    assert np.isfinite(row["x"]).all()


def test_exception_is_error_with_its_place(odd):
    row = one(odd, "tests-raises")
    assert row["status"] == "error"
    assert row["reason"].startswith("ZeroDivisionError: the step is zero (odd_solvers.py:")


def test_hang_is_timeout(odd):
    row = one(odd, "tests-hangs")
    assert (row["status"], row["reason"]) == ("timeout", "killed after its time limit of 6 s")


def test_eating_memory_is_out_of_memory(odd):
    row = one(odd, "tests-hungry")
    assert row["status"] == "out_of_memory"
    assert "over its memory limit of 0.25 GiB" in row["reason"]


def test_memory_error_is_out_of_memory(odd):
    row = one(odd, "tests-memory-error")
    assert row["status"] == "out_of_memory"
    assert "Unable to allocate" in row["reason"]


def test_sys_exit_is_error(odd):
    row = one(odd, "tests-exits")
    assert row["status"] == "error"
    assert row["reason"].startswith("SystemExit: I am leaving")


def test_dead_worker_is_error_with_its_last_words(odd):
    row = one(odd, "tests-dies")
    assert row["status"] == "error"
    assert row["reason"] == "worker ended by itself with exit code 7; its last words: about to die"


def test_crash_is_error_with_its_signal(odd):
    row = one(odd, "tests-segfault")
    assert row["status"] == "error"
    assert row["reason"].startswith("worker was killed by signal 11 (SIGSEGV)")


def test_kill_from_outside_is_error(odd):
    row = one(odd, "tests-victim")
    assert row["status"] == "error"
    assert row["reason"].startswith("worker was killed by signal 9 (SIGKILL)")


def test_prints_do_no_harm(odd):
    assert odd[1]["tests-chatty", 1]["status"] == "max_iterations"


def test_missing_library_is_unavailable(odd):
    row = one(odd, "tests-needs-more")
    assert row["status"] == "unavailable"
    assert row["reason"] == "solver 'tests-needs-more' needs no_such_library, which is not installed"


def test_failures_are_final_unless_retried(odd):
    done, _, _, path, store = odd
    again, _, progress = sweep(path, store)
    assert (again.run_id, again.measured, progress.began) == (done.run_id, 0, (0, done.measured))
    text = path.read_text()
    path.write_text(
        text.replace("time = 6.0", "time = 6.5")
    )  # limits of time and memory do not change what is measured
    retried, _, progress = sweep(path, store, retry=True, only="tests-raises")
    assert (retried.run_id, retried.measured) == (done.run_id, 1)


def test_workers_leave_with_the_sweep(odd):
    assert not [p for p in psutil.Process().children(recursive=True) if "nmdl_bench.runs.worker" in p.cmdline()]


def test_repeats_are_interleaved(tmp_path):
    path = write(tmp_path, experiment(["tests-good", "tests-naps"], repeats=3, top='dtypes = ["float64", "float32"]'))
    _, rows, progress = sweep(path, tmp_path / "s.sqlite")
    order = [(e.case.dtype, e.row["round"], e.case.solver.name) for e in progress.events if isinstance(e, Measured)]
    turns = [["tests-good", "tests-naps"], ["tests-naps", "tests-good"], ["tests-good", "tests-naps"]]
    assert order == [(d, r, s) for d in ("float64", "float32") for r in range(3) for s in turns[r]]
    sessions = {(row["dtype"], row["session"]) for row in rows}
    assert len(sessions) == 2  # what has one (session, round) was measured side by side
    assert [e.prepared for e in progress.events if isinstance(e, Started)] == [False] * 2 + [True] * 4 + [False] * 2 + [
        True
    ] * 4
    assert all(row["agrees"] == 1 and row["agreement"] < 1e-6 for row in rows)


def test_stored_cases_are_shared_between_experiments(tmp_path):
    first = write(tmp_path, experiment(["tests-good"], repeats=2))
    sweep(first, tmp_path / "s.sqlite")
    text = experiment(["tests-good", "tests-naps"], repeats=3).replace('name = "odd"', 'name = "even"', 1)
    text = text.replace('name = "tests-good"', 'name = "tests-good"\nlabel = "plain"')
    done, rows, _ = sweep(write(tmp_path, text, "even.toml"), tmp_path / "s.sqlite")
    assert (done.measured, done.stored) == (4, 2)
    assert Counter(row["solver"] for row in rows) == {"plain": 3, "tests-naps": 3}
    with Store.open(tmp_path / "s.sqlite") as store:
        labels = {row["solver"] for row in store.results(store.find_run("odd").run_id)}
    assert labels == {"tests-good"}


def test_wrong_gradient_does_not_agree(tmp_path):
    problems = '[[problems]]\nname = "tests-bowl"\noptions = { error32 = 0.01 }'
    text = experiment(["tests-good"], problems=problems, top='dtypes = ["float32"]')
    _, (row,), _ = sweep(write(tmp_path, text), tmp_path / "s.sqlite")
    assert row["agrees"] == 0
    assert row["agreement"] == pytest.approx(0.01, rel=0.2)
    assert row["status"] == "max_iterations"


def test_unusable_device_is_unavailable_and_the_rest_goes_on(tmp_path):
    text = experiment(["tests-good"], top='backends = ["torch:cuda:77", "numpy"]', repeats=2)
    _, rows, _ = sweep(write(tmp_path, text), tmp_path / "s.sqlite")
    assert [(row["library"], row["status"]) for row in rows] == [
        ("torch", "unavailable"),
        ("numpy", "max_iterations"),
        ("numpy", "max_iterations"),
    ]
    assert "CUDA" in rows[0]["reason"]


def test_broken_problem_is_error_and_the_rest_goes_on(tmp_path):
    problems = '[[problems]]\nname = "tests-broken-problem"\n[[problems]]\nname = "tests-bowl"'
    _, rows, _ = sweep(
        write(tmp_path, experiment(["tests-good", "tests-naps"], problems=problems)), tmp_path / "s.sqlite"
    )
    assert [row["status"] for row in rows] == ["error", "error", "max_iterations", "max_iterations"]
    assert rows[0]["reason"].startswith("ValueError: no such luck (odd_solvers.py:")


def test_only_measures_a_part_and_the_rest_later(tmp_path):
    path = write(tmp_path, experiment(["tests-good", "tests-naps"]))
    part, _, _ = sweep(path, tmp_path / "s.sqlite", only="NAPS")
    assert (part.measured, part.left) == (1, 1)
    with Store.open(tmp_path / "s.sqlite") as store:
        assert store.find_run("odd").finished is None
        assert [case["solver"] for case in store.missing(part.run_id)] == ["tests-good"]
    whole, _, _ = sweep(path, tmp_path / "s.sqlite")
    assert (whole.measured, whole.left, whole.run_id) == (1, 0, part.run_id)
    with pytest.raises(ConfigurationError, match="--only 'torch' matches none of 2 cases"):
        sweep(path, tmp_path / "s.sqlite", only="torch")


def test_ctrl_c_ends_workers_and_says_how_to_resume(tmp_path):
    path = write(tmp_path, experiment(["tests-good", "tests-naps"], repeats=2000))
    process = start_cli("run", str(path), "--store", str(tmp_path / "s.sqlite"), "--no-report")
    assert process.stdout.readline().startswith("committed ")
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "Interrupted; every finished repeat is stored. The same command resumes the run."
    assert "Traceback" not in stderr
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive


def test_workers_die_with_a_killed_parent(tmp_path):
    path = write(tmp_path, experiment(["tests-good"], repeats=5000))
    process = start_cli("run", str(path), "--store", str(tmp_path / "s.sqlite"), "--no-report")
    assert process.stdout.readline().startswith("committed ")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=30)
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert workers
    assert not alive


def test_plugin_is_part_of_the_key_of_what_it_makes(tmp_path):
    from nmdl_bench.runs.run import plan

    (tmp_path / "mine.py").write_text(
        "from nmdl_bench.contracts import PROBLEMS, SOLVERS\n"
        "@PROBLEMS.register('mine-problem', 'mine')\n"
        "def make(seed=0): ...\n"
    )
    problems = '[[problems]]\nname = "mine-problem"\n[[problems]]\nname = "tests-bowl"'
    text = experiment(["tests-good"], problems=problems).replace("plugins = [", 'plugins = ["mine.py", ')
    path = write(tmp_path, text)
    before = {case.problem.name: case.key for case in plan(path).cases}
    with (tmp_path / "mine.py").open("a") as file:
        file.write("# changed\n")
    after = {case.problem.name: case.key for case in plan(path).cases}
    assert before["mine-problem"] != after["mine-problem"]
    assert before["tests-bowl"] == after["tests-bowl"]
