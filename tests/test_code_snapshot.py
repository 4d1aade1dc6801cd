"""What travels with a script: its folder as git knows it, without secrets, and what is recorded of it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from fleet import git_state
from fleet.code_archive import CodeArchive, pack


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def members(archive: CodeArchive) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(archive.body)) as tar:
        return set(tar.getnames())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    write(folder, train_dot_py="print(1)\n", lib__model_dot_py="", _dot_gitignore="data/\n*.ckpt\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_the_state_of_the_repository_is_recorded_with_the_run(repository: Path) -> None:
    clean = pack(repository, "train.py").to_dict()["git"]
    assert (clean["branch"], len(clean["commit"]), clean["dirty"], clean["dirty_files"]) == (
        "main",
        40,
        [],
        0,
    )
    write(repository, train_dot_py="print(2)\n", new_dot_py="")
    git(repository, "mv", "lib/model.py", "lib/net.py")
    state = git_state.git_state(repository)
    assert state is not None
    assert state.dirty == ("lib/net.py", "new.py", "train.py")
    assert (state.commit, state.dirty_files) == (clean["commit"], 3)


def test_thousands_of_changed_files_are_counted_and_the_first_ones_named(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_state, "MOST_NAMES", 2)
    write(repository, a="", b="", c="")
    state = git_state.git_state(repository)
    assert state is not None
    assert (state.dirty, state.dirty_files) == (("a", "b"), 3)


def test_what_gitignore_names_stays_at_home_and_is_told(repository: Path) -> None:
    write(repository, data__big_dot_bin="x" * 1000, lib__last_dot_ckpt="x", lib__notes_dot_txt="")
    archive = pack(repository, "train.py")
    assert members(archive) == {"train.py", "lib/model.py", "lib/notes.txt"}
    assert archive.warnings() == ["data/, lib/last.ckpt did not travel with the code, as .gitignore says"]


def test_a_script_that_git_ignores_travels_all_the_same(repository: Path) -> None:
    write(repository, data__run_dot_py="", data__other_dot_py="")
    assert "lib/model.py" in members(pack(repository, "train.py"))
    assert members(pack(repository / "data", "run.py")) == {"run.py", "other.py"}


def test_what_looks_like_a_secret_stays_at_home_and_is_warned_of(tmp_path: Path) -> None:
    write(
        tmp_path, train_dot_py="", _dot_env="KEY=1", config__prod_dot_env="", server_dot_pem="", id_rsa="",
        credentials_dot_json="", lib__credentials_dot_py="", keys_dot_py="",
    )  # fmt: skip
    archive = pack(tmp_path)
    assert members(archive) == {"train.py", "lib/credentials.py", "keys.py"}
    left_out = [".env", "config/prod.env", "credentials.json", "id_rsa", "server.pem"]
    assert archive.to_dict()["left_out"] == left_out
    (warning,) = archive.warnings()
    assert ".env, config/prod.env, credentials.json, id_rsa, server.pem did not travel" in warning


def test_without_git_or_outside_of_a_repository_nothing_is_said(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, plain__train_dot_py="")
    assert pack(tmp_path / "plain").git is None
    monkeypatch.setenv("PATH", str(tmp_path))
    archive = pack(repository)
    assert (archive.git, members(archive)) == (None, {"train.py", "lib/model.py"})


def test_nothing_that_a_repository_s_settings_name_is_started(repository: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(trap))
    before = (repository / ".git" / "index").stat().st_mtime_ns
    os.utime(repository / "train.py")
    pack(repository)
    assert not (tmp_path / "sprung").exists()
    assert (repository / ".git" / "index").stat().st_mtime_ns == before
