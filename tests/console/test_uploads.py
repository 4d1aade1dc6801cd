"""Uploads: pieces that add up, checks that outlive the console, and what people see of their data."""

from __future__ import annotations

import datetime
import io
import os
import re
import signal
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from console.acts.spec import Check
from console.acts.watch import Place
from console.chores import do_chores
from console.pages import upload_view
from console.people import accounts
from console.people.accounts import Person
from console.services import open_services
from console.store import upload_rows, waiting
from console.uploads import keeper
from console.uploads.check import check_upload, folder_of
from console.uploads.findings import Findings, read_findings
from console.uploads.limits import UploadLimits
from console.uploads.manifest import BroughtFile, Kind, make_manifest
from console.uploads.ready import ready, ready_ones
from console.uploads.spool import OffsetError
from console.words.data_words import DATA_WORDS
from console.words.languages import KOREAN
from console.words.reader import Reader
from console.words.said import said
from fleet.data_check import DataReport
from fleet.data_preview import Preview
from fleet.project import Project
from stacks.problems import Problem
from tests.console.acting import going_on, worker_of
from tests.console.conftest import _nothing
from tests.console.lab import ConsoleLab, Visitor, serving
from tests.console.messages import ROOT
from tests.console.test_said import blank, texts_of
from tests.console.uploading import begin, by_form, checked, done, put, send, standing, wish
from tests.sandbox_helpers import wait_for
from tests.test_data_own import album, people

pytestmark = pytest.mark.console

SMALL = UploadLimits(
    upload_bytes=3_000_000, files=200, person_bytes=4_000_000, picture_pixels=1_000_000, check_seconds=60
)


@pytest.fixture(scope="module")
def bringing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleLab]:
    """A console with small limits over a project that declares nothing."""
    settings = replace(_nothing(tmp_path_factory.mktemp("bringing")), uploads=SMALL)
    with serving(settings) as lab:
        yield lab


def person_of(lab: ConsoleLab, visitor: Visitor) -> Person:
    with lab.services.database.reading() as database:
        kept = accounts.kept_password(database, visitor.login)
        assert kept is not None
        return accounts.read_person(database, kept[0])


def packed(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, body in files.items():
            opened.writestr(name, body)
    return file.getvalue()


def pets(tmp_path: Path, count: int = 120) -> dict[str, bytes]:
    folder = album(tmp_path / "pets", count)
    return {f"pets/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.png")}


def customers(tmp_path: Path) -> dict[str, bytes]:
    return {"customers.csv": people(tmp_path / "customers.csv").read_bytes()}


# ------------------------------------------------------------------------------ the whole way


def test_a_table_comes_in_pieces_goes_on_after_a_restart_and_is_shown(
    bringing: ConsoleLab, tmp_path: Path
) -> None:
    visitor, files = bringing.signed_in("member"), customers(tmp_path)
    body = files["customers.csv"]
    upload_id = begin(visitor, "table", files, next="/launch/12/data?step=2")
    assert put(visitor, upload_id, 0, 0, body[:5000]).json() == {"offset": 5000}
    page = visitor.get(f"/uploads/{upload_id}").text
    assert "0 of 1 files have come, 5 kB of" in page and "not complete" in page
    assert done(visitor, upload_id).status_code == 409, "it has not come whole"
    again = open_services(bringing.services.settings)  # as a console does that was started anew
    found = keeper.find(again, upload_id)
    assert found is not None and found.folder.offsets() == [5000]
    again.database.close()
    send(visitor, upload_id, files)
    assert done(visitor, upload_id).status_code == 303
    assert done(visitor, upload_id).status_code == 303, "a second click starts nothing"
    assert checked(bringing, upload_id).state == "ready"
    page = visitor.get(f"/uploads/{upload_id}").text
    assert "fleetform data FOLDER --kind table --check" in page
    assert page.count("<tr>") == 11, "a head and ten rows"
    assert f'href="/launch/12/data?step=2&amp;upload={upload_id}"' in page
    mine = ready(bringing.services, upload_id, person_of(bringing, visitor))
    assert mine is not None
    assert (mine.name, mine.kind, mine.items) == ("customers.csv", "table", 500)
    assert mine.path.joinpath("customers.csv").read_bytes() == body
    assert ready(bringing.services, upload_id, bringing.person()) is None, "it is nobody else's"


