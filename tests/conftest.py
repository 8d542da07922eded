from __future__ import annotations

import os
import signal
from importlib import metadata

import pytest
from packaging.version import Version

# two workers share two cores: thread pools of several libraries in one process would fight over them
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# programs here run once or twice: compiling them well would take four times as long as compiling them at all
_flags = ["--xla_backend_optimization_level=0"]
if Version(metadata.version("jaxlib")) < Version("0.11"):  # from then on it is unknown, and XLA ends the process
    _flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(_flags))

# a shell's background jobs ignore interrupts, and so would the programs that tests start and interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["torch:cuda:0", "cupy:cuda:0", "jax:cuda:0"])
def cuda(request: pytest.FixtureRequest) -> str:
    """Each library's CUDA device; for tests marked ``gpu``."""
    from nmdl_bench.backends import get_backend
    from nmdl_bench.contracts import UnavailableError

    try:
        get_backend(request.param)
    except UnavailableError as error:
        pytest.skip(str(error))
    return request.param
