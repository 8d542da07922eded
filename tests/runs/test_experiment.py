import pytest

from nmdl_bench.contracts import ConfigurationError, Stop, UnknownNameError
from nmdl_bench.runs.experiment import load, parse

WHOLE = """
name = "quickstart"
title = "T"
backends = ["numpy", "torch:cuda:0"]
dtypes = ["float32"]
seeds = [0, 1]
repeats = 5
plugins = ["a.py"]
[[problems]]
name = "spirals"
label = "s"
options = { n = 600 }
stop = { max_iterations = 60 }
[[solvers]]
name = "adam"
options = { step_size = 0.01 }
problems = ["s"]
backends = ["numpy"]
options_for = { s = { step_size = 0.003 } }
[stop]
max_epochs = 20
max_time = 3
gtol = 0
[limits]
time = 60
memory = 8.0
threads = 2
[report]
tau = 0.1
figures = ["loss"]
taus = [0.1, 1e-6]
gap = 1e-8
groups = { first = ["adam"] }
metric = "accuracy_validation"
budgets = [{ problem = "s", solvers = ["adam"], gap = 0.1, passes = 10 }]
"""


def test_whole_file():
    spec = parse(WHOLE)
    assert (spec.repeats, spec.limits.threads, spec.limits.time) == (5, 2, 60.0)
    assert spec.solvers[0].options_for == {"s": {"step_size": 0.003}}
    stop = spec.problems[0].stop.over(spec.stop.over(Stop()))
    assert stop == Stop(max_iterations=60, max_epochs=20, max_time=3.0, gtol=0.0)


def test_defaults():
    spec = parse('name = "a"\n[[problems]]\nname = "p"\n[[solvers]]\nname = "s"\n')
    assert (spec.backends, spec.dtypes, spec.seeds, spec.repeats) == (["numpy"], ["float64"], [0], 3)
    assert (spec.limits.time, spec.limits.memory, spec.limits.threads) == (60.0, 8.0, 1)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("repeats = 5", "repeats = = 5", r"x\.toml is not valid TOML: Invalid value \(at line 7, column 11\)"),
        ("repeats = 5", 'repeats = "5"', r"x\.toml: repeats: Expected 'int', got 'str'"),
        ("repeats = 5", "repeats = 0", r"x\.toml: repeats: Expected 'int' >= 1"),
        ("time = 60", "time = -1", r"x\.toml: limits, time: Expected 'float' > 0.0"),
        ('name = "adam"', "name = 3", r"x\.toml: solvers, entry 1, name: Expected 'str', got 'int'"),
        (
            "n = 600 }",
            "n = 600 }\nstep = 3",
            r"unknown key in x\.toml, problems, entry 1: 'step'; did you mean 'stop'\?",
        ),
        ("[limits]", "[limit]", r"unknown key in x\.toml: 'limit'; did you mean 'limits'\?"),
        ("memory = 8.0", "memmory = 8.0", r"unknown key in x\.toml, limits: 'memmory'; did you mean 'memory'\?"),
        ("max_iterations = 60", "max_iter = 60", r"unknown key in x\.toml, problems, entry 1, stop: 'max_iter'"),
        ('["float32"]', '["float16"]', r"x\.toml: dtypes, entry 1: Invalid enum value 'float16'"),
        ("seeds = [0, 1]", "seeds = [1, 1]", r"x\.toml: seeds = \[1, 1\] lists something twice"),
        ("seeds = [0, 1]", "seeds = []", r"x\.toml: seeds: Expected 'array' of length >= 1"),
        ('name = "quickstart"', 'name = "../up"', r"x\.toml: name = '\.\./up' names a folder"),
        ('name = "quickstart"', "", r"x\.toml: Object missing required field 'name'"),
        ("[[solvers]]", "[solvers]", r"x\.toml: solvers: Expected 'array', got 'object'"),
        ("taus = [0.1, 1e-6]", "taus = [0.1, 2]", r"x\.toml: report, taus, entry 2: Expected 'float' < 1"),
        ("taus = [0.1, 1e-6]", "tausend = 1", r"unknown key in x\.toml, report: 'tausend'; did you mean 'taus'\?"),
        ("gap = 1e-8", "gap = 0", r"x\.toml: report, gap: Expected 'float' > 0"),
        ('{ first = ["adam"] }', "{ first = [] }", r"x\.toml: report, groups: Expected 'array' of length >= 1"),
        ("gap = 0.1,", "gab = 0.1,", r"unknown key in x\.toml, report, budgets, entry 1: 'gab'; did you mean 'gap'"),
        ('problem = "s", ', 'problem = "t", ', r"unknown problem in x\.toml, report, budgets: 't'; known: s"),
        ('solvers = ["adam"]', 'solvers = ["ada"]', r"unknown solver in x\.toml, report, budgets: 'ada'; did you mean"),
        ("[stop]", "[[stop]]", r"x\.toml: stop: Expected 'object', got 'array'"),
    ],
)
def test_mistake_is_one_sentence(old, new, sentence):
    assert WHOLE.count(old) == 1
    with pytest.raises((ConfigurationError, UnknownNameError), match=sentence) as caught:
        parse(WHOLE.replace(old, new), "x.toml")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigurationError, match="no experiment file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="cannot read"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigurationError, match="cannot read"):
        load(tmp_path / "latin.toml")


def test_plugins_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "x.toml").write_text(WHOLE)
    monkeypatch.chdir(tmp_path)
    file = load(tmp_path / "x.toml", [tmp_path / "b.py", tmp_path / "a.py"])
    assert file.plugins == (tmp_path / "a.py", tmp_path / "b.py")
    assert file.text == WHOLE
