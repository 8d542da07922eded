"""What `nmdl-bench list` and `nmdl-bench doctor` show, as rows and as text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def rows(what: str, store: Path) -> list[Row]:
    """Rows of ``"problems"``, ``"solvers"``, ``"backends"`` or ``"runs"``."""
    return {"problems": _entries, "solvers": _entries, "backends": _backends, "runs": _runs}[what](what, store)


def _entries(what: str, store: Path) -> list[Row]:
    import nmdl_bench.catalogue  # noqa: F401
    from nmdl_bench.contracts import PROBLEMS, SOLVERS

    registry: Any = PROBLEMS if what == "problems" else SOLVERS
    found = []
    for entry in registry:
        row: Row = {"name": entry.name, "summary": entry.summary}
        if what == "solvers":
            row |= {"kind": entry.kind or "ours", "backends": list(entry.backends), "needs": list(entry.needs)}
            row["accepts"] = list(entry.accepts)
        else:
            row["provides"] = list(entry.structure({}))
        options = registry.options(entry.name)
        shown = None if options is None else [option for option in options if option != "seed"]
        found.append(row | {"requires": list(entry.requires), "options": shown})
    return found


def _backends(what: str, store: Path) -> list[Row]:
    from nmdl_bench.backends import installed, libraries
    from nmdl_bench.measure.environment import versions_of

    here = installed()
    return [
        {
            "name": name,
            "installed": name in here,
            "versions": versions_of(name) if name in here else {},
        }
        for name in libraries()
    ]


def _runs(what: str, store: Path) -> list[Row]:
    from nmdl_bench.runs.store import Store

    with Store.open(store) as opened:
        return [
            {
                "run": run.run_id,
                "experiment": run.experiment,
                "started": time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started)),
                "complete": run.finished is not None,
            }
            for run in opened.runs()
        ]


def doctor(found: Sequence[Row]) -> list[Row]:
    """Columns of `nmdl-bench doctor` from ``backends.backend_rows()``."""
    return [
        {
            "backend": row["name"],
            "version": row["version"],
            "devices": row["devices"],
            "usable": row["usable"],
            "float64": row["float64"] if row["usable"] else "",
            "blas": row["blas"],
            "threads": row["threads"],
            "reason": row["reason"],
        }
        for row in found
    ]


def table(found: Sequence[Row]) -> str:
    """Rows as text in columns; columns that are empty throughout, and options (long), are left out."""
    from tabulate import tabulate

    if not found:
        return "none"
    names = [
        name for name in found[0] if name != "options" and any(row[name] not in ("", None, [], {}) for row in found)
    ]
    shown = [[_text(row[name]) for name in names] for row in found]
    return tabulate(shown, headers=names, tablefmt="simple", disable_numparse=True)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    if isinstance(value, list | tuple):
        return ", ".join("any" if item == "*" else str(item) for item in value)
    return "" if value is None else str(value)
