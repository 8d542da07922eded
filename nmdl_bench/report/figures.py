"""The figures of a report: which there are, their data, their captions, and how they are written and redrawn."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from matplotlib.figure import Figure

from nmdl_bench.contracts import unknown
from nmdl_bench.report import style, words
from nmdl_bench.report.accuracy import accuracy_data, draw_accuracy
from nmdl_bench.report.architectures import architecture_data, draw_architectures
from nmdl_bench.report.curves import LEAST_GAP, curve_data, draw_curves, draw_gaps
from nmdl_bench.report.frames import RunData
from nmdl_bench.report.groups import Group, groups_of
from nmdl_bench.report.profile_panels import BANDED, draw_profiles
from nmdl_bench.report.profiles import profile_data
from nmdl_bench.report.ratios import draw_ratios, ratio_data
from nmdl_bench.report.style import Styles, Width
from nmdl_bench.report.summary import Summary, metric_label
from nmdl_bench.report.targets import LEAST_SCALE, gap_of, levels_of, tau_of, with_targets

KINDS: dict[str, Callable[[pd.DataFrame, Styles, Width], Figure]] = {
    "loss": draw_curves,
    "gap": draw_gaps,
    "backends": draw_ratios,
    "profile": draw_profiles,
    "data-profile": draw_profiles,
    "accuracy": draw_accuracy,
    "architectures": draw_architectures,
}
"""Figures that ``[report] figures`` may name, and what draws them."""
_PROBLEMS_A_FIGURE = 4
_TEXT_COLUMNS = (
    "problem", "solver", "backend", "reference", "status", "axis", "measure", "settings", "network", "metric", "role",
    "label", "kind", "colour",
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """One figure of a report."""

    name: str
    """File name; its kind, with a number from the second of a kind on."""
    data: pd.DataFrame
    title: str
    caption: str

    @property
    def kind(self) -> str:
        """Key of ``KINDS``."""
        return kind_of(self.name)


def kind_of(name: str) -> str:
    """``loss`` for ``loss-2``, also where the figure is that of a column."""
    return re.sub(r"(-\d+)?(-column)?$", "", name)


def styles_of(data: RunData) -> Styles:
    """Colours and line styles for all figures of a report, in the experiment's order."""
    cases = data.cases
    peers, groups = list(cases.loc[cases.kind == "peer", "solver"]), [g.solvers for g in groups_of(data)]
    return Styles.of(data.order("solver"), data.order("backend"), peers, groups)


def plan(data: RunData, summary: Summary) -> list[Planned]:
    """The figures that the experiment asks for, or all, as far as there is something to show.

    Raises
    ------
    UnknownNameError
        ``[report] figures`` names one that there is not.
    """
    wanted = data.settings.get("figures")
    names = list(KINDS) if wanted is None else list(wanted)
    for name in names:
        if name not in KINDS:
            raise unknown("figure in [report] figures:", name, KINDS)
    makers: dict[str, Callable[[RunData, Summary], list[Planned]]] = {
        "loss": _loss,
        "gap": _gap,
        "backends": _backends,
        "profile": partial(_profile, kind="performance"),
        "data-profile": partial(_profile, kind="data"),
        "accuracy": _accuracy,
        "architectures": _architectures,
    }
    out = []
    for name in names:
        made = [figure for figure in makers[name](data, summary) if len(figure.data)]
        out += [replace(figure, name=f"{name}-{i + 1}" if i else name) for i, figure in enumerate(made)]
    return out


def _gap(data: RunData, summary: Summary) -> list[Planned]:
    """Of problems whose minimum is known: the gap to the least value reached would fall to nothing at its own end."""
    known = set(summary.repeats.problem[summary.repeats.minimum.notna()])
    return _curves(data, summary, [problem for problem in summary.problems if problem in known], True)


def _loss(data: RunData, summary: Summary) -> list[Planned]:
    return _curves(data, summary, summary.problems, False)


