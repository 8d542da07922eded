import subprocess
import sys
from pathlib import Path


def test_killed_runs_lose_nothing():
    script = Path(__file__).with_name("kill_resume.py")
    command = [sys.executable, str(script), "--kills", "4", "--seed", "1", "--longest", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed: 4 kills" in done.stdout
