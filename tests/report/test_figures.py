from itertools import pairwise

import matplotlib
import numpy as np
import pandas as pd
import pytest

from nmdl_bench.contracts import UnknownNameError
from nmdl_bench.report import figures, style
from nmdl_bench.report.accuracy import draw_accuracy
from nmdl_bench.report.frames import load
from nmdl_bench.report.style import Styles, log_axis, log_labels, new_figure, place, readable, styled
from nmdl_bench.report.summary import summarise


def planned(store):
    data = load(store, "demo")
    return {f.name: f for f in figures.plan(data, summarise(data))}, figures.styles_of(data)


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_which_figures_there_are(demo, demo_plan):
    assert list(demo_plan[0]) == ["loss", "backends", "profile", "data-profile", "accuracy"]
    demo.run.spec = '[report]\nfigures = ["loss"]'
    assert list(planned(demo)[0]) == ["loss"]


def test_an_unknown_figure_is_named_with_a_suggestion(demo):
    demo.run.spec = '[report]\nfigures = ["los"]'
    with pytest.raises(UnknownNameError, match=r"unknown figure in .* 'los'; did you mean 'loss'"):
        planned(demo)


def test_the_kind_of_a_numbered_figure():
    names = ["loss", "loss-2", "data-profile", "data-profile-12", "data-profile-3-column", "profile-column"]
    kinds = ["loss", "loss", "data-profile", "data-profile", "data-profile", "profile"]
    assert [figures.kind_of(name) for name in names] == kinds


@pytest.mark.parametrize("width", ["text", "column"])
def test_curves_draw_their_csv(demo_plan, width):
    plan, styles = demo_plan
    data = plan["loss"].data
    figure = figures.draw("loss", data, styles, width)
    assert figure.get_size_inches()[0] == pytest.approx(style.WIDTHS[width])
    panels = iter(figure.axes)
    for problem in ("spirals", "digits"):
        for axis in ("iterations", "passes", "time"):
            drawn = lines_of(next(panels))
            for solver in ("lbfgs", "sgd", "scipy-lbfgs"):
                own = data[(data.problem == problem) & (data.solver == solver) & (data.axis == axis)]
                assert np.array_equal(drawn[solver].get_xdata(), own.x)
                assert np.array_equal(drawn[solver].get_ydata(), own.loss)
                assert drawn[solver].get_color() == styles.colour(solver)


def test_curve_data_is_the_history_of_the_repeat_of_median_time(demo_plan):
    plan, _ = demo_plan
    data = plan["loss"].data
    own = data[(data.problem == "spirals") & (data.solver == "lbfgs") & (data.axis == "time")]
    assert own.loss.tolist() == [2.0 * 0.5**k for k in range(12)]
    assert own.x.tolist() == [pytest.approx(0.02 * 1.001 * k) for k in range(12)]  # the second of three repeats
    assert set(own.backend) == {"numpy"}


def test_curves_of_seeds_are_medians_with_a_band(store):
    for seed, losses in enumerate(([8.0, 4.0, 1.0], [8.0, 2.0], [8.0, 6.0, 5.0])):
        store.add("p", "a", "numpy", losses, seed=seed)
    data = planned(store)[0]["loss"].data
    own = data[data.axis == "iterations"]
    assert own.x.tolist() == [0.0, 1.0, 2.0]
    assert own.loss.tolist() == [8.0, 4.0, 2.0]  # the second seed keeps its last loss
    assert own.loss_low.tolist() == [8.0, 2.0, 1.0]
    assert own.loss_high.tolist() == [8.0, 6.0, 5.0]


def test_long_histories_are_thinned_with_their_ends(store):
    store.add("p", "a", "numpy", np.geomspace(1.0, 1e-3, 5000))
    data = planned(store)[0]["loss"].data
    own = data[data.axis == "iterations"]
    assert len(own) <= 120
    assert (own.x.iloc[0], own.x.iloc[1], own.x.iloc[-1]) == (0.0, 1.0, 4999.0)


