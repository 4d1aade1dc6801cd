"""What somebody sends to the uploads who means harm: refused in words, nothing left behind, never a 500."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from console.store import waiting
from console.uploads.limits import CHUNK_BYTES, UploadLimits
from console.uploads.manifest import BroughtFile, make_manifest
from console.uploads.spool import OffsetError, UploadFolder
from fleet.data_preview import Preview
from fleet.policy import Grant
from tests.console.conftest import _nothing
from tests.console.lab import OURS, ConsoleLab, Visitor, serving
from tests.console.test_uploads import SMALL, check, packed, pets
from tests.console.uploading import begin, by_form, checked, done, headers, put, send, standing, wish
from tests.test_data_check import bomb

pytestmark = pytest.mark.console

NAMES = [
    "../x.png",
    "/etc/passwd",
    "a/../../x.png",
    "a/./x.png",
    "a//x.png",
    ".",
    "..",
    "a\\..\\x.png",
    "\\\\host\\share\\x.png",
    "C:\\x.png",
    "C:/x.png",
    "CON",
    "a/aux.txt",
    "LPT1.png",
    "end.",
    "end ",
    "a\x00.png",
    "a\r\nSet-Cookie: b=c.png",
    "\x1b[31mred.png",
    "a\u202egpj.exe",
    "a\u2028b.png",
    "x" * 300,
    "가" * 100,
    "/".join("abcdefghijklmnopqrstuv"),
]
"""Names that lead elsewhere, look like another, or that some system can't keep."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleLab]:
    """A console with small limits over a project that declares nothing."""
    settings = replace(_nothing(tmp_path_factory.mktemp("target")), uploads=SMALL)
    with serving(settings) as lab:
        yield lab


@pytest.fixture(scope="module")
def member(target: ConsoleLab) -> Visitor:
    """Somebody who may bring data."""
    return target.signed_in("member")


def spooled(lab: ConsoleLab) -> set[str]:
    folder = lab.services.settings.data / "uploads"
    return {each.name for each in folder.iterdir()} if folder.exists() else set()


# ------------------------------------------------------------------------------ names


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_bad_name_is_refused_in_both_ways_and_leaves_nothing(
    target: ConsoleLab, member: Visitor, name: str
) -> None:
    before = spooled(target)
    answer = wish(member, "pictures", {"good.png": 3, name: 3})
    assert answer.status_code == 422 and answer.json()["problems"], answer.text
    assert not {"\x00", "\x1b", "\r", "\u202e", "\u2028"} & set(answer.json()["problems"][0])
    assert answer.headers.get("set-cookie") is None
    assert spooled(target) == before


@pytest.mark.parametrize(
    "names",
    [
        ["Cat.png", "cat.png"],
        ["\uac00.png", "\u1100\u1161.png"],
        ["a", "a/b.png"],
        ["A/b.png", "a"],
        ["same.png", "same.png"],
    ],
    ids=repr,
)
def test_two_names_that_would_be_one_file_are_refused(member: Visitor, names: list[str]) -> None:
    files = [{"path": name, "size": 1} for name in names]
    asked = {"kind": "pictures", "files": files}
    answer = member.client.post("/uploads", json=asked, headers=headers(member))
    assert answer.status_code == 422 and answer.json()["problems"], answer.text


def test_a_form_s_file_can_not_be_named_out_of_its_folder(target: ConsoleLab, member: Visitor) -> None:
    before = spooled(target)
    for name in ("../../evil.sh", "a\\..\\evil.png", "a\x1b[31mb.png"):
        answer = by_form(member, "text", {name: b"x"})
        assert answer.status_code == 422, answer.text
    assert by_form(member, "text", {}).status_code == 422, "no file at all"
    assert by_form(member, "nonsense", {"a.txt": b"x"}).status_code == 422
    assert spooled(target) == before


