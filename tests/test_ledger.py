"""The ledger in a real bucket: appends that race, acts that fail, and tampering that is found."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from fleet import aws, chain
from fleet.cloud import Cloud
from fleet.copy_check import verify_folder
from fleet.ledger import PREFIX, Ledger, LedgerError
from stacks.problems import UserError

pytestmark = pytest.mark.sandbox
REGION = "us-east-1"


@pytest.fixture
def s3(sandbox: Cloud) -> Any:
    """Return an S3 client of the sandbox."""
    return aws.client(sandbox, "s3", REGION)


@pytest.fixture
def bucket(s3: Any) -> str:
    """Make a new bucket whose objects are locked for a day, as the account's is."""
    name = f"ledger-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    return name


def open_ledger(sandbox: Cloud, bucket: str) -> Ledger:
    """Open the bucket's ledger as a new process would, knowing nothing of it."""
    return Ledger(sandbox, bucket, REGION, "arn:aws:iam::123456789012:user/kim")


def outcomes(ledger: Ledger) -> list[tuple[str, str]]:
    """Return every entry's event and outcome, in order."""
    return [(entry["event"], entry["outcome"]) for entry in ledger.entries()]


def test_an_act_is_on_record_before_and_after(sandbox: Cloud, bucket: str) -> None:
    ledger = open_ledger(sandbox, bucket)
    with ledger.act("environment.up", "vision", stacks=["vision-base"]) as act:
        assert outcomes(ledger) == [("environment.up", "started")]
        act.details["made"] = 31
    started, succeeded = ledger.entries()
    assert (started["details"], succeeded["details"]) == ({"stacks": ["vision-base"]}, {"made": 31})
    assert succeeded["actor"]["identity"].endswith("user/kim")
    assert ledger.verify().intact


def test_a_refused_act_is_recorded_with_its_problems(sandbox: Cloud, bucket: str) -> None:
    ledger = open_ledger(sandbox, bucket)
    with pytest.raises(UserError), ledger.act("environment.down", "vision"):
        raise UserError.of("a run is active", "wait for it")
    assert outcomes(ledger)[-1] == ("environment.down", "refused")
    assert ledger.entries()[-1]["details"]["problems"] == ["a run is active"]


def test_a_failed_and_an_interrupted_act_are_recorded_with_their_cause(sandbox: Cloud, bucket: str) -> None:
    ledger = open_ledger(sandbox, bucket)
    with pytest.raises(RuntimeError), ledger.act("environment.up", "vision"):
        raise RuntimeError("no capacity")
    with pytest.raises(KeyboardInterrupt), ledger.act("environment.up", "vision"):
        raise KeyboardInterrupt
    assert [outcome for _, outcome in outcomes(ledger)] == ["started", "failed", "started", "interrupted"]
    assert ledger.entries()[1]["details"]["cause"] == "no capacity"


def test_an_act_does_not_start_where_the_ledger_cannot_be_written(sandbox: Cloud) -> None:
    ledger = open_ledger(sandbox, "no-such-bucket-here")
    begun = False
    with pytest.raises(LedgerError, match="can't be written"), ledger.act("environment.up", "vision"):
        begun = True
    assert not begun


def test_writers_that_race_for_a_number_all_get_one_and_the_chain_holds(sandbox: Cloud, bucket: str) -> None:
    def write(writer: int) -> None:
        ledger = open_ledger(sandbox, bucket)
        for act in range(5):
            ledger.append("test.race", f"writer-{writer}", "recorded", {"act": act})

    with ThreadPoolExecutor(max_workers=6) as pool:
        list(pool.map(write, range(6)))
    ledger = open_ledger(sandbox, bucket)
    assert ledger.verify().intact
    assert [entry["sequence"] for entry in ledger.entries()] == list(range(1, 31))


