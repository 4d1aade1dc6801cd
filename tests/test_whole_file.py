"""A file is written whole or not at all: with its permissions, through links, on a disk that is full."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from fleet.whole_file import write_whole


def test_the_content_is_replaced_and_the_permissions_stay(tmp_path: Path) -> None:
    file = tmp_path / "vision.toml"
    file.write_text("old")
    file.chmod(0o640)
    write_whole(file, "new")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)
    write_whole(tmp_path / "other", "first")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "vision.toml"]


def test_a_link_goes_on_pointing_to_what_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_on_a_full_disk_what_was_there_stays_and_nothing_is_left_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vision.toml"
    file.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, "new")
    assert [each.name for each in tmp_path.iterdir()] == ["vision.toml"] and file.read_text() == "old"