def test_logarithmic_time_draws_the_start_at_its_edge(store):
    store.add("p", "a", "numpy", np.geomspace(1.0, 0.1, 5), step_time=0.001)
    store.add("p", "b", "numpy", np.geomspace(1.0, 0.1, 50), step_time=1.0)
    plan, styles = planned(store)
    figure = figures.draw("loss", plan["loss"].data, styles, "text")
    panel = figure.axes[2]
    assert panel.get_xscale() == "log"
    left = panel.get_xlim()[0]
    x = lines_of(panel)["a"].get_xdata()
    assert x[0] == left
    assert x[1:] == pytest.approx([0.001, 0.002, 0.003, 0.004])
    assert panel.get_xticklabels()[0].get_text() == "0"


def test_profiles_draw_their_csv(demo_plan):
    plan, styles = demo_plan
    data = plan["profile"].data
    figure = figures.draw("profile", data, styles)
    assert len(figure.axes) == 4  # evaluations, passes, numpy, torch
    drawn = lines_of(figure.axes[2])
    own = data[(data.measure == "time") & (data.backend == "numpy") & (data.solver == "sgd")]
    steps = list(zip(drawn["sgd"].get_xdata(), drawn["sgd"].get_ydata()))
    assert [s for s in zip(own.ratio, own.fraction) if s not in steps] == []
    assert drawn["sgd"].get_drawstyle() == "steps-post"
    assert drawn["sgd"].get_color() == styles.colour("sgd")


def test_ratios_draw_their_csv(demo_plan):
    plan, styles = demo_plan
    data = plan["backends"].data
    figure = figures.draw("backends", data, styles)
    own = data[data.problem == "spirals"]
    points = np.concatenate([c.get_offsets() for c in figure.axes[0].collections if len(c.get_offsets()) == len(own)])
    assert sorted(points[:, 0]) == pytest.approx(sorted(own.ratio))
    assert own.ratio.tolist() == pytest.approx([0.5] * 3)


def test_accuracy_draws_its_csv_and_names_settings(store):
    for seed, value in enumerate((0.90, 0.95, 0.92)):
        store.add("p", "a", "numpy", [1.0, 0.5], seed=seed, metrics={"accuracy_test": value})
    plan, styles = planned(store)
    figure = figures.draw("accuracy", plan["accuracy"].data, styles, "column")
    panel = figure.axes[0]
    dots = next(line for line in panel.get_lines() if line.get_marker() == "o")
    assert sorted(dots.get_xdata()) == pytest.approx([90.0, 92.0, 95.0])
    texts = [t.get_text() for t in panel.texts]
    assert "92.00" in texts
    assert "step = 0.1" in texts


def test_settings_of_matplotlib_are_not_touched(demo_plan):
    before = dict(matplotlib.rcParams)
    plan, styles = demo_plan
    style.render(figures.draw("backends", plan["backends"].data, styles), "png")
    assert dict(matplotlib.rcParams) == before


def test_a_users_settings_do_not_change_figures(demo_plan):
    plan, styles = demo_plan
    figure = plan["backends"]
    usual = style.render(figures.draw(figure.name, figure.data, styles), "svg")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "none", "lines.linewidth": 9}):
        assert style.render(figures.draw(figure.name, figure.data, styles), "svg") == usual


def test_equal_figures_are_equal_files_with_fonts_embedded(demo_plan):
    plan, styles = demo_plan
    data = plan["backends"].data
    drawn = figures.draw("backends", data, styles)
    files = {suffix: style.render(drawn, suffix) for suffix in style.FORMATS}
    again = figures.draw("backends", data, styles)
    assert {suffix: style.render(again, suffix) for suffix in style.FORMATS} == files
    assert files["pdf"].startswith(b"%PDF")
    assert b"/FontFile2" in files["pdf"]  # TrueType, as fonttype 42 embeds it
    assert b"/Type3" not in files["pdf"]
    assert b"CreationDate" not in files["pdf"]
    assert int.from_bytes(files["png"][16:20], "big") == round(200 * drawn.get_size_inches()[0])
    assert b"<dc:date>" not in files["svg"]
    assert b"<text" not in files["svg"]  # outlines: the same on every machine


