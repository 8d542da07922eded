"""The command line: what it prints, its exit codes, one sentence for each mistake, and how little it imports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from nmdl_bench.catalogue import PROBLEMS, SOLVERS
from nmdl_bench.cli import main
from nmdl_bench.contracts import Structure
from nmdl_bench.runs import listing

PLUGIN = Path(__file__).resolve().parent / "runs" / "odd_solvers.py"
EXPERIMENT = f"""
name = "tiny"
title = "A tiny experiment"
repeats = 2
plugins = ["{PLUGIN}"]
[[problems]]
name = "tests-bowl"
[[solvers]]
name = "tests-good"
[[solvers]]
name = "tests-raises"
[stop]
max_iterations = 8
"""


def call(*arguments, **environment):
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(a) for a in arguments], env={"NMDL_EVENTS": None, **environment})


def fails(code, sentence, *arguments, **environment):
    """The command ends with a code and one sentence, without a traceback."""
    done = call(*arguments, **environment)
    assert done.exit_code == code, done.output
    assert done.stderr.startswith("Error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert sentence in done.stderr
    assert isinstance(done.exception, SystemExit)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "tiny.toml").write_text(EXPERIMENT)
    return tmp_path / "tiny.toml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store with a finished run."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "tiny.toml").write_text(EXPERIMENT)
    done = call("run", folder / "tiny.toml", "--store", folder / "s.sqlite")
    assert done.exit_code == 0, done.output
    return folder, done


# ------------------------------------------------------------------------------------------------------------- run
def test_run_reports_and_failed_cases_are_no_failure(finished):
    folder, done = finished
    lines = done.stdout.splitlines()
    assert "measured 3 repeats, 0 were stored" in lines[0]
    assert lines[1] == "Cases: 1 max_iterations, 1 error."
    assert lines[2] == "1 failed: the report's page has the reasons, --retry measures again."
    page = Path(lines[-1].removeprefix("Report: "))
    assert page.parent == folder / "tiny"
    assert "A tiny experiment" in page.read_text()
    assert "tests-raises" in done.stdout


def test_run_again_measures_nothing(finished):
    folder, _ = finished
    done = call("run", folder / "tiny.toml", "--store", folder / "s.sqlite", "--no-report", "--events")
    assert done.exit_code == 0
    assert "measured 0 repeats, 3 were stored" in done.stdout
    assert "committed" not in done.stdout


def test_events_by_environment(file):
    done = call("run", file, "--store", file.parent / "s.sqlite", "--no-report", "--only", "good", NMDL_EVENTS="1")
    assert [line.split()[0] for line in done.stdout.splitlines()[:2]] == ["committed", "committed"]
    assert "1 repeats are left" not in done.stdout
    assert "2 repeats are left; run without --only to measure them." in done.stdout


def test_store_by_environment_and_by_default(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert call("run", file, "--no-report", "--only", "raises").exit_code == 0
    assert (file.parent / "reports" / "results.sqlite").exists()
    assert call("run", file, "--no-report", "--only", "raises", NMDL_STORE="mine.sqlite").exit_code == 0
    assert (file.parent / "mine.sqlite").exists()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"tests-good"', '"tests-goood"', "unknown solver 'tests-goood'; did you mean 'tests-good'?"),
        ('"tests-bowl"', '"spiral"', "unknown problem 'spiral'; did you mean 'spirals'?"),
        ("repeats = 2", 'repeats = 2\nbackends = ["tourch"]', "unknown backend 'tourch'; did you mean 'torch'?"),
        ("repeats = 2", "repeats = ", "is not valid TOML: Invalid value (at line 4, column 11)"),
        ("repeats = 2", "repeats = 2.5", "repeats: Expected 'int', got 'float'"),
        ("repeats = 2", "repeat = 2", "'repeat'; did you mean 'repeats'?"),
        (str(PLUGIN), "nowhere.py", "nowhere.py': no such file"),
        ("[stop]", '[report]\nfigures = ["lose"]\n[stop]', "report, figures: 'lose'; did you mean 'loss'?"),
    ],
)
def test_mistake_in_a_file(file, old, new, sentence):
    file.write_text(EXPERIMENT.replace(old, new))
    fails(2, sentence, "run", file, "--store", file.parent / "s.sqlite")
    assert not (file.parent / "s.sqlite").exists()


def test_missing_file(tmp_path):
    fails(2, "no experiment file", "run", tmp_path / "none.toml")


def test_store_that_cannot_be(file):
    fails(1, "is not an SQLite database; name another file with --store", "run", file, "--store", file)
    fails(1, "cannot make the folder", "run", file, "--store", file / "s.sqlite")


def test_store_that_fills_up_stops_with_a_sentence_and_resumes(file, monkeypatch):
    from nmdl_bench.runs.store import Store

    true = Store.begin_run

    def begin(self, *arguments):
        true(self, *arguments)
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        self._db.execute(f"PRAGMA max_page_count = {pages}")

    file.write_text(EXPERIMENT.replace('"tests-bowl"', '"tests-bowl"\noptions = { size = 20000 }'))
    arguments = ("run", file, "--store", file.parent / "s.sqlite", "--no-report", "--only", "good")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "begin_run", begin)
        done = call(*arguments)
    assert done.exit_code == 1
    assert "cannot grow, the disk is full" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.output
    done = call(*arguments)
    assert done.exit_code == 0
    assert "measured 2 repeats" in done.stdout


# ------------------------------------------------------------------------------------- report, export, list and others
def test_report_by_name_and_output(finished, tmp_path):
    folder, _ = finished
    done = call("report", "tiny", "--store", folder / "s.sqlite", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith(f"Report: {tmp_path / 'out'}")
    fails(2, "unknown run 'tinny'; did you mean 'tiny'?", "report", "tinny", "--store", folder / "s.sqlite")
    fails(1, "no results store at", "report", "tiny", "--store", tmp_path / "none.sqlite")
    (tmp_path / "file").touch()
    fails(
        1, "cannot write the report", "report", "tiny", "--store", folder / "s.sqlite", "--output", tmp_path / "file/x"
    )


@pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
def test_export(finished, tmp_path, suffix):
    import pandas as pd

    folder, _ = finished
    target = tmp_path / "deep" / f"r.{suffix}"
    done = call("export", "tiny", "--to", target, "--store", folder / "s.sqlite")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"3 rows: {target}\n"
    frame = getattr(pd, f"read_{suffix}")(target)
    assert sorted(frame["status"]) == ["error", "max_iterations", "max_iterations"]


def test_export_to_something_else(finished, tmp_path):
    folder, _ = finished
    fails(
        2,
        "its name has to end in .parquet",
        "export",
        "tiny",
        "--to",
        tmp_path / "r.xls",
        "--store",
        folder / "s.sqlite",
    )


def test_list():
    done = call("list")
    assert done.exit_code == 0
    for word in ("Problems", "spirals", "Solvers", "lbfgs", "peer", "Backends", "jaxlib"):
        assert word in done.stdout
    solvers = json.loads(call("list", "solvers", "--json").stdout)
    adam = next(row for row in solvers if row["name"] == "adam")
    assert adam["kind"] == "ours"
    assert "batch_size" in adam["options"]
    assert set(json.loads(call("list", "--json").stdout)) == {"problems", "solvers", "backends"}


def test_capabilities_name_each_structure_and_library():
    done = call("list", "capabilities", "--format", "markdown").stdout
    solvers, problems = done.split("## Problems\n\n")
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in solvers.splitlines() if line[:1] == "|"]
    heads = table[0]
    structures = get_args(Structure)
    assert heads[heads.index("gauss-newton") :][: len(structures)] == list(structures)
    rows = {row[0]: dict(zip(heads, row)) for row in table[2:]}
    assert set(rows) == {entry.name for entry in SOLVERS}
    for entry in SOLVERS:
        for library in ("numpy", "torch", "jax", "cupy"):
            assert bool(rows[entry.name][library]) == entry.runs_on(library)
        for structure in get_args(Structure):
            accepted = "\N{WHITE CIRCLE}" if structure in entry.accepts else ""
            assert rows[entry.name][structure] == ("\N{CHECK MARK}" if structure in entry.needs else accepted)
    spirals = next(line for line in problems.splitlines() if line.startswith("| spirals "))
    assert spirals.count("\N{CHECK MARK}") == len(PROBLEMS["spirals"].structure({})) > 0
    assert set(json.loads(call("list", "capabilities", "--format", "json").stdout)) == {"solvers", "problems"}


def test_a_run_says_which_pairs_lack_the_structure(tmp_path):
    (tmp_path / "e.toml").write_text(
        'name = "e"\nbackends = ["numpy"]\nproblems = [{ name = "mgh" }, { name = "spirals", options = { n = 40 } }]\n'
        'solvers = [{ name = "gauss-newton" }]\nstop = { max_iterations = 2 }\n'
    )
    done = call("run", tmp_path / "e.toml", "--store", tmp_path / "s.sqlite", "--no-report", "--only", "nothing")
    assert "Not run: gauss-newton on spirals (it needs residual, which the problem does not provide)." in done.output


def test_what_a_solver_accepts_is_marked_apart():
    row = {"name": "s", "backends": ["*"], "needs": ["residual"], "accepts": ["bounds"], "options": None}
    heads, _, line = (text.strip("| ").split(" | ") for text in listing.markdown([row]).splitlines())
    assert "accepts" not in heads
    marks = dict(zip(heads, line))
    assert (marks["residual"].strip(), marks["bounds"].strip()) == ("\N{CHECK MARK}", "\N{WHITE CIRCLE}")
    assert all(marks[library] == "\N{CHECK MARK}" for library in ("numpy", "torch", "jax", "cupy"))


def test_documented_capabilities_are_those_of_the_registry():
    """`nmdl-bench list capabilities --format markdown > docs/capabilities.md` writes the file anew."""
    listed = subprocess.run(
        [sys.executable, "-m", "nmdl_bench.cli", "list", "capabilities", "--format", "markdown"],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=True,
    ).stdout
    assert (Path(__file__).parents[1] / "docs" / "capabilities.md").read_text(encoding="utf-8") == listed


def test_list_with_a_plugin_and_runs(finished):
    folder, _ = finished
    assert "tests-bowl" in call("list", "problems", "--plugin", PLUGIN).stdout
    assert "tiny" in call("list", "runs", "--store", folder / "s.sqlite").stdout
    fails(2, "no such file", "list", "--plugin", "none.py")
    assert call("list", "colours").exit_code == 2


def test_doctor(monkeypatch):
    row = {
        "name": "torch", "version": "9", "devices": ["cpu", "cuda:0"], "usable": True, "reason": "", "blas": "MKL",
        "threads": 2, "float64": True,
    }  # fmt: skip
    missing = row | {"name": "cupy", "usable": False, "reason": "no driver", "devices": [], "threads": None}
    monkeypatch.setattr("nmdl_bench.backends.backend_rows", lambda: [row, missing])
    lines = call("doctor").stdout.splitlines()
    assert lines[0].split() == ["backend", "version", "devices", "usable", "float64", "blas", "threads", "reason"]
    assert lines[2].split() == ["torch", "9", "cpu,", "cuda:0", "yes", "yes", "MKL", "2"]
    assert "no driver" in lines[3]
    assert json.loads(call("doctor", "--json").stdout) == [row, missing]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    done = call("completion", shell)
    assert done.exit_code == 0
    assert "_NMDL_BENCH_COMPLETE" in done.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=done.stdout, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_completion_offers_experiments(finished):
    folder, _ = finished
    environment = {
        "_NMDL_BENCH_COMPLETE": "bash_complete", "COMP_WORDS": "nmdl-bench report t", "COMP_CWORD": "2",
        "NMDL_STORE": str(folder / "s.sqlite"),
    }  # fmt: skip
    command = [sys.executable, "-c", "from nmdl_bench.cli import main; main(prog_name='nmdl-bench')"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.stdout == "plain,tiny\n", done.stderr


# ---------------------------------------------------------------------------------------------------- inspect, study
def test_inspect_prints_the_layers(tmp_path):
    options = ("-o", "width=4", "-o", "depth=3", "-o", "time=1.5", "-o", "memory=checkpoint", "-o", "slots=2")
    done = call("inspect", "circles", "-o", "n=40", *options, "--store", tmp_path / "s.sqlite")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "circles: 82 weights, inputs of 2"
    assert lines[1] == "At initial parameters."
    row = lines[6].split("  ")
    assert [cell.strip() for cell in row if cell.strip()] == [
        "1", "euler steps of tanh(K[4->4] Y + b)", "4", "60", "3", "0.5", "1.5", "3 constant", "checkpoint, 2 slots"
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []  # nothing is drawn unless asked for


def test_inspect_a_preset():
    done = call("inspect", "hamiltonian-cifar10")
    assert done.exit_code == 0, done.output
    assert "inputs of 3 x 32 x 32" in done.stdout
    assert "symplectic-euler steps of two fields" in done.stdout


def test_inspect_trains_and_draws(tmp_path):
    arguments = ("inspect", "circles", "-o", "n=40", "-o", "width=2", "-o", "depth=2", "--train", "lbfgs")
    done = call(*arguments, "--iterations", 2, "--store", tmp_path / "s.sqlite", "--figures")
    assert done.exit_code == 0, done.output
    assert "At 2 iterations of lbfgs: objective" in done.stdout
    folder = tmp_path / "inspect-circles"
    assert done.stdout.splitlines()[-1] == f"Captions: {folder / 'figures.md'}"
    drawn = {path.stem for path in (folder / "figures").glob("*.pdf")}
    assert drawn == {"spectra", "growth", "energy", "regions", "landscape", "kernels"}
    assert json.loads((folder / "provenance.json").read_text())["settings"]["options"] == {
        "n": 40,
        "width": 2,
        "depth": 2,
    }


def test_inspect_what_a_run_found(tmp_path):
    (tmp_path / "some.toml").write_text(
        """
        name = "some"
        repeats = 1
        [[problems]]
        name = "circles"
        label = "small circles"
        options = { n = 40, width = 2, depth = 2 }
        [[solvers]]
        name = "lbfgs"
        [stop]
        max_iterations = 3
        """
    )
    store = ("--store", tmp_path / "s.sqlite")
    assert call("run", tmp_path / "some.toml", *store, "--no-report").exit_code == 0
    done = call("inspect", "some/small circles/lbfgs", *store)
    assert done.exit_code == 0, done.output
    assert "At lbfgs on numpy:cpu float64, 3 iterations." in done.stdout
    fails(
        2, "unknown problem in run 'some' (give RUN/PROBLEM/SOLVER): 'circle'", "inspect", "some/circle/lbfgs", *store
    )
    fails(2, "did you mean 'lbfgs'?", "inspect", "some/small circles/lbfg", *store)
    fails(2, "unknown run 'somme'; did you mean 'some'?", "inspect", "somme/a/b", *store)
    fails(2, "options are for problems", "inspect", "some/small circles/lbfgs", "-o", "n=3", *store)


@pytest.mark.parametrize(
    ("sentence", "arguments"),
    [
        ("unknown problem or preset 'spiral'; did you mean 'spirals'?", ("spiral",)),
        ("unknown option of problem 'circles': 'widht'; did you mean 'width'?", ("circles", "-o", "widht=3")),
        ("option 'width' is not of the form key=value", ("circles", "-o", "width")),
        ("unknown solver 'lbfg'; did you mean 'lbfgs'?", ("circles", "--train", "lbfg")),
        ("solver 'optax-adam' does not run on 'numpy'", ("circles", "--train", "optax-adam")),
        ("is a network without data; name a problem to train", ("parabolic-cifar10", "--train", "lbfgs")),
        ("has no network to inspect", ("tests-bowl", "--plugin", PLUGIN)),
        ("unknown backend 'nump'", ("circles", "--train", "lbfgs", "--backend", "nump")),
    ],
)
def test_mistakes_in_inspect(sentence, arguments):
    fails(2, sentence, "inspect", *arguments)


def test_study(tmp_path):
    file = tmp_path / "plane.toml"
    file.write_text('kind = "phase-plane"\nname = "plane"\ntitle = "A plane"\nwidth = "column"\n')
    done = call("study", file)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"Captions: {tmp_path / 'plane' / 'figures.md'}"
    assert (tmp_path / "plane" / "figures" / "phase-plane.svg").is_file()
    assert (tmp_path / "plane" / "figures.md").read_text().startswith("# A plane")
    fails(2, "unknown kind of study", "study", write_text(tmp_path / "b.toml", 'kind = "x"\nname = "b"'))
    fails(2, "no study file", "study", tmp_path / "none.toml")
    fails(1, "cannot write the figures", "study", file, "--output", file / "x")


def write_text(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("command", ["list", "run", "report", "export", "inspect", "study", "doctor", "completion"])
def test_help_has_examples(command):
    text = call(command, "--help").stdout
    assert f"  nmdl-bench {command}" in text.partition("Examples:")[2]


def test_version():
    from nmdl_bench import __version__

    assert call("--version").stdout == f"nmdl-bench, version {__version__}\n"


HELP = "import nmdl_bench.cli, click.testing; click.testing.CliRunner().invoke(nmdl_bench.cli.main, ['--help'])"
HEAVY = ("torch", "jax", "cupy", "matplotlib", "pandas")


@pytest.mark.parametrize(
    ("program", "more"),
    [
        ("import nmdl_bench", ("numpy", "scipy", "msgspec", "psutil")),
        (HELP, ("numpy", "rich")),
        ("import nmdl_bench.catalogue", ("sklearn", "mlxtend", "optax")),
        ("import nmdl_bench.runs.run, nmdl_bench.runs.local, nmdl_bench.runs.store", ("rich", "sklearn")),
    ],
)
def test_imports_are_light(program, more):
    command = [sys.executable, "-X", "importtime", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert not modules & {*HEAVY, *more}