def test_a_new_writer_finds_the_end_of_a_chain_of_any_length(sandbox: Cloud, bucket: str) -> None:
    for length in range(1, 20):
        entry = open_ledger(sandbox, bucket).append("test.tail", "vision", "recorded", {})
        assert entry["sequence"] == length
    assert open_ledger(sandbox, bucket).verify().intact


def test_the_lock_refuses_to_destroy_an_entry(sandbox: Cloud, bucket: str, s3: Any) -> None:
    open_ledger(sandbox, bucket).append("test.lock", "vision", "recorded", {})
    key = PREFIX + chain.entry_name(1)
    version = s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"][0]["VersionId"]
    with pytest.raises(Exception, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)


def test_an_entry_that_was_written_over_is_found_and_the_original_is_read(
    sandbox: Cloud, bucket: str, s3: Any
) -> None:
    ledger = open_ledger(sandbox, bucket)
    for target in ("vision", "speech"):
        ledger.append("test.forge", target, "recorded", {})
    forged = {**ledger.entries()[0], "target": "nobody"}
    s3.put_object(Bucket=bucket, Key=PREFIX + chain.entry_name(1), Body=json.dumps(forged).encode())
    assert [(each.name, each.kind) for each in ledger.verify().findings] == [(chain.entry_name(1), "changed")]
    assert ledger.entries()[0]["target"] == "vision"


def test_an_entry_that_was_hidden_by_a_delete_is_found_and_still_read(
    sandbox: Cloud, bucket: str, s3: Any
) -> None:
    ledger = open_ledger(sandbox, bucket)
    for target in ("vision", "speech"):
        ledger.append("test.hide", target, "recorded", {})
    s3.delete_object(Bucket=bucket, Key=PREFIX + chain.entry_name(2))
    assert [(each.name, each.kind) for each in ledger.verify().findings] == [(chain.entry_name(2), "missing")]
    assert len(ledger.entries()) == 2


def test_an_export_verifies_and_tells_a_changed_copy(sandbox: Cloud, bucket: str, tmp_path: Path) -> None:
    ledger = open_ledger(sandbox, bucket)
    for _ in range(3):
        ledger.append("test.export", "vision", "recorded", {"note": "한국어도 그대로"})
    assert ledger.export(tmp_path / "copy").intact
    assert verify_folder(tmp_path / "copy").intact
    entry = tmp_path / "copy/ledger" / chain.entry_name(2)
    entry.write_text(entry.read_text(encoding="utf-8").replace("vision", "speech"), encoding="utf-8")
    assert not verify_folder(tmp_path / "copy").intact


def test_an_export_does_not_write_into_a_folder_that_holds_something(
    sandbox: Cloud, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        open_ledger(sandbox, bucket).export(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("caller", "who"),
    [
        ("arn:aws:sts::123456789012:assumed-role/vision-member-us-east-1/ann", "ann"),
        ("arn:aws:sts::123456789012:assumed-role/vision-member-blue-us-east-1/ann", "ann"),
        (
            "arn:aws:sts::123456789012:assumed-role/my-team-operator-eu-central-1/ben@example.com",
            "ben@example.com",
        ),
        ("arn:aws-us-gov:sts::123456789012:assumed-role/acme-ai-fleetform-deployer/ci", "ci"),
        ("arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_1a2b/ann", ""),
        ("arn:aws:sts::123456789012:assumed-role/vision-node-us-east-1/i-0123", ""),
        ("arn:aws:iam::123456789012:user/ann", ""),
        ("arn:aws:iam::123456789012:root", ""),
    ],
)
def test_an_entry_names_the_person_only_where_the_role_proves_one(
    sandbox: Cloud, bucket: str, caller: str, who: str
) -> None:
    Ledger(sandbox, bucket, REGION, caller).append("run.submit", "vision", "recorded", {})
    (entry,) = open_ledger(sandbox, bucket).entries()
    assert entry["actor"]["identity"] == caller
    assert entry["actor"].get("person", "") == who
    assert open_ledger(sandbox, bucket).verify().findings == ()
