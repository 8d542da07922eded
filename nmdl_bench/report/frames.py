"""Stored results as pandas data frames: the only module of the report that reads the store."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from nmdl_bench.contracts import HISTORY_COLUMNS

CASE_COLUMNS = ("problem", "solver", "kind", "library", "device", "dtype", "backend", "seed")
"""What names a measured case; ``backend`` is the short label that tables and figures show."""
VALUE_COLUMNS = (
    "iterations",
    "n_forward",
    "n_gradient",
    "n_jvp",
    "n_vjp",
    "n_hessian",
    "passes",
    "loss0",
    "loss",
    "grad_norm",
    "time",
    "compile_time",
    "wall",
    "memory_host",
    "memory_device",
    "agreement",
    "minimum",
)
"""Numbers of a measured repeat, as float64 with NaN where there is none. Times in s, memory in bytes."""


class Reader(Protocol):
    """The part of ``nmdl_bench.runs.store.Store`` that reports need."""

    def find_run(self, name_or_id: str) -> Any: ...

    def results(self, run_id: str) -> list[dict[str, Any]]: ...

    def missing(self, run_id: str) -> list[dict[str, Any]]: ...

    def provenance(self, provenance_id: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class RunData:
    """Everything a report says of one run."""

    run: Any
    """The row of the run: ``run_id``, ``experiment``, ``spec``, ``started``, ``finished``, ``provenance_id``."""
    spec: dict[str, Any]
    """The experiment file, parsed; empty where it cannot be."""
    results: pd.DataFrame
    """One row a measured repeat; see :func:`results_frame`."""
    histories: dict[tuple[str, int], np.ndarray]
    """(key, repeat) to the history, (rows, 8), columns ``contracts.HISTORY_COLUMNS``."""
    missing: pd.DataFrame
    """One row a case without a result, with the columns of ``CASE_COLUMNS``."""
    provenance: dict[str, Any]
    """Facts about the machine and the installation."""
    workers: dict[str, dict[str, Any]]
    """Facts about the processes that measured, by backend label."""
    sizes: dict[tuple[str, int], int] = field(default_factory=dict)
    """(problem, seed) to the number of variables, where a final iterate is stored."""

    @property
    def settings(self) -> dict[str, Any]:
        """The ``[report]`` table of the experiment file."""
        table = self.spec.get("report", {})
        return table if isinstance(table, dict) else {}

    @property
    def title(self) -> str:
        """The experiment's title, or its name."""
        return str(self.spec.get("title") or self.run.experiment)

    @property
    def cases(self) -> pd.DataFrame:
        """Measured and missing cases, one row each, in the experiment's order."""
        columns = [*CASE_COLUMNS, "key", "position", "problem_json", "solver_json"]
        frames = [f[columns] for f in (self.results, self.missing) if len(f)]
        if not frames:
            return pd.DataFrame(columns=columns)
        return pd.concat(frames).drop_duplicates("key").sort_values("position", kind="stable").reset_index(drop=True)

    def order(self, column: str) -> list[str]:
        """Distinct values of a column of :attr:`cases` in the experiment's order."""
        return list(dict.fromkeys(self.cases[column]))


def load(store: Reader, run_id: str) -> RunData:
    """Read one run from the store.

    Parameters
    ----------
    store : Reader
        An open results store.
    run_id : str
        A run's id or experiment name, as ``Store.find_run`` takes it.
    """
    run = store.find_run(run_id)
    rows = store.results(run.run_id)
    missing_rows = store.missing(run.run_id)
    label = _backend_labels([*rows, *missing_rows])
    results = _results(rows, label)
    histories = {}
    for row in rows:
        history = row.get("history")
        if history is not None and np.size(history):
            histories[row["key"], int(row["repeat"])] = np.asarray(history, dtype=np.float64)
    return RunData(
        run=run,
        spec=_parse_spec(run.spec),
        results=results,
        histories=histories,
        missing=_missing(missing_rows, label, len(rows)),
        provenance=_provenance(store, run.provenance_id),
        workers={
            str(r.backend): _provenance(store, str(r.provenance_id))
            for r in results.drop_duplicates(["backend", "provenance_id"]).itertuples()
            if r.provenance_id and r.provenance_id != run.provenance_id
        },
        sizes=_sizes(rows),
    )


def results_frame(store: Reader, run_id: str) -> pd.DataFrame:
    """Flat results of a run, one row a measured repeat, in the experiment's order.

    Parameters
    ----------
    store : Reader
        An open results store.
    run_id : str
        A run's id or experiment name.

    Returns
    -------
    pandas.DataFrame
        The columns of ``CASE_COLUMNS``, ``key``, ``position``, ``repeat``, ``session``, ``round``, ``status``,
        ``reason``, those of ``VALUE_COLUMNS`` (s, bytes; NaN where there is none), ``agrees`` (nullable boolean), one
        column a metric (accuracies are fractions), and the problem's and solver's settings as JSON.
    """
    return load(store, run_id).results


