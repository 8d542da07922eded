import csv as csvlib
import io
import re

import pytest
from rich.console import Console

from nmdl_bench.report import print_table
from nmdl_bench.report.cells import problem_tables
from nmdl_bench.report.frames import load
from nmdl_bench.report.numbers import count, mebibytes, percent, significant
from nmdl_bench.report.summary import summarise
from nmdl_bench.report.tables import csv, escape_latex, latex, markdown


def tables_of(store):
    data = load(store, "demo")
    summary = summarise(data)
    return problem_tables(data, summary), summary


def printed(store, width, **options):
    file = io.StringIO()
    print_table(store, "demo", Console(file=file, width=width, **options))
    return file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345, "0.0123"),
        (123.4, "123"),
        (1234.5, "1234"),
        (9.999, "10.0"),
        (0.00001234, "1.23e-05"),
        (0.0, "0"),
        (float("nan"), ""),
        (-1.5, "-1.50"),
        (1e7, "1.00e+07"),
        (float("inf"), "inf"),
    ],
)
def test_significant(value, text):
    assert significant(value) == text


def test_other_numbers():
    assert (count(12.0), count(12.345), count(1234.5), count(float("nan"))) == ("12", "12.3", "1234", "")
    assert (percent(0.98961), percent(float("nan"))) == ("98.96", "")
    assert (mebibytes(3 * 2**20), mebibytes(-5.0)) == ("3.00", "0")


def test_latex_escapes_every_special_character():
    assert escape_latex(r"a_b & 50% {x} #1 $y$ ~^\ <|>") == (
        r"a\_b \& 50\% \{x\} \#1 \$y\$ \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}\textbar{}\textgreater{}"
    )


def test_latex_table(store):
    store.add("50%_noise", "a_b", "numpy", [1.0, 0.00002])
    store.add("50%_noise", "c&d", "numpy", [1.0, 0.5], case={"kind": "peer"})
    text = latex(*tables_of(store))
    assert r"\toprule" in text
    assert r"\bottomrule" in text
    assert r"a\_b & numpy & max iter." in text
    assert r"c\&d$^\dagger$" in text
    assert r"$\mathbf{2.00{\cdot}10^{-5}}$" in text
    assert r"Solvers on 50\%\_noise." in text
    assert r"\label{tab:50--noise}" in text
    columns = re.search(r"tabular\}\{@\{\}(l+r+)@", text)[1]
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(columns) - 1}


def test_markdown_table(store):
    store.add("p", "a|b_c", "numpy", [1.0, 0.05], step_time=1.0)
    store.add("p", "d", "numpy", [1.0, 0.5, 0.0], step_time=2.0, case={"kind": "peer"})
    text = markdown(*tables_of(store))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert r"a\|b\_c" in text
    assert "| d† |" in text
    assert "**1.00**" in text  # time to target of the faster


def test_csv_holds_every_number_unrounded(demo):
    _, summary = tables_of(demo)
    rows = list(csvlib.DictReader(io.StringIO(csv(summary))))
    assert len(rows) == 2 * 3 * 2
    first = rows[0]
    assert (first["problem"], first["solver"], first["backend"]) == ("spirals", "lbfgs", "numpy")
    assert float(first["time"]) == summary.frame.time[0]
    assert first["best_target_passes"] == "True"


def test_terminal_table_marks_without_colour(demo):
    text = printed(demo, 160)
    assert "spirals  Target: training loss" in text
    lines = [line for line in text.splitlines() if line.startswith(("lbfgs", "sgd", "scipy"))]
    assert any("*" in line for line in lines)
    assert "scipy-lbfgs†" in text
    assert "solver of another library" in text
    assert "…" not in text


def test_narrow_terminal_drops_columns_and_says_so(demo):
    text = printed(demo, 72)
    table = [line for line in text.splitlines() if line.startswith(("lbfgs", "sgd", "scipy", " ", "─"))]
    assert max(map(len, table)) <= 72
    assert "not shown for lack of width: compile" in text or "not shown for lack of width: passes" in text
    assert "…" not in text


def test_marks_of_interpolated_and_excluded_times(store):
    store.add("p", "a", "numpy", [1.0, 0.0], step_time=1.0)
    for row in store.rows:
        row["history"][:, 7] = 0
    store.add("p", "a", "jax", [1.0, 0.0], step_time=1.0, agrees=0)
    text = printed(store, 160)
    assert "~1.00" in text
    assert "!1.00" in text
    assert "interpolated between two readings" in text
    assert "its times do not count" in text


def test_spread_over_seeds_is_shown(store):
    for seed, accuracy in enumerate((0.91, 0.95, 0.97)):
        store.add("p", "a", "numpy", [1.0, 0.5], seed=seed, metrics={"accuracy_test": accuracy})
    text = printed(store, 160)
    assert "95.00" in text
    assert "91.00 to 97.00" in text
    assert "Medians over 3 seeds." in text


def test_part_of_the_seeds_that_met_the_target(store):
    for seed in range(3):
        store.add("p", "good", "numpy", [1.0, 0.0], seed=seed)
        store.add("p", "part", "numpy", [1.0, 0.9 if seed else 0.0], seed=seed)
    assert "1/3" in printed(store, 160)


def test_a_run_without_results_is_a_sentence(store):
    store.lose("p", "a", "numpy")
    text = printed(store, 80)
    assert "Nothing of this run has been measured yet" in text
