"""Line searches as state machines: one trial step length an update, so that one compiled step serves every search.

Along ``phi(t) = f(x + t d)`` with ``phi'(0) = g.d < 0``. A search sees the value of a trial first. Where that is low
enough (``is_low``), the slope is computed and ``low`` accepts the trial or asks for another; else ``high`` asks for
another, and the trial has cost one forward. A search that needs the slope of every trial calls every finite value low.
A search gives up (``failed``) when its trials or its bracket are used up. One for the Wolfe conditions takes its best
point instead, where that has a decrease: it is the ``last`` trial, and accepted.
"""

from __future__ import annotations

from typing import Any

from nmdl_bench.contracts import unknown
from nmdl_bench.optimizers.line_search.armijo import Armijo
from nmdl_bench.optimizers.line_search.base import Search
from nmdl_bench.optimizers.line_search.fixed import Fixed
from nmdl_bench.optimizers.line_search.hager_zhang import HagerZhang
from nmdl_bench.optimizers.line_search.more_thuente import MoreThuente
from nmdl_bench.optimizers.line_search.nonmonotone import Grippo, ZhangHager
from nmdl_bench.optimizers.line_search.wolfe import StrongWolfe

WOLFE: dict[str, Any] = {"wolfe": StrongWolfe, "more-thuente": MoreThuente, "hager-zhang": HagerZhang}
"""Searches for the Wolfe conditions, by the name that methods take them under."""


def wolfe_search(name: str, c1: float, c2: float, max_trials: int) -> Any:
    """The named search for the Wolfe conditions.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    ConfigurationError
        Constants that cannot work.
    """
    if name not in WOLFE:
        raise unknown("line search", name, WOLFE)
    return WOLFE[name](c1, c2, max_trials)


__all__ = [
    "WOLFE",
    "Armijo",
    "Fixed",
    "Grippo",
    "HagerZhang",
    "MoreThuente",
    "Search",
    "StrongWolfe",
    "ZhangHager",
    "wolfe_search",
]
