import os
import subprocess
import sys

import pytest

from nmdl_bench.measure.threads import choose_cpus, pin, thread_environment, thread_facts


def test_environment_names_every_pool():
    found = thread_environment(3, base={})
    assert {found[n] for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")} == {"3"}
    assert found["XLA_FLAGS"] == ""


def test_one_thread_turns_eigens_pool_off_and_keeps_other_flags():
    base = {"XLA_FLAGS": " --xla_dump_to=x --xla_cpu_multi_thread_eigen=true"}
    flags = thread_environment(1, base)["XLA_FLAGS"].split()
    assert flags == ["--xla_dump_to=x", "--xla_cpu_multi_thread_eigen=false"]
    assert thread_environment(2, base)["XLA_FLAGS"] == "--xla_dump_to=x"


def test_a_file_with_xla_flags_stays_alone():
    assert thread_environment(1, {"XLA_FLAGS": "flags.txt"})["XLA_FLAGS"] == "flags.txt"


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_xla_starts_with_that_number_of_threads(threads):
    count = "import os, jax; jax.numpy.ones(2).sum(); t = '/proc/self/task'; " + (
        "print(sum('XLAEigen' in open(f'{t}/{i}/comm').read() for i in os.listdir(t)))"
    )
    environment = dict(os.environ) | thread_environment(threads)
    done = subprocess.run([sys.executable, "-c", count], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if sys.platform == "linux":
        assert int(done.stdout) == threads


def test_no_threads_is_refused():
    with pytest.raises(ValueError, match="threads = 0: must be at least 1"):
        thread_environment(0)


def test_chosen_cpus_are_allowed_and_none_where_all_are_wanted():
    count = len(os.sched_getaffinity(0))
    assert choose_cpus(count, sample=0.01) == ()
    chosen = choose_cpus(1, sample=0.01)
    assert len(chosen) == (1 if count > 1 else 0)
    assert set(chosen) <= os.sched_getaffinity(0)


def test_pin_holds_the_process_and_tolerates_cpus_that_are_gone():
    before = os.sched_getaffinity(0)
    try:
        cpu = min(before)
        assert pin([cpu])
        assert os.sched_getaffinity(0) == {cpu}
        assert not pin([])
        assert not pin([100_000])
    finally:
        os.sched_setaffinity(0, before)


def test_facts_name_pools_without_paths():
    import numpy  # noqa: F401

    facts = thread_facts()
    assert any(pool["user_api"] == "blas" for pool in facts)
    assert all("filepath" not in pool for pool in facts)
