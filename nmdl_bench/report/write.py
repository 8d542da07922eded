"""Writing a whole report to a folder."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from nmdl_bench.report import budgets, figures, levels, style, tables
from nmdl_bench.report.cells import problem_tables
from nmdl_bench.report.frames import Reader, load
from nmdl_bench.report.html import Drawn, page
from nmdl_bench.report.summary import summarise


def write(store: Reader, run_id: str, output: Path) -> dict[str, Path]:
    """What :func:`nmdl_bench.report.write_report` does; errors of the file system propagate."""
    import nmdl_bench.catalogue  # noqa: F401 (fills the registries, whose summaries and defaults the page shows)

    data = load(store, run_id)
    styles = figures.styles_of(data)
    summary = summarise(data) if len(data.results) else None
    planned = figures.plan(data, summary) if summary else []
    shown = problem_tables(data, summary) if summary else []
    met = levels.level_data(data)
    at_levels = levels.level_tables(met)
    allowed = budgets.budget_data(data)
    within = budgets.budget_table(allowed)
    for folder in (output / "figures", output / "data"):
        folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(output)
    paths = {"html": output / "index.html", "redraw": output / "redraw.py"}
    template = resources.files("nmdl_bench.report").joinpath("templates/redraw.py").read_text(encoding="utf-8")
    paths["redraw"].write_text(template, encoding="utf-8")
    if summary:
        texts = {
            "markdown": ("table.md", tables.markdown(shown, summary)),
            "latex": ("table.tex", tables.latex(shown, summary)),
            "csv": ("table.csv", tables.csv(summary)),
            "results": ("results.csv", summary.repeats.to_csv(index=False, lineterminator="\n")),
        }
        if len(met):
            texts |= {
                "targets markdown": ("targets.md", levels.markdown(at_levels)),
                "targets latex": ("targets.tex", levels.latex(at_levels)),
                "targets csv": ("targets.csv", met.to_csv(index=False, lineterminator="\n")),
            }
        if within:
            texts |= {
                "budgets markdown": ("budgets.md", levels.markdown([within])),
                "budgets csv": ("budgets.csv", allowed.to_csv(index=False, lineterminator="\n")),
            }
        for name, (file, text) in texts.items():
            paths[name] = output / file
            paths[name].write_text(text, encoding="utf-8")
    for name, path in figures.write_data(planned, styles, output / "data").items():
        paths[f"{name}.csv"] = path
    drawn = []
    for figure in planned:
        wide = figures.draw(figure.name, figure.data, styles, "text")
        for path in style.save(wide, output / "figures" / figure.name):
            paths[path.name] = path
        narrow = style.render(figures.draw(figure.name, figure.data, styles, "column"), "svg")
        drawn.append(Drawn(figure, paths[f"{figure.name}.svg"].read_bytes(), narrow))
    # the page last: where it is, the rest is there too
    paths["html"].write_text(page(data, summary, shown, drawn, at_levels, within), encoding="utf-8")
    return paths


def _remove_earlier(output: Path) -> None:
    """Remove what an earlier report left that this one may not write again."""
    for suffix in ("md", "tex", "csv"):
        for name in ("targets", "budgets"):
            (output / f"{name}.{suffix}").unlink(missing_ok=True)
    for kind in figures.KINDS:
        for path in [*(output / "figures").glob(f"{kind}*"), *(output / "data").glob(f"{kind}*.csv")]:
            if figures.kind_of(path.stem) == kind:
                path.unlink()
