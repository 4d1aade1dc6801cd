"""Archives that people bring: unpacked whole, or refused with all reasons and nothing left behind."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from fleet.file_names import first_of, name_problems, shown
from fleet.unpack import UnpackLimits, unpack
from stacks.problems import Problem, UserError


def archive(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, body in files.items():
            made.writestr(name, body)
    return path


def refusal(path: Path, limits: UnpackLimits | None = None) -> str:
    folder = path.with_suffix("")
    with pytest.raises(UserError) as refused:
        unpack(path, folder, limits)
    assert not folder.exists()
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing is left behind"
    return str(refused.value)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_people_s_files_come_out_and_the_rubbish_of_systems_does_not(tmp_path: Path) -> None:
    files = {"pets/cat/1.jpg": b"one", "pets/고양이/2.jpg": b"two", "readme.txt": b"three"}
    rubbish = {
        "__MACOSX/pets/._1.jpg": b"x",
        "pets/.DS_Store": b"x",
        "pets/Thumbs.db": b"x",
        "pets/cat/": b"",
    }
    path = archive(tmp_path / "pets.zip", files | rubbish)
    assert unpack(path, tmp_path / "out") == 3
    assert tree(tmp_path / "out") == files


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_names_of_archives_that_do_not_say_their_encoding_are_read(encoding: str, tmp_path: Path) -> None:
    raw = "강아지.jpg".encode(encoding)
    stand_in = b"a" * len(raw)
    path = archive(tmp_path / "a.zip", {stand_in.decode(): b"dog"})
    path.write_bytes(path.read_bytes().replace(stand_in, raw))
    assert unpack(path, tmp_path / "out") == 1
    assert tree(tmp_path / "out") == {"강아지.jpg": b"dog"}


def test_names_from_macos_become_those_that_others_write(tmp_path: Path) -> None:
    apart = "\u1100\u1162.txt"  # a syllable in two letters
    unpack(archive(tmp_path / "a.zip", {apart: b"dog"}), tmp_path / "out")
    assert tree(tmp_path / "out") == {"개.txt": b"dog"}


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "/etc/passwd",
        "a/../../b.txt",
        "a\\..\\b.txt",
        "a//b.txt",
        "a/./b.txt",
        "x\x1b[31m.txt",
        "a\u202egpj.exe",
    ],
)
def test_a_name_that_leads_elsewhere_or_looks_like_another_is_refused(name: str, tmp_path: Path) -> None:
    said = refusal(archive(tmp_path / "a.zip", {"good.txt": b"", name: b"bad"}))
    assert "rename it" in said
    assert "\x1b" not in said and "\u202e" not in said
    assert not (tmp_path.parent / "out.txt").exists()


def test_every_problem_is_told_at_once_and_thousands_are_counted(tmp_path: Path) -> None:
    files = {"Cat.jpg": b"", "cat.jpg": b"", "a": b"", "a/b": b"", f"{'가' * 90}.jpg": b"", "end ": b""}
    said = refusal(archive(tmp_path / "a.zip", files))
    assert "cat.jpg: is there twice" in said
    assert "a: is a file, and a folder" in said
    assert "too long a name" in said
    assert "begins or ends with a space" in said
    many = [Problem(what=str(number), do="it") for number in range(1000)]
    assert [each.what for each in first_of(many)[-2:]] == ["19", "and 980 more like these"]


def test_a_name_is_shown_short_and_on_one_line() -> None:
    assert shown("a\nb\u2067.txt") == "a\\u000ab\\u2067.txt"
    assert len(shown("x" * 500)) == 80
    assert list(name_problems(["가족 사진/1.jpg", "👨‍👩‍👧.jpg", "-rf", "a;b.csv"])) == []


def test_what_would_fill_the_disk_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "bomb.zip", {"zeros.csv": b"0" * 50_000_000})
    assert bomb.stat().st_size < 100_000
    assert "more than an honest archive" in refusal(bomb)
    bomb.unlink()
    large = archive(tmp_path / "large.zip", {"a.txt": b"12345", "b.txt": b"12345"})
    assert "unpacked it has" in refusal(large, UnpackLimits(bytes=9))
    assert "it has 2 files, and 1 may be in it" in refusal(large, UnpackLimits(files=1))


def test_an_archive_whose_entries_share_their_bytes_is_refused(tmp_path: Path) -> None:
    """As in https://www.bamsoftware.com/hacks/zipbomb/, where every entry uses the same compressed data."""
    path = archive(tmp_path / "a.zip", {f"{number}.bin": bytes(range(256)) * 40 for number in range(3)}, 0)
    body = bytearray(path.read_bytes())
    starts = [at for at in range(len(body)) if body[at : at + 4] == b"PK\x01\x02"]
    first = struct.unpack_from("<L", body, starts[0] + 42)[0]
    with zipfile.ZipFile(path) as opened:
        packed = opened.infolist()[0].compress_size
    shared = body[: first + 30 + len("0.bin") + packed] + body[starts[0] :]
    listed = [at for at in range(len(shared)) if shared[at : at + 4] == b"PK\x01\x02"]
    for at in listed:
        struct.pack_into("<L", shared, at + 42, first)
    end = shared.rfind(b"PK\x05\x06")
    struct.pack_into("<L", shared, end + 16, listed[0])
    path.write_bytes(shared)
    assert "more than an honest archive" in refusal(path)


def test_a_list_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {f"{number}": b"" for number in range(50)})
    assert "lists more than the 20 files" in refusal(path, UnpackLimits(files=20))
    body = path.read_bytes()
    at = body.rfind(b"PK\x05\x06")
    # What zip64 says counts more than the old list's length does, so that is not believed.
    path.write_bytes(body[:at] + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) + body[at:])
    assert "lists more than" in refusal(path)


def test_links_are_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("link.txt")
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(entry, "/etc/passwd")
    assert "link.txt: is a link, or no file" in refusal(path)


def test_a_locked_archive_and_a_strange_method_are_named(tmp_path: Path) -> None:
    locked = archive(tmp_path / "a.zip", {"a.txt": b"secret"})
    body = bytearray(locked.read_bytes())
    for sign, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.find(sign) + flags] |= 1
    locked.write_bytes(body)
    assert "is locked by a password" in refusal(locked)
    locked.unlink()
    assert "packed in a way that is not known" in refusal(
        archive(tmp_path / "b.zip", {"a.txt": b"aaaa" * 100}, zipfile.ZIP_BZIP2)
    )


def test_damage_anywhere_is_a_refusal_and_never_an_error_of_ours(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        for number in range(3):
            opened.writestr(f"{number}.txt", bytes(range(256)) * 20)
    whole = made.getvalue()
    path, refused = tmp_path / "a.zip", 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            unpack(path, tmp_path / f"out{at}")
        except UserError:
            refused += 1
            assert not (tmp_path / f"out{at}").exists()
    for cut in range(0, len(whole), 50):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError):
            unpack(path, tmp_path / "cut")
    assert refused > 50