def _curves(data: RunData, summary: Summary, shown: Sequence[str], gap: bool) -> list[Planned]:
    out: list[Planned] = []
    reference = data.order("backend")[0]
    what = "Training loss"
    if gap:
        what = (
            f"Relative gap (f - f*) / max(|f*|, {LEAST_SCALE:g}), or f / f(x0) where f* is zero, with f* the known "
            "minimum or, where somebody went below it, the least loss that any solver reached, and "
            f"at least {LEAST_GAP:g},"
        )
    parts = [shown[i : i + _PROBLEMS_A_FIGURE] for i in range(0, len(shown), _PROBLEMS_A_FIGURE)]
    for problems, group in itertools.product(parts, groups_of(data)):
        results = summary.repeats[summary.repeats.problem.isin(problems) & summary.repeats.solver.isin(group.solvers)]
        frame = curve_data(data, results, problems, gap)
        if len(frame) and frame.seeds.max() > 1:
            line = "median over seeds, with the band from the least to the greatest"
        else:
            line = "the repeat of median time"
        caption = (
            f"{what} on {words.listing(problems)}{_of(group)} against iterations, passes over the training data "
            "(forward evaluations, weighted by the share of samples that each touched) and time (steps of the solver "
            "alone: compilation and metrics are off the clock). Logarithmic axes begin with the start, at 0. One line "
            f"a solver, on {reference} or on the backend in brackets: {line}. Dotted: the target that tables and "
            f"profiles refer to. Crosses: failed runs. {_peers(data)}{_dots(frame)}{words.conditions(data, results)}"
        )
        title = f"{'Gap' if gap else 'Convergence'} on {words.listing(problems)}{_of(group)}"
        out.append(Planned("gap" if gap else "loss", frame, title, caption))
    return out


def _of(group: Group) -> str:
    return f" ({group.name})" if group.name else ""


def _dots(frame: pd.DataFrame) -> str:
    if not len(frame) or (frame.measured == 1).all():
        return ""
    return "White dots: readings of the clock, between which times are interpolated. "


def _backends(data: RunData, summary: Summary) -> list[Planned]:
    frame = ratio_data(data, summary.repeats)
    if not len(frame):
        return []
    reference = frame.reference.iloc[0]
    pairs = int(frame.pairs.min()), int(frame.pairs.max())
    number = f"{pairs[0]}" if pairs[0] == pairs[1] else f"{pairs[0]} to {pairs[1]}"
    coverage = float(frame.coverage.min())
    short = f" ({pairs[0]} pairs can claim no more than {100 * coverage:.0f} %)" if 0 < coverage < 0.95 else ""
    hollow = "" if frame.same_work.all() else "Hollow: the two took different numbers of passes over the data. "
    caption = (
        f"Time of a solve on each backend over that on {reference}: median over {number} pairs measured side by side, "
        f"with the bootstrap interval at 95 %{short}; three pairs or more have one. Left of the line is faster; the "
        f"grey strip ends at 1.05, the bound of 'not slower'. {hollow}Failed runs, and backends that do not agree with "
        f"NumPy float64, are left out. {_peers(data)}{words.conditions(data, summary.repeats)}"
    )
    return [Planned("backends", frame, "Backends side by side", caption)]


def _profile(data: RunData, summary: Summary, kind: Literal["performance", "data"]) -> list[Planned]:
    """A figure for each level and group of solvers, over the problems that any of the group ran on."""
    levels: list[Any] = [*levels_of(data)] or [None]
    out: list[Planned] = []
    for tau in levels:
        results = summary.repeats if tau is None else with_targets(data, tau)
        for group in groups_of(data):
            met = set(results.problem[results.solver.isin(group.solvers)])
            frame = profile_data(data, results[results.problem.isin(met)], kind)
            if not len(frame) or frame.instances.max() < 2 or frame.solver.nunique() < 2:
                continue  # a profile of one problem or one solver says nothing that the table does not
            own = frame[frame.solver.isin(group.solvers)].reset_index(drop=True)
            level = f", tau = {tau:g}" if tau is not None else ""
            title = f"{kind.capitalize()} profiles{_of(group)}{level}"
            out.append(Planned(_KIND_NAMES[kind], own, title, _profile_caption(data, summary, own, kind, tau, met)))
    return out


_KIND_NAMES = {"performance": "profile", "data": "data-profile"}
_PROFILES = {
    "performance": "Performance profiles (Dolan and More 2002): the fraction of problems whose target each solver met "
    "within a multiple of the best solver's cost",
    "data": "Data profiles (More and Wild 2009, eq. 2.3): the fraction of problems whose target each solver met at a "
    "cost",
}


def _level(data: RunData, summary: Summary, tau: float | None) -> str:
    """What the target of a profile is."""
    if tau is not None:
        return f"The target is f* + {tau:g} (f0 - f*), f* the known minimum or the least value reached. "
    gaps = {gap_of(data, problem) for problem in summary.problems} - {None}
    taus = {tau_of(data, problem) for problem in summary.problems if gap_of(data, problem) is None}
    said = [f"a relative gap of {words.listing(sorted(map(str, gaps)))} to the known minimum"] if gaps else []
    said += [f"tau = {words.listing([f'{t:g}' for t in sorted(taus)])}"] if taus else []
    return f"The target is that of the tables: {' or '.join(said)}. "


