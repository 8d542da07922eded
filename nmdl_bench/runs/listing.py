"""What `nmdl-bench list` and `nmdl-bench doctor` show, as rows and as text."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
TABLES = {"": ["problems", "solvers", "backends"], "capabilities": ["solvers", "problems"]}
"""Tables that one word, or none, stands for."""


def rows(what: str, store: Path) -> list[Row]:
    """Rows of ``"problems"``, ``"solvers"``, ``"backends"`` or ``"runs"``, each with the same columns."""
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
    names = _shown(found)
    shown = [[_text(row[name]) for name in names] for row in found]
    return tabulate(shown, headers=names, tablefmt="simple", disable_numparse=True)


def markdown(found: Sequence[Row]) -> str:
    """Rows as a table in GitHub's Markdown, with a column for each structure and for each array library.

    A tick is what is needed or provided, and a circle what a solver makes use of where there is any (``accepts``).
    """
    from typing import get_args

    from nmdl_bench.backends import libraries
    from nmdl_bench.contracts import Structure

    if not found:
        return "none"
    parted: dict[str, Sequence[str]] = {
        "needs": get_args(Structure),
        "provides": get_args(Structure),
        "backends": list(libraries()),
    }
    names = [name for name in found[0] if name != "accepts" and (name in parted or name in _shown(found))]
    heads = [part for name in names for part in parted.get(name, [name])]
    marks = [":-:" if name in parted else "---" for name in names for _ in parted.get(name, [name])]
    lines = [heads, marks]
    for row in found:
        cells = [
            _ticks(row[name], parted[name], row.get("accepts", ()) if name == "needs" else ())
            if name in parted
            else [_text(row[name])]
            for name in names
        ]
        lines.append([cell.replace("|", "\\|") for part in cells for cell in part])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ticks(has: Sequence[str], columns: Sequence[str], takes: Sequence[str] = ()) -> list[str]:
    marks = dict.fromkeys(takes, "\N{WHITE CIRCLE}")
    marks |= {column: "\N{CHECK MARK}" for column in columns if column in has or "*" in has}
    return [marks.get(column, "") for column in columns]


def _shown(found: Sequence[Row]) -> list[str]:
    """Columns that hold something, but for options (long)."""
    return [
        name for name in found[0] if name != "options" and any(row[name] not in ("", None, [], {}) for row in found)
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    if isinstance(value, list | tuple):
        return ", ".join("any" if item == "*" else str(item) for item in value)
    return "" if value is None else str(value)
