"""Writing the pictures of a study or an inspection: figures, the tables behind them, captions, provenance, a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from nmdl_bench.contracts import StoreError
from nmdl_bench.report import style
from nmdl_bench.report.bands import draw_bands
from nmdl_bench.report.maps import draw_images, draw_kernels, draw_maps
from nmdl_bench.report.planes import draw_phase, draw_regions, draw_spectra
from nmdl_bench.report.style import Width
from nmdl_bench.studies.pictures import Picture, Study

KINDS: dict[str, Callable[[pd.DataFrame, Width], Figure]] = {
    "bands": draw_bands,
    "images": draw_images,
    "kernels": draw_kernels,
    "maps": draw_maps,
    "phase": draw_phase,
    "regions": draw_regions,
    "spectra": draw_spectra,
}
"""What draws each kind of picture from its table."""
TEXT = ("panel", "line", "x_label", "y_label", "v_label", "role", "scale", "region")
"""Columns that hold words; all others hold numbers."""
INDEX = "pictures.json"


def draw(kind: str, data: pd.DataFrame, width: Width = "text") -> Figure:
    """Draw a picture from its table, in the house style."""
    with style.styled():
        return KINDS[kind](data, width)


def write(
    study: Study, folder: Path, title: str, settings: Mapping[str, Any], width: Width = "text"
) -> dict[str, Path]:
    """Write everything about a study to a folder.

    Parameters
    ----------
    study : Study
        What was found.
    folder : Path
        Made where it is missing; an earlier study's pictures in it are removed.
    title : str
        Heading of the page of captions.
    settings : mapping
        What determined the result; kept with the provenance.
    width : str
        ``"text"`` or ``"column"``.

    Returns
    -------
    dict of str to Path
        ``page`` (captions, facts and provenance as Markdown), ``provenance``, ``redraw``, and for each picture
        ``<name>.pdf``, ``.svg``, ``.png`` and ``.csv``.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    try:
        return _write(study, Path(folder), title, settings, width)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"cannot write the figures to {str(folder)!r}: {reason}; name another folder") from error


def _write(study: Study, folder: Path, title: str, settings: Mapping[str, Any], width: Width) -> dict[str, Path]:
    from nmdl_bench.measure.environment import provenance

    for name in ("figures", "data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    paths: dict[str, Path] = {}
    for picture in study.pictures:
        paths[f"{picture.name}.csv"] = folder / "data" / f"{picture.name}.csv"
        picture.data.to_csv(paths[f"{picture.name}.csv"], index=False, lineterminator="\n")
        for path in style.save(draw(picture.kind, picture.data, width), folder / "figures" / picture.name):
            paths[path.name] = path
    paths["redraw"] = folder / "redraw.py"
    template = resources.files("nmdl_bench.report").joinpath("templates/redraw_pictures.py")
    paths["redraw"].write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    facts = provenance()
    paths["provenance"] = folder / "provenance.json"
    known = {"settings": dict(settings), "provenance": facts}
    paths["provenance"].write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    index = {"width": width, "pictures": {p.name: p.kind for p in study.pictures}}
    (folder / "data" / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    paths["page"] = folder / "figures.md"  # last: where it is, the rest is there too
    paths["page"].write_text(_page(study, title, settings, facts), encoding="utf-8")
    return paths


def _remove_earlier(folder: Path) -> None:
    """Remove what an earlier study left that this one may not write again."""
    index = folder / "data" / INDEX
    if index.is_file():
        for name in json.loads(index.read_text(encoding="utf-8"))["pictures"]:
            (folder / "data" / f"{name}.csv").unlink(missing_ok=True)
            for path in (folder / "figures").glob(f"{name}*"):
                if path.suffix[1:] in style.FORMATS and path.stem in (name, f"{name}-column"):
                    path.unlink()


def _page(study: Study, title: str, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    lines = [f"# {title}", ""]
    for picture in study.pictures:
        lines += [f"## {picture.title}", "", f"![{picture.title}](figures/{picture.name}.svg)", "", picture.caption, ""]
        lines += [f"Data: [data/{picture.name}.csv](data/{picture.name}.csv).", ""]
    if study.facts:
        lines += ["## Numbers", "", pd.DataFrame(study.facts).to_markdown(index=False, floatfmt=".4g"), ""]
    if study.left_out:
        lines += ["## Left out", "", *(f"- {sentence}" for sentence in study.left_out), ""]
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    source = facts["source"]
    commit = f"commit {source['commit'][:12]}{' with changes' if source['dirty'] else ''}" if source else "no git tree"
    lines += [
        "## Provenance", "",
        f"Settings: `{json.dumps(dict(settings), sort_keys=True)}`.", "",
        f"Python {facts['python']}, {packages}; {facts['cpu']}; {commit}. `python redraw.py` draws the figures anew "
        "from `data/`.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def read(path: Path) -> pd.DataFrame:
    """Read a picture's table as it was written, to the last bit."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in (c for c in frame.columns if c not in TEXT):
        frame[name] = [text == "True" if text in ("True", "False") else float(text or "nan") for text in frame[name]]
    return frame


def redraw(folder: Path, width: Width | None = None, formats: Sequence[str] = style.FORMATS) -> list[Path]:
    """Draw all pictures of a folder anew from the tables in its folder ``data``.

    In a width other than the one they were written in, the files' names end in ``-column`` or ``-text``.
    """
    index = json.loads((folder / "data" / INDEX).read_text(encoding="utf-8"))
    wanted = width or index["width"]
    end = "" if wanted == index["width"] else f"-{wanted}"
    paths = []
    for name, kind in index["pictures"].items():
        figure = draw(kind, read(folder / "data" / f"{name}.csv"), wanted)
        paths += style.save(figure, folder / "figures" / f"{name}{end}", formats)
    return paths


def pictures_of(study: Study) -> dict[str, Picture]:
    """The pictures by name."""
    return {picture.name: picture for picture in study.pictures}