# ------------------------------------------------------------------------------ wishes that are none


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"nonsense",
        b"[" * 100_000,
        b'{"kind": "exe", "files": []}',
        b'{"kind": "text", "files": []}',
        b'{"kind": "text", "files": [{"path": "a", "size": -1}]}',
        b'{"kind": "text", "files": [{"path": "a", "size": "1"}]}',
        b'{"kind": "text", "files": [{"path": "a", "size": 1e400}]}',
        b'{"kind": "text", "files": [{"path": "a", "size": true}]}',
        b'{"kind": "text", "files": [{"path": "\\ud800", "size": 1}]}',
        b'{"kind": "text", "files": [{"path": "a", "size": 1, "offset": 1}]}',
        b'{"kind": "text", "files": [{"path": "a", "size": 99999999999999999999}]}',
        b'{"kind": "text", "files": {"path": "a"}}',
        b"\xff\xfe{}",
    ],
    ids=lambda body: repr(body[:70]),
)
def test_a_wish_that_is_none_is_not_understood(target: ConsoleLab, member: Visitor, body: bytes) -> None:
    before = spooled(target)
    sent = {**headers(member), "Content-Type": "application/json"}
    answer = member.client.post("/uploads", content=body, headers=sent)
    assert answer.status_code == 422, answer.text
    assert spooled(target) == before


def test_where_to_go_on_is_a_page_of_ours(target: ConsoleLab, member: Visitor) -> None:
    for goal in ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        upload_id = begin(member, "text", {"a.txt": b"x"}, next=goal)
        assert standing(target, upload_id).next_page == ""
        assert "evil" not in member.get("/uploads?next=" + goal).text


# ------------------------------------------------------------------------------ limits


def test_over_the_limits_is_refused_before_anything_is_read(target: ConsoleLab, member: Visitor) -> None:
    for sizes in ({"a": SMALL.upload_bytes + 1}, {f"{number}": 1 for number in range(SMALL.files + 1)}):
        answer = wish(member, "text", sizes)
        assert answer.status_code == 422 and "may be brought at once" in answer.json()["problems"][0]
    too_much = b"x" * (SMALL.upload_bytes + 2**20 + 1)
    assert by_form(member, "text", {"a.txt": too_much}).status_code == 413
    upload_id = begin(member, "text", {"a.txt": b"x"})
    assert put(member, upload_id, 0, 0, b"x" * (CHUNK_BYTES + 1)).status_code == 413


def test_who_may_bring_nothing_can_not_fill_the_disk_with_a_form(target: ConsoleLab) -> None:
    body = {"a.txt": b"x" * 200_000}
    for visitor in (target.visitor(), target.signed_in("viewer")):
        form = {"form_token": visitor.token("/login"), "kind": "text"}
        parts = [("files", (name, each, "text/plain")) for name, each in body.items()]
        answer = visitor.client.post("/uploads/form", data=form, files=parts, headers=OURS)
        assert answer.status_code == 413
    assert target.signed_in("viewer").get("/uploads").status_code == 403


# ------------------------------------------------------------------------------ pieces


def test_a_file_takes_no_more_than_was_said(target: ConsoleLab, member: Visitor) -> None:
    upload_id = begin(member, "text", {"a.txt": b"12345"})
    assert put(member, upload_id, 0, 0, b"123456").status_code == 422
    assert put(member, upload_id, 0, 0, b"12345").status_code == 200
    assert put(member, upload_id, 0, 5, b"6").status_code == 422
    assert standing(target, upload_id).folder.raw(0).read_bytes() == b"12345"


def test_games_with_offsets_change_nothing(target: ConsoleLab, member: Visitor) -> None:
    upload_id = begin(member, "text", {"a.txt": b"0123456789"})
    assert put(member, upload_id, 0, 0, b"0123").json() == {"offset": 4}
    for offset in (0, 3, 5):
        answer = put(member, upload_id, 0, offset, b"x")
        assert (answer.status_code, answer.json()) == (409, {"offset": 4})
    for wrong in (-1, "0x1", "", "1.5", "NaN", 10**30):
        assert put(member, upload_id, 0, wrong, b"x").status_code == 422
    for number in (-1, 1, 10**30):
        assert put(member, upload_id, number, 0, b"x").status_code == 404
    assert standing(target, upload_id).folder.raw(0).read_bytes() == b"0123"


def test_a_damaged_piece_and_one_of_another_kind_are_not_taken(target: ConsoleLab, member: Visitor) -> None:
    upload_id = begin(member, "text", {"a.txt": b"0123456789"})
    answer = put(member, upload_id, 0, 0, b"0123", Digest_SHA256="0" * 64)
    assert answer.status_code == 422 and answer.json()["again"] is True
    assert put(member, upload_id, 0, 0, b"0123", Digest_SHA256="nonsense").status_code == 422
    for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x"):
        assert put(member, upload_id, 0, 0, b"0123", Content_Type=kind).status_code in (400, 415)
    assert standing(target, upload_id).folder.offsets() == [0]