def test_data_profiles_draw_their_csv(demo_plan):
    plan, styles = demo_plan
    data = plan["data-profile"].data
    figure = figures.draw("data-profile", data, styles, "column")
    assert len(figure.axes) == 4
    drawn = lines_of(figure.axes[0])
    for solver in ("lbfgs", "sgd", "scipy-lbfgs"):
        own = data[(data.measure == "evaluations") & (data.solver == solver)]
        steps = list(zip(drawn[solver].get_xdata(), drawn[solver].get_ydata()))
        assert set(zip(own.cost, own.fraction)) <= set(steps)
        assert steps[0][1] == 0.0  # no target is met at no cost
    assert drawn["lbfgs"].get_linestyle() == "-"
    assert drawn["scipy-lbfgs"].get_linestyle() != "-"


def test_times_share_a_panel_where_each_solver_has_its_own_library(store):
    for problem in ("p", "q"):
        store.add(problem, "a", "numpy", [1.0, 0.0])
        store.add(problem, "b", "torch", [1.0, 0.5, 0.0], case={"kind": "peer"})
    plan, styles = planned(store)
    figure = figures.draw("profile", plan["profile"].data, styles)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["evaluations", "passes", "time"]
    assert set(lines_of(figure.axes[2])) == {"a", "b"}


def test_gaps_draw_their_csv_and_refer_to_the_known_minimum(store):
    store.add("p", "a", "numpy", [3.0, 2.5, 2.0], minimum=2.0)
    store.add("p", "b", "numpy", [3.0, 2.75], minimum=2.0)
    store.add("q", "a", "numpy", [3.0, 2.0])  # nothing is known of it
    plan, styles = planned(store)
    data = plan["gap"].data
    assert set(data.problem) == {"p"}
    own = data[(data.solver == "a") & (data.axis == "iterations")]
    assert own.gap.tolist() == [0.5, 0.25, 1e-16]
    assert own.target.tolist() == pytest.approx([0.05] * 3)  # tau = 0.1 of the way from 3 to 2, relative to 2
    panel = figures.draw("gap", data, styles).axes[0]
    assert panel.get_ylabel() == "relative gap"
    assert panel.get_yscale() == "log"
    assert lines_of(panel)["a"].get_ydata().tolist() == [0.5, 0.25, 1e-16]
    assert "known minimum" in plan["gap"].caption


def many(store, ours=14, peers=3):
    for problem in ("p", "q"):
        for i in range(ours):
            store.add(problem, f"ours-{i}", "numpy", [1.0, 0.5, *[0.0] * (i + 1)])
        for i in range(peers):
            store.add(problem, f"peer-{i}", "numpy", [1.0, 0.0], case={"kind": "peer"})
    return store


def test_many_solvers_are_parted_and_colours_begin_anew(store):
    plan, styles = planned(many(store))
    profiles = [f for f in plan.values() if f.kind == "profile"]
    assert [f.data.solver.nunique() for f in profiles] == [7, 7, 3]
    assert [f.name for f in profiles] == ["profile", "profile-2", "profile-3"]
    assert "(ours, part 1)" in profiles[0].title
    assert "(peers)" in profiles[2].title
    for figure in profiles:
        looks = [(styles.colour(s), str(styles.dashes(s))) for s in figure.data.solver.unique()]
        assert len(set(looks)) == len(looks)
    # ratios are to the best of all, which is a peer's
    assert profiles[0].data.ratio[profiles[0].data.measure == "passes"].min() == 1.5


def test_groups_of_the_experiment_part_figures(store):
    store = many(store)
    store.run.spec = '[report]\nfigures = ["profile", "loss"]\ngroups = { some = ["ours-3", "peer-1"] }'
    plan, _ = planned(store)
    assert [f.title for f in plan.values()] == ["Performance profiles (some)", "Convergence on p and q (some)"]
    assert all(set(f.data.solver) == {"ours-3", "peer-1"} for f in plan.values())


def test_profiles_of_several_levels(store):
    store.run.spec = '[report]\nfigures = ["profile"]\ntaus = [1e-3, 0.6]'
    for problem in ("p", "q"):
        store.add(problem, "a", "numpy", [1.0, 0.5, 0.0])
        store.add(problem, "b", "numpy", [1.0, 0.5, 0.2])
    plan, _ = planned(store)
    assert [f.title for f in plan.values()] == [
        "Performance profiles, tau = 0.6",
        "Performance profiles, tau = 0.001",
    ]
    last = [f.data[(f.data.solver == "b") & (f.data.measure == "passes")].fraction.max() for f in plan.values()]
    assert last == [1.0, 0.0]


