"""Every command of the README is run: its own files as they stand there, in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line[2:].split("#")[0].strip() for block in blocks("console") for line in block.splitlines()]

# Commands that set up an environment or measure for minutes run elsewhere (continuous integration runs `make test`);
# what is checked of them here is that they still mean what they say.
STAND_INS = {
    "make run": ["make", "--dry-run", "--always-make", "run"],
    "make test": ["make", "--dry-run", "--always-make", "test"],
    "asv machine --yes": [sys.executable, "-m", "asv", "machine", "--help"],
    "asv run": [sys.executable, "-m", "asv", "run", "--help"],
    "asv publish": [sys.executable, "-m", "asv", "publish", "--help"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "mine.py").write_text(blocks("python")[2])
    (folder / "mine.toml").write_text(blocks("toml")[0])
    return folder


def test_the_readme_has_its_commands() -> None:
    assert set(STAND_INS) <= set(COMMANDS)
    assert [c.split()[1] for c in COMMANDS if c.startswith("nmdl-bench")] == [
        "doctor",
        "list",
        "run",
        "export",
        "report",
        "inspect",
        "inspect",
    ]


def test_the_network_of_the_readme_is_built() -> None:
    namespace: dict[str, Any] = {}
    exec(blocks("python")[0], namespace)
    assert namespace["network"].output((2,)) == (2,)


def test_functions_of_the_readme_are_minimised() -> None:
    namespace: dict[str, Any] = {}
    exec(blocks("python")[1], namespace)
    assert namespace["found"].success
    np.testing.assert_allclose(namespace["found"].x, [1.0, 1.0], rtol=1e-6)


@pytest.mark.parametrize("command", STAND_INS)
def test_long_commands_exist(command: str) -> None:
    done = subprocess.run(STAND_INS[command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if command == "make run":
        assert "nmdl-bench run reports/quickstart.toml" in done.stdout
    if command == "make test":
        assert "pytest" in done.stdout


def test_the_commands_run_in_order(folder: Path) -> None:
    for command in COMMANDS:
        if command in STAND_INS:
            continue
        words = shlex.split(command)
        assert words[0] == "nmdl-bench"
        words[:1] = [sys.executable, "-m", "nmdl_bench.cli"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    results = (folder / "mine.csv").read_text()
    for word in ("polyak", "lbfgs", "scipy-lbfgsb", "numpy", "torch", "jax"):
        assert word in results
    assert list((folder / "paper-figures").glob("*.html"))
    assert list((folder / "reports" / "inspect-spirals").rglob("regions.pdf"))


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