def test_two_windows_that_send_one_file_make_one_file(target: ConsoleLab, member: Visitor) -> None:
    body = bytes(number % 251 for number in range(60_000))
    upload_id = begin(member, "text", {"a.txt": body})
    other = target.visitor()
    other.sign_in(member.login)

    def send_all(visitor: Visitor) -> list[int]:
        offset, answers = 0, []
        while offset < len(body):
            answer = put(visitor, upload_id, 0, offset, body[offset : offset + 1500])
            answers.append(answer.status_code)
            offset = answer.json()["offset"]
        return answers

    with ThreadPoolExecutor(2) as pool:
        told = [*pool.map(send_all, (member, other))]
    answers = [status for each in told for status in each]
    assert set(answers) <= {200, 409}
    assert answers.count(200) == 40, "each piece is taken once"
    assert standing(target, upload_id).folder.raw(0).read_bytes() == body


def test_another_s_upload_is_not_there_and_asking_for_it_is_on_record(
    target: ConsoleLab, member: Visitor
) -> None:
    upload_id = begin(member, "text", {"a.txt": b"x"})
    other = target.signed_in("operator", team="*")
    path = f"/uploads/{upload_id}"
    answers: list[Any] = [other.get(f"{path}{rest}") for rest in ("", "/files", "/pictures/0")]
    answers.append(put(other, upload_id, 0, 0, b"x"))
    answers += [other.post(f"{path}/{act}", {}, page="/me") for act in ("done", "delete")]
    assert [each.status_code for each in answers] == [404] * 6
    assert standing(target, upload_id).folder.offsets() == [0]
    with target.services.database.reading() as database:
        told = [each for each in waiting.all_waiting(database) if each.target == upload_id]
    refused = [each for each in told if each.event == "console.refuse"]
    assert [each.asked_by["subject"] for each in refused] == [other.login] * 6
    missing = other.get("/uploads/" + "0" * 16)
    assert missing.status_code == 404 and "is not yours to see" in missing.text


def test_what_is_complete_takes_nothing_more_while_it_is_checked(target: ConsoleLab, member: Visitor) -> None:
    upload_id = begin(member, "text", {"a.txt": b"one"})
    send(member, upload_id, {"a.txt": b"one"})
    assert done(member, upload_id).status_code == 303
    assert put(member, upload_id, 0, 3, b"").status_code == 404
    assert put(member, upload_id, 0, 0, b"two").status_code == 404
    checked(target, upload_id)


def test_who_may_not_bring_data_begins_no_upload(target: ConsoleLab) -> None:
    visitor = target.visitor()
    person = target.person(Grant("viewer", "tests"))
    visitor.sign_in(person.subject)
    assert wish(visitor, "text", {"a.txt": 1}).status_code == 403
    nobody = target.visitor()
    nobody.sign_in(target.person().subject)
    assert wish(nobody, "text", {"a.txt": 1}).status_code == 404


# ------------------------------------------------------------------------------ archives


