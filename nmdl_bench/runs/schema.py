"""Tables of the results store, and what went wrong with one in a sentence."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from nmdl_bench.contracts import StoreError

VERSION = 2
"""Version of the tables, kept in ``PRAGMA user_version``."""

RESULT_COLUMNS = (
    "key", "repeat", "session", "round", "status", "reason", "iterations", "n_forward", "n_gradient", "n_jvp", "n_vjp",
    "n_hessian", "passes", "loss", "grad_norm", "time", "compile_time", "wall", "memory_host", "memory_device",
    "agreement", "agrees", "metrics_json", "loss0", "history", "metric_history_json", "x", "created", "provenance_id",
    "minimum",
)  # fmt: skip
"""Columns of ``results``: one row a measured repeat. Times in s, memory in bytes. Rows with the same (session, round)
were measured side by side."""

REALS = ("passes", "loss", "grad_norm", "time", "compile_time", "wall", "memory_host", "loss0", "minimum")
"""Columns where SQLite's NULL stands for NaN, which it cannot hold."""

TABLES = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, experiment TEXT NOT NULL, spec TEXT NOT NULL, started REAL NOT NULL, finished REAL,
    provenance_id TEXT
);
CREATE TABLE provenance (provenance_id TEXT PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE cases (
    key TEXT PRIMARY KEY, problem TEXT NOT NULL, problem_json TEXT NOT NULL, solver TEXT NOT NULL,
    solver_json TEXT NOT NULL, library TEXT NOT NULL, device TEXT NOT NULL, dtype TEXT NOT NULL, seed INTEGER NOT NULL,
    kind TEXT NOT NULL, case_json TEXT NOT NULL
);
CREATE TABLE run_cases (
    run_id TEXT NOT NULL REFERENCES runs, key TEXT NOT NULL REFERENCES cases, position INTEGER NOT NULL,
    problem TEXT NOT NULL, solver TEXT NOT NULL, PRIMARY KEY (run_id, key)
);
CREATE TABLE results (
    key TEXT NOT NULL REFERENCES cases, repeat INTEGER NOT NULL, session TEXT NOT NULL, round INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, iterations INTEGER, n_forward INTEGER, n_gradient INTEGER,
    n_jvp INTEGER, n_vjp INTEGER, n_hessian INTEGER, passes REAL, loss REAL, grad_norm REAL, time REAL,
    compile_time REAL, wall REAL, memory_host REAL, memory_device REAL, agreement REAL, agrees INTEGER,
    metrics_json TEXT, loss0 REAL, history BLOB, metric_history_json TEXT, x BLOB, created REAL NOT NULL,
    provenance_id TEXT, minimum REAL, PRIMARY KEY (key, repeat)
);
"""

CHANGES = {2: "ALTER TABLE results ADD COLUMN minimum REAL"}
"""What each version changed in the tables of the one before; a store opened for writing is brought up to date."""


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the store at ``path`` into a :class:`StoreError` that says the way out."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_sentence(path, error)) from error


def _sentence(path: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorname", None) or ""
    where = f"results store {str(path)!r}"
    if code == "SQLITE_NOTADB":
        return f"{where} is not an SQLite database; name another file with --store"
    if code.startswith("SQLITE_CORRUPT"):
        return f"{where} is damaged ({error}); restore a copy, or name another file with --store"
    if code == "SQLITE_FULL" or (code.startswith("SQLITE_IOERR") and _free(path) < 2**20):
        return (
            f"{where} cannot grow, the disk is full ({_free(path) / 2**20:.1f} MiB free); make room and run the same "
            "command again: every repeat that was finished is kept"
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{where} is locked by another process; wait for it to end, or name another file with --store"
    frozen = path.parent.is_dir() and not os.access(path.parent, os.W_OK)
    if code.startswith("SQLITE_READONLY") or (code.startswith("SQLITE_CANTOPEN") and frozen):
        return f"{where} is read-only; make it and its folder writable, or name another file with --store"
    if code.startswith("SQLITE_CANTOPEN"):
        return f"{where} cannot be opened; is its folder there and writable? name another file with --store"
    return f"{where}: {error}" + (f" ({code})" if code else "")


def _free(path: Path) -> float:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return float("inf")
