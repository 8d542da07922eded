import json

import pytest
from sweep_helpers import PLUGIN, experiment

import nmdl_bench.catalogue  # noqa: F401
from nmdl_bench.contracts import ConfigurationError, NmdlError, UnknownNameError
from nmdl_bench.runs import cases as cases_module
from nmdl_bench.runs.cases import canonical, expand, left_out, source_hash
from nmdl_bench.runs.experiment import parse
from nmdl_bench.runs.plugins import load_all


@pytest.fixture(scope="module", autouse=True)
def plugins():
    return load_all([PLUGIN])


def cases(text, plugins=None):
    return expand(parse(text), plugins)


def titles(text):
    return [case.title for case in cases(text)]


def test_order_and_compatible_combinations_only():
    text = experiment(["tests-good", "adam", "torch-adam"], top='backends = ["numpy", "torch"]\nseeds = [3, 1]')
    assert titles(text) == [
        f"tests-bowl | {solver} | {backend}:cpu float64 | seed {seed}"
        for seed in (3, 1)
        for solver, backend in [
            ("tests-good", "numpy"),
            ("tests-good", "torch"),
            ("adam", "numpy"),
            ("adam", "torch"),
            ("torch-adam", "torch"),
        ]
    ]
    assert [case.position for case in cases(text)] == list(range(10))
    assert {case.solver.label: case.kind for case in cases(text)} == {
        "tests-good": "ours", "adam": "ours", "torch-adam": "peer",
    }  # fmt: skip


def test_filters_options_and_labels():
    text = """
name = "a"
backends = ["numpy", "jax"]
[[problems]]
name = "tests-bowl"
[[problems]]
name = "tests-bowl"
options = { size = 9 }
[[solvers]]
name = "tests-good"
backends = ["jax"]
[[solvers]]
name = "tests-good"
options = { step = 0.1 }
problems = ["tests-bowl(size=9)"]
options_for = { "tests-bowl(size=9)" = { step = 0.2 } }
[[solvers]]
name = "tests-naps"
label = "nap"
problems = []
"""
    assert titles(text) == [
        "tests-bowl | tests-good | jax:cpu float64 | seed 0",
        "tests-bowl(size=9) | tests-good | jax:cpu float64 | seed 0",
        "tests-bowl(size=9) | tests-good(step=0.1) | numpy:cpu float64 | seed 0",
        "tests-bowl(size=9) | tests-good(step=0.1) | jax:cpu float64 | seed 0",
    ]
    assert cases(text)[-1].solver.options == {"step": 0.2}


BASE = experiment(["tests-good"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (experiment(["tests-goood"]), "unknown solver 'tests-goood'; did you mean 'tests-good'?"),
        (BASE.replace('"tests-bowl"', '"tests-bow"'), "unknown problem 'tests-bow'; did you mean 'tests-bowl'?"),
        (experiment(["tests-good"], top='backends = ["tourch"]'), "unknown backend 'tourch'; did you mean 'torch'?"),
        (BASE.replace('"tests-good"', '"tests-good"\noptions = { stp = 1 }'), "'stp'; did you mean 'step'?"),
        (BASE.replace('"tests-bowl"', '"tests-bowl"\noptions = { siz = 1 }'), "'siz'; did you mean 'size'?"),
        (BASE.replace('"tests-bowl"', '"tests-bowl"\noptions = { seed = 1 }'), "set seeds = [...]"),
        (BASE.replace('"tests-good"', '"tests-good"\nproblems = ["bowl"]'), "unknown problem label in experiment"),
        (BASE.replace('"tests-good"', '"tests-good"\noptions_for = { bowl = {} }'), "unknown problem label"),
        (BASE.replace('"tests-good"', '"tests-good"\nbackends = ["jax"]'), "unknown backend in experiment, solver"),
        (BASE.replace('"tests-good"', '"tests-good"\noptions = { step = nan }'), "option step = nan is no number"),
        (BASE.replace('"tests-good"', '"tests-good"\noptions = { step = 2000-01-01 }'), "is no number, text, list or"),
        (experiment(["tests-good", "tests-good"]), "two of its solvers are called 'tests-good'"),
        (BASE + "\n[report]\ngroups = { all = ['tests-god'] }", "report, groups, 'all': 'tests-god'; did you mean"),
        (BASE.replace('"tests-bowl"', '"spirals"\noptions = { depth = "foo" }'), "depth of problem 'spirals' must"),
        (BASE.replace('"tests-bowl"', '"spirals"\noptions = { loss = ["a"] }'), "loss of problem 'spirals' must"),
        (BASE.replace('"tests-bowl"', '"mgh"\noptions = { function = "beal" }'), "did you mean 'beale'"),
        (BASE.replace('"tests-good"', '"lbfgs"\noptions = { memory = "x" }'), "memory of solver 'lbfgs' must be int"),
        (BASE.replace('"tests-good"', '"lbfgs"\noptions = { memory = 0 }'), "memory must be at least 1"),
        (experiment(["tests-good", "varpro"]), "solver 'varpro' fits none of the problems"),
        (experiment(["torch-adam"]), "nothing to measure, no solver runs on backends = ['numpy']"),
        (
            BASE.replace('[[solvers]]', '[[solvers]]\nname = "tests-good"\nlabel = "b"\n[[solvers]]'),
            "asks twice for the same",
        ),
    ],
)  # fmt: skip
def test_mistake_is_one_sentence(text, sentence):
    with pytest.raises(NmdlError) as caught:
        cases(text)
    assert isinstance(caught.value, ConfigurationError | UnknownNameError)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def keys(text, plugins=None):
    return [case.key for case in cases(text, plugins)]


