import pytest

from nmdl_bench.contracts import SOLVERS, ConfigurationError
from nmdl_bench.runs.plugins import load, load_all, module_name, one_line


def test_stable_name_and_one_import(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("import builtins\nbuiltins.nmdl_count = getattr(builtins, 'nmdl_count', 0) + 1\n")
    import builtins
    from pathlib import Path

    assert load(tmp_path / "a.py") == load(Path("a.py")) == module_name(tmp_path / "a.py")
    assert builtins.nmdl_count == 1
    del builtins.nmdl_count
    other = tmp_path / "other"
    assert module_name(other / "a.py") != module_name(tmp_path / "a.py")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 +", r"fails on import: SyntaxError: invalid syntax \(bad\.py:1\)"),
        ("\nmissing_name", r"fails on import: NameError: name 'missing_name' is not defined \(bad\.py:2\)"),
        ("import no_such_library", r"fails on import: ModuleNotFoundError: No module named 'no_such_library'"),
    ],
)
def test_broken_plugin_is_one_sentence(tmp_path, text, sentence):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        load(tmp_path / "bad.py")
    assert "\n" not in str(caught.value)


def test_missing_plugin_and_other_files(tmp_path):
    with pytest.raises(ConfigurationError, match=r"plug-in '.*none\.py': no such file"):
        load(tmp_path / "none.py")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ConfigurationError, match="is not a Python file"):
        load(tmp_path / "a.txt")


def test_a_taken_name_is_refused(tmp_path):
    import nmdl_bench.catalogue  # noqa: F401

    (tmp_path / "a.py").write_text(
        "from nmdl_bench.contracts import SOLVERS\n@SOLVERS.register('adam', 'x')\ndef make(): ...\n"
    )
    with pytest.raises(ConfigurationError, match="solver 'adam' is registered already"):
        load(tmp_path / "a.py")
    assert SOLVERS["adam"].summary != "x"


def test_hash_follows_the_text(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    before = load_all([tmp_path / "a.py"])
    (tmp_path / "a.py").write_text("x = 2\n")
    after = load_all([tmp_path / "a.py"])
    assert list(before) == list(after)
    assert before != after


def test_one_line():
    try:
        raise RuntimeError("a\n  b" + "x" * 500)
    except RuntimeError as error:
        text = one_line(error)
    assert text.startswith("RuntimeError: a b")
    assert text.endswith("... (test_plugins.py:71)") or "test_plugins.py" in text
    assert len(text) < 360
    assert one_line(ValueError()) == "ValueError: no message"


PROBLEM = '''
"""A problem of one's own: a residual, and that is all."""

from nmdl_bench.contracts import PROBLEMS
from nmdl_bench.problems import ResidualProblem


def residual(xp, x):
    return xp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


@PROBLEMS.register("tests-valley", "Rosenbrock's valley", provides=ResidualProblem.structure)
def valley(seed: int = 0, x1: float = -1.2) -> ResidualProblem:
    return ResidualProblem("tests-valley", residual, [x1, 1.0], minimum=0.0)
'''


def test_a_plain_function_is_a_problem_of_an_experiment(tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    from nmdl_bench.runs.store import Store

    (tmp_path / "valley.py").write_text(PROBLEM)
    (tmp_path / "file.toml").write_text(
        'name = "valley"\nbackends = ["numpy", "torch"]\nrepeats = 1\n'
        '[[problems]]\nname = "tests-valley"\noptions = { x1 = -1.5 }\n[[solvers]]\nname = "lbfgs"\n'
        "[stop]\nmax_iterations = 200\ngtol = 1e-8\n"
    )
    program = Path(sys.executable).with_name("nmdl-bench")
    files = ["--plugin", "valley.py", "--store", "results.sqlite", "--no-report"]
    command = [str(program), "run", "file.toml", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with Store.open(tmp_path / "results.sqlite") as store:
        rows = store.results(store.find_run("valley").run_id)
    assert [row["library"] for row in rows] == ["numpy", "torch"]
    for row in rows:
        status, loss, agrees = row["status"], row["loss"], row["agrees"]
        assert status == "converged"
        assert loss < 1e-12
        assert agrees
