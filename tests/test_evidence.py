"""An evidence pack: whole, verifiable offline, honest about what is missing, and itself on record."""

from __future__ import annotations

import csv
import datetime
import hashlib
import html
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.evidence import Pack, write_pack
from fleet.evidence_archive import Archive
from fleet.evidence_items import KINDS, LANGUAGES
from fleet.plan_record import keep_plan
from fleet.verification import verify_record
from scripts.cli import main
from stacks.problems import UserError
from tests.environment_parts import ORGANIZATION, REGION
from tests.record_lab import ENVIRONMENT, RecordLab, record_lab
from tests.spec_files import environment_text, write_folder

pytestmark = pytest.mark.sandbox
APPLIED = {"vision-base": {"changes": "4 to add", "configuration_sha256": "c" * 64}}
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def lab() -> Iterator[RecordLab]:
    """An account with a trail and some entries, in an embedded cloud of its own."""
    with record_lab() as made:
        text = f'organization = "{ORGANIZATION}"\nregion = "{REGION}"\n'
        write_folder(made.session.project.root, text, **{ENVIRONMENT: environment_text(ENVIRONMENT)})
        ledger = made.session.ledger
        kept = keep_plan(made.session.project.root, ENVIRONMENT, "vision-base", b"{}", [])
        applied = {"vision-base": {**APPLIED["vision-base"], "plan_sha256": kept}}
        ledger.append("environment.up", ENVIRONMENT, "succeeded", {"stacks": applied})
        ledger.append("environment.up", "another", "succeeded", {})
        ledger.append("run.submit", ENVIRONMENT, "succeeded", {"run_id": "20261123-010203-abcde"})
        ledger.append("run.ended", "20261123-010203-abcde", "recorded", {})
        ledger.asked_by({"id": "1" * 16, "name": "=HYPERLINK(1)"}).append("console.login", "x", "failed", {})
        ann = made.member("ann")
        ann.terminate_session(
            SessionId=ann.start_session(Target=made.machine, DocumentName=made.document)["SessionId"]
        )
        made.deliver()
        yield made


@pytest.fixture(scope="module")
def packed(lab: RecordLab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pack, Path]:
    """Return the environment's pack of today, and the folder that it unpacks to."""
    root = tmp_path_factory.mktemp("pack")
    now = datetime.datetime.now(datetime.UTC)
    pack = write_pack(lab.session, [lab.session], (now - DAY, now + DAY), root / "pack.zip", name=ENVIRONMENT)
    with zipfile.ZipFile(pack.file) as archive:
        archive.extractall(root / "out")
    (folder,) = (root / "out").iterdir()
    return pack, folder


def verify(folder: Path) -> int:
    command = [sys.executable, "-I", "-S", "chain.py", "."]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode


def table(folder: Path, name: str) -> list[dict[str, str]]:
    text = (folder / name).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_it_verifies_offline_and_a_changed_file_is_found(packed: tuple[Pack, Path], tmp_path: Path) -> None:
    _, folder = packed
    assert verify(folder) == 0
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(folder), str(copy)], check=True)
    (copy / "refusals.csv").write_text("nothing was refused\n")
    assert verify(copy) == 1


def test_its_tables_are_about_the_environment_and_its_slice_is_everybodys(packed: tuple[Pack, Path]) -> None:
    _, folder = packed
    rows = table(folder, "entries.csv")
    assert {row["environment"] for row in rows} == {ENVIRONMENT}
    assert [row["event"] for row in rows][:3] == ["environment.up", "run.submit", "run.ended"]
    assert len(list((folder / "ledger").iterdir())) > len(rows)
    (change,) = table(folder, "changes.csv")
    assert change["event"] == "environment.up"
    assert list(change.values())[-1] == f"vision-base: 4 to add {'c' * 64}"
    assert [row["event"] for row in table(folder, "refusals.csv")] == ["console.login"]
    assert json.loads((folder / "entries.json").read_text())[0]["target"] == ENVIRONMENT


def test_it_has_what_was_applied_and_says_that_no_scan_was_made(packed: tuple[Pack, Path]) -> None:
    pack, folder = packed
    (plan,) = folder.glob("plans/*/vision-base.json")
    assert hashlib.sha256(plan.read_bytes()).hexdigest() in (folder / "entries.json").read_text()
    found = {each.key: each for each in pack.found}
    assert (found["plans"].count, found["plans"].trouble) == (1, "")
    assert (found["scans"].count, "check --scan" in found["scans"].trouble) == (0, True)


def test_its_costs_are_told_by_month_and_by_whoever_used_what(packed: tuple[Pack, Path]) -> None:
    _, folder = packed
    assert (folder / "costs.csv").exists()
    told = json.loads((folder / "costs.json").read_text())
    assert (told["format"], told["by"]) == ("fleetform-cost/1", "team")


