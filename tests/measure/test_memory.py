import sys

import numpy as np
import pytest

from nmdl_bench.measure import memory

MIB = 2**20


def test_peak_sees_what_was_freed_before_anyone_looked():
    memory.trim()
    before = memory.rss()
    memory.reset_peak()
    np.ones(64 * MIB // 8)
    assert memory.peak() - before >= 60 * MIB
    assert memory.rss() - before < 32 * MIB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux resets the high-water mark")
def test_reset_forgets_earlier_peaks():
    np.ones(64 * MIB // 8)
    memory.trim()
    assert memory.reset_peak()
    assert memory.peak() - memory.rss() < 16 * MIB


def test_fallback_without_proc(monkeypatch):
    exact = memory.rss()
    monkeypatch.setattr(memory, "_status", dict)
    assert memory.rss() == pytest.approx(exact, rel=0.2)
    assert memory.peak() >= memory.rss() * 0.8
