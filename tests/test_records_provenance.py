"""Provenance: commit, changes, versions; and that nothing missing is a failure."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import normlab.records.provenance as module
from normlab.config import places
from normlab.records.provenance import DIFF_CAP_BYTES, _code, provenance


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    git("init")
    (tmp_path / "a.txt").write_text("one\n")
    git("add", "a.txt")
    git("commit", "-m", "first")
    _code.cache_clear()
    yield tmp_path
    _code.cache_clear()


def test_a_clean_repository(repository: Path) -> None:
    facts, diff = _code(repository)
    assert len(facts["commit"]) == 40
    assert facts["dirty"] is False
    assert diff is None


def test_changes_are_kept_and_new_files_named(repository: Path) -> None:
    (repository / "a.txt").write_text("two\n")
    (repository / "b c.txt").write_text("new\n")
    facts, diff = _code(repository)
    assert facts["dirty"] is True
    assert facts["untracked"] == ["b c.txt"]
    assert facts["diff"] == {"cap_bytes": DIFF_CAP_BYTES, "truncated": False}
    assert b"-one\n+two\n" in (diff or b"")


def test_large_changes_are_cut_and_said_to_be(repository: Path) -> None:
    (repository / "a.txt").write_text("x" * 79 + "\n" + "y" * DIFF_CAP_BYTES)
    facts, diff = _code(repository)
    assert facts["diff"]["truncated"] is True
    notice = f"[cut here: only the first {DIFF_CAP_BYTES} bytes are kept]\n".encode()
    assert diff is not None
    assert diff.endswith(notice)
    assert len(diff) == DIFF_CAP_BYTES + len(notice) + 1


def test_outside_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert _code(tmp_path) == ({}, None)


def test_in_a_folder_of_somebodys_repository_there_is_no_commit(repository: Path) -> None:
    (repository / "a.txt").write_text("secret\n")
    inner = repository / ".venv" / "site-packages" / "normlab"
    inner.mkdir(parents=True)
    assert _code(inner) == ({}, None)


def test_what_was_installed_has_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the folder of its configs is the top of a repository."""
    monkeypatch.setattr(places, "_PACKED", repository)
    (repository / "a.txt").write_text("secret\n")
    found = provenance("cpu", 1, "d1")
    assert found.diff is None
    assert not {"commit", "dirty", "diff", "untracked"} & found.facts.keys()
    assert "normlab" in found.facts["versions"]
    assert module.current_commit() is None


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert _code(repository) == ({}, None)


def test_the_facts_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "norm=batch", "probe=[ics]"])
    facts = provenance("cpu", 1, "d1").facts
    assert facts["command"].endswith(" scripts/train.py norm=batch 'probe=[ics]'")
    assert facts["versions"]["python"].startswith("3.")
    assert {"torch", "numpy", "normlab"} <= facts["versions"].keys()
    assert (facts["device"], facts["num_threads"], facts["data_checksum"]) == ("cpu", 1, "d1")
    assert {"host", "platform", "started"} <= facts.keys()
    assert json.loads(json.dumps(facts)) == facts


def test_the_command_is_one_to_type_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["/somewhere/bin/normlab", "train", "model=mlp", "probe=[ics]"]
    )
    facts = provenance("cpu", 1, "d1").facts
    assert facts["command"] == "normlab train model=mlp 'probe=[ics]'"


def test_a_package_that_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "no-such-package"))
    module._versions.cache_clear()
    assert set(module._versions()) == {"python", "numpy"}
    module._versions.cache_clear()


def test_code_is_looked_up_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    provenance("cpu", None, "d1")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("looked up again"))
    assert "num_threads" not in provenance("cpu", None, "d1").facts
