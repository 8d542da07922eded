"""What several tests of runs share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nmdl_bench.runs.run import Sweep, plan, run
from nmdl_bench.runs.store import Store

HERE = Path(__file__).resolve().parent
PLUGIN = HERE / "odd_solvers.py"


class Quiet:
    """A progress that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.began: tuple[int, int] | None = None

    def begin(self, tasks: Any, stored: int) -> None:
        self.began = len(tasks), stored

    def event(self, event: Any) -> None:
        self.events.append(event)

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *error: object) -> None:
        return None


def write(folder: Path, text: str, name: str = "experiment.toml") -> Path:
    """An experiment file that uses the plug-in."""
    path = folder / name
    path.write_text(text)
    return path


def experiment(
    solvers: list[str],
    repeats: int = 1,
    extra: str = "",
    limits: str = "time = 10.0",
    problems: str = "",
    top: str = "",
) -> str:
    """Text of an experiment on the bowl."""
    listed = "\n".join(f'[[solvers]]\nname = "{name}"' for name in solvers)
    problems = problems or '[[problems]]\nname = "tests-bowl"'
    return (
        f'name = "odd"\nrepeats = {repeats}\nplugins = ["{PLUGIN}"]\n{top}\n{problems}\n{listed}\n'
        f"[stop]\nmax_iterations = 8\n[limits]\n{limits}\n{extra}\n"
    )


def sweep(path: Path, store: Path, **options: Any) -> tuple[Sweep, list[dict[str, Any]], Quiet]:
    """Run an experiment; what was done, the stored rows, and the events."""
    progress = Quiet()
    with Store.open(store, create=True) as opened:
        done = run(plan(path), opened, progress=progress, **options)
        rows = opened.results(done.run_id)
        for row in rows:
            row["x"]
    return done, rows, progress


def start_cli(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start the command line in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "nmdl_bench.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **{"env": {**os.environ, "NMDL_EVENTS": "1"}} | options,
    )
