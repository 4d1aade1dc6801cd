"""Data that people bring, looked at by the trainer's own processes: good, broken and evil files."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fleet import trainer_process
from fleet.data_check import DataLimits, DataReport, check, data_folder, read_settings
from fleet.data_preview import preview, preview_known
from fleet.errors import ActError
from fleet.trainer_process import Share, ask_trainer
from scripts import cli
from stacks.problems import UserError
from tests.test_data_own import album, people


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def table(folder: Path, extra: str = "") -> Path:
    """Write a table of people into a folder of its own."""
    folder.mkdir()
    return people(folder / "people.csv", extra=extra)


def whats(report: DataReport) -> str:
    return "\n".join(map(str, report.problems))


def test_a_folder_of_pictures_is_counted_by_class_and_broken_ones_are_named(tmp_path: Path) -> None:
    folder = album(tmp_path / "brought" / "pets", 120)
    (folder / "cat" / "page.jpg").write_bytes(b"<html>not found</html>")
    (folder / "cat" / "IMG_1.HEIC").write_bytes(b"heic")
    report = check(tmp_path / "brought", "pictures", settings={"max_bad_share": 0.05})
    assert report.usable, whats(report)
    assert sum(report.items.values()) == 120
    assert {name: sum(parts.values()) for name, parts in report.classes.items()} == {"cat": 80, "dog": 40}
    assert [(each.file, each.what) for each in report.broken] == [
        ("cat/page.jpg", "is no picture of a kind that is known")
    ]
    assert any("IMG_1.HEIC" in warning and "JPEG" in warning for warning in report.warnings)
    assert DataReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_the_reasons_against_data_are_told_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there are no files" in whats(check(tmp_path / "empty", "pictures"))
    one = album(tmp_path / "one" / "all", 5).parent
    shutil.rmtree(one / "all" / "dog")
    assert "fewer than two classes" in whats(check(one, "pictures"))
    folder = album(tmp_path / "half", 12)
    for path in sorted((folder / "cat").iterdir())[:4]:
        path.write_bytes(b"")
    report = check(folder, "pictures")
    assert "4 of 12 files are broken" in whats(report)
    assert len(report.broken) == 4
    assert str(tmp_path) not in json.dumps(report.to_dict()), "where files lie here is nobody's business"
    folder = table(tmp_path / "t").parent
    assert "data.target" in whats(check(folder, "table"))
    assert "no column 'labl'; did you mean label?" in whats(
        check(folder, "table", settings={"target": "labl"})
    )


def test_more_than_may_be_brought_is_refused_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = album(tmp_path / "pets", 6)
    monkeypatch.setattr("fleet.trainer_process.subprocess.run", None)
    assert "it has 6 files, and 5 may be brought" in whats(check(folder, "pictures", DataLimits(files=5)))
    assert "may be brought at once" in whats(check(folder, "pictures", DataLimits(bytes=100)))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"PK\x03\x04rest", "a workbook or an archive under another name"),
        ("이름,나이\n김,40\n".encode("cp949") * 50, "the encoding of Korean Windows (CP949)"),
        ("a,b\n1,2\n".encode("utf-16"), "text in UTF-16"),
        (b"%PDF-1.7", "a PDF under another name"),
    ],
)
def test_a_table_that_is_none_is_known_by_what_is_in_it(body: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(body)
    report = check(tmp_path, "table", settings={"target": "a"})
    assert what in whats(report)
    assert "UTF-8" in whats(report)


def test_korean_text_in_utf_8_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    path = people(tmp_path / "people.csv")
    path.write_text(path.read_text().replace("city", "도시"), encoding="utf-8-sig")
    report = check(path, "table", settings={"target": "label"})
    assert report.usable, whats(report)
    assert sum(report.items.values()) == 500


def test_settings_are_values_whatever_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    rows = "".join(f"{number % 7},{'yes' if number % 3 else 'no'}\n" for number in range(200))
    path.write_text(f'x,"true"" --out=/ # 1"\n{rows}')
    report = check(path, "table", settings={"target": 'true" --out=/ # 1'})
    assert report.usable, whats(report)
    assert set(report.classes) == {"yes", "no"}
    assert read_settings(["target=churned", "held_out=0.5", "predict=class"]) == {
        "target": "churned", "held_out": 0.5, "predict": "class",
    }  # fmt: skip


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of one colour that is small as a file and large in memory."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))

    packer = zlib.compressobj(9)
    line = bytes(1 + width // 8)
    body = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    head = struct.pack(">LLBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_picture_that_would_fill_the_memory_is_broken_and_the_others_are_not(tmp_path: Path) -> None:
    folder = album(tmp_path / "pets", 30)
    large = bomb(40_000, 40_000)
    assert len(large) < 2**20
    (folder / "cat" / "bomb.png").write_bytes(large)
    (folder / "cat" / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    report = check(folder, "pictures", settings={"max_bad_share": 0.2})
    assert [(each.file, each.what) for each in report.broken] == [
        ("cat/bomb.png", "has too many pixels"),
        ("cat/script.png", "is no picture of a kind that is known"),
    ]
    assert sum(report.items.values()) == 30


def test_a_check_that_needs_more_than_its_share_is_ended_and_says_so(tmp_path: Path) -> None:
    folder = album(tmp_path / "pets", 30)
    slow = check(folder, "pictures", DataLimits(share=Share(seconds=1)), {"height": 4000, "width": 4000})
    assert "takes longer than the 1 s" in whats(slow)
    assert cannot_look(folder, Share(memory_bytes=2**20))


def cannot_look(folder: Path, share: Share) -> bool:
    """Return whether the process failed, or said itself that it can't: that goes by where memory ran out."""
    try:
        return bool(ask_trainer("trainer.look", ["pictures", str(folder)], share).problems)
    except (UserError, ActError):
        return True


