"""Time `nmdl-bench --help` against `python -c "import numpy"`, side by side, and print medians and their ratio.

    python tests/startup.py

Exits 1 where the ratio of the medians is over 2.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nmdl_bench.measure.interleave import interleave
from nmdl_bench.measure.stats import paired_ratio, spread

BOUND = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    script = Path(sys.executable).with_name("nmdl-bench")
    commands = {
        "nmdl-bench --help": [str(script), "--help"],
        'python -c "import numpy"': [sys.executable, "-c", "import numpy"],
    }
    samples = interleave({name: _starter(command) for name, command in commands.items()}, rounds, warmup=2)
    for name, seconds in samples.items():
        s = spread(seconds)
        print(f"{name:28} median {1e3 * s.median:6.1f} ms, quartiles {1e3 * s.q25:.1f} to {1e3 * s.q75:.1f} ms")
    ratio = paired_ratio(*samples.values())
    print(f"ratio {ratio.value:.2f}, 95 % confidence interval {ratio.low:.2f} to {ratio.high:.2f} ({ratio.n} pairs)")
    sys.exit(ratio.value > BOUND)


def _starter(command: list[str]) -> Callable[[], Any]:
    return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
