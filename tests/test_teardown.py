"""Teardown refuses what would lose something, goes over what is down already, and says what it overrode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.bootstrap import account_buckets, account_exists, ensure_account
from fleet.cloud import Cloud
from fleet.estate import forget_lost_cloud
from fleet.session import Session
from fleet.synth import output_folder, stack_folder
from fleet.teardown import down
from fleet.terraform_events import quiet
from scripts.cli import main
from stacks import naming
from stacks.problems import UserError
from tests.sandbox_helpers import admin
from tests.teardown_parts import add_bucket, add_run, open_vision, remove_bucket, synthesize_here

pytestmark = pytest.mark.sandbox


@pytest.fixture(autouse=True)
def _synthesis_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CDKTF has started already, `tests/test_synth.py` and the round trips have the process."""
    monkeypatch.setattr("fleet.estate.synthesize", synthesize_here)


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path) -> Session:
    """Return a session of an organization of its own, of which nothing exists yet."""
    return open_vision(sandbox, tmp_path)


def outcomes(session: Session) -> list[tuple[str, str]]:
    """Return what the ledger tells of teardowns."""
    entries = session.ledger.entries()
    return [(each["event"], each["outcome"]) for each in entries if each["event"] == "environment.down"]


def test_an_environment_that_was_never_built_is_not_torn_down(session: Session) -> None:
    with pytest.raises(UserError, match="no environment was ever built in sandbox"):
        down(session, quiet, base=True)


def test_the_bare_buckets_are_made_once_and_the_ledger_is_locked_from_its_first_entry(
    session: Session,
) -> None:
    assert not account_exists(session.cloud, session.account)
    state, ledger = account_buckets(session.account)
    logs = naming.access_log_bucket(session.account.organization, session.account.region)
    made = ensure_account(session.cloud, session.account)
    assert made[:3] == [state, ledger, logs]  # the others are policies
    assert ensure_account(session.cloud, session.account) == []
    entry = session.ledger.append("test.entry", "x", "recorded", {})
    key = f"ledger/{entry['sequence']:012d}.json"
    s3 = session.client("s3")
    version = s3.head_object(Bucket=ledger, Key=key)["VersionId"]
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=ledger, Key=key, VersionId=version)


def test_a_bucket_of_another_account_is_refused_with_what_to_do(session: Session) -> None:
    fault = {"service": "s3", "action": "HeadBucket", "resource": account_buckets(session.account)[0]}
    admin(session.cloud, "POST", "faults", {**fault, "code": "AccessDenied", "status": 403})
    try:
        with pytest.raises(UserError, match="belongs to another account") as caught:
            ensure_account(session.cloud, session.account)
    finally:
        admin(session.cloud, "DELETE", "faults")
    assert caught.value.problems[0].path == "organization"


def test_every_reason_against_a_teardown_is_named_at_once_and_the_ledger_says_refused(
    session: Session,
) -> None:
    ensure_account(session.cloud, session.account)
    store = add_bucket(session)
    add_run(store, "20260101-busy", "QUEUED")
    add_run(store, "20260102-lossy", "QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED")
    listed = {"key": "runs/20260102-lossy/model/model.safetensors", "size": 7, "sha256": ""}
    store.put("20260102-lossy", "outputs/node-0.json", {"rank": 0, "exit_code": 0, "files": [listed]})
    with pytest.raises(UserError) as caught:
        down(session, quiet, base=True)
    whats = [problem.what for problem in caught.value.problems]
    assert len(whats) == 3, whats
    assert "20260101-busy" in whats[0] and "is QUEUED" in whats[0]
    assert "model.safetensors" in whats[1]
    assert "holds objects, which are to be retained" in whats[2]
    assert outcomes(session) == [("environment.down", "started"), ("environment.down", "refused")]
    assert not (session.project.root / "receipts").exists()
    remove_bucket(store)


def test_a_reason_overrides_what_speaks_against_it_and_both_are_on_record(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.sweep._PAUSES", (0.01, 0.01))
    ensure_account(session.cloud, session.account)
    store = add_bucket(session)
    add_run(store, "20260102-lossy", "QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED")
    listed = {"key": "runs/20260102-lossy/summary.json", "size": 7, "sha256": ""}
    store.put("20260102-lossy", "outputs/node-0.json", {"rank": 0, "exit_code": 0, "files": [listed]})
    receipt, folder = down(session, quiet, base=False, anyway="the model is bad")
    assert receipt.anyway == "the model is bad" and "summary.json" in receipt.overridden[0]
    assert [each.fate for each in receipt.stacks] == ["was not there", "was not there"]
    left = {thing.kind: thing.id for thing in receipt.left}
    assert left == {"S3 bucket": store.bucket}, "no state knows of it, so nobody meant to keep it"
    closing = session.ledger.entries()[-1]
    assert closing["outcome"] == "succeeded" and closing["details"]["left"] == [f"S3 bucket {store.bucket}"]
    written: dict[str, Any] = json.loads((folder / "receipt.json").read_text())
    assert written["overridden"] == list(receipt.overridden)
    remove_bucket(store)


def test_going_over_what_is_down_already_finds_nothing_and_is_no_error(session: Session) -> None:
    ensure_account(session.cloud, session.account)
    receipt, _ = down(session, quiet, base=True)
    assert receipt.proven and receipt.verdict == "nothing is left"
    assert outcomes(session)[-1] == ("environment.down", "succeeded")


def test_a_teardown_that_could_not_look_everywhere_ends_as_not_proven(
    session: Session, sandbox_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.chdir(session.project.root)
    monkeypatch.setattr("fleet.sweep._PAUSES", (0.01, 0.01))
    ensure_account(session.cloud, session.account)
    fault = {"service": "ec2", "action": "DescribeVolumes", "code": "UnauthorizedOperation", "status": 403}
    admin(session.cloud, "POST", "faults", fault)
    try:
        assert main(["down", "vision", "--yes", "--json"]) == 3
    finally:
        admin(session.cloud, "DELETE", "faults")
    receipt = json.loads(capsys.readouterr().out)
    assert (receipt["left"], receipt["proven"]) == ([], False)
    assert [each["title"] for each in receipt["not_looked"]] == ["EBS volumes"]
    assert main(["down", "vision", "--yes"]) == 0, "everything was looked at"


def test_what_a_lost_emulated_cloud_left_unfinished_is_set_aside_once(session: Session) -> None:
    ensure_account(session.cloud, session.account)
    folder = stack_folder(output_folder(session), "vision-base")
    folder.mkdir(parents=True)
    forget_lost_cloud(session, quiet)
    (folder / "errored.tfstate").write_text("{}")
    forget_lost_cloud(session, quiet)
    assert (folder / "errored.tfstate").exists(), "the same cloud: its state is still to be written"
    bucket = account_buckets(session.account)[0]
    session.client("s3").delete_bucket(Bucket=bucket)
    forget_lost_cloud(session, quiet)
    assert (folder / "lost-errored.tfstate").exists() and not (folder / "errored.tfstate").exists()
