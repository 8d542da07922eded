"""One self-contained HTML page: tables, figures, settings, provenance."""

from __future__ import annotations

import base64
import datetime
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from nmdl_bench.contracts import PROBLEMS, SOLVERS, Registry
from nmdl_bench.report import words
from nmdl_bench.report.cells import ProblemTable, legend
from nmdl_bench.report.figures import Planned
from nmdl_bench.report.frames import RunData
from nmdl_bench.report.levels import LevelTable
from nmdl_bench.report.summary import Summary

MARKS = {"best": "Bold:", "peer": "†", "interpolated": "~", "excluded": "‡"}
_KNOWN = (
    "python",
    "implementation",
    "system",
    "machine",
    "cpu",
    "cores",
    "cpus",
    "cpus_allowed",
    "memory",
    "gpus",
    "limits",
)
_NAMES = {
    "python": "Python",
    "system": "System",
    "cpu": "Processor",
    "cores": "Cores",
    "cpus": "CPUs",
    "cpus_allowed": "CPUs allowed",
    "memory": "Memory",
    "gpus": "GPUs",
    "limits": "Limits",
}


@dataclass(frozen=True)
class Drawn:
    """A figure as the page holds it."""

    planned: Planned
    wide: bytes
    """SVG at the width of a text block."""
    narrow: bytes
    """SVG in one column, for phones."""


def page(
    data: RunData,
    summary: Summary | None,
    tables: Sequence[ProblemTable],
    figures: Sequence[Drawn],
    levels: Sequence[LevelTable] = (),
    budgets: LevelTable | None = None,
) -> str:
    """The whole page; it loads nothing from elsewhere.

    Parameters
    ----------
    data : RunData
        The run.
    summary : Summary, optional
        None where nothing has been measured.
    tables : sequence of ProblemTable
        The final table.
    figures : sequence of Drawn
        The figures.
    levels : sequence of LevelTable
        The tables of targets, the first of which the page shows.
    budgets : LevelTable, optional
        The table of budgets.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nmdl_bench.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["uri"] = _uri
    return environment.get_template("report.html").render(
        title=data.title,
        experiment=data.run.experiment,
        run_id=data.run.run_id,
        when=_when(data),
        overview=words.overview(data),
        verdicts=words.verdicts(summary) if summary else [],
        columns=summary.columns if summary else (),
        groups=_groups(summary) if summary else [],
        tables=tables,
        legend=legend(summary, **MARKS) if summary else [],
        figures=figures,
        text_tables=[
            *(("targets", "Targets", table) for table in levels[:1]),
            *([("budgets", "Budgets", budgets)] if budgets else []),
        ],
        failures=words.failures(data).to_dict("records"),
        solvers=_solvers(data),
        problems=_problems(data),
        machine=_machine(data),
        packages=sorted((data.provenance.get("packages") or {}).items()),
        workers=_workers(data),
        source=words.source(data.provenance),
        versions=words.versions(data),
        spec=data.run.spec,
    )


def _uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def _when(data: RunData) -> str:
    started = datetime.datetime.fromtimestamp(data.run.started, datetime.UTC)
    end = "" if data.run.finished else "; not finished"
    return f"{started:%Y-%m-%d %H:%M} UTC{end}"


def _groups(summary: Summary) -> list[tuple[str, int]]:
    """Headings over neighbouring columns, with their widths."""
    out: list[tuple[str, int]] = []
    for column in summary.columns:
        if out and column.group and out[-1][0] == column.group:
            out[-1] = (column.group, out[-1][1] + 1)
        else:
            out.append((column.group, 1))
    return out


# -------------------------------------------------------------------------------------------------------- settings
def _solvers(data: RunData) -> list[dict[str, Any]]:
    """Every solver with its options; problem by problem where they differ."""
    out = []
    for solver, group in data.cases.groupby("solver", sort=False):
        by_options: dict[str, list[str]] = {}
        for case in group.drop_duplicates("problem").itertuples():
            by_options.setdefault(str(case.solver_json), []).append(str(case.problem))
        sets = []
        for described, problems in by_options.items():
            name, options = words.settings(described)
            where = words.listing(problems) if len(by_options) > 1 else ""
            sets.append({"where": where, "options": _pairs(options), "defaults": _defaults(SOLVERS, name, options)})
        summary = SOLVERS[name].summary if name in SOLVERS else ""
        out.append(
            {"label": solver, "name": name, "summary": summary, "sets": sets, "peer": group.kind.iloc[0] == "peer"}
        )
    return out


def _problems(data: RunData) -> list[dict[str, Any]]:
    out = []
    for problem, group in data.cases.groupby("problem", sort=False):
        name, options = words.settings(group.problem_json.iloc[0])
        summary = PROBLEMS[name].summary if name in PROBLEMS else ""
        sets = [{"where": "", "options": _pairs(options), "defaults": _defaults(PROBLEMS, name, options)}]
        out.append({"label": problem, "name": name, "summary": summary, "sets": sets, "peer": False})
    return out


def _pairs(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} = {v if isinstance(v, str) else json.dumps(v)}" for k, v in options.items())


def _defaults(registry: Registry[Any], name: str, options: Mapping[str, Any]) -> str:
    """Options that were left at their defaults, as the installed version has them."""
    if name not in registry:
        return ""
    parameters = inspect.signature(registry[name].make).parameters
    kept = {k: p.default for k, p in parameters.items() if p.default is not p.empty and k not in (*options, "seed")}
    return ", ".join(f"{k} = {v if isinstance(v, str) else repr(v)}" for k, v in kept.items())


# ------------------------------------------------------------------------------------------------------ provenance
def _machine(data: RunData) -> list[tuple[str, str]]:
    facts = data.provenance
    order = [*(k for k in _KNOWN if facts.get(k)), *(k for k in facts if k not in (*_KNOWN, "packages", "source"))]
    return [(_NAMES.get(k, k.capitalize()), _fact(k, facts[k])) for k in order]


def _fact(name: str, value: Any) -> str:
    if name == "memory" and isinstance(value, (int, float)):
        return f"{value / 2**30:.0f} GiB"
    if name == "limits" and isinstance(value, dict):
        units = {"time": " s", "startup": " s", "memory": " GiB"}
        return ", ".join(f"{k} {v:g}{units.get(k, '')}" for k, v in value.items())
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_fact(k, v)}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(_fact("", v) for v in value)
    return str(value)


def _workers(data: RunData) -> list[dict[str, str]]:
    """What each measuring process found: its library, device, threads and BLAS."""
    out = []
    for backend, facts in data.workers.items():
        pools = [
            f"{p.get('internal_api', '')} {p.get('version') or ''} ({p.get('num_threads')})".replace("  ", " ")
            for p in facts.get("pools", [])
        ]
        out.append(
            {
                "backend": backend,
                "library": ", ".join(f"{k} {v}" for k, v in (facts.get("versions") or {}).items()),
                "device": str(facts.get("device_kind") or facts.get("device") or ""),
                "threads": str(facts.get("threads", "")),
                "pools": ", ".join(dict.fromkeys(pools)),
            }
        )
    return out
