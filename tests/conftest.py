from __future__ import annotations

import os

# two workers share two cores: thread pools of several libraries in one process would fight over them
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
