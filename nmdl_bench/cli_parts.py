"""What the commands share: options, examples on help pages, errors as sentences with exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

DEFAULT_STORE = Path("reports") / "results.sqlite"


def sentences(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn errors raised on purpose, and those of the file system, into one sentence and an exit code."""

    @wraps(command)
    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except (click.exceptions.Exit, click.ClickException, click.Abort, SystemExit):
            raise
        except Exception as error:
            from nmdl_bench.contracts import ConfigurationError, NmdlError, UnknownNameError

            if isinstance(error, BrokenPipeError) or not isinstance(error, NmdlError | OSError):
                raise
            click.echo(f"Error: {' '.join(str(error).split())}", err=True)
            sys.exit(2 if isinstance(error, ConfigurationError | UnknownNameError) else 1)

    return guarded


def examples(*lines: str) -> str:
    """A help page's last part; the backspace keeps click from joining its lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


store_option = click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    envvar="NMDL_STORE",
    help="Results store; NMDL_STORE in the environment sets it too.",
)
plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Python file that registers problems or solvers of your own; may be given more than once.",
)
