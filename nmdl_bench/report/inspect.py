"""What `nmdl-bench inspect` and `nmdl-bench study` print and write."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmdl_bench.contracts import ConfigurationError

if TYPE_CHECKING:
    from nmdl_bench.studies.inspection import Subject
    from nmdl_bench.studies.pictures import Tick


def options(pairs: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs as options; values are read as TOML (``8``, ``1e-3``, ``true``), else as text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise ConfigurationError(f"option {pair!r} is not of the form key=value")
        try:
            found[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = text.strip()
    return found


def table(subject: Subject) -> str:
    """The network layer by layer: what it is, its output, weights, step size, final time, memory mode."""
    from tabulate import tabulate

    from nmdl_bench.diagnostics.describe import layers

    rows = layers(subject.network, subject.shape)
    names = ("layer", "what", "output", "weights", "steps", "h", "time", "controls", "memory")
    shown = [name for name in names if any(name in row for row in rows)]
    cells = [[_text(row.get(name, "")) for name in shown] for row in rows]
    align = ["right" if name in ("layer", "weights", "steps", "h", "time") else "left" for name in shown]
    heads = {"h": "step h", "time": "time T"}
    text = tabulate(
        cells, headers=[heads.get(n, n) for n in shown], tablefmt="simple", disable_numparse=True, colalign=align
    )
    shape = _text(subject.shape)
    return f"{subject.name}: {subject.network.size:,} weights, inputs of {shape}\nAt {subject.point}.\n\n{text}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(str(one) for one in value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def folder_name(target: str) -> str:
    """A folder's name for what is inspected."""
    return "inspect-" + re.sub(r"[^A-Za-z0-9._-]+", "-", target).strip("-")


def draw(
    subject: Subject, backend: str, folder: Path, settings: dict[str, Any], tick: Tick, seed: int = 0
) -> list[str]:
    """Write all pictures that apply to a folder; lines to print."""
    from nmdl_bench.backends import get_backend
    from nmdl_bench.report.pictures import write
    from nmdl_bench.studies.network_pictures import pictures

    study = pictures(subject, get_backend(backend), tick, seed)
    tick("figures", 0.95)
    paths = write(study, folder, f"{subject.name}: pictures of the network", settings)
    lines = [f"{picture.name}: {paths[f'{picture.name}.pdf']}" for picture in study.pictures]
    return [*lines, *(f"Left out: {sentence}." for sentence in study.left_out), f"Captions: {paths['page']}"]


@contextmanager
def progress(title: str) -> Iterator[Tick]:
    """A bar on the error stream while something slow goes on, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda text, done: bar.update(task, description=f"{title}: {text}", completed=done)
