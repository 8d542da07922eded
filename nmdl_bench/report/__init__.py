"""Reports of stored runs: tables, figures and one HTML page. Needs no array library but NumPy.

Importing this package is cheap; pandas, matplotlib, jinja2 and rich are imported when a report is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nmdl_bench.contracts import StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from nmdl_bench.report.frames import Reader

__all__ = ["print_table", "write_report"]

PIPE_WIDTH = 160
"""Columns of the table where it does not go to a terminal."""


def write_report(store: Reader, run_id: str, output: Path) -> dict[str, Path]:
    """Write the report of a run.

    Parameters
    ----------
    store : Reader
        An open :class:`nmdl_bench.runs.store.Store`.
    run_id : str
        A run's id or experiment name.
    output : Path
        Folder to write to; it is made where it is missing, and an earlier report in it is replaced.

    Returns
    -------
    dict of str to Path
        ``html``, ``markdown``, ``latex``, ``csv`` (the final table), ``results`` (one row a repeat), ``redraw`` (the
        script), and for each figure ``<name>.pdf``, ``.svg``, ``.png`` and ``.csv``.

    Raises
    ------
    StoreError
        The folder cannot be written.
    UnknownNameError
        There is no such run, or ``[report] figures`` names an unknown figure.
    """
    from nmdl_bench.report.write import write

    try:
        return write(store, run_id, Path(output))
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        reason = error.strerror or str(error)
        raise StoreError(
            f"cannot write the report to {str(output)!r}: {reason}; make room or name another folder with --output"
        ) from error


def print_table(store: Reader, run_id: str, console: Console | None = None) -> None:
    """Print what a run found, and its final table, with as many columns as the console is wide.

    Parameters
    ----------
    store : Reader
        An open :class:`nmdl_bench.runs.store.Store`.
    run_id : str
        A run's id or experiment name.
    console : rich.console.Console, optional
        Default: standard output.
    """
    from rich.console import Console
    from rich.text import Text

    from nmdl_bench.report import words
    from nmdl_bench.report.cells import problem_tables
    from nmdl_bench.report.frames import load
    from nmdl_bench.report.summary import summarise
    from nmdl_bench.report.tables import terminal

    if console is None:
        console = Console()
        if not console.is_terminal:  # a pipe or a log has no width of its own, so every column is shown
            console = Console(width=PIPE_WIDTH)
    data = load(store, run_id)
    if not len(data.results):
        console.print(Text(f"{data.title}: {words.EMPTY}"))
        return
    summary = summarise(data)
    console.print(Text(data.title, style="bold"))
    console.print(Text(words.overview(data) + "\n"))
    console.print(terminal(problem_tables(data, summary), summary, console))
    for problem, verdict in words.verdicts(summary):
        console.print(Text.assemble((f"{problem}: ", "bold"), verdict))