def _profile_caption(
    data: RunData, summary: Summary, frame: pd.DataFrame, kind: str, tau: float | None, met: set[str]
) -> str:
    ran = summary.repeats[summary.repeats.problem.isin(met) & summary.repeats.solver.isin(frame.solver)]
    applied = ran.drop_duplicates(["problem", "solver"]).groupby("solver", sort=False).size()
    some = list(applied.index[applied < len(met)])
    left_out = f"{words.listing(some)} did not run on all of them, which counts as not solved. " if some else ""
    simplex = "per_variable" in frame and frame.per_variable.any()
    unit = " (in units of n + 1, n the number of variables, eq. 2.4)" if simplex else ""
    banded = ""
    if frame.low.notna().any():
        few = frame.groupby(["measure", "backend"]).solver.nunique().max() <= BANDED
        banded = "Bands: 95 % by bootstrap over problems, point by point" + (". " if few else "; they are in the CSV. ")
    return (
        f"{_PROFILES[kind]}, over {int(frame.instances.max())} problems (each seed is one). "
        f"{_level(data, summary, tau)}Evaluations{unit} and passes over the data are those on each "
        "solver's first backend, as all backends take the same steps; times are compared over all solvers and "
        f"backends. {banded}{left_out}{_peers(data)}{words.conditions(data, summary.repeats)}"
    )


def _accuracy(data: RunData, summary: Summary) -> list[Planned]:
    if summary.metric is None:
        return []
    frame = accuracy_data(data, summary.repeats, summary.metric)
    several = len(frame) and frame.groupby(["problem", "solver"]).size().max() > 1
    what = "each dot one seed, the bar and the number their median" if several else "one seed"
    caption = (
        f"{metric_label(summary.metric).capitalize()} at the final iterate: {what}. Below each problem and solver "
        f"their settings; what is not named has its default. {_peers(data)}{words.conditions(data, summary.repeats)}"
    )
    return [Planned("accuracy", frame, metric_label(summary.metric).capitalize(), caption)]


def _architectures(data: RunData, summary: Summary) -> list[Planned]:
    frame = pd.DataFrame() if summary.metric is None else architecture_data(data, summary.repeats, summary.metric)
    if not len(frame):
        return []
    seeds = int(frame.seed.nunique())
    over = f"medians over {seeds} seeds, with lines from the least to the greatest" if seeds > 1 else "of one seed"
    caption = (
        f"Architectures side by side. Left: {metric_label(str(summary.metric))} at the final iterate on the first "
        f"backend of each, a dot a seed and a bar at the median. Middle: time of a solve (steps of the solver alone: "
        "compilation and metrics are off the clock). Right: peak memory (on the host over what is resident after "
        f"imports). Both: {over}. Failed runs are left out. {_peers(data)}{words.conditions(data, summary.repeats)}"
    )
    return [Planned("architectures", frame, "Architectures side by side", caption)]


def _peers(data: RunData) -> str:
    return "Italics: solvers of other libraries. " if (data.cases.kind == "peer").any() else ""


# --------------------------------------------------------------------------------------------------- write, redraw
def draw(name: str, data: pd.DataFrame, styles: Styles, width: Width = "text") -> Figure:
    """Draw one figure, or its data read back from CSV, at the width of a text block or of a column."""
    with style.styled():
        return KINDS[kind_of(name)](data, styles, width)


def write_data(figures: Sequence[Planned], styles: Styles, folder: Path) -> dict[str, Path]:
    """Write the CSV behind each figure, and the table of styles."""
    paths = {}
    for name, frame in [("styles", styles.frame()), *((f.name, f.data) for f in figures)]:
        paths[name] = folder / f"{name}.csv"
        frame.to_csv(paths[name], index=False, lineterminator="\n")
    return paths


def read_data(path: Path) -> pd.DataFrame:
    """Read what :func:`write_data` wrote, to the last bit."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in [c for c in frame.columns if c not in _TEXT_COLUMNS]:
        frame[name] = [_value(text) for text in frame[name]]
    return frame


def _value(text: str) -> float | bool:
    return text == "True" if text in ("True", "False") else float(text or "nan")


def redraw(folder: Path, width: Width = "text", formats: Sequence[str] = style.FORMATS) -> list[Path]:
    """Draw all figures of a report anew from the CSV files in its folder ``data``.

    Parameters
    ----------
    folder : Path
        The report's folder; the figures go to its folder ``figures``, in a single column with ``-column`` appended.
    width : str
        ``"text"`` (6.9 in) or ``"column"`` (3.35 in).
    formats : sequence of str
        Of ``pdf``, ``svg`` and ``png``.
    """
    styles = Styles.from_frame(read_data(folder / "data" / "styles.csv"))
    (folder / "figures").mkdir(exist_ok=True)
    paths = []
    for path in sorted((folder / "data").glob("*.csv")):
        if kind_of(path.stem) in KINDS:
            figure = draw(path.stem, read_data(path), styles, width)
            stem = folder / "figures" / (path.stem + ("-column" if width == "column" else ""))
            paths += style.save(figure, stem, formats)
    return paths
