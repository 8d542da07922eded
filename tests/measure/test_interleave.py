from nmdl_bench.measure.interleave import interleave, rounds


def test_rounds_visit_all_and_shift_the_first():
    assert list(rounds("abc", 3)) == [
        (0, "a"), (0, "b"), (0, "c"), (1, "b"), (1, "c"), (1, "a"), (2, "c"), (2, "a"), (2, "b"),
    ]  # fmt: skip
    assert list(rounds([], 2)) == []


def test_samples_are_kept_by_round_without_the_warm_up():
    calls = []
    clocks = {name: iter(range(100)) for name in "ab"}

    def subject(name):
        def call():
            calls.append(name)
            return next(clocks[name])

        return call

    samples = interleave({"a": subject("a"), "b": subject("b")}, 3, warmup=1, own_clock=True)
    assert samples == {"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0]}
    assert calls == list("abbaabba")


def test_seconds_are_measured():
    import time

    samples = interleave({"slow": lambda: time.sleep(0.02), "fast": lambda: None}, 2)
    assert min(samples["slow"]) >= 0.02
    assert min(samples["fast"]) < 0.02
    assert len(samples["fast"]) == 2
