import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
before = dict(os.environ)
sys.path.insert(0, str(ROOT))
import benchmarks  # noqa: E402, F401

os.environ.clear()  # the suite pins threads when it is imported, which other tests are not to notice
os.environ.update(before)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
