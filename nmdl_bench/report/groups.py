"""Which solvers share a panel: a figure of seventy lines shows none of them."""

from __future__ import annotations

import math
from typing import NamedTuple

from nmdl_bench.report.frames import RunData

MOST = 12
"""Lines that a panel shows side by side."""


class Group(NamedTuple):
    """Solvers drawn together, under a name that may be empty."""

    name: str
    solvers: tuple[str, ...]


def groups_of(data: RunData) -> list[Group]:
    """The experiment's ``[report] groups``; else all solvers in one, or ours and the peers' in parts of at most twelve.

    Only figures are parted: ratios and targets are those over all solvers.
    """
    solvers = data.order("solver")
    given = data.settings.get("groups")
    if isinstance(given, dict):
        chosen = [Group(str(name), tuple(s for s in members if s in solvers)) for name, members in given.items()]
        return [group for group in chosen if group.solvers]
    if len(solvers) <= MOST:
        return [Group("", tuple(solvers))]
    peers = set(data.cases.solver[data.cases.kind == "peer"])
    out: list[Group] = []
    for name, own in (("ours", [s for s in solvers if s not in peers]), ("peers", [s for s in solvers if s in peers])):
        parts = math.ceil(len(own) / MOST)
        for i in range(parts):
            label = name if parts == 1 else f"{name}, part {i + 1}"
            out.append(Group(label, tuple(own[i * len(own) // parts : (i + 1) * len(own) // parts])))
    return out
