"""Sentences of a report: what was compared, who was first, what failed, and under what conditions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nmdl_bench.report.frames import RunData
from nmdl_bench.report.numbers import count, significant
from nmdl_bench.report.summary import FAILED, Summary

EMPTY = "Nothing of this run has been measured yet; run the same experiment file again and it goes on where it stopped."


def listing(names: Sequence[Any], most: int = 6) -> str:
    """``a, b and c``; beyond ``most`` names only their number is kept of the rest."""
    texts = [str(n) for n in names]
    if len(texts) > most:
        texts = [*texts[: most - 1], f"{len(texts) - most + 1} more"]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""


def plural(n: int, one: str, many: str = "") -> str:
    """``1 solver``, ``2 solvers``."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def overview(data: RunData) -> str:
    """One sentence: how much was compared and what became of it."""
    cases = data.cases
    if not len(data.results):
        return EMPTY
    peers = cases.loc[cases.kind == "peer", "solver"].nunique()
    solvers = plural(cases.solver.nunique(), "solver") + (f" ({plural(peers, 'peer')})" if peers else "")
    backends, dtypes = data.order("backend"), data.order("dtype")
    where = f"{plural(len(backends), 'backend')} ({listing(backends)}; {listing(dtypes)})"
    seeds, repeats = cases.seed.nunique(), int(data.results.groupby("key").size().max())
    failed = data.results.loc[data.results.status.isin(FAILED), "key"].nunique()
    outcome = [f"{data.results['key'].nunique()} measured"]
    outcome += [f"{failed} of them failed"] if failed else []
    outcome += [f"{len(data.missing)} without a result yet"] if len(data.missing) else []
    return (
        f"{solvers} on {plural(cases.problem.nunique(), 'problem')} and {where}, {plural(seeds, 'seed')}, "
        f"{plural(repeats, 'repeat')}: {plural(len(cases), 'case')}, {', '.join(outcome)}."
    )


def verdicts(summary: Summary) -> list[tuple[str, str]]:
    """For each problem, who met the target first, and with the fewest passes over the data."""
    out = []
    for problem in summary.problems:
        group = summary.problem(problem)
        solved = group[group.reached & group.sound]
        timed = solved[solved.comparable & solved.target_time.notna()]
        if not len(solved):
            out.append((problem, "no solver reached the target with every seed."))
            continue
        parts = []
        if len(timed):
            least = float(timed.target_time.min())
            marked = timed[timed.best_target_time | (timed.target_time == least)]
            names = listing([f"{r.solver} on {r.backend}" for r in marked.itertuples()], 3)
            tie = " (a tie)" if len(marked) > 1 else ""
            compiling = float(marked.get("compile_time", pd.Series([0.0])).max())
            besides = f", besides {significant(compiling)} s of compilation" if compiling > 0.1 * least else ""
            parts.append(f"{names} met the target first{tie}, in {significant(least)} s{besides}")
        fewest = solved.target_passes.min()
        names = listing(list(dict.fromkeys(solved.solver[solved.target_passes.map(count) == count(fewest)])), 3)
        parts.append(f"{names} with the fewest passes over the data, {count(fewest)}")
        out.append((problem, "; ".join(parts) + "."))
    return out


def failures(data: RunData) -> pd.DataFrame:
    """Cases that failed, disagree with NumPy float64, or have no result: one row each with the reason."""
    frame = data.results
    failed = frame[frame.status.isin(FAILED)]
    parts = [failed.assign(what=[str(s).replace("_", " ") for s in failed.status])]
    other = frame[~frame.status.isin(FAILED) & (frame.agrees == False).fillna(False)]  # noqa: E712 (NA is neither)
    why = [f"deviates from NumPy float64 by {a:.2g} (relative)" for a in other.agreement]
    parts.append(other.assign(what="disagrees", reason=why))
    if len(data.missing):
        parts.append(data.missing.assign(what="missing", reason="not measured yet"))
    columns = ["problem", "solver", "backend", "seed", "what", "reason"]
    parts = [p[["position", *columns]] for p in parts if len(p)]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts).sort_values("position", kind="stable")[columns].drop_duplicates().reset_index(drop=True)


def versions(data: RunData) -> str:
    """``numpy 2.4.6, torch 2.13.0``: the versions of the libraries that were measured."""
    packages = data.provenance.get("packages", {})
    libraries = [*data.order("library"), *(["scipy"] if any("scipy" in s for s in data.order("solver")) else [])]
    names = [n for lib in dict.fromkeys(libraries) for n in packages if n == lib or n.startswith(f"{lib}-cuda")]
    return ", ".join(f"{name} {packages[name]}" for name in names)


def conditions(data: RunData, results: pd.DataFrame) -> str:
    """Seeds, repeats, dtypes and versions, as every caption ends."""
    seeds = sorted(results.seed.unique())
    repeats = int(results.groupby("key").size().max()) if len(results) else 0
    facts = [f"{'seeds' if len(seeds) > 1 else 'seed'} {listing(seeds, 10)}", plural(repeats, "repeat")]
    facts += [listing(data.order("dtype")), versions(data)]
    return "; ".join(f for f in facts if f).capitalize() + "."


def source(provenance: dict[str, Any]) -> str:
    """Version and commit of the code, and whether it was changed since."""
    git = provenance.get("source") or {}
    version = (provenance.get("packages") or {}).get("nmdl-bench", "")
    text = f"nmdl-bench {version}".strip()
    if git.get("commit"):
        text += f", commit {str(git['commit'])[:12]}" + (" with uncommitted changes" if git.get("dirty") else "")
    return text


def settings(described: str) -> tuple[str, dict[str, Any]]:
    """Name and options from the JSON of a problem or solver."""
    try:
        value = json.loads(described)
    except ValueError:
        return "", {}
    if not isinstance(value, dict):
        return "", {}
    options = value.get("options")
    return str(value.get("name", "")), options if isinstance(options, dict) else {}
