"""The store: what it keeps, and one sentence for each way in which it can fail."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nmdl_bench.contracts import HISTORY_COLUMNS, Stop, StoreError, UnknownNameError
from nmdl_bench.runs import schema
from nmdl_bench.runs.cases import Case, Part
from nmdl_bench.runs.store import Store, pack, unpack


def case(i=0, **changes):
    fields = {
        "key": f"key{i}", "position": i, "problem": Part("bowl", "b", {"size": 8}), "solver": Part("adam", f"s{i}", {}),
        "library": "numpy", "device": "cpu", "dtype": "float64", "seed": 0, "kind": "ours", "stop": Stop(),
        "threads": 1, "content": "{}",
    }  # fmt: skip
    return Case(**(fields | changes))


def row(i=0, repeat=0, **changes):
    history = np.arange(16.0).reshape(2, len(HISTORY_COLUMNS))
    return {
        "key": f"key{i}", "repeat": repeat, "session": "s", "round": repeat, "status": "converged", "reason": "done",
        "loss": 0.5, "time": 1.5, "history": pack(history), "x": pack(np.ones(8)), "created": 1.0,
        "metrics_json": '{"accuracy_test": 0.9}',
    } | changes  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "deep" / "er" / "s.sqlite", create=True) as opened:
        opened.begin_run("run0", "quick", "name = 'quick'", [case(0), case(1)], "p")
        yield opened


def test_rows_come_back_as_they_went_in(store):
    assert store.add(row(1))
    assert store.add(row(0, 1, loss=float("nan"), memory_device=None, agreement=None, agrees=0))
    first, second = store.results("run0")
    assert [first["key"], first["repeat"], first["problem"], first["solver"]] == ["key0", 1, "b", "s0"]
    assert first["problem_json"] == '{"name":"bowl","options":{"size":8}}'
    assert np.isnan(first["loss"])
    assert np.isnan(first["wall"])
    assert first["memory_device"] is None
    assert first["agreement"] is None
    assert (second["agrees"], first["agrees"]) == (None, 0)
    assert second["metrics"] == {"accuracy_test": 0.9}
    assert second["metric_history"] == []
    np.testing.assert_array_equal(second["history"], np.arange(16.0).reshape(2, 8))
    assert "x" not in second
    np.testing.assert_array_equal(second["x"], np.ones(8))
    with pytest.raises(KeyError):
        second["nothing"]
    assert set(schema.RESULT_COLUMNS) <= set(second)


def test_columns_are_those_that_readers_expect(store):
    with sqlite3.connect(store.path) as db:
        columns = [r[1] for r in db.execute("PRAGMA table_info(results)")]
    assert columns == list(schema.RESULT_COLUMNS)


def test_a_repeat_is_added_once(store):
    assert store.add(row(0, loss=1.0))
    assert not store.add(row(0, loss=2.0))
    assert [r["loss"] for r in store.results("run0")] == [1.0]
    with pytest.raises(ValueError, match="no such columns"):
        store.add(row(0, 2, colour="red"))


def test_missing_and_repeats(store):
    assert [c["key"] for c in store.missing("run0")] == ["key0", "key1"]
    store.add(row(0))
    store.add(row(0, 1, status="error"))
    (missing,) = store.missing("run0")
    assert (missing["key"], missing["solver"], missing["position"], missing["kind"]) == ("key1", "s1", 1, "ours")
    assert store.repeats("run0") == {"key0": {0: "converged", 1: "error"}}
    assert store.drop(["key0", "key1"], ["error", "timeout"]) == 1
    assert store.repeats("run0") == {"key0": {0: "converged"}}


def test_runs_are_found_by_name_and_by_start_of_id(store):
    store.begin_run("run1", "quick", "x", [case(0)], "p")
    store.begin_run("other", "slow", "x", [case(0)], "p")
    assert store.find_run("quick").run_id == "run1"
    store.begin_run("run0", "quick", "y", [case(0), case(1)], "p")
    assert (store.find_run("quick").run_id, store.find_run("quick").spec) == ("run0", "y")
    assert store.find_run("run1").run_id == "run1"
    assert store.find_run("oth").run_id == "other"
    with pytest.raises(UnknownNameError, match=r"unknown run 'run'; .*known: quick, run0, run1, slow"):
        store.find_run("run")
    with pytest.raises(UnknownNameError, match="unknown run 'quik'; did you mean 'quick'"):
        store.find_run("quik")
    assert store.find_run("run0").finished is None
    store.finish_run("run0")
    found = store.find_run("run0")
    assert found.finished is not None
    assert found.finished >= found.started


def test_labels_belong_to_the_run(store):
    store.begin_run("run1", "quick", "x", [case(0, solver=Part("adam", "renamed", {}))], "p")
    store.add(row(0))
    assert store.results("run0")[0]["solver"] == "s0"
    assert store.results("run1")[0]["solver"] == "renamed"


def test_provenance_is_kept_once(store):
    first = store.add_provenance({"a": 1, "b": [2]})
    assert store.add_provenance({"b": [2], "a": 1}) == first
    assert store.provenance(first) == {"a": 1, "b": [2]}
    with pytest.raises(KeyError):
        store.provenance("none")


def test_history_of_a_case(store):
    assert store.history("key0") is None
    store.add(row(0, 1))
    store.add(row(0, 0, status="error", history=None, x=None))
    assert store.history("key0").shape == (2, 8)
    assert store.x("key0", 0) is None
    assert store.x("key9", 0) is None
    assert unpack(None) is None


def test_reader_sees_what_a_writer_committed_while_it_writes(store):
    with Store.open(store.path) as reader:
        store.add(row(0))
        assert len(reader.results("run0")) == 1
    assert store.check() == []


def test_settings_that_durability_rests_on(store):
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


# ------------------------------------------------------------------------------------------------------------ failures
def refuses(path, sentence, create=True, **options):
    with pytest.raises(StoreError, match=sentence) as caught:
        Store.open(path, create=create, **options)
    assert "\n" not in str(caught.value)


def test_no_store(tmp_path):
    refuses(
        tmp_path / "none.sqlite", "no results store at .*none.sqlite'; `nmdl-bench run FILE` makes one", create=False
    )


def test_store_without_runs(tmp_path):
    with Store.open(tmp_path / "s.sqlite", create=True) as store, pytest.raises(StoreError, match="holds no runs yet"):
        store.find_run("quick")


@pytest.mark.parametrize("create", [True, False])
def test_not_a_database(tmp_path, create):
    (tmp_path / "s.sqlite").write_text("this is a text file, and long enough to be seen as one\n" * 20)
    refuses(tmp_path / "s.sqlite", "is not an SQLite database; name another file with --store", create)
    assert (tmp_path / "s.sqlite").read_text().startswith("this is a text file")


def test_database_of_something_else(tmp_path):
    with sqlite3.connect(tmp_path / "s.sqlite") as db:
        db.execute("CREATE TABLE stamps (id)")
    refuses(tmp_path / "s.sqlite", "is an SQLite database of something else, not a results store")


def test_empty_file(tmp_path):
    (tmp_path / "s.sqlite").touch()
    refuses(tmp_path / "s.sqlite", "is empty, not a results store", create=False)
    Store.open(tmp_path / "s.sqlite", create=True).close()
    Store.open(tmp_path / "s.sqlite").close()


def test_earlier_version_is_read_and_brought_up_to_date(store):
    store.begin_run("r", "e", "", [case(0)], "p")
    store.add(row(0, 0))
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("ALTER TABLE results DROP COLUMN minimum")
        db.execute("PRAGMA user_version = 1")
    with Store.open(store.path) as earlier:
        assert np.isnan(earlier.results("r")[0]["minimum"])
    with Store.open(store.path, create=True) as later:
        assert later.add(row(0, 1, minimum=2.0))
        assert [repeat["minimum"] for repeat in later.results("r")] == [pytest.approx(np.nan, nan_ok=True), 2.0]
        assert not later.check()
    with sqlite3.connect(store.path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_newer_version(tmp_path):
    with sqlite3.connect(tmp_path / "s.sqlite") as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    refuses(tmp_path / "s.sqlite", rf"newer nmdl-bench \(tables of version {schema.VERSION + 1}, this one reads")


def test_damaged(store):
    for i in range(40):
        store.add(row(0, i, x=pack(np.ones(2000))))
    store.close()
    data = bytearray(store.path.read_bytes())
    data[4096 * 3 :] = np.random.default_rng(0).bytes(len(data) - 4096 * 3)
    store.path.write_bytes(data)
    with Store.open(store.path) as damaged:
        assert damaged.check()
        with pytest.raises(StoreError, match=r"is damaged \(.*\); restore a copy"):
            damaged.results("run0")


def test_locked(store):
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Store.open(store.path, create=True, busy=0.1) as waiting, pytest.raises(StoreError) as caught:
        waiting.add(row(0))
    assert "is locked by another process; wait for it to end" in str(caught.value)
    other.execute("ROLLBACK")
    other.close()
    assert store.add(row(0))


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    refuses(tmp_path / "file" / "s.sqlite", "cannot make the folder .*file' of the results store")
    refuses(tmp_path / "file" / "deep" / "s.sqlite", "cannot make the folder")
    refuses(tmp_path, "cannot be opened")


def test_full_disk_by_page_limit(store):
    store.add(row(0))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match=r"cannot grow, the disk is full .*run the same command again"):
        store.add(row(1, x=pack(np.ones(100_000))))
    assert [(r["key"], r["repeat"]) for r in store.results("run0")] == [("key0", 0)]
    store._db.execute("PRAGMA max_page_count = 1000000")
    assert store.add(row(1, x=pack(np.ones(100_000))))
    assert store.check() == []


def in_a_small_disk(folder: Path, program: str, options: str = "size=400k") -> subprocess.CompletedProcess[str]:
    """Run a Python program with a small disk of its own mounted at ``folder``, in a mount namespace of its own."""
    inner = f'mount -t tmpfs -o {options} tmpfs "{folder}" && exec "{sys.executable}" -c "$PROGRAM"'
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    environment = {**os.environ, "PROGRAM": program}
    return subprocess.run([*own, "sh", "-c", inner], env=environment, capture_output=True, text=True, check=False)


def can_mount(folder: Path) -> bool:
    try:
        return in_a_small_disk(folder, "print('here')").stdout == "here\n"
    except FileNotFoundError:
        return False


FILL = """
import sys
sys.path.insert(0, {here!r})
from test_store import *
with Store.open({path!r}, create=True) as store:
    store.begin_run("run0", "quick", "x", [case(0)], "p")
    added = 0
    try:
        for repeat in range(1000):
            added += store.add(row(0, repeat, x=pack(np.ones(2000))))
    except StoreError as error:
        print(error)
    print(added > 5, len(store.results("run0")) == added, store.check())
