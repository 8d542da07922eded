"""Kill a run with all its workers at random moments, resume it, and hold the store against what was seen committed.

    python tests/runs/kill_resume.py --kills 50

Prints one line a kill and a verdict; exits 1 where a committed repeat is lost, doubled or changed, the database fails
its integrity check, or a process survives. When a run completes before the kills are used up, another begins.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from nmdl_bench.runs.store import Store

PLUGIN = Path(__file__).resolve().parent / "odd_solvers.py"
EXPERIMENT = """
name = "kills"
seeds = [0, 1, 2, 3, 4, 5]
repeats = 6
plugins = ["{plugin}"]
[[problems]]
name = "tests-bowl"
options = {{ size = 50_000 }}  # a row of 0.4 MB: a commit takes long enough to be hit
[[solvers]]
name = "tests-naps"
[[solvers]]
name = "tests-good"
[stop]
max_iterations = 4
"""
REPEATS = 6 * 2 * 6
Row = tuple[str, int]


class Start:
    """One start of the run, in a process group of its own, with the commits that it has told."""

    def __init__(self, file: Path, store: Path) -> None:
        command = [sys.executable, "-m", "nmdl_bench.cli", "run", str(file), "--store", str(store), "--no-report"]
        self.process = subprocess.Popen(
            [*command, "--events"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.committed: list[Row] = []
        self.stderr = ""
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_stderr)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("committed ") and line.endswith("\n"):
                _, key, repeat = line.split()
                self.committed.append((key, int(repeat)))

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        self.stderr = self.process.stderr.read()

    def wait(self, seconds: float | None) -> int | None:
        """Exit code, or None where it still runs after ``seconds``."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        for reader in self._readers:
            reader.join()
        return code

    def kill(self) -> int:
        """Kill the whole process group; return how many processes of it survive."""
        group = self.process.pid
        members = [p for p in psutil.process_iter() if _group(p) == group]
        os.killpg(group, signal.SIGKILL)
        self.wait(None)
        _, alive = psutil.wait_procs(members, timeout=5)
        return len(alive)


def _group(process: psutil.Process) -> int:
    try:
        return os.getpgid(process.pid)
    except OSError:
        return -1


def stored(path: Path) -> dict[Row, tuple[float, str]]:
    """When each stored repeat was written, and its status; raises where the database is not whole."""
    if not path.exists():
        return {}
    with Store.open(path, create=True) as store:
        problems = store.check()
        if problems:
            raise SystemExit(f"FAILED: integrity check: {problems[:3]}")
        runs = store.runs()
        rows = [row for run in runs for row in store.results(run.run_id)]
    found = {(row["key"], row["repeat"]): (row["created"], row["status"]) for row in rows}
    if len(found) < len(rows):
        raise SystemExit("FAILED: a repeat is in the store twice")
    return found


def verify(
    seen: dict[Row, tuple[float, str]], committed: list[Row], path: Path, shown: str
) -> dict[Row, tuple[float, str]]:
    """Hold what is stored now against what was stored before, and what was said to be committed since."""
    now = stored(path)
    lost = [row for row in (*seen, *committed) if row not in now]
    changed = [row for row in seen if row in now and now[row] != seen[row]]
    failed = [row for row in now if now[row][1] not in ("max_iterations", "converged")]
    repeated = [row for row in committed if row in seen]
    for what, rows in (("lost", lost), ("changed", changed), ("failed", failed), ("measured twice", repeated)):
        if rows:
            raise SystemExit(f"FAILED: {what} after {shown}: {rows[:3]}")
    return now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=4.0, help="latest moment of a kill, in s after a start")
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    kills = runs = total = 0
    began = time.monotonic()
    while kills < chosen.kills or runs == 0:
        with tempfile.TemporaryDirectory() as folder:
            file, path = Path(folder) / "kills.toml", Path(folder) / "results.sqlite"
            file.write_text(EXPERIMENT.format(plugin=PLUGIN))
            seen: dict[Row, tuple[float, str]] = {}
            while True:
                start = Start(file, path)
                code = start.wait(rng.uniform(0.0, chosen.longest) if kills < chosen.kills else 600)
                if code is not None:
                    if code != 0:
                        raise SystemExit(f"FAILED: the run ended with exit code {code}: {start.stderr[-500:]}")
                    break
                survivors = start.kill()
                kills += 1
                if survivors:
                    raise SystemExit(f"FAILED: {survivors} processes survive kill {kills}")
                seen = verify(seen, start.committed, path, f"kill {kills}")
                print(f"kill {kills}: {len(start.committed)} commits seen, {len(seen)} repeats stored", flush=True)
            seen = verify(seen, start.committed, path, "the end")
            if len(seen) != REPEATS:
                raise SystemExit(f"FAILED: {len(seen)} repeats stored at the end, not {REPEATS}")
            with Store.open(path) as store:
                if store.runs()[0].finished is None:
                    raise SystemExit("FAILED: the run is not marked as finished")
            runs += 1
            total += len(seen)
    seconds = time.monotonic() - began
    print(f"passed: {kills} kills, {runs} runs completed, {total} repeats, each stored once ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
