import os

import pytest

from nmdl_bench.measure.threads import choose_cpus, pin, thread_environment, thread_facts


def test_environment_names_every_pool():
    found = thread_environment(3, base={})
    assert {found[n] for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")} == {"3"}
    assert found["XLA_FLAGS"] == "intra_op_parallelism_threads=3"


def test_one_thread_turns_eigens_pool_off_and_keeps_other_flags():
    base = {"XLA_FLAGS": "--xla_dump_to=x intra_op_parallelism_threads=8 --xla_cpu_multi_thread_eigen=true"}
    flags = thread_environment(1, base)["XLA_FLAGS"].split()
    assert flags == ["--xla_dump_to=x", "--xla_cpu_multi_thread_eigen=false", "intra_op_parallelism_threads=1"]


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
