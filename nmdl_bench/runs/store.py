"""The results store: one SQLite file that survives a kill at any moment.

Every measured repeat is one transaction in write-ahead-log mode with ``synchronous = FULL``: when :meth:`Store.add`
returns, the row is on the disk, and a process or machine that dies in between leaves the repeat either whole or absent.
(``NORMAL`` would be enough against a killed process, but not against a power cut; a commit costs milliseconds, a repeat
seconds.)
"""

from __future__ import annotations

import hashlib
import io
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nmdl_bench.contracts import StoreError, unknown
from nmdl_bench.runs import schema

if TYPE_CHECKING:
    from types import TracebackType

    from nmdl_bench.runs.cases import Case


class RunRow(NamedTuple):
    """One run; ``started`` and ``finished`` are Unix times, ``finished`` is None where something is missing."""

    run_id: str
    experiment: str
    spec: str
    started: float
    finished: float | None
    provenance_id: str | None


class ResultRow(dict[str, Any]):
    """One measured repeat by column name; ``"x"``, the final iterate, is read from the store when asked for."""

    def __init__(self, columns: dict[str, Any], store: Store) -> None:
        super().__init__(columns)
        self._store = store

    def __missing__(self, name: str) -> Any:
        if name != "x":
            raise KeyError(name)
        self["x"] = self._store.x(self["key"], self["repeat"])
        return self["x"]


