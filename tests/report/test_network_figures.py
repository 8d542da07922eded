"""Pictures of networks, drawn from small tables and from a small network."""

from __future__ import annotations

import json
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.contracts import StoreError
from nmdl_bench.diagnostics.spectra import Region
from nmdl_bench.report import pictures, style
from nmdl_bench.studies.inspection import find, train
from nmdl_bench.studies.network_pictures import pictures as make_pictures
from nmdl_bench.studies.pictures import Study, band, grid_rows, joined

xp = get_backend("numpy")
EVERYTHING = ["spectra", "growth", "energy", "regions", "landscape", "kernels"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    options = {"n": 60, "width": 4, "depth": 3, "rhs": "hamiltonian", "integrator": "verlet"}
    subject = train(find("spirals", options, tmp_path_factory.mktemp("s") / "none.sqlite"), "lbfgs", 3, xp)
    return make_pictures(subject, xp)


def panel(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def drawn(study, name, width="text"):
    picture = next(p for p in study.pictures if p.name == name)
    return pictures.draw(picture.kind, picture.data, width), picture.data


# --------------------------------------------------------------------------------------- all pictures of one network
def test_a_network_on_two_features_has_all_pictures(study):
    assert [picture.name for picture in study.pictures] == EVERYTHING
    assert study.left_out == []
    assert all("3 iterations of lbfgs" in picture.caption for picture in study.pictures)


@pytest.mark.parametrize("width", ["text", "column"])
@pytest.mark.parametrize("name", EVERYTHING)
def test_pictures_have_labels_and_fit_their_width(study, name, width):
    figure, _ = drawn(study, name, width)
    assert 1 < figure.get_size_inches()[0] <= style.WIDTHS[width] + 1e-9
    for axes in figure.axes:
        titles = [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        assert any(titles) or axes.get_position().width < 0.05  # colour bars may go without
    box, (wide, high) = figure.get_tightbbox(figure.canvas.get_renderer()), figure.get_size_inches()
    assert min(box.x0, box.y0) >= -0.01
    assert box.x1 <= wide + 0.01
    assert box.y1 <= high + 0.01


def test_left_out_says_why(tmp_path):
    found = make_pictures(find("parabolic-cifar10", {}, tmp_path / "none.sqlite"), xp)
    assert [picture.name for picture in found.pictures] == ["growth", "energy", "kernels"]
    assert any("32,768 features are more than 512" in sentence for sentence in found.left_out)
    assert any("no objective" in sentence for sentence in found.left_out)
    logistic = make_pictures(find("circles", {"depth": 0, "n": 40}, tmp_path / "none.sqlite"), xp)
    assert [picture.name for picture in logistic.pictures] == ["regions", "landscape", "kernels"]
    assert logistic.left_out == ["spectra, growth and energy: the network has no time steps"]


def test_spectra_are_drawn_with_their_region(study):
    figure, data = drawn(study, "spectra")
    axes = figure.axes[0]
    dots = axes.collections[-1].get_offsets()
    assert np.array_equal(np.asarray(dots), data[["real", "imag"]].to_numpy())
    assert len(data) == 3 * 4 * 4  # steps, samples, features
    assert Region.parse(data.region.iloc[0]) == Region("imaginary", (2.0,))
    assert axes.get_xlabel() == r"$\mathrm{Re}\,h\lambda$"


@pytest.mark.parametrize("region", ["polynomial 1.0 1.0", "imaginary 2.0", "real 4.0"])
@pytest.mark.parametrize("size", [0.01, 1.0, 30.0])
def test_all_eigenvalues_and_the_origin_are_in_view(region, size):
    z = size * np.exp(1j * np.linspace(0, 6, 9))
    data = pd.DataFrame({"panel": "p", "region": region, "time": 0.0, "real": z.real, "imag": z.imag})
    axes = pictures.draw("spectra", data).axes[0]
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    assert x0 < min(z.real.min(), 0) <= max(z.real.max(), 0) < x1
    assert y0 < min(z.imag.min(), 0) <= max(z.imag.max(), 0) < y1


def test_regions_draw_samples_in_their_classes_colours(study):
    figure, data = drawn(study, "regions")
    axes = figure.axes[0]
    training = data[data.role == "train"]
    offsets = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets())])
    for x, y in training[["x", "y"]].to_numpy():
        assert np.any(np.all(offsets == [x, y], axis=1))
    plane = data[data.role == "grid"]
    assert len(plane) == 161**2
    assert set(plane.label) <= {0.0, 1.0}


def test_energy_is_the_hamiltonian_and_the_fields_norms(study):
    _, data = drawn(study, "energy")
    assert list(dict.fromkeys(data.panel)) == ["Hamiltonian, time steps", "norms, time steps"]
    assert set(data.line) == {"$H$", r"$\Vert Y\Vert$", r"$\Vert Z\Vert$"}
    assert sorted(set(data.x)) == pytest.approx([0, 2, 4, 6])