def test_twelve_solvers_fit_into_a_panel_with_their_names_apart(store):
    plan, styles = planned(many(store, ours=9, peers=3))
    figure = figures.draw("profile", plan["profile"].data, styles)
    for panel in figure.axes:
        height = panel.get_position().height * figure.get_size_inches()[1]
        places = sorted(text.get_position()[1] * height for text in panel.texts)
        assert len(places) == 12
        assert np.diff(places).min() >= 0.114  # inches: a line of text
        assert places[-1] - places[0] <= height + 0.16


def test_colours_do_not_repeat_for_many_solvers():
    styles = Styles.of([f"s{i}" for i in range(21)], ["numpy"])
    assert len({look.colour for look in styles.solvers.values()}) == 21


def test_styles_survive_the_csv():
    styles = Styles.of(["a", "b"], ["numpy", "jax"], peers=["b"])
    assert Styles.from_frame(styles.frame()) == styles


@pytest.mark.parametrize("colour", ["#E69F00", "#56B4E9", "#000000", "#ffffff"])
def test_labels_have_contrast(colour):
    r, g, b = (int(readable(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (r, g, b)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 4.45


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.02, 0.9, [0.02, 0.05, 0.1, 0.2, 0.5]),
        (1.0, 1300.0, [1, 10, 100, 1000]),
        (1e-9, 3.0, [1e-8, 1e-6, 1e-4, 1e-2, 1.0]),
        (0.3, 1.2, [0.3, 0.5, 0.7, 1.0]),
    ],
)
def test_logarithmic_axes_have_few_labels(low, high, labels):
    assert log_labels(low, high)[0] == pytest.approx(labels)


@pytest.mark.parametrize("low", [1e-300, 1e-12, 1e-3, 0.99, 1.0, 7.0])
@pytest.mark.parametrize("factor", [1.0001, 1.1, 1.6, 9.0, 1e3, 1e40, 1e200])
def test_logarithmic_axes_always_have_a_label(low, factor):
    assert all(1 <= len(labels) <= 7 for labels in log_labels(low, low * factor))


@pytest.mark.parametrize("width", [0.6, 1.1, 1.6, 4.0])
@pytest.mark.parametrize(("low", "high"), [(2.1e-4, 0.04), (1e-9, 3.0), (0.02, 0.9), (1.0, 1300.0), (3e-5, 8e-5)])
@pytest.mark.parametrize("from_zero", [True, False])
def test_labels_side_by_side_do_not_touch(low: float, high: float, width: float, from_zero: bool) -> None:
    with styled():
        figure = new_figure(width + 1.0, 1.0)
        axes = place(figure, 0.5, 0.4, width, 0.5)
        log_axis(axes, "x", low, high, start=2 * low if from_zero else None)
        figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert boxes
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert len(boxes) >= (3 if width == 4.0 and high > 3 * low else 1)


@pytest.mark.parametrize("width", ["text", "column"])
def test_names_of_any_length_leave_room_for_accuracies(width: str) -> None:
    name = "adam(step_size=0.005, batch_size=70, schedule=cosine, horizon=1000, final=0.01)"
    rows = [(problem, "", name, "", "numpy", 0, "accuracy_test", 0.97) for problem in ("one", "other")]
    rows.append(("other", "", "lbfgs", "", "numpy", 0, "accuracy_test", 0.9))
    columns = ["problem", "network", "solver", "settings", "backend", "seed", "metric", "value"]
    figure = draw_accuracy(pd.DataFrame(rows, columns=columns), Styles.of([name, "lbfgs"], ["numpy"], []), width)
    assert all(panel.get_position().width > 0.1 for panel in figure.axes)
    shown = {text.get_text() for panel in figure.axes for text in panel.texts}
    assert "lbfgs" in shown
    assert any(text.startswith("adam(") and text.endswith("…") for text in shown)