def zip_of(*entries: tuple[str, bytes, int]) -> bytes:
    """Return a zip of entries with a name, a body and the mode that Unix keeps of a file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, body, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(entry, body)
    return file.getvalue()


FILE, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
TIGHT = UploadLimits(upload_bytes=2_000_000, files=20)


@pytest.mark.parametrize(
    ("archive", "told"),
    [
        (zip_of(("a.csv", b"0" * 1_900_000, FILE)), "more than an honest archive does"),
        (zip_of(*((f"{n}.csv", bytes(range(256)) * 500, FILE) for n in range(19))), "unpacked it has"),
        (packed({f"{number}.txt": b"x" for number in range(21)}), "may be in it"),
        (packed({f"{number}.txt": b"x" for number in range(60)}), "lists more than the 20 files"),
        (zip_of(("a.csv", b"/etc/passwd", LINK)), "is a link, or no file"),
        (zip_of(("../../evil.csv", b"a,b\n1,2\n", FILE)), "is no name of a file in this folder"),
        (zip_of(("/etc/cron.d/evil", b"a,b\n1,2\n", FILE)), "is no name of a file in this folder"),
        (zip_of(("NUL.csv", b"a,b\n1,2\n", FILE)), "that Windows can't keep"),
        (b"PK\x03\x04" + b"nonsense" * 100, "is damaged, or no zip"),
        (b"", "is damaged, or no zip"),
    ],
    ids=["ratio", "size", "count", "list", "link", "up", "absolute", "device", "none", "empty"],
)
def test_an_archive_that_means_harm_is_refused_whole(tmp_path: Path, archive: bytes, told: str) -> None:
    found = check(tmp_path / "root", "table", {"data.zip": archive}, TIGHT)
    assert isinstance(found, str) and told in found
    assert [each.name for each in tmp_path.iterdir()] == ["root"], "nothing lies beside it"


def test_an_archive_in_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    inner = packed({"a.csv": b"0" * 1_000_000})
    found = check(tmp_path / "root", "table", {"data.zip": packed({"inner.zip": inner})}, TIGHT)
    assert isinstance(found, str) and "a.csv" not in found
    assert not [*(tmp_path / "root").rglob("*.csv")]


# ------------------------------------------------------------------------------ pictures


def many_frames(count: int, side: int) -> bytes:
    """Return a GIF whose one frame is there that many times."""
    file = io.BytesIO()
    Image.new("P", (side, side)).save(file, "GIF")
    whole = file.getvalue()
    at = whole.index(b",\x00\x00\x00\x00")
    return whole[:at] + whole[at:-1] * count + whole[-1:]


def test_pictures_that_would_take_the_machine_are_broken_and_the_others_are_not(tmp_path: Path) -> None:
    """Of each only as much is decoded as the limits allow."""
    frames = many_frames(3000, 1000)
    files = pets(tmp_path, 100) | {
        "pets/cat/wide.png": bomb(40_000, 2),
        "pets/cat/large.png": bomb(1200, 1200),
        "pets/cat/frames.gif": frames,
        "pets/dog/page.png": b"<html><script>alert(1)</script>",
        "pets/dog/program.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }
    limits = UploadLimits(check_seconds=20, picture_pixels=1_000_000)
    found = check(tmp_path / "root", "pictures", files, limits)
    assert isinstance(found, str), "three of a hundred are more than may be broken"
    told = json.loads(next((tmp_path / "root").rglob("found.json")).read_text(encoding="utf-8"))
    broken = {each["file"]: each["what"] for each in told["report"]["broken"]}
    assert broken == {
        "cat/large.png": "has too many pixels",
        "dog/page.png": "is no picture of a kind that is known",
        "dog/program.png": "is no picture of a kind that is known",
    }


def test_a_picture_of_the_preview_is_none_that_was_brought(tmp_path: Path) -> None:
    """What a picture says of place and camera, and what is hidden behind its end, does not come out again."""
    files = {name: body + b"<script>alert(1)</script>" for name, body in pets(tmp_path, 40).items()}
    found = check(tmp_path / "root", "pictures", files, SMALL)
    assert isinstance(found, Preview) and len(found.pictures) == 12
    for each in found.pictures:
        assert b"script" not in each.png
        with Image.open(io.BytesIO(each.png)) as opened:
            assert opened.format == "PNG" and max(opened.size) <= 96


def test_a_form_does_not_fill_the_memory_with_what_is_no_file(target: ConsoleLab, member: Visitor) -> None:
    form = {"form_token": member.token("/me"), "kind": "text", **{f"field-{n}": "x" for n in range(20)}}
    parts = [("files", ("a.txt", b"x", "text/plain"))]
    answer = member.client.post("/uploads/form", data=form, files=parts, headers=OURS)
    assert answer.status_code == 400, answer.text


def test_a_piece_waits_for_the_one_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = UploadFolder(tmp_path / "upload")
    folder.create(make_manifest("text", [BroughtFile("a.txt", 8)], SMALL))
    writing, go_on, real = threading.Event(), threading.Event(), os.pwrite
    written: list[int] = []

    def slow(file: int, body: bytes, at: int) -> int:
        written.append(at)
        writing.set()
        go_on.wait(30)
        return real(file, body, at)

    monkeypatch.setattr("console.uploads.spool.os.pwrite", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(folder.append, 0, 0, b"0123")
        assert writing.wait(30)
        second = pool.submit(folder.append, 0, 0, b"4567")
        time.sleep(0.3)  # in which it would write, did it not wait
        go_on.set()
        assert first.result() == 4
        with pytest.raises(OffsetError):
            second.result()
    assert written == [0] and folder.raw(0).read_bytes() == b"0123"