"""


def test_full_disk(tmp_path):
    """On a real full disk where the system lets this user mount one; else with the page limit, as above."""
    program = FILL.format(here=str(Path(__file__).parent), path=str(tmp_path / "s.sqlite"))
    if can_mount(tmp_path):
        done = in_a_small_disk(tmp_path, program)
    else:
        limited = program.replace('"p")\n', '"p")\n    store._db.execute("PRAGMA max_page_count = 80")\n')
        done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=False)
    sentence, verdict = done.stdout.splitlines()
    assert "cannot grow, the disk is full" in sentence
    assert verdict == "True True []", done.stderr


READ_ONLY = """
import sys
sys.path.insert(0, {here!r})
from test_store import *
from pathlib import Path
folder = Path({folder!r})
with Store.open(folder / "s.sqlite", create=True) as store:
    store.begin_run("run0", "quick", "x", [case(0)], "p")
    store.add(row(0))
{freeze}
for path in (folder / "s.sqlite", folder / "new.sqlite", folder / "sub" / "new.sqlite"):
    try:
        with Store.open(path, create=True) as store:
            store.add(row(0, 1))
        print("written", path)
    except StoreError as error:
        print(error)
with Store.open(folder / "s.sqlite") as store:
    print(len(store.results("run0")), store.results("run0")[0]["x"].shape)
"""


def test_read_only_folder(tmp_path):
    """A folder on a disk mounted read-only where root is; without the permission to write where it is not."""
    mount = can_mount(tmp_path)
    if mount:
        freeze = "import subprocess; subprocess.run(['mount', '-o', 'remount,ro', str(folder)], check=True)"
    else:
        freeze = "(folder / 's.sqlite').chmod(0o444); folder.chmod(0o555)"
    program = READ_ONLY.format(here=str(Path(__file__).parent), folder=str(tmp_path), freeze=freeze)
    if mount:
        done = in_a_small_disk(tmp_path, program, "size=4m")
    elif os.geteuid() != 0:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        tmp_path.chmod(0o755)
    else:  # root in a container that may not mount: no folder is read-only to it but those of the kernel
        refuses(Path("/proc/self/s.sqlite"), "cannot be opened|read-only|cannot make the folder")
        return
    old, new, deep, read = done.stdout.splitlines()
    assert "is read-only; make it and its folder writable" in old
    assert "is read-only; make it and its folder writable" in new
    assert "cannot make the folder" in deep
    assert read == "1 (8,)", done.stderr
