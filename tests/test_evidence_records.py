"""What a project keeps of its applies and scans, and how an evidence pack holds it against the ledger."""

from __future__ import annotations

import csv
import datetime
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet import apply_stack
from fleet.evidence_archive import Archive
from fleet.evidence_items import Found
from fleet.evidence_records import add_plans, add_scans
from fleet.plan_record import Applied, keep_plan
from fleet.scan import Finding, ScanResult, Verdict
from fleet.scan_record import keep_scan
from fleet.terraform import CONFIGURATION
from fleet.terraform_events import Changes, ProgressEvent
from stacks.problems import Problem
from stacks.waivers import Waiver

NOW = datetime.datetime.now(datetime.UTC)
PERIOD = NOW - datetime.timedelta(days=1), NOW + datetime.timedelta(days=1)
DONE = [
    ProgressEvent(kind="done", stack="vision-base", text="", address="aws_vpc.main", action="create"),
    ProgressEvent(kind="failed", stack="vision-base", text="", address="aws_kms_key.main", action="update"),
]
FINDING = Finding(check="CKV_AWS_79", name="IMDSv2", stack="vision-fleet", address="aws_launch_template.gpu")
WAIVER = Waiver(
    check="CKV_AWS_79", address="aws_launch_template.gpu", reason="it is checked by another means",
    owner="ann@example.com", review=datetime.date(2027, 1, 1),
)  # fmt: skip


def packed(tmp_path: Path, add: Callable[[Archive], Found]) -> tuple[Found, dict[str, bytes]]:
    """Return what was found, and the files of the pack."""
    file = tmp_path / "pack.zip"
    file.unlink(missing_ok=True)
    with Archive(file, "pack") as archive:
        found = add(archive)
    with zipfile.ZipFile(file) as zipped:
        return found, {name.removeprefix("pack/"): zipped.read(name) for name in zipped.namelist()}


def plans(tmp_path: Path, recorded: set[str]) -> tuple[Found, dict[str, bytes]]:
    return packed(tmp_path, lambda archive: add_plans(tmp_path, ["vision"], archive, PERIOD, recorded))


def test_what_an_apply_did_and_what_it_applied_are_kept_and_borne_out_by_the_ledgers_digest(
    tmp_path: Path,
) -> None:
    digest = keep_plan(tmp_path, "vision", "vision-base", b'{"resource": {}}', DONE)
    keep_plan(tmp_path, "speech", "speech-base", b"{}", [])
    found, files = plans(tmp_path, {digest})
    assert (found.count, found.trouble) == (1, "")
    (about,) = (json.loads(body) for name, body in files.items() if name.endswith("vision-base.json"))
    assert about["changes"] == [
        {"address": "aws_vpc.main", "action": "create", "outcome": "done"},
        {"address": "aws_kms_key.main", "action": "update", "outcome": "failed"},
    ]
    assert [body for name, body in files.items() if name.endswith(".tf.json")] == [b'{"resource": {}}']


def test_a_plan_that_was_changed_since_or_is_missing_is_named(tmp_path: Path) -> None:
    digest = keep_plan(tmp_path, "vision", "vision-base", b"{}", DONE)
    (file,) = tmp_path.glob("plans/*/vision-base.json")
    file.with_name("vision-base.tf.json").write_bytes(b'{"resource": "another"}')
    assert "was changed since" in plans(tmp_path, {digest})[0].trouble
    file.write_text(file.read_text().replace("create", "delete"))
    trouble = plans(tmp_path, {digest})[0].trouble
    assert "is not as the ledger has it" in trouble and "1 are in the ledger" in trouble


def test_a_plan_of_another_time_is_no_part_of_the_period(tmp_path: Path) -> None:
    keep_plan(tmp_path, "vision", "vision-base", b"{}", [])
    old = PERIOD[0] - datetime.timedelta(days=9), PERIOD[0]
    found, files = packed(tmp_path, lambda archive: add_plans(tmp_path, ["vision"], archive, old, set()))
    assert (found.count, files) == (0, {})


def test_progress_is_passed_on_and_what_was_done_is_kept() -> None:
    told: list[ProgressEvent] = []
    applied = Applied(told.append)
    started = ProgressEvent(kind="started", stack="vision-base", text="", address="aws_vpc.main")
    for event in (started, *DONE):
        applied(event)
    assert (told, applied.events) == ([started, *DONE], DONE)


@pytest.mark.parametrize("failed", [0, 1])
def test_a_scan_is_in_the_pack_with_its_counts_and_waivers(tmp_path: Path, failed: int) -> None:
    verdict = Verdict(version="3.3.30", resources={"vision-fleet": 40}, checks=120, failed=(FINDING,))
    errors = tuple(Problem(what="a bucket is open", do="close it") for _ in range(failed))
    keep_scan(
        tmp_path,
        ["vision"],
        ScanResult(verdict=verdict, errors=errors, warnings=(), waived=((FINDING, WAIVER),)),
    )
    found, files = packed(tmp_path, lambda archive: add_scans(tmp_path, ["vision"], archive, PERIOD))
    (row,) = csv.DictReader(io.StringIO(files["scans.csv"].decode("utf-8-sig")))
    assert [row[name] for name in ("resources", "checks", "failed", "waived")] == [
        "40",
        "120",
        str(failed),
        "1",
    ]
    (kept,) = (json.loads(body) for name, body in files.items() if name.startswith("scans/"))
    assert kept["waived"][0]["reason"] == WAIVER.reason and kept["waived"][0]["check"] == "CKV_AWS_79"
    assert (found.count, "1 checks failed" in found.trouble) == (1, bool(failed))


def test_that_no_scan_was_made_is_said(tmp_path: Path) -> None:
    found, _ = packed(tmp_path, lambda archive: add_scans(tmp_path, ["vision"], archive, PERIOD))
    assert found.count == 0 and "fleetform check --scan" in found.trouble


def test_an_apply_keeps_what_it_did_and_notes_the_digest_for_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / CONFIGURATION).write_text("{}")

    class Terraform:
        """Terraform, which reports what it does."""

        name, folder, died = "vision-base", tmp_path, False

        def __init__(self, report: Callable[[ProgressEvent], None]) -> None:
            self.report = report

        def apply(self, plan: Path | None) -> Changes:
            for event in DONE:
                self.report(event)
            return Changes(add=1)

    monkeypatch.setattr(apply_stack, "open_stack", lambda session, name, report: Terraform(report))
    monkeypatch.setattr(apply_stack, "read_state_object", lambda *_: b"")
    monkeypatch.setattr(apply_stack, "read_state", lambda _: [])
    session: Any = SimpleNamespace(
        project=SimpleNamespace(root=tmp_path),
        spec=SimpleNamespace(name="vision", region="us-east-1"),
        cloud=None,
        account=None,
    )
    act: Any = SimpleNamespace(details={})
    told: list[ProgressEvent] = []
    apply_stack.apply_stack(session, act, "vision-base", told.append, None)
    assert told == DONE, "the progress goes on to who is told of it"
    noted = act.details["stacks"]["vision-base"]
    found, _ = plans(tmp_path, {noted["plan_sha256"]})
    assert (found.count, found.trouble) == (1, "")
    monkeypatch.setattr(apply_stack, "keep_plan", _full_disk)
    apply_stack.apply_stack(session, act, "vision-base", told.append, None)
    assert act.details["stacks"]["vision-base"]["plan_not_kept"] == "no room", "the stack stands all the same"


def _full_disk(*_: object) -> str:
    raise OSError("no room")