def test_the_process_that_reads_strangers_files_knows_nothing_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit('a file that was brought is run')")
    assert preview_known("iris", 3).rows_seen == 150
    assert "AWS_SECRET_ACCESS_KEY" not in trainer_process.trainer_variables()
    assert set(trainer_process.trainer_variables()) <= {
        *trainer_process._KEPT, "PYTHONPATH", "OMP_NUM_THREADS", "HF_HUB_OFFLINE",
    }  # fmt: skip


def test_pictures_are_shown_small_from_every_class_and_without_what_the_camera_noted(tmp_path: Path) -> None:
    folder = album(tmp_path / "pets", 60)
    noted = Image.Exif()
    noted[0x010E] = "taken at home"
    Image.new("RGB", (400, 300), "red").save(folder / "cat" / "00.jpg", exif=noted)
    (folder / "dog" / "0.png").write_bytes(b"broken")
    found = preview(folder, "pictures", 8)
    assert found.classes == {"cat": 41, "dog": 20}
    assert [each.label for each in found.pictures] == ["cat", "dog"] * 4
    first = found.pictures[0]
    assert (first.file, first.width, first.height) == ("cat/00.jpg", 400, 300)
    assert b"taken at home" not in first.png
    with Image.open(io.BytesIO(first.png)) as opened:
        assert (opened.format, opened.size) == ("PNG", (96, 72))
    assert [each.file for each in found.pictures if not each.png] == ["dog/0.png"]
    assert (found.broken_count, found.broken[0].file) == (1, "dog/0.png")


def test_the_columns_of_a_table_are_judged_before_a_target_is_named(tmp_path: Path) -> None:
    path = people(tmp_path / "people.csv", extra="only,three,cells\n")
    found = preview(path, "table", 5)
    columns = {each.name: each for each in found.columns}
    assert (len(found.rows), found.rows_seen, found.more_rows) == (5, 500, False)
    assert (columns["id"].kind, columns["id"].target) == ("ignored", "")
    assert columns["id"].why_no_target == "it counts the rows"
    assert (columns["age"].kind, columns["age"].target) == ("number", "number")
    assert (columns["label"].target, len(columns["label"].values)) == ("class", 2)
    assert "the same value in every row" in columns["always"].why_no_target
    assert found.broken_count == 1


def test_texts_are_shown_by_their_beginnings(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.txt").write_text("글" * (number * 100 + 1))
    (tmp_path / "00.txt").write_bytes(b"\xff\xff")
    found = preview(tmp_path, "text", 3)
    assert [(each.file, len(each.text), each.more) for each in found.texts] == [
        ("10.txt", 1000, True),
        ("20.txt", 1000, True),
    ]
    assert found.broken[0].file == "00.txt"
    rows = table(tmp_path / "rows")
    assert len(preview(rows, "text", 3).columns) == len(preview(rows, "table", 3).columns)


@pytest.mark.parametrize("name", ["digits", "wine", "python_packages", "python_source", "python_source_bpe"])
def test_a_known_set_shows_a_few_items(name: str) -> None:
    found = preview_known(name, 7)
    shown: dict[str, Any] = {"pictures": found.pictures, "table": found.rows, "text": found.texts}
    assert len(shown[found.kind]) == 7
    assert found.source and found.train > 100
    if found.kind == "table":
        assert found.target in {column.name for column in found.columns}
    if name == "python_packages":
        assert len({text.label for text in found.texts}) > 1
    if found.kind == "text":
        assert all(text.text.isprintable() or "\n" in text.text for text in found.texts)


def test_what_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no data set 'digit'"):
        preview_known("digit")
    with pytest.raises(UserError, match="has no file that ends in"):
        preview(tmp_path, "table")


def test_the_data_begins_below_folders_that_hold_one_folder_of_folders(tmp_path: Path) -> None:
    album(tmp_path / "a" / "b" / "pets", 4)
    (tmp_path / "a" / "__MACOSX").mkdir()
    assert data_folder(tmp_path / "a") == tmp_path / "a" / "b" / "pets"
    assert data_folder(tmp_path / "a" / "b" / "pets") == tmp_path / "a" / "b" / "pets"
    assert data_folder(tmp_path / "a" / "b" / "pets" / "cat") == tmp_path / "a" / "b" / "pets" / "cat"


def test_the_verb_shows_and_checks_a_folder_or_a_zip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "people")
    packed = shutil.make_archive(str(tmp_path / "people"), "zip", path.parent)
    assert cli.main(["data", packed, "--kind", "table"]) == 0
    assert "label" in capsys.readouterr().out
    arguments = ["data", str(path), "--kind", "table", "--check"]
    assert cli.main([*arguments, "--set", "target=label", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["usable"]
    assert cli.main([*arguments, "--set", "target=nothing"]) == 2
    assert "no column 'nothing'" in capsys.readouterr().out
    assert cli.main(["data", "iris"]) == 0
    assert "species" in capsys.readouterr().out
    assert cli.main(["data", str(tmp_path / "none"), "--kind", "text"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"people", "people.zip"}
