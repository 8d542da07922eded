"""Orders of convergence of the time integrators."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from nmdl_bench.backends import get_backend
from nmdl_bench.networks.convergence import DEPTHS, ORDERS, orders, slopes
from nmdl_bench.studies.pictures import Picture, Study, Tick, band, joined, silent


class Orders(Struct, forbid_unknown_fields=True, frozen=True):
    """Settings."""

    backend: str = "numpy"
    depths: tuple[Annotated[int, Meta(ge=4)], ...] = DEPTHS
    """Multiples of 4."""
    seed: int = 0


def run(settings: Orders, tick: Tick = silent) -> Study:
    """Error at the final time against the step size, a line for each integrator."""
    found = orders(get_backend(settings.backend), tuple(settings.depths), settings.seed)
    fitted = slopes(found)
    frames = []
    for name, slope in fitted.items():
        own = [error for error in found if error.integrator == name]
        h, errors = np.array([(error.h, error.error) for error in own]).T
        frames.append(
            band("error at the final time", f"{name}, {slope:.2f}", h, errors, x_label="step size $h$",
                 y_label="root mean square error", log=True)
        )  # fmt: skip
    caption = (
        "Error at the final time against the step size, for a small smooth network with controls that are linear "
        "between points (Hamiltonian for methods that step two fields in turn), compared with an adaptive method at a "
        "tolerance of 1e-12. In the labels, the slope that is fitted to all points."
    )
    facts = [{"integrator": name, "order": ORDERS[name], "observed": slope} for name, slope in fitted.items()]
    return Study([Picture("orders", "bands", "Orders of convergence", caption, joined(frames))], facts)