def test_a_zip_by_a_plain_form_is_unpacked_checked_and_its_pictures_drawn_anew(
    bringing: ConsoleLab, tmp_path: Path
) -> None:
    odd = 'pets/cat/"a";filename=evil.html.png'
    script = b"<!doctype html><script>alert(1)</script>"
    files = pets(tmp_path) | {"pets/cat/page.png": script, odd: pets(tmp_path / "one", 1)["pets/dog/0.png"]}
    visitor = bringing.signed_in("member")
    answer = by_form(visitor, "pictures", {"pets.zip": packed(files)})
    assert answer.status_code == 303, answer.text
    upload_id = answer.headers["location"].removeprefix("/uploads/")
    assert checked(bringing, upload_id).state == "ready"
    page = visitor.get(f"/uploads/{upload_id}").text
    assert re.search(r"page\.png</th>\s*<td>is no picture of a kind that is known", page)
    assert script.decode() not in page and "cat" in page and "dog" in page
    shown = re.findall(rf"/uploads/{upload_id}/pictures/\d+", page)
    assert len(shown) == 12
    for path in shown:
        picture = visitor.get(path)
        assert picture.content.startswith(b"\x89PNG\r\n\x1a\n")
        told = picture.headers
        assert (told["content-type"], told["content-disposition"]) == ("image/png", "inline")
        assert told["x-content-type-options"] == "nosniff" and "evil" not in str(told)
    folder = standing(bringing, upload_id).folder
    assert not folder.raw(0).exists(), "the archive itself is not kept"
    assert [each.id for each in ready_ones(bringing.services, person_of(bringing, visitor))] == [upload_id]


def test_a_check_that_was_killed_is_done_again(bringing: ConsoleLab, tmp_path: Path) -> None:
    visitor, files = bringing.signed_in("member"), customers(tmp_path)
    upload_id = begin(visitor, "table", files)
    send(visitor, upload_id, files)
    done(visitor, upload_id)
    act = standing(bringing, upload_id).act
    assert act is not None
    os.kill(worker_of(Place(bringing.services.settings, bringing.services.database), act.id), signal.SIGKILL)
    wait_for(lambda: standing(bringing, upload_id).broken_off, 30)
    page = visitor.get(f"/uploads/{upload_id}").text
    assert "not checked" in page and f'action="/uploads/{upload_id}/done"' in page
    assert done(visitor, upload_id).status_code == 303
    assert checked(bringing, upload_id).state == "ready"
    assert visitor.get(f"/acts/{act.id}").status_code == 404, "the check's page is the upload's"


# ------------------------------------------------------------------------------ the check by itself


def check(root: Path, kind: Kind, files: Mapping[str, bytes], limits: UploadLimits = SMALL) -> Preview | str:
    """Check files as an upload that has come whole; return what is shown, or why it can't be used."""
    folder = folder_of(root / "console-data", "0123456789abcdef")
    sizes = [BroughtFile(path, len(body)) for path, body in files.items()]
    folder.create(make_manifest(kind, sizes, limits))
    for number, body in enumerate(files.values()):
        folder.fill(number, io.BytesIO(body))
    usable = check_upload(Project(root=root, home=root), "0123456789abcdef")["usable"]
    found = read_findings(folder.path)
    assert found is not None and found.report.usable is usable
    assert folder.data.exists() is usable, "what can't be used is not kept"
    assert str(root) not in str(found), "where it lies is nobody's business"
    if usable:
        assert found.preview is not None
        return found.preview
    return "\n".join(map(str, found.report.problems))


