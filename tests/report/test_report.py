import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from nmdl_bench.contracts import StoreError
from nmdl_bench.report import figures, style, write_report


class Loads(HTMLParser):
    """Addresses that a page loads by itself, and identifiers."""

    def __init__(self):
        super().__init__()
        self.loaded, self.links, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "srcset") or (name == "href" and tag in ("link", "image", "use")):
                self.loaded.append(value)
            elif name == "href":
                self.links.append(value)
            elif name == "id":
                self.ids.append(value)


@pytest.fixture
def written(demo, tmp_path):
    demo.add("digits", "newton", "torch", None, status="timeout", reason="over <60> s & killed", agrees=None)
    demo.lose("digits", "newton", "numpy")
    return write_report(demo, "demo", tmp_path / "out")


def test_everything_is_written_and_can_be_redrawn(written, tmp_path):
    for name in ("html", "markdown", "latex", "csv", "results", "redraw"):
        assert written[name].stat().st_size > 0
    for figure in ("loss", "backends", "profile", "data-profile", "accuracy"):
        for suffix in ("pdf", "svg", "png", "csv"):
            assert written[f"{figure}.{suffix}"].stat().st_size > 0
    assert len(pd.read_csv(written["results"])) == 37
    before = {p.name: p.read_bytes() for p in (tmp_path / "out" / "figures").glob("*.svg")}
    for name in before:
        (tmp_path / "out" / "figures" / name).unlink()
    code = (
        "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__'); "
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'sqlite3' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(written["redraw"]), "--format", "svg"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "figures").glob("*.svg")} == before

    page = written["html"].read_text(encoding="utf-8")
    parser = Loads()
    parser.feed(page)
    assert parser.loaded
    assert all(address.startswith("data:image/svg+xml;base64,") for address in parser.loaded)
    assert not re.search(r"@import|url\(", page.split("</style>")[0])
    assert "<script" not in page
    for link in parser.links:
        found = link[1:] in parser.ids if link.startswith("#") else (tmp_path / "out" / link).is_file()
        assert found, link
    assert len(parser.ids) == len(set(parser.ids))
    assert "over &lt;60&gt; s &amp; killed" in page
    assert "a &lt;CPU&gt;" in page
    assert "step = 0.1" in page
    assert "Solvers on two small problems" in page


def test_an_earlier_report_leaves_nothing_behind(store, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "figures" / "loss-3.pdf").write_text("old")
    (tmp_path / "data" / "accuracy.csv").write_text("old")
    (tmp_path / "figures" / "mine.pdf").write_text("mine")
    store.lose("p", "a", "numpy")
    write_report(store, "demo", tmp_path)
    assert [p.name for p in (tmp_path / "figures").iterdir()] == ["mine.pdf"]
    assert "Nothing of this run has been measured yet" in (tmp_path / "index.html").read_text()


def test_csv_of_figures_is_read_back_to_the_last_bit(demo, tmp_path):
    from nmdl_bench.report.frames import load
    from nmdl_bench.report.summary import summarise

    data = load(demo, "demo")
    plan = figures.plan(data, summarise(data))
    paths = figures.write_data(plan, figures.styles_of(data), tmp_path)
    for figure in plan:
        pd.testing.assert_frame_equal(figures.read_data(paths[figure.name]), figure.data, check_dtype=False)


AWKWARD = {
    "one row": {"losses": [1.0]},
    "nan later": {"losses": [1.0, 0.5, np.nan], "status": "diverged", "loss": 0.5},
    "inf": {"losses": [1.0, 1e30, np.inf], "status": "diverged", "loss": 1e30},
    "constant": {"losses": [0.5, 0.5, 0.5]},
    "negative": {"losses": [1.0, -0.5, -2.0]},
    "to zero": {"losses": [1.0, 1e-8, 0.0]},
    "no time": {"losses": [1.0, 0.5], "step_time": 0.0},
    "p$_{x}$ <b> & \\d": {"losses": [1.0, 0.5], "metrics": {"accuracy_test": float("nan")}},
    "nothing": {"losses": None, "status": "error", "reason": "ValueError: no", "agrees": None},
    "all nan": {"losses": [np.nan, np.nan], "status": "diverged", "loss": np.nan, "loss0": np.nan},
    "other metric": {"losses": [1.0, 0.5], "metrics": {"rmse_test": 0.1}},
    "broken settings": {"losses": [1.0, 0.5], "case": {"solver_json": "{", "problem_json": "[1]"}},
}


