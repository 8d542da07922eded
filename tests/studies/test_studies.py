"""Studies with few and small settings: what is in their tables; study files and their mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmdl_bench.contracts import SOLVERS, ConfigurationError, Stop, UnknownNameError
from nmdl_bench.data import load as load_data
from nmdl_bench.networks.architectures import evolution
from nmdl_bench.networks.layers import Dense
from nmdl_bench.networks.network import Network
from nmdl_bench.problems.learning import LearningProblem
from nmdl_bench.studies import (
    initialisation,
    loss_surface,
    objective_plane,
    orders,
    phase_plane,
    random_features,
    single_layer,
    softmax,
    stability,
    swiss_roll,
)
from nmdl_bench.studies.load import KINDS, load
from nmdl_bench.studies.pictures import Study, band
from nmdl_bench.studies.training import Pad, multilevel
from nmdl_bench.testing import check_layer, standins

COURSE = sorted((Path(__file__).parents[2] / "reports" / "course").glob("*.toml"))


def write(folder, text):
    path = folder / "study.toml"
    path.write_text(text)
    return path


# ------------------------------------------------------------------------------------------------------------ files
def test_the_course_has_a_file_for_every_kind():
    files = [load(path) for path in COURSE]
    assert {file.kind for file in files} == set(KINDS)
    assert all(path.stem == file.name for path, file in zip(COURSE, files))
    assert all(file.title != file.name for file in files)


def test_course_files_hold_the_papers_settings():
    files = {load(path).kind: load(path).settings for path in COURSE}
    assert files["phase-plane"] == phase_plane.PhasePlane()
    assert files["objective-plane"] == objective_plane.ObjectivePlane()
    antisymmetric = files["swiss-roll"].designs["antisymmetric"]
    assert (antisymmetric.depths[0], antisymmetric.depths[-1], antisymmetric.alpha) == (16, 1024, 5e-4)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ConfigurationError, "missing required field 'kind'"),
        ("kind = ", ConfigurationError, "is not valid TOML"),
        ('kind = "stabilty"\nname = "a"', UnknownNameError, "unknown kind of study .*; did you mean 'stability'"),
        ('kind = "stability"\nname = "a/b"', ConfigurationError, "names a folder"),
        ('kind = "stability"\nname = "a"\nwidht = "text"', UnknownNameError, "unknown key .* did you mean 'width'"),
        ('kind = "stability"\nname = "a"\n[settings]\ndept = 3', UnknownNameError, "did you mean 'depth'"),
        (
            'kind = "stability"\nname = "a"\n[settings]\ndepth = 0',
            ConfigurationError,
            "settings: depth: Expected `?'?int",
        ),
        ('kind = "swiss-roll"\nname = "a"', ConfigurationError, "missing required field 'designs'"),
    ],
)
def test_mistakes_in_study_files_are_sentences(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        load(write(tmp_path, text))


def test_a_study_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no study file .*none.toml.*see reports/course"):
        load(tmp_path / "none.toml")


# ---------------------------------------------------------------------------------------------------------- studies
def only(study: Study, name: str):
    return next(picture.data for picture in study.pictures if picture.name == name)


def test_phase_planes_are_euler_by_hand():
    study = phase_plane.run(phase_plane.PhasePlane(continued=1))
    data = only(study, "phase-plane")
    K = np.array([[2.0, -2.0], [0.0, 2.0]])
    y = np.array([0.1, 0.1])
    for _ in range(10):
        y = y + 0.1 * np.tanh(K @ y)
    path = data[(data.panel == "$K_{+}$") & (data.line == "input 1") & (data.role == "trajectory")]
    assert len(path) == 11
    assert path[["x", "y"]].iloc[-1].to_numpy() == pytest.approx(y)
    field = data[(data.panel == "$K_{0}$") & (data.role == "field")].iloc[5]
    assert (field.u, field.v) == pytest.approx((np.tanh(-field.y), np.tanh(field.x)))
    row = study.facts[2]
    assert row["after 10 layers"] == pytest.approx(row["distance of the first two starts"] * 1.01**5, rel=1e-2)
    with pytest.raises(ConfigurationError, match="must be 2 x 2"):
        phase_plane.run(phase_plane.PhasePlane(kernels={"K": [[1.0]]}))


def test_initialisation_grows_as_variances_say():
    settings = initialisation.Initialisation(width=200, depth=4, seeds=(0, 1, 2))
    study = initialisation.run(settings)
    data = only(study, "initialisation")
    end = data[(data.panel == "features, linear layers") & (data.x == 4)].set_index("line").middle
    # each layer multiplies the norm by the root of n times the variance
    assert end["N(0, 1)"] == pytest.approx(200**2, rel=0.3)
    assert end["U[-0.5, 0.5]"] == pytest.approx((200 / 12) ** 2, rel=0.3)
    assert end["U[-0.05, 0.05]"] == pytest.approx((200 / 1200) ** 2, rel=0.3)
    assert end["Glorot"] == pytest.approx(1, rel=0.3)
    back = data[(data.panel == "gradients, linear layers") & (data.x == 0)].set_index("line").middle
    assert back["N(0, 1)"] == pytest.approx(200**2, rel=0.3)
    with pytest.raises(UnknownNameError, match="did you mean 'Glorot'"):
        initialisation.run(initialisation.Initialisation(draws=("Glorott",)))


def test_the_objective_is_least_at_the_truth_for_its_own_depth():
    settings = objective_plane.ObjectivePlane(depths=(2, 40), truth_depth=40, points=7, low=0.4, high=1.6)
    study = objective_plane.run(settings)
    data = only(study, "objective")
    train = data[data.panel == "$N = 40$, train"]
    least = train.loc[train.value.idxmin()]
    assert (least.x, least.y, least.value) == (1.0, 1.0, 0.0)
    panels = {name: group.value.to_numpy() for name, group in data.groupby("panel")}
    assert panels["$N = 40$, difference"] == pytest.approx(
        np.abs(panels["$N = 40$, train"] - panels["$N = 40$, test"]), abs=1e-18
    )
    assert study.facts[0]["least training objective"] > 100 * study.facts[1]["least training objective"]


def test_stability_has_a_line_and_a_spectrum_for_each_design():
    settings = stability.Stability(seeds=(0, 1), depth=400, samples=1, designs=("plain", "parabolic"))
    study = stability.run(settings)
    growth = only(study, "growth")
    assert set(growth.line) == {"plain", "parabolic"}
    assert growth[growth.line == "parabolic"].bound.eq(1).all()
    assert growth[growth.line == "plain"].bound.isna().all()
    assert (growth.low <= growth.high).all()
    assert set(only(study, "spectra").panel) == {"plain", "parabolic"}


def test_orders_show_each_integrators_slope():
    study = orders.run(orders.Orders(depths=(8, 16, 32)))
    for row in study.facts:
        assert row["observed"] == pytest.approx(row["order"], abs=0.25)
    assert len(only(study, "orders")) == 3 * len(study.facts)


def test_swiss_roll_through_two_levels():
    designs = {"a": swiss_roll.Design("antisymmetric", "euler", (4, 8), 5e-4, 1e-6, 0.0)}
    study = swiss_roll.run(swiss_roll.SwissRoll(designs, iterations=15))
    data = only(study, "regions")
    assert set(data.role) == {"grid", "train", "validation", "test"}
    assert [row["steps"] for row in study.facts] == [4, 8]
    validation = data[data.role == "validation"]
    assert validation.right.mean() == pytest.approx(study.facts[-1]["validation"])
    curve = only(study, "training")
    assert curve.middle.iloc[15] == pytest.approx(study.facts[0]["objective"])
    with pytest.raises(ConfigurationError, match="width must be at least the 2 features"):
        swiss_roll.run(swiss_roll.SwissRoll(designs, width=1))


def test_loss_surfaces_by_hand_and_at_the_truth():
    settings = loss_surface.LossSurface(samples=200, points=17, flipped=0.1)
    study = loss_surface.run(settings)
    data = only(study, "surfaces")
    assert list(dict.fromkeys(data.panel)) == [
        "Frobenius, clean labels", "cross-entropy, clean labels", "Frobenius, noisy labels",
        "cross-entropy, noisy labels",
    ]  # fmt: skip
    Y = np.random.Generator(np.random.Philox(0)).standard_normal((200, 2))
    S = Y @ [3.0, 2.0] + 1
    c = np.sign(S)
    found = data[(data.x == 3) & (data.y == 2)].set_index("panel").value
    assert found["Frobenius, clean labels"] == pytest.approx(0.5 * np.mean((S - c) ** 2))
    assert found["cross-entropy, clean labels"] == pytest.approx(np.mean(np.log1p(np.exp(-c * S))))
    # without wrong labels cross-entropy falls as the truth grows, and 10 % of them end that
    clean, noisy = (data[(data.panel == f"cross-entropy, {case} labels")] for case in ("clean", "noisy"))
    along = [frame[(frame.x == 6) & (frame.y == 4)].value.iloc[0] for frame in (clean, noisy)]
    at_truth = [frame[(frame.x == 3) & (frame.y == 2)].value.iloc[0] for frame in (clean, noisy)]
    assert along[0] < at_truth[0]
    assert along[1] > at_truth[1]


def test_softmax_is_linear_where_features_are_and_bends_where_they_are_random():
    settings = softmax.Softmax(
        "ellipses", {"n": 400, "n_validation": 0, "n_test": 100}, width=60, solver="newton-cg", iterations=30
    )
    study = softmax.run(settings)
    linear, random = study.facts
    assert linear["status"] == random["status"] == "converged"
    assert (linear["weights"], random["weights"]) == (6, 122)
    assert linear["test"] < 0.7 < 0.9 < random["test"]
    regions = only(study, "regions")
    for row, (_, panel) in zip(study.facts, regions.groupby("panel", sort=False)):
        assert panel[panel.role == "test"].right.mean() == pytest.approx(row["test"])
        assert panel[panel.role == "train"].right.mean() == pytest.approx(row["train"])
    with pytest.raises(UnknownNameError, match="did you mean 'random'"):
        softmax.run(softmax.Softmax("ellipses", {"n": 50}, maps=("randm",)))


def test_random_features_fit_peaks_and_their_singular_values_fall():
    study = random_features.run(random_features.RandomFeatures(width=80, samples=300, points=15))
    spectra, maps, errors = (only(study, name) for name in ("singular-values", "maps", "errors"))
    s = spectra[spectra.line == "tanh"].middle.to_numpy()
    assert np.all(np.diff(s) <= 0)
    assert len(s) == 81
    assert spectra[spectra.line == "sin"].middle.iloc[-1] < s[-1]
    truth = maps[maps.panel == "peaks"].value.to_numpy()
    for row in study.facts:
        fit, error = (frame[frame.panel == row["activation"]].value.to_numpy() for frame in (maps, errors))
        assert fit - truth == pytest.approx(error, abs=1e-12)
        assert np.sqrt(np.mean(error**2)) == pytest.approx(row["root mean square on the map"])
    assert study.facts[1]["root mean square on the samples"] < 0.3


def test_single_layer_goes_through_its_phases():
    phases = (
        single_layer.Phase("varpro", {"method": "steepest-descent"}, iterations=2),
        single_layer.Phase("varpro", iterations=3),
    )
    runs = (
        single_layer.Run("VarPro", "tanh", phases, alpha=1e-3, alpha_w=1e-2),
        single_layer.Run("L-BFGS", "sin", (single_layer.Phase("lbfgs", iterations=5),)),
    )
    study = single_layer.run(single_layer.SingleLayer(runs, width=5, train=60, test=40))
    assert [row["iterations"] for row in study.facts] == [2, 3, 5]
    assert study.facts[1]["objective"] < study.facts[0]["objective"]
    curve = only(study, "training")
    mine = curve[(curve.panel == "objective") & (curve.line == "VarPro")]
    assert mine.middle.iloc[-1] == pytest.approx(study.facts[1]["objective"])
    assert mine.x.iloc[-1] == pytest.approx(study.facts[0]["passes"] + study.facts[1]["passes"])
    problem, results = single_layer.train(single_layer.SingleLayer(runs, width=5, train=60, test=40), runs[0])
    assert np.array_equal(problem.start, results[0].x)


# --------------------------------------------------------------------------------------------------------- training
def test_padding_is_a_layer():
    for xp in standins()[:1]:
        check_layer(Pad(2, 4), xp, 2)


def test_levels_double():
    data = load_data("circles", n=40)

    def make(network):
        return LearningProblem("p", "", data, network)

    network = Network((Pad(2, 4), evolution(4, 2), Dense(4, 2)))
    x = network.init(np.random.default_rng(0))
    with pytest.raises(ConfigurationError, match=r"twice the steps of the one before, not \[2, 3\]"):
        multilevel(make, network, x, (2, 3), "lbfgs", Stop(1))
    assert "lbfgs" in SOLVERS
    first, second = multilevel(make, network, x, (2, 4), "lbfgs", Stop(3))
    assert (first.problem.network.layers[1].depth, second.problem.network.layers[1].depth) == (2, 4)
    assert np.array_equal(first.problem.start, x)
    assert second.problem.start[-2:] == pytest.approx(first.result.x[-2:])  # the classifier's biases go on


def test_bands_are_least_median_and_greatest():
    frame = band("p", "a", [0, 1], np.array([[1.0, 3.0, 2.0], [4.0, 4.0, 4.0]]), x_label="x", y_label="y")
    assert frame[["low", "middle", "high"]].to_numpy().tolist() == [[1, 2, 3], [4, 4, 4]]