def test_a_name_is_no_formula_in_a_spreadsheet(packed: tuple[Pack, Path]) -> None:
    (row,) = table(packed[1], "refusals.csv")
    assert row["name"] == "'=HYPERLINK(1)"


def test_it_has_the_timeline_of_each_machine_and_the_digests_verdict(
    lab: RecordLab, packed: tuple[Pack, Path]
) -> None:
    _, folder = packed
    timeline = json.loads((folder / f"timelines/{ENVIRONMENT}/{lab.machine}.json").read_text())
    assert [row["person"] for row in timeline["rows"]][-1:] == ["ann"]
    assert timeline["gaps"], "what nobody looked at is part of it"
    assert set(json.loads((folder / "trail.json").read_text())) == {REGION}


def test_its_pages_name_what_is_missing_and_the_controls_in_both_languages(packed: tuple[Pack, Path]) -> None:
    pack, folder = packed
    for language in LANGUAGES:
        page = html.unescape((folder / f"index.{language}.html").read_text(encoding="utf-8"))
        assert all(each.trouble_in(language) in page for each in pack.found)
        assert f'<html lang="{language}">' in page
        for kind in KINDS.values():
            assert kind.title[language] in page
            assert all(control in page for control in kind.controls)
            assert kind.towards(language) in page
    assert [key for key, kind in KINDS.items() if not kind.controls] == ["costs"], "and that one says why"
    assert KINDS["costs"].towards("en").startswith("Answers no control of these three")
    assert any(each.startswith("CloudTrail") for each in pack.troubles), "no digest has come yet"
    assert "are too new for a digest" in next(each.trouble for each in pack.found if each.key == "trail")
    assert not any(each.trouble in page for each in pack.found if each.trouble), "the last page is Korean"
    index = json.loads((folder / "index.json").read_text())
    assert {each["key"]: each["trouble"] for each in index["items"] if each["towards"]} == {
        each.key: each.trouble for each in pack.found
    }


def test_that_it_was_made_is_on_record_with_its_digest(lab: RecordLab, packed: tuple[Pack, Path]) -> None:
    pack, folder = packed
    made = [each for each in lab.session.ledger.entries() if each["event"] == "record.export"]
    assert [each["outcome"] for each in made[:2]] == ["started", "succeeded"]
    assert made[1]["details"]["pack_sha256"] == hashlib.sha256(pack.file.read_bytes()).hexdigest()
    sums = hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert made[1]["details"]["sums_sha256"] == sums == pack.sums_sha256


def test_a_part_of_the_chain_begins_with_the_head_before_it(lab: RecordLab, tmp_path: Path) -> None:
    middle = datetime.datetime.fromisoformat(lab.session.ledger.get(3)["time"])
    pack = write_pack(lab.session, [], (middle, middle + DAY), tmp_path / "part.zip")
    with zipfile.ZipFile(pack.file) as archive:
        archive.extractall(tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    about = json.loads((folder / "export.json").read_text())
    assert (about["first"], about["after"].partition(":")[0]) == (3, "2")
    assert verify(folder) == 0


def test_the_digest_of_the_sums_stands_for_every_file(tmp_path: Path) -> None:
    with Archive(tmp_path / "x.zip", "x") as archive:
        archive.add("a", b"b")
        assert (
            archive.finish()
            == hashlib.sha256(f"{hashlib.sha256(b'b').hexdigest()}  a\n".encode()).hexdigest()
        )


def test_it_is_not_written_over_and_no_period_is_none(lab: RecordLab, tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    (tmp_path / "there.zip").write_bytes(b"mine")
    with pytest.raises(UserError, match="is there already"):
        write_pack(lab.session, [], (now - DAY, now), tmp_path / "there.zip")
    with pytest.raises(UserError, match="ends before it begins"):
        write_pack(lab.session, [], (now, now - DAY), tmp_path / "new.zip")
    assert [file.name for file in tmp_path.iterdir()] == ["there.zip"]


def test_the_command_writes_it_and_shows_an_entry(
    lab: RecordLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lab.session.project.root)
    monkeypatch.setenv("FLEETFORM_HOME", str(lab.session.project.home))
    file = tmp_path / "command.zip"
    assert main(["audit", "pack", ENVIRONMENT, "--to", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert main(["audit", "entry", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["sequence"] == 1
    assert main(["audit", "entry", "999999"]) == 2
    assert main(["audit", "pack", ENVIRONMENT, "--to", str(file)]) == 2


def test_verifying_everything_is_on_record_with_how_far_and_what_was_found(lab: RecordLab) -> None:
    told: list[tuple[int, int]] = []
    found = verify_record(lab.session, 7, lambda done, total: told.append((done, total)))
    assert found.sound and told[-1][0] == told[-1][1]
    last = lab.session.ledger.entries()[-1]
    assert (last["event"], last["outcome"]) == ("record.verify", "succeeded")
    assert last["details"]["head"] == found.chain.head
