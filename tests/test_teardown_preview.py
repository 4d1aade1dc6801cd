"""What a teardown would do is shown beforehand, by what the teardown itself goes by, and changes nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from fleet.runs import list_runs
from fleet.session import Session
from fleet.teardown import down
from fleet.teardown_preview import find_against, preview, sums
from fleet.terraform_events import quiet
from scripts import up
from scripts.cli import main
from stacks.catalog import load_other_prices
from stacks.problems import UserError
from tests.teardown_parts import add_bucket, add_run, open_vision, put_state, remove_bucket, tags

pytestmark = pytest.mark.sandbox
DELETED = '[artifacts]\non_teardown = "delete"\n'


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path) -> Session:
    """Return a session of an account of its own in which nothing of `vision` stands."""
    session = open_vision(sandbox, tmp_path)
    ensure_account(session.cloud, session.account)
    return session


@pytest.fixture
def volumes(session: Session) -> Iterator[dict[str, str]]:
    """Disks of 100 GiB by what has made them: the fleet's stack, the base's, and none."""
    ec2 = session.client("ec2")
    made = {
        stack: ec2.create_volume(
            Size=100,
            VolumeType="gp3",
            AvailabilityZone="us-east-1a",
            TagSpecifications=[{"ResourceType": "volume", "Tags": tags(stack)}],
        )["VolumeId"]
        for stack in ("vision-fleet", "vision-base", "")
    }
    put_state(session, "vision-fleet", aws_placement_group__gpu="gpu")
    put_state(session, "vision-base", aws_iam_role__head="vision-head")
    yield made
    for each in made.values():
        ec2.delete_volume(VolumeId=each)


def ids(things: object) -> set[str]:
    return {each.id for each in things}  # type: ignore[attr-defined]


def test_the_fleet_goes_the_base_stays_and_what_no_stack_has_made_is_left(
    session: Session, volumes: dict[str, str]
) -> None:
    found = preview(session, base=False)
    assert ids(found.goes) == {volumes["vision-fleet"]}
    assert ids(found.stays) == {volumes["vision-base"]}
    assert ids(found.left) == {volumes[""]}
    disk = load_other_prices()["ebs_gp3"].usd_per_hour(100)
    assert found.usd_saved_per_hour == pytest.approx(disk)
    assert found.usd_kept_per_hour == pytest.approx(2 * disk)
    assert [(each.kind, each.count) for each in sums(found.goes)] == [("EBS volume", 1)]
    assert (found.against, found.lost, found.not_looked) == ((), (), ())


def test_with_the_base_all_of_both_stacks_goes(session: Session, volumes: dict[str, str]) -> None:
    found = preview(session, base=True)
    assert ids(found.goes) == {volumes["vision-fleet"], volumes["vision-base"]}
    assert (ids(found.stays), ids(found.left)) == (set(), {volumes[""]})


def test_a_stack_that_does_not_stand_takes_nothing_with_it(session: Session, volumes: dict[str, str]) -> None:
    put_state(session, "vision-fleet")
    found = preview(session, base=False)
    assert found.goes == () and ids(found.left) == {volumes["vision-fleet"], volumes[""]}


def test_a_store_with_data_is_kept_where_its_file_says_so_and_else_named_as_lost(
    session: Session, sandbox: Cloud, tmp_path: Path
) -> None:
    store = add_bucket(session)
    add_run(store, "20260102-over", "QUEUED", "SUCCEEDED")
    put_state(session, "vision-base", aws_s3_bucket__artifacts=store.bucket, aws_iam_role__head="vision-head")
    try:
        kept = preview(session, base=True)
        assert ids(kept.stays) == {store.bucket} and kept.lost == ()
        assert [each.path for each in kept.against] == ["artifacts.on_teardown"]
        changed = session.spec.artifacts.model_copy(update={"on_teardown": "delete"})
        spec = session.spec.model_copy(update={"artifacts": changed})
        lost = preview(Session(session.project, session.cloud, session.account, spec), base=True)
        assert ids(lost.goes) == {store.bucket} and (lost.stays, lost.against) == ((), ())
        assert lost.lost == (f"the bucket {store.bucket} with all that is in it",)
        assert preview(session, base=False).lost == (), "the base stays, and its bucket with it"
    finally:
        remove_bucket(store)


def test_what_speaks_against_it_is_what_the_teardown_refuses_it_for(session: Session) -> None:
    store = add_bucket(session)
    try:
        add_run(store, "20260101-busy", "QUEUED")
        add_run(store, "20260102-lossy", "QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED")
        listed = {"key": "runs/20260102-lossy/model/model.safetensors", "size": 7, "sha256": ""}
        store.put("20260102-lossy", "outputs/node-0.json", {"rank": 0, "exit_code": 0, "files": [listed]})
        found = preview(session, base=True)
        with pytest.raises(UserError) as caught:
            down(session, quiet, base=True)
        assert len(found.against) == 3 and found.against == caught.value.problems
    finally:
        remove_bucket(store)


def test_a_run_that_nobody_carries_out_does_not_speak_against_it_and_is_left_as_it_is(
    session: Session,
) -> None:
    store = add_bucket(session)
    try:
        add_run(store, "20260101-lost", minutes_ago=5)
        before = store.sizes("20260101-lost")
        assert preview(session, base=False).against == ()
        assert store.sizes("20260101-lost") == before and session.ledger.entries() == []
    finally:
        remove_bucket(store)


def test_what_was_never_built_has_no_teardown_to_look_at(sandbox: Cloud, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no environment was ever built in sandbox"):
        preview(open_vision(sandbox, tmp_path), base=False)


# ------------------------------------------------------------------------------ the command


@pytest.fixture
def standing(
    session: Session, volumes: dict[str, str], sandbox_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Session:
    """Stand in the project."""
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.chdir(session.project.root)
    return session


def test_a_dry_run_says_what_goes_what_stays_and_what_that_saves(
    standing: Session, volumes: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down", "vision", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "EBS volume      1  0.0110 USD" in said
    assert "stays: 1 EBS volume" in said and "made by no stack, and left behind: 1 EBS volume" in said
    assert said.endswith("saves 0.0110 USD an hour; what stays costs 0.0219 USD an hour\n")
    assert main(["down", "vision", "--dry-run", "--base", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "fleetform-down-preview/1" and found["base"] is True
    assert {each["id"] for each in found["goes"]} == {volumes["vision-fleet"], volumes["vision-base"]}
    assert standing.ledger.entries() == [], "nobody has torn anything down"


def test_on_a_terminal_it_shows_what_goes_and_asks(
    standing: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "confirm_possible", lambda _: None)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["down", "vision"]) == 130
    said = capsys.readouterr().err
    assert "EBS volume" in said and "Tear down the fleet of vision" in said
    assert "which saves 0.0110 USD an hour?" in said
    assert standing.ledger.entries() == []


def test_on_a_terminal_what_is_refused_is_refused_on_record_before_anybody_is_asked(
    standing: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "confirm_possible", lambda _: None)
    store = add_bucket(standing)
    try:
        add_run(store, "20260101-busy", "QUEUED")
        assert main(["down", "vision"]) == 2
    finally:
        remove_bucket(store)
    said = capsys.readouterr().err
    assert "the run 20260101-busy (digits) is QUEUED" in said and "Tear down" not in said
    (entry,) = standing.ledger.entries()
    assert (entry["event"], entry["outcome"]) == ("environment.down", "refused")


def test_a_run_that_was_seen_to_be_safe_is_not_looked_at_again(session: Session) -> None:
    store = add_bucket(session)
    try:
        add_run(store, "20260101-safe", "QUEUED", "SUCCEEDED")
        add_run(store, "20260101-lost", "QUEUED", "PROVISIONING", "RUNNING", "SUCCEEDED")
        lost = {"files": [{"key": "runs/20260101-lost/model.pt", "size": 5}], "left_out": []}
        store.put("20260101-lost", "outputs/node-0.json", lost)
        runs, safe = list_runs(store), set[tuple[str, int]]()
        (problem,) = find_against(session, base=False, runs=runs, safe=safe)
        assert problem.what == "run 20260101-lost: model.pt is missing"
        assert safe == {("20260101-safe", 1)}, "what is not safe is looked at again"
        assert find_against(session, base=False, runs=runs, safe={("20260101-lost", 1)}) == []
        assert len(find_against(session, base=False, runs=runs, safe={("20260101-lost", 2)})) == 1
    finally:
        remove_bucket(store)