def test_key_depends_on_what_determines_the_result(plugins, monkeypatch):
    base = keys(BASE, plugins)
    assert keys(BASE, plugins) == base
    for other in (
        BASE.replace("max_iterations = 8", "max_iterations = 9"),
        BASE.replace('"tests-bowl"', '"tests-bowl"\noptions = { size = 9 }'),
        BASE.replace('"tests-good"', '"tests-good"\noptions = { step = 0.1 }'),
        BASE.replace("time = 10.0", "time = 10.0\nthreads = 2"),
        experiment(["tests-good"], top="seeds = [1]"),
        experiment(["tests-good"], top='dtypes = ["float32"]'),
        experiment(["tests-good"], top='backends = ["jax"]'),
    ):
        assert keys(other, plugins) != base
    assert keys(BASE, dict.fromkeys(plugins, "0")) != base
    monkeypatch.setattr(cases_module, "source_hash", lambda: "0")
    assert keys(BASE, plugins) != base


def test_key_does_not_depend_on_names_repeats_and_limits(plugins):
    base = keys(BASE, plugins)
    for other in (
        BASE.replace('name = "odd"', 'name = "other"\ntitle = "t"'),
        BASE.replace("repeats = 1", "repeats = 7"),
        BASE.replace("time = 10.0", "time = 11.0\nmemory = 1.0\nstartup = 9.0"),
        BASE.replace('"tests-good"', '"tests-good"\nlabel = "mine"'),
    ):
        assert keys(other, plugins) == base


def test_key_holds_versions_of_the_libraries_used():
    content = json.loads(cases(experiment(["scipy-lbfgsb"], top='backends = ["jax"]'))[0].content)
    assert {"numpy", "scipy", "jax", "jaxlib", "python"} <= set(content["versions"])
    assert "torch" not in content["versions"]
    assert content["source"] == source_hash()


def test_pairs_without_the_structure_are_named():
    three = BASE.replace("[[problems]]", '[[problems]]\nname = "mgh"\n[[problems]]\nname = "spirals"\n[[problems]]', 1)
    spec = parse(three.replace('"tests-good"', '"levenberg-marquardt"'))
    assert [case.problem.label for case in expand(spec)] == ["mgh"]
    (line,) = left_out(spec)
    assert line == "levenberg-marquardt on spirals, tests-bowl (it needs residual, which the problem does not provide)"


def test_expanding_imports_no_array_library():
    import subprocess
    import sys

    program = (
        "import sys, pathlib, nmdl_bench.catalogue\n"
        "from nmdl_bench.runs.experiment import parse\n"
        "from nmdl_bench.runs.cases import expand\n"
        "assert len(expand(parse(sys.argv[1]))) == 5\n"
        "print([m for m in ('torch', 'jax', 'cupy', 'optax', 'sklearn', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    text = experiment(["adam", "torch-adam", "optax-adam"], problems='[[problems]]\nname = "digits"')
    text = text.replace("plugins = ", 'backends = ["numpy", "torch", "jax"]\n# ')
    done = subprocess.run([sys.executable, "-c", program, text], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_canonical_json():
    assert canonical({"b": 1, "a": [1.5, "x"]}) == '{"a":[1.5,"x"],"b":1}'
