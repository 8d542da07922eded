import json
import subprocess

from nmdl_bench.measure import environment


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_provenance_is_json_without_paths():
    facts = environment.provenance()
    text = json.dumps(facts)
    assert facts["packages"]["numpy"]
    assert facts["cpu"]
    assert facts["memory"] > 2**28
    assert "/home/" not in text
    assert not any(part.startswith("/") for part in text.replace('"', " ").split())


def test_versions_by_import_name():
    assert list(environment.versions_of("sklearn")) == ["scikit-learn"]
    assert environment.versions_of("numpy") == {"numpy": environment.version("numpy")}
    assert environment.versions_of("no_such_library") == {}


def test_device_kinds():
    assert environment.device_kind("cpu") == environment.cpu_model()
    count = len(environment.gpus())
    assert environment.device_kind(f"cuda:{count}") == "none"


def test_commit_and_dirtiness(tmp_path):
    assert environment.commit(tmp_path) == {}
    git(tmp_path, "init", "-q")
    assert environment.commit(tmp_path) == {}
    (tmp_path / "a.py").write_text("1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    found = environment.commit(tmp_path)
    assert len(found["commit"]) == 40
    assert found["dirty"] is False
    (tmp_path / "a.py").write_text("2\n")
    assert environment.commit(tmp_path)["dirty"] is True


def test_folder_that_a_tree_does_not_track_has_no_commit(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    inside = tmp_path / "site-packages"
    inside.mkdir()
    (inside / "b.py").write_text("1\n")
    assert environment.commit(inside) == {}