def test_landscape_is_the_objective_and_least_curved_away_from_the_cross(study):
    _, data = drawn(study, "landscape")
    assert set(data.panel) == {"random directions", "Hessian's eigenvectors"}
    here = [group[(group.x == 0) & (group.y == 0)].value.item() for _, group in data.groupby("panel")]
    assert here[0] == here[1]


# ------------------------------------------------------------------------------------------------------ kinds by hand
def test_bands_draw_their_rows_and_bounds():
    values = np.array([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])
    rows = band("p", "a", [0.0, 1.0], values, x_label="time", y_label="growth", log=True, bound=50.0)
    axes = pictures.draw("bands", rows).axes[0]
    line = panel(axes)["a"]
    assert line.get_ydata().tolist() == [2.0, 20.0]
    assert axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time", "growth")
    assert any(one.get_linestyle() == "--" and set(one.get_ydata()) == {50.0} for one in axes.get_lines())
    assert axes.get_ylim()[1] > 50


def test_bands_name_lines_only_where_there_are_several():
    rows = [band("p", name, [0, 1], np.ones(2), x_label="x", y_label="y") for name in ("first", "second")]
    assert {text.get_text() for text in pictures.draw("bands", joined(rows)).axes[0].texts} == {"first", "second"}
    assert not pictures.draw("bands", rows[0]).axes[0].texts


@pytest.mark.parametrize("values", [np.ones((3, 2)), np.zeros((3, 2)), np.geomspace(1e-9, 1e9, 6).reshape(3, 2)])
def test_maps_of_any_values(values):
    columns = {"panel": "p", "scale": "s", "x_label": "a", "y_label": "b", "v_label": "", "columns_wanted": 2,
               "mark_x": 0.0, "mark_y": np.nan}  # fmt: skip
    data = grid_rows(columns, np.array([0.0, 1.0]), np.array([0.0, 1.0, 2.0]), {"value": values})
    figure = pictures.draw("maps", data)
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("a", "b")
    assert len(figure.axes) == 2


def test_kernels_put_numbers_where_they_belong():
    data = pd.DataFrame({"panel": "K", "scale": "s", "row": [0.0, 1.0], "column": [2.0, 0.0], "value": [-3.0, 1.0]})
    image = pictures.draw("kernels", data).axes[0].images[0]
    found = np.ma.filled(image.get_array(), np.nan)
    assert found.shape == (2, 3)
    assert (found[0, 2], found[1, 0]) == (-3.0, 1.0)
    assert np.isnan(found[0, 0])
    assert image.get_clim() == (-3.0, 3.0)


# -------------------------------------------------------------------------------------------------------- the folder
def test_the_folder_of_a_study(study, tmp_path):
    some = Study([p for p in study.pictures if p.name in ("growth", "spectra")], [{"a": 1.0}], ["b: because"])
    paths = pictures.write(some, tmp_path / "out", "A title", {"seed": 3})
    for name in ("growth", "spectra"):
        for suffix in (*style.FORMATS, "csv"):
            assert paths[f"{name}.{suffix}"].stat().st_size > 500
        picture = next(p for p in some.pictures if p.name == name)
        pd.testing.assert_frame_equal(pictures.read(paths[f"{name}.csv"]), picture.data, check_dtype=False)
    page = paths["page"].read_text()
    for words in ("# A title", "Factor by which", "| a |".replace(" ", ""), "b: because", '"seed": 3', "numpy"):
        assert words in page or words in page.replace(" ", "")
    known = json.loads(paths["provenance"].read_text())
    assert known["settings"] == {"seed": 3}
    assert "packages" in known["provenance"]
    # redrawn from the tables, it is the same; in the other width beside it
    before = paths["growth.svg"].read_bytes()
    paths["growth.svg"].unlink()
    done = subprocess.run(
        [sys.executable, paths["redraw"], "--format", "svg"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert paths["growth.svg"].read_bytes() == before
    narrow = pictures.redraw(tmp_path / "out", "column", ["png"])
    assert [path.name for path in narrow] == ["spectra-column.png", "growth-column.png"]
    # a later study with fewer pictures leaves none of the earlier ones
    pictures.write(Study(some.pictures[:1]), tmp_path / "out", "B", {})
    assert not list((tmp_path / "out").rglob("growth*"))


def test_a_folder_that_cannot_be_written(study, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write the figures to .*; name another folder"):
        pictures.write(Study(study.pictures[:1]), tmp_path / "file" / "x", "T", {})


def test_a_users_settings_do_not_change_pictures(study):
    usual = style.render(drawn(study, "growth")[0], "svg")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        assert style.render(drawn(study, "growth")[0], "svg") == usual