def test_texts_are_shown_by_their_beginnings(tmp_path: Path) -> None:
    texts = {f"manuals/{n}.txt": f"Chapter {n}. ".encode() + b"It turns. " * 400 for n in range(30)}
    found = check(tmp_path, "text", texts)
    assert isinstance(found, Preview), found
    assert len(found.texts) == 5 and found.texts[0].text.startswith("Chapter 0")
    assert found.texts[0].more


def test_what_can_not_be_learned_from_is_refused_with_every_reason(tmp_path: Path) -> None:
    files = pets(tmp_path, 12) | {"pets/cat/broken.png": b"", "pets/dog/page.png": b"<html>"}
    told = check(tmp_path, "pictures", files)
    assert isinstance(told, str) and "2 of 14 files are broken" in told
    told = check(tmp_path / "b", "table", {"a.csv": "이름,나이\n김,40\n".encode("cp949") * 50})
    assert isinstance(told, str) and "CP949" in told
    told = check(tmp_path / "c", "pictures", {"notes.txt": b"no pictures"})
    assert isinstance(told, str) and told


# ------------------------------------------------------------------------------ what is kept, how long


def test_one_s_upload_is_deleted_with_its_files_on_record(bringing: ConsoleLab, tmp_path: Path) -> None:
    visitor, files = bringing.signed_in("member"), customers(tmp_path)
    upload_id = begin(visitor, "table", files)
    folder = standing(bringing, upload_id).folder
    assert folder.is_here and oct(folder.path.stat().st_mode)[-3:] == "700"
    answer = visitor.post(f"/uploads/{upload_id}/delete", {}, page="/me")
    assert answer.headers["location"] == "/uploads?deleted=true"
    assert not folder.path.exists()
    assert visitor.get(f"/uploads/{upload_id}").status_code == 404
    assert put(visitor, upload_id, 0, 0, b"x").status_code == 404
    with bringing.services.database.reading() as database:
        told = [(each.event, each.asked_by["subject"]) for each in waiting.all_waiting(database)
                if each.target == upload_id]  # fmt: skip
    assert told == [("data.upload", visitor.login), ("data.delete", visitor.login)]


def test_what_nobody_finishes_is_swept_and_what_is_ready_stays(bringing: ConsoleLab, tmp_path: Path) -> None:
    visitor, files = bringing.signed_in("member"), customers(tmp_path)
    old, new, ready_one = (begin(visitor, "table", files) for _ in range(3))
    long_ago = datetime.datetime.now().timestamp() - SMALL.unfinished.total_seconds() - 60
    for upload_id in (old, ready_one):
        os.utime(standing(bringing, upload_id).folder.path / "upload.json", (long_ago, long_ago))
    with bringing.services.database.writing() as database:
        upload_rows.note_check(database, ready_one, {"name": "x", "files": 1})
        upload_rows.note_checked(database, ready_one, usable=True, size=4096)
    orphan = folder_of(bringing.services.settings.data, "f" * 16)
    orphan.create(make_manifest("text", [BroughtFile("a.txt", 1)], SMALL))
    os.utime(orphan.path, (long_ago, long_ago))
    do_chores(bringing.services)
    found = [keeper.find(bringing.services, each) is not None for each in (old, new, ready_one)]
    assert found == [False, True, True]
    assert not orphan.path.exists()


def test_files_that_are_gone_are_said_to_be_and_can_be_deleted(bringing: ConsoleLab, tmp_path: Path) -> None:
    visitor, files = bringing.signed_in("member"), customers(tmp_path)
    upload_id = begin(visitor, "table", files)
    standing(bringing, upload_id).folder.remove()
    page = visitor.get(f"/uploads/{upload_id}")
    assert page.status_code == 200 and "are not here any more" in page.text
    for answer in (visitor.get(f"/uploads/{upload_id}/files"), done(visitor, upload_id)):
        assert answer.status_code == 409
    assert put(visitor, upload_id, 0, 0, b"x").status_code in (404, 409)
    assert visitor.post(f"/uploads/{upload_id}/delete", {}, page="/me").status_code == 303


