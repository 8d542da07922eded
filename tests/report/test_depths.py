"""Memory against depth."""

import numpy as np
import pandas as pd
import pytest

from nmdl_bench.report import style
from nmdl_bench.report.depths import draw_depths


def frame(backends, depths=(32, 64, 128, 256, 512, 1024)):
    rows = [
        (backend, label, depth, 1000 * (depth if label == "all" else 8), 1000)
        for backend in backends
        for label in ("all", "reversible")
        for depth in depths
    ]
    return pd.DataFrame(rows, columns=["backend", "label", "depth", "peak", "state"])


@pytest.mark.parametrize("width", ["text", "column"])
def test_a_panel_a_backend_with_its_lines_in_states(width):
    with style.styled():
        figure = draw_depths(frame(["numpy", "torch", "jax"]), width)
    assert figure.get_size_inches()[0] <= style.WIDTHS[width] + 1e-9
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["numpy", "torch", "jax"]
    for panel in figure.axes:
        kept, reversible = [line for line in panel.get_lines() if line.get_gid() is None]
        assert np.array_equal(kept.get_ydata(), [32, 64, 128, 256, 512, 1024])
        assert np.array_equal(reversible.get_ydata(), [8] * 6)
        assert panel.get_xscale() == panel.get_yscale() == "log"
    named = [text.get_text() for text in figure.axes[-1].texts]
    assert named == ["all", "reversible"]


def test_few_depths_are_all_labelled():
    with style.styled():
        figure = draw_depths(frame(["numpy"], depths=(32, 64, 128)))
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["32", "64", "128"]