class Store:
    """An open store; made by :meth:`open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection

    # ------------------------------------------------------------------------------------------------- open, close
    @classmethod
    def open(cls, path: str | Path, create: bool = False, *, busy: float = 10.0) -> Store:
        """Open a store.

        Parameters
        ----------
        path : str or Path
            The file.
        create : bool
            Make it, and its folder, where there is none, and open it for writing.
        busy : float
            Seconds to wait for another process's transaction.

        Raises
        ------
        StoreError
            No such file, not a store, a newer version's, read-only, locked, or no room for it.
        """
        path = Path(path)
        if create:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"cannot make the folder {str(path.parent)!r} of the results store: {error.strerror}; "
                    "name another file with --store"
                ) from error
        elif not path.is_file():
            raise StoreError(
                f"no results store at {str(path)!r}; `nmdl-bench run FILE` makes one, --store names another"
            )
        with schema.explained(path):
            if create:
                store = cls(path, _connect(str(path), busy))
            else:
                store = cls(path, _connect_reader(path, busy))
            try:
                store._check_version(create)
            except BaseException:
                store.close()
                raise
        return store

    def _check_version(self, create: bool) -> None:
        if create:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found == schema.VERSION:
            return
        if found > schema.VERSION:
            raise StoreError(
                f"results store {str(self.path)!r} was written by a newer nmdl-bench (tables of version {found}, "
                f"this one reads {schema.VERSION}); upgrade nmdl-bench, or name another file with --store"
            )
        if found > 0:
            if create:
                self._bring_up_to_date()
            return
        (count,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if found < 0 or count or not create:
            what = "an SQLite database of something else" if count else "empty"
            raise StoreError(f"{str(self.path)!r} is {what}, not a results store; name another file with --store")
        # one transaction, so that neither a kill nor a second process can leave half a schema
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in schema.TABLES.split(";"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {schema.VERSION}")
            self._db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise

    def _bring_up_to_date(self) -> None:
        """Change an earlier version's tables; in one transaction, as they are made in one."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            (found,) = self._db.execute("PRAGMA user_version").fetchone()  # another process may have been first
            for version in range(found + 1, schema.VERSION + 1):
                self._db.execute(schema.CHANGES[version])
            self._db.execute(f"PRAGMA user_version = {schema.VERSION}")
            self._db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise

    def close(self) -> None:
        """Close the file; may be called again."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> list[str]:
        """Problems that SQLite's integrity check finds; none where all is well."""
        try:
            rows = [row[0] for row in self._db.execute("PRAGMA integrity_check")]
            rows += [f"dangling reference: {row}" for row in self._db.execute("PRAGMA foreign_key_check")]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [row for row in rows if row != "ok"]

    # ------------------------------------------------------------------------------------------------------- write
    def _write(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> int:
        """Execute statements as one transaction; return how many rows they changed."""
        with schema.explained(self.path):
            changed = 0
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for sql, values in statements:
                    changed += self._db.execute(sql, values).rowcount
                self._db.execute("COMMIT")
            except BaseException:
                self._rollback()
                raise
            return changed

    def _rollback(self) -> None:
        if self._db.in_transaction:  # a full disk rolls back by itself
            self._db.execute("ROLLBACK")

    def add_provenance(self, facts: Mapping[str, Any]) -> str:
        """Keep facts about machine and software once; return their id."""
        from nmdl_bench.runs.cases import canonical

        text = canonical(dict(facts))
        provenance_id = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._write([("INSERT OR IGNORE INTO provenance VALUES (?, ?)", (provenance_id, text))])
        return provenance_id

    def begin_run(self, run_id: str, experiment: str, spec: str, cases: Sequence[Case], provenance_id: str) -> None:
        """Note that a run starts, or starts again."""
        statements: list[tuple[str, Sequence[Any]]] = [
            (
                "INSERT INTO runs VALUES (?, ?, ?, ?, NULL, ?) ON CONFLICT (run_id) DO UPDATE SET "
                "spec = excluded.spec, started = excluded.started, finished = NULL, "
                "provenance_id = excluded.provenance_id",
                (run_id, experiment, spec, time.time(), provenance_id),
            )
        ]
        for c in cases:
            values = (
                c.key, c.problem.label, c.problem.json, c.solver.label, c.solver.json, c.library, c.device, c.dtype,
                c.seed, c.kind, c.content,
            )  # fmt: skip
            statements.append(("INSERT OR IGNORE INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values))
            named = (run_id, c.key, c.position, c.problem.label, c.solver.label)
            statements.append(("INSERT OR REPLACE INTO run_cases VALUES (?, ?, ?, ?, ?)", named))
        self._write(statements)

    def finish_run(self, run_id: str) -> None:
        """Note that nothing of the run is missing."""
        self._write([("UPDATE runs SET finished = ? WHERE run_id = ?", (time.time(), run_id))])

    def add(self, row: Mapping[str, Any]) -> bool:
        """Add one measured repeat, durably; false where another process has added it meanwhile."""
        columns = [name for name in schema.RESULT_COLUMNS if name in row]
        unknown_columns = set(row) - set(columns)
        if unknown_columns:
            raise ValueError(f"no such columns: {sorted(unknown_columns)}")
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT OR IGNORE INTO results ({', '.join(columns)}) VALUES ({marks})"
        return self._write([(sql, [row[name] for name in columns])]) == 1

    def drop(self, keys: Iterable[str], statuses: Sequence[str]) -> int:
        """Forget the repeats of these cases that ended in one of ``statuses``; return how many."""
        marks = ", ".join("?" * len(statuses))
        sql = f"DELETE FROM results WHERE key = ? AND status IN ({marks})"
        return self._write([(sql, (key, *statuses)) for key in keys])

    # -------------------------------------------------------------------------------------------------------- read
    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with schema.explained(self.path):
            cursor = self._db.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def runs(self) -> list[RunRow]:
        """All runs, the latest first."""
        return [RunRow(**row) for row in self._rows("SELECT * FROM runs ORDER BY started DESC, rowid DESC")]

    def find_run(self, name_or_id: str) -> RunRow:
        """The latest run of an experiment of that name, or the run whose id begins so.

        Raises
        ------
        UnknownNameError
            There is none, or more than one id begins so.
        """
        runs = self.runs()
        for run in runs:
            if name_or_id in (run.run_id, run.experiment):
                return run
        matches = [run for run in runs if name_or_id and run.run_id.startswith(name_or_id)]
        if len(matches) == 1:
            return matches[0]
        if not runs:
            raise StoreError(f"results store {str(self.path)!r} holds no runs yet; `nmdl-bench run FILE` makes one")
        raise unknown("run", name_or_id, {run.experiment for run in runs} | {run.run_id for run in matches})

    def repeats(self, run_id: str) -> dict[str, dict[int, str]]:
        """Status of every stored repeat of a run's cases: key to repeat to status."""
        found: dict[str, dict[int, str]] = {}
        sql = "SELECT key, repeat, status FROM run_cases JOIN results USING (key) WHERE run_id = ?"
        for row in self._rows(sql, (run_id,)):
            found.setdefault(row["key"], {})[row["repeat"]] = row["status"]
        return found

    def results(self, run_id: str) -> list[dict[str, Any]]:
        """Measured repeats of a run, in the experiment's order.

        Returns
        -------
        list of dict
            Columns of ``run_cases``, ``cases`` and ``results`` by name. ``history`` is an array (rows, 8) or None;
            ``x`` is read when it is asked for; ``metrics`` and ``metric_history`` are decoded beside their JSON.
        """
        import json

        skip = ("x", "key")
        there = {row["name"] for row in self._rows("PRAGMA table_info(results)")}  # an earlier version's lacks some
        columns = ", ".join(
            f"results.{name}" if name in there else f"NULL AS {name}"
            for name in schema.RESULT_COLUMNS
            if name not in skip
        )
        sql = f"SELECT {_CASE_COLUMNS}, {columns} {_JOINED} JOIN results USING (key) WHERE run_id = ? {_ORDER}, repeat"
        out: list[dict[str, Any]] = []
        for row in self._rows(sql, (run_id,)):
            for name in schema.REALS:
                if row[name] is None:
                    row[name] = float("nan")
            row["history"] = unpack(row["history"])
            row["metrics"] = json.loads(row["metrics_json"] or "{}")
            row["metric_history"] = json.loads(row["metric_history_json"] or "[]")
            out.append(ResultRow(row, self))
        return out

    def missing(self, run_id: str) -> list[dict[str, Any]]:
        """Cases of a run without any result, in the experiment's order, with the columns of ``cases``."""
        sql = f"SELECT {_CASE_COLUMNS} {_JOINED} WHERE run_id = ? AND key NOT IN (SELECT key FROM results) {_ORDER}"
        return self._rows(sql, (run_id,))

    def provenance(self, provenance_id: str) -> dict[str, Any]:
        """Facts kept by :meth:`add_provenance`; raises KeyError where there are none of that id."""
        import json

        rows = self._rows("SELECT json FROM provenance WHERE provenance_id = ?", (provenance_id,))
        if not rows:
            raise KeyError(provenance_id)
        return dict(json.loads(rows[0]["json"]))

    def x(self, key: str, repeat: int) -> np.ndarray | None:
        """Final iterate (size,) of a repeat, or None where it ended without one."""
        rows = self._rows("SELECT x FROM results WHERE key = ? AND repeat = ?", (key, repeat))
        return unpack(rows[0]["x"]) if rows else None

    def history(self, key: str) -> np.ndarray | None:
        """History (rows, 8) of a case's first repeat that has one."""
        sql = "SELECT history FROM results WHERE key = ? AND history IS NOT NULL ORDER BY repeat LIMIT 1"
        rows = self._rows(sql, (key,))
        return unpack(rows[0]["history"]) if rows else None


_CASE_COLUMNS = (
    "run_cases.run_id, run_cases.key, position, run_cases.problem, problem_json, run_cases.solver, solver_json, "
    "library, device, dtype, seed, kind, case_json"
)
_JOINED = "FROM run_cases JOIN cases USING (key)"
_ORDER = "ORDER BY position"


def pack(a: np.ndarray) -> bytes:
    """An array as the bytes of an ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, a, allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes | None) -> np.ndarray | None:
    """The array that :func:`pack` turned into bytes."""
    return None if data is None else np.load(io.BytesIO(data), allow_pickle=False)


def _connect(target: str, busy: float, uri: bool = False) -> sqlite3.Connection:
    # autocommit: transactions are begun and ended by hand
    return sqlite3.connect(target, timeout=busy, isolation_level=None, uri=uri)


def _connect_reader(path: Path, busy: float) -> sqlite3.Connection:
    """Open for reading, also where folder and file cannot be written (the log's index file cannot be made then)."""
    connection = _connect(str(path), busy)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        log = path.with_name(path.name + "-wal")
        code = getattr(error, "sqlite_errorname", "")
        if not code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")) or (log.exists() and log.stat().st_size):
            raise
        return _connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", busy, uri=True)
    return connection