def history_frame(store: Reader, run_id: str) -> pd.DataFrame:
    """Histories of a run in long form: one row an iteration recorded of a measured repeat.

    Parameters
    ----------
    store : Reader
        An open results store.
    run_id : str
        A run's id or experiment name.

    Returns
    -------
    pandas.DataFrame
        ``problem``, ``solver``, ``backend``, ``dtype`` (categorical), ``seed``, ``repeat``, ``key`` and the columns
        ``contracts.HISTORY_COLUMNS`` (``time`` in s; ``measured`` is 0 where the time is interpolated).
    """
    data = load(store, run_id)
    labels = ["problem", "solver", "backend", "dtype", "seed", "repeat", "key"]
    rows = data.results.loc[[(k, r) in data.histories for k, r in zip(data.results.key, data.results.repeat)], labels]
    arrays = [data.histories[k, r] for k, r in zip(rows.key, rows.repeat)]
    values = np.concatenate(arrays) if arrays else np.empty((0, len(HISTORY_COLUMNS)))
    index = np.repeat(np.arange(len(rows)), [len(a) for a in arrays])
    out = {}
    for name in labels:
        column = (
            rows[name] if name in ("seed", "repeat") else pd.Categorical(rows[name], list(dict.fromkeys(rows[name])))
        )
        out[name] = pd.Series(column).reset_index(drop=True).iloc[index].reset_index(drop=True)
    for i, name in enumerate(HISTORY_COLUMNS):
        out[name] = pd.Series(values[:, i])
    return pd.DataFrame(out)


def _sizes(rows: list[dict[str, Any]]) -> dict[tuple[str, int], int]:
    """Number of variables of each problem and seed, from the first final iterate that there is."""
    sizes: dict[tuple[str, int], int] = {}
    for row in rows:
        instance = str(row["problem"]), int(row["seed"])
        if instance not in sizes:
            try:
                x = row["x"]  # read from the store when asked for
            except KeyError:
                continue
            if x is not None:
                sizes[instance] = int(np.size(x))
    return sizes


def _results(rows: list[dict[str, Any]], label: dict[tuple[str, str, str], str]) -> pd.DataFrame:
    metrics = [_json(row.get("metrics_json")) for row in rows]
    frame = pd.DataFrame(
        {
            "position": [int(row.get("position", i)) for i, row in enumerate(rows)],
            "key": [row["key"] for row in rows],
            **_case_columns(rows, label),
            "repeat": [int(row["repeat"]) for row in rows],
            "session": [row.get("session") for row in rows],
            "round": [row.get("round") for row in rows],
            "status": [row["status"] for row in rows],
            "reason": [row.get("reason") or "" for row in rows],
            **{c: np.array([_number(row.get(c)) for row in rows], dtype=float) for c in VALUE_COLUMNS},
            "agrees": pd.array([None if row.get("agrees") is None else bool(row["agrees"]) for row in rows], "boolean"),
            **{
                name: np.array([_number(m.get(name)) for m in metrics], dtype=float)
                for name in dict.fromkeys(name for m in metrics for name in m)
            },
            **{c: [str(row.get(c) or "{}") for row in rows] for c in ("problem_json", "solver_json")},
            "provenance_id": [row.get("provenance_id") for row in rows],
        }
    )
    return frame.sort_values(["position", "repeat"], kind="stable").reset_index(drop=True)


def _missing(rows: list[dict[str, Any]], label: dict[tuple[str, str, str], str], offset: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "position": [int(row.get("position", offset + i)) for i, row in enumerate(rows)],
            "key": [row.get("key", f"missing-{i}") for i, row in enumerate(rows)],
            **_case_columns(rows, label),
            **{c: [str(row.get(c) or "{}") for row in rows] for c in ("problem_json", "solver_json")},
        }
    )


def _case_columns(rows: list[dict[str, Any]], label: dict[tuple[str, str, str], str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {c: [row.get(c) for row in rows] for c in CASE_COLUMNS if c != "backend"}
    columns["backend"] = [label[_place(row)] for row in rows]
    return columns


def _place(row: dict[str, Any]) -> tuple[str, str, str]:
    return str(row.get("library")), str(row.get("device")), str(row.get("dtype"))


def _backend_labels(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], str]:
    """Shortest labels that tell the backends of this run apart: ``jax``, ``torch:cuda:0``, ``torch float32``."""
    places = {_place(row) for row in rows}
    dtypes = {dtype for _, _, dtype in places}
    labels = {}
    for library, device, dtype in places:
        devices = {d for other, d, _ in places if other == library}
        name = library if devices == {"cpu"} or device in ("", "None", library) else f"{library}:{device}"
        labels[library, device, dtype] = name if len(dtypes) == 1 else f"{name} {dtype}"
    return labels


def _number(value: Any) -> float:
    try:
        return float("nan") if value is None else float(value)
    except (TypeError, ValueError):
        return float("nan")


def _json(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _parse_spec(text: Any) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except (tomllib.TOMLDecodeError, TypeError):
        return {}  # the text is shown as it was stored; only its settings are lost


def _provenance(store: Reader, provenance_id: str | None) -> dict[str, Any]:
    try:
        return dict(store.provenance(provenance_id)) if provenance_id else {}
    except KeyError:
        return {}
