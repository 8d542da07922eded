"""Architectures side by side: what is shown, and that the figure shows it."""

import numpy as np
import pytest

from nmdl_bench.report import figures, style
from nmdl_bench.report.frames import load
from nmdl_bench.report.summary import summarise


@pytest.fixture
def compared(store):
    """Two groups of two architectures on two backends with two seeds, one solve failed; a problem outside of groups."""
    store.run.spec = '[report]\nfigures = ["architectures"]\nmetric = "accuracy_validation"'
    problems = ["digits: Euler", "digits: Verlet", "spirals: RK4", "spirals: IMEX"]
    for i, problem in enumerate(problems):
        for j, library in enumerate(("numpy", "torch")):
            for seed in (0, 1):
                status = "diverged" if (problem, library, seed) == ("spirals: IMEX", "torch", 1) else "max_iterations"
                metrics = {"accuracy_validation": 0.9 + 0.01 * i + 0.001 * seed}
                given = {"seed": seed, "status": status, "metrics": metrics, "step_time": 0.01 * (i + 1)}
                store.add(problem, "lbfgs", library, [1.0, 0.5], memory_host=2.0**20 * (i + 1 + j), **given)
    store.add("peaks", "lbfgs", "numpy", [1.0, 0.5], metrics={"accuracy_validation": 0.5})
    return store


def planned(store):
    data = load(store, "demo")
    return {f.name: f for f in figures.plan(data, summarise(data))}, figures.styles_of(data)


def test_groups_are_what_stands_before_the_colon(compared):
    frame = planned(compared)[0]["architectures"].data
    assert list(dict.fromkeys(zip(frame.problem, frame.label))) == [
        ("digits", "Euler"),
        ("digits", "Verlet"),
        ("spirals", "RK4"),
        ("spirals", "IMEX"),
    ]
    assert len(frame) == 4 * 2 * 2 - 1  # one diverged
    own = frame[(frame.label == "Verlet") & (frame.backend == "torch") & (frame.seed == 1)].iloc[0]
    assert (own.value, own.time, own.memory) == (pytest.approx(0.911), pytest.approx(0.02), 3 * 2.0**20)


def test_memory_is_that_of_the_device_where_its_allocator_tells(store):
    store.run.spec = '[report]\nfigures = ["architectures"]'
    for name, device in (("digits: a", 5e6), ("digits: b", None)):
        metrics = {"accuracy_validation": 0.5}
        store.add(name, "lbfgs", "torch", [1.0, 0.5], memory_host=7e6, memory_device=device, metrics=metrics)
    assert planned(store)[0]["architectures"].data.memory.tolist() == [5e6, 7e6]


def test_there_is_no_figure_without_a_group_of_two(demo, store):
    demo.run.spec = '[report]\nfigures = ["architectures"]'
    assert planned(demo)[0] == {}
    demo.add("circles: Euler", "lbfgs", "numpy", [1.0, 0.5], metrics={"accuracy_validation": 0.5})
    assert planned(demo)[0] == {}


@pytest.mark.parametrize("width", ["text", "column"])
def test_figure_shows_its_data_and_redraws_alike(compared, tmp_path, width):
    plan, styles = planned(compared)
    figure = figures.draw("architectures", plan["architectures"].data, styles, width)
    assert figure.get_size_inches()[0] == pytest.approx(style.WIDTHS[width])
    assert len(figure.axes) == 2 * 3
    accuracy, time, memory = figure.axes[:3]
    dots = [line.get_xdata() for line in accuracy.get_lines() if line.get_marker() == "o"]
    assert [sorted(np.asarray(x).round(6)) for x in dots] == [[90.0, 90.1], [91.0, 91.1]]  # of the first backend alone
    assert [t.get_text() for t in accuracy.texts] == ["Euler", "Verlet", "digits"]
    for panel, expected in ((time, {0.01, 0.02}), (memory, {1.0, 2.0, 3.0})):
        marks = [line for line in panel.get_lines() if line.get_marker() in ("o", "s") and line.get_gid() is None]
        assert {round(float(line.get_xdata()[0]), 6) for line in marks} == expected
    assert {text.get_text() for text in figure.texts} == {"numpy", "torch"}
    figures.write_data(list(plan.values()), styles, tmp_path)
    again = figures.draw("architectures", figures.read_data(tmp_path / "architectures.csv"), styles, width)
    assert style.render(again, "svg") == style.render(figure, "svg")