def only_svg(monkeypatch):
    whole = style.save
    monkeypatch.setattr(style, "save", lambda figure, stem: whole(figure, stem, ["svg"]))  # a third of the time


def test_awkward_results_still_give_a_report(store, tmp_path, monkeypatch):
    only_svg(monkeypatch)
    for problem, values in AWKWARD.items():
        store.add(problem, "a(step=0.1, $b$)", "numpy", **values)
    paths = write_report(store, "demo", tmp_path)
    page = paths["html"].read_text(encoding="utf-8")
    assert page.count('<table class="final">') == len(AWKWARD)
    curves = pd.concat([pd.read_csv(paths[f"{name}.csv"]) for name in ("loss", "loss-2", "loss-3")])
    assert set(AWKWARD) - set(curves.problem) == {"nothing", "all nan"}
    assert np.isfinite(curves.loss).all()


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ({"losses": [1.0, 0.5]}, ["loss"]),
        ({"losses": [1.0, 0.5], "metrics": {"accuracy_test": 0.9}}, ["loss", "accuracy"]),
        ({"losses": None, "status": "unavailable", "reason": "torch is not installed", "agrees": None}, []),
    ],
)
def test_a_single_case_still_gives_a_report(store, tmp_path, monkeypatch, values, drawn):
    only_svg(monkeypatch)
    store.add("p", "a", "torch", **values)
    paths = write_report(store, "demo", tmp_path)
    assert [name for name in figures.KINDS if f"{name}.svg" in paths] == drawn
    assert values.get("reason", "1 measured") in paths["html"].read_text(encoding="utf-8")


def test_an_experiment_file_that_cannot_be_parsed_is_shown_all_the_same(store, tmp_path):
    store.run.spec = "name = <broken"
    store.add("p", "a", "numpy", None, status="error")
    assert "name = &lt;broken" in write_report(store, "demo", tmp_path)["html"].read_text()


def test_a_folder_that_cannot_be_written_is_one_sentence(store, tmp_path):
    store.add("p", "a", "numpy", [1.0, 0.5])
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write the report to .*file/out.*; make room or name another folder"):
        write_report(store, "demo", tmp_path / "file" / "out")


def test_importing_the_package_is_cheap():
    heavy = ("pandas", "matplotlib", "rich", "jinja2")
    code = f"import sys, nmdl_bench.report; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_levels_are_written_and_shown(demo, tmp_path, monkeypatch):
    only_svg(monkeypatch)
    demo.run.spec = "[report]\nfigures = []\ntaus = [0.1, 1e-3]"
    paths = write_report(demo, "demo", tmp_path)
    assert len(pd.read_csv(paths["targets csv"])) == 2 * 12
    assert '<h2 id="targets">' in paths["html"].read_text(encoding="utf-8")
    demo.run.spec = "[report]\nfigures = []"
    write_report(demo, "demo", tmp_path)
    assert not (tmp_path / "targets.csv").exists()


def test_budgets_are_written_and_shown(demo, tmp_path, monkeypatch):
    only_svg(monkeypatch)
    row = next(row for row in demo.rows if row["loss"] == row["loss"])
    for other in demo.rows:
        other["minimum"] = 0.0
    budget = f'{{ problem = "{row["problem"]}", solvers = ["{row["solver"]}"], gap = 0.5, passes = 9 }}'
    demo.run.spec = f"[report]\nfigures = []\nbudgets = [{budget}]"
    paths = write_report(demo, "demo", tmp_path)
    assert len(pd.read_csv(paths["budgets csv"]))
    assert '<h2 id="budgets">' in paths["html"].read_text(encoding="utf-8")
    demo.run.spec = "[report]\nfigures = []"
    write_report(demo, "demo", tmp_path)
    assert not (tmp_path / "budgets.csv").exists()
