"""The studies of lecture 2 with small settings: what is in their tables."""

from __future__ import annotations

import numpy as np
import pytest

from nmdl_bench.contracts import ConfigurationError
from nmdl_bench.report import pictures
from nmdl_bench.studies import l_curve, least_squares_images, polynomial_fit, semiconvergence
from nmdl_bench.studies.pictures import Study, band, joined


def only(study: Study, name: str):
    return next(picture.data for picture in study.pictures if picture.name == name)


def drawable(study: Study) -> None:
    for picture in study.pictures:
        assert pictures.draw(picture.kind, picture.data, "text").axes


def test_semiconvergence_of_the_small_problems():
    study = semiconvergence.run(semiconvergence.Semiconvergence(iterations=300, ill_posed_iterations=60))
    drawable(study)
    facts = {(row["problem"].split(",")[0], row["method"]): row for row in study.facts}
    rng = np.random.Generator(np.random.Philox(4))
    e, x = 0.1 * rng.standard_normal(3), np.array([1, 1.2])
    for a, shown in ((1.0, "a = 1"), (1e-2, "a = 10^{-2}")):
        A = np.array([[1, 1 + a], [1, 1 + 2 * a], [1, 1 + 3 * a]])
        naive = np.linalg.lstsq(A, A @ x + e, rcond=None)[0]
        error = np.linalg.norm(naive - x) / np.linalg.norm(x)
        assert facts[shown, "CGLS"]["last error"] == pytest.approx(error, rel=1e-6)
    # constant steps of 1 / sigma_1^2, by hand
    weight = 1 / np.linalg.norm(A, 2) ** 2
    y = np.zeros(2)
    for _ in range(300):
        y = y + weight * A.T @ (A @ (x - y) + e)
    assert facts["a = 10^{-2}", "constant steps"]["last error"] == pytest.approx(
        np.linalg.norm(y - x) / np.linalg.norm(x), rel=1e-9
    )
    row = facts["ill-posed", "CGLS"]
    assert row["stopped at"] <= row["at iteration"] + 3
    assert row["last error"] > 5 * row["least error"]
    assert row["error there"] < 1.5 * row["least error"]
    data = only(study, "semiconvergence")
    marks = data[data.role == "mark"]
    assert set(marks.panel) == set(data.panel)
    assert "hybrid LSQR" not in set(marks.line)


def test_high_degrees_fit_the_samples_and_miss_the_others():
    study = polynomial_fit.run(polynomial_fit.PolynomialFit(seeds=8))
    drawable(study)
    rows = study.facts
    fitted = [row["samples fitted"] for row in rows]
    assert np.all(np.diff(fitted) <= 0)
    others = [row["other samples"] for row in rows]
    assert 2 <= int(np.argmin(others)) <= 8
    assert others[-1] > 3 * min(others)
    fits = only(study, "fits")
    line = fits[(fits.panel == "degree 1") & (fits.line == "fit")]
    dots = fits[(fits.panel == "degree 1") & (fits.line == "samples")]
    expected = np.polynomial.Polynomial.fit(dots.x, dots.middle, 1)(line.x.to_numpy())
    assert line.middle.to_numpy() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    with pytest.raises(ConfigurationError, match="degrees must be below the 10 samples, not 16"):
        polynomial_fit.run(polynomial_fit.PolynomialFit(samples=10))


def test_weights_are_those_of_ridge_regression():
    linear_model = pytest.importorskip("sklearn.linear_model")
    settings = least_squares_images.LeastSquaresImages("digits", points=9, n=400)
    study = least_squares_images.run(settings)
    drawable(study)
    from nmdl_bench.data import load

    data = load("digits", n=400)
    scale = np.linalg.norm(data.train.Y - data.train.Y.mean(axis=0), 2) ** 2
    ridge = linear_model.Ridge(settings.weak * scale).fit(data.train.Y, data.train.C)
    weights = only(study, "weights-weak")
    assert weights[weights.panel == "class 3"].value.to_numpy() == pytest.approx(ridge.coef_[3], rel=1e-5, abs=1e-7)
    first = study.facts[0]
    assert first["training"] > study.facts[-1]["training"]
    with pytest.raises(ConfigurationError, match="data = 'circles' must be grey images with classes"):
        least_squares_images.run(least_squares_images.LeastSquaresImages("circles"))


def test_the_l_curve_falls_and_its_choices_are_near_the_best():
    settings = l_curve.LCurve(size=12, width=1.0, points=41, steps=40, probes=2)
    study = l_curve.run(settings)
    drawable(study)
    facts = {row["choice"]: row for row in study.facts}
    assert set(facts) == {
        "L-curve's corner", "discrepancy principle", "cross-validation", "cross-validation, stochastic", "least error"
    }  # fmt: skip
    least = facts["least error"]["error"]
    assert all(least <= row["error"] * (1 + 1e-3) and row["error"] < 2 * least for row in facts.values())
    assert facts["cross-validation"]["G / least G"] <= 1.01
    curve = only(study, "l-curve")
    line = curve[(curve.panel == "L-curve") & (curve.role == "line")]
    assert np.all(np.diff(line.x) > 0)
    assert np.all(np.diff(line.middle) < 0)
    assert len(set(only(study, "images").panel)) == 6


def test_points_are_not_joined_and_marks_ring_lines():
    at = {"x_label": "x", "y_label": "y"}
    data = joined([
        band("p", "line", [1, 2, 3], np.array([1.0, 2.0, 3.0]), **at),
        band("p", "dots", [1, 2], np.array([2.0, 1.0]), role="points", **at),
        band("p", "line", [2], np.array([2.0]), role="mark", **at),
        band("p", "alone", [3], np.array([1.5]), role="mark", log_x=True, **at),
    ])  # fmt: skip
    axes = pictures.draw("bands", data).axes[0]
    assert axes.get_xscale() == "log"
    drawn = [line for line in axes.get_lines() if line.get_gid() is None]
    dots, ring, alone, line = drawn
    assert (dots.get_linestyle(), dots.get_marker()) == ("None", "o")
    assert ring.get_color() == line.get_color() != alone.get_color()
    assert ring.get_markerfacecolor() == "white"
    assert [text.get_text() for text in axes.texts] == ["line", "dots", "alone"]