def test_a_person_has_so_much_room_and_empty_files_take_some_of_it(bringing: ConsoleLab) -> None:
    visitor = bringing.signed_in("member")
    assert wish(visitor, "text", {"a.txt": 2_500_000}).status_code == 201
    answer = wish(visitor, "text", {"a.txt": 2_500_000})
    assert answer.status_code == 422 and "room for 1.5 MB more" in answer.json()["problems"][0]
    empty = {f"{number}.txt": 0 for number in range(200)}
    assert wish(visitor, "text", empty).status_code == 201
    assert wish(visitor, "text", empty).status_code == 422, "200 empty files take 800 kB"
    other = bringing.signed_in("member")
    assert wish(other, "text", {"a.txt": 2_500_000}).status_code == 201, "another person has their own room"
    assert by_form(visitor, "text", {"a.txt": b"x" * 1_000_000}).status_code == 409


def test_no_more_of_the_disk_is_taken_than_it_has(
    bringing: ConsoleLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RESERVE_BYTES", 2**60)
    answer = wish(bringing.signed_in("member"), "text", {"a.txt": 1})
    assert answer.status_code == 422 and "The console's disk" in answer.json()["problems"][0]


def test_a_piece_that_does_not_fit_on_the_disk_leaves_the_file_as_it_was(
    bringing: ConsoleLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = bringing.signed_in("member")
    upload_id = begin(visitor, "text", {"a.txt": b"x" * 100})
    assert put(visitor, upload_id, 0, 0, b"x" * 10).status_code == 200
    real = os.pwrite

    def full(file: int, body: bytes, at: int) -> int:
        real(file, bytes(body)[:5], at)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("console.uploads.spool.os.pwrite", full)
        answer = put(visitor, upload_id, 0, 10, b"x" * 20)
    assert answer.status_code == 507 and "disk is full" in answer.json()["problems"][0]
    assert standing(bringing, upload_id).folder.offsets() == [10]
    with pytest.raises(OffsetError):
        standing(bringing, upload_id).folder.append(0, 0, b"x")


def test_one_check_of_a_person_at_a_time_and_nothing_is_deleted_under_it(bringing: ConsoleLab) -> None:
    visitor = bringing.signed_in("member")
    first, second = (begin(visitor, "text", {"a.txt": b"x"}) for _ in range(2))
    send(visitor, second, {"a.txt": b"x"})
    place = Place(bringing.services.settings, bringing.services.database)
    with going_on(place, person_of(bringing, visitor), Check(upload=first, data_kind="text")) as act_id:
        answer = done(visitor, second)
        assert answer.status_code == 409 and "Another upload of yours" in answer.text
        with bringing.services.database.writing() as database:
            upload_rows.note_check(database, first, {"name": "a.txt", "files": 1, "act": act_id})
        assert 'hx-trigger="every 2s"' in visitor.get(f"/uploads/{first}").text
        assert visitor.post(f"/uploads/{first}/delete", {}, page="/me").status_code == 409
    assert "not checked" in visitor.get(f"/uploads/{first}").text


def test_what_is_said_of_people_s_data_is_korean(tmp_path: Path) -> None:
    told = {
        text
        for room in ("trainer/data", "fleet", "console/uploads")
        for file in (ROOT / room).rglob("*.py")
        for text in texts_of(file)
    }
    assert [each for each in DATA_WORDS if blank(each) not in told] == []
    seoul = Reader(KOREAN, "Asia/Seoul")
    assert said(seoul, "cannot be decoded: image file is truncated").language == ""
    told_many = check(tmp_path, "pictures", pets(tmp_path, 12) | {"pets/cat/broken.png": b""})
    assert isinstance(told_many, str)
    report = DataReport(
        kind="pictures", files=13, bytes=1, problems=(Problem(what=told_many.partition("\n")[0], do=""),)
    )
    shown = upload_view.problems(seoul, Findings(report, None))[0]
    assert shown.what.startswith("13개 중 1개가 손상되었습니다") and "max_bad_share" not in shown.what
