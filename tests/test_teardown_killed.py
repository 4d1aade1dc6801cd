"""A teardown that is killed goes on where it was, and its receipt says what that of an unbroken one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.final_export import export_results
from fleet.session import Session
from fleet.sweep import LISTERS
from fleet.synth import output_folder
from fleet.teardown import down
from fleet.terraform_events import quiet
from fleet.terraform_state import StateResource
from stacks import naming
from tests.teardown_lab import Lab, StandIn, build, killed_at

pytestmark = pytest.mark.sandbox

PHASES = (
    ("fleet.teardown_before.sweep", 1),
    ("fleet.teardown.export_results", 1),
    ("fleet.teardown.end_elastic", 1),
    ("tests.teardown_lab.put_state", 1),  # the fleet is destroyed, and its state does not say so
    ("tests.teardown_lab.StandIn.destroy", 1),  # of the fleet again, for its state holds the disk
    ("fleet.artifacts._delete", 1),
    ("fleet.artifacts._delete", 2),  # the bucket shows no run any more, and holds the rest
    ("fleet.teardown.forget_cluster", 1),
    ("fleet.teardown.find_rest", 1),
    ("fleet.teardown.write_receipt", 1),
    ("fleet.receipt.write_whole", 2),  # the page is there, the receipt is not
)
"""Where it is killed, and at which call of that: a phase each, in the order in which they come."""


@pytest.fixture(autouse=True)
def _parts_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform is a stand-in: `tests/test_up.py` and the campaign of faults have the real one."""
    monkeypatch.setattr("fleet.estate.synthesize", output_folder)
    kinds = ("EBS volumes", "EBS snapshots", "KMS keys", "S3 buckets", "VPCs", "public addresses")
    monkeypatch.setattr("fleet.sweep.LISTERS", [each for each in LISTERS if each.title in kinds])
    monkeypatch.setattr("fleet.sweep._PAUSES", (0.01, 0.01))
    monkeypatch.setattr("fleet.elastic._LOOK_SECONDS", 0.01)
    monkeypatch.setattr(
        "fleet.teardown_stacks.open_stack", lambda session, name, report: StandIn(session, name, report)
    )


def endings(lab: Lab) -> list[str]:
    """Return how the ledger says that teardowns began and ended."""
    return [each["outcome"] for each in lab.session.ledger.entries() if each["event"] == "environment.down"]


def receipts(lab: Lab) -> dict[str, bytes]:
    """Return the files of receipts that there are."""
    return {each.name: each.read_bytes() for each in lab.root.glob("receipts/*/*") if each.is_file()}


def test_killed_in_every_phase_and_repeated_it_ends_with_the_receipt_of_one_that_ran_once(
    sandbox: Cloud, tmp_path: Path
) -> None:
    once, killed = build(sandbox, tmp_path / "once"), build(sandbox, tmp_path / "killed")
    for place, call in PHASES:
        killed_at(killed, place, call)
    told = ["started", "interrupted"] * len(PHASES)
    assert endings(killed) == told[:-1], "of each the next one says that it was cut off"
    receipt, folder = down(killed.session, quiet, base=True)
    assert receipt.proven and [each.fate for each in receipt.stacks] == ["destroyed", "destroyed"]
    assert {each.address for stack in receipt.stacks for each in stack.resources} == {
        "aws_ebs_volume.queue",
        "aws_kms_key.main",
        "aws_s3_bucket.artifacts",
    }
    assert {thing.kind for thing in receipt.machines} == {"EBS volume", "KMS key"}
    assert all(each.created and each.usd_per_hour > 0 for each in receipt.stacks)
    unbroken, _ = down(once.session, quiet, base=True)
    assert killed.plain(receipt) == once.plain(unbroken)
    assert killed.session.ledger.entries()[-1]["details"]["destroyed"] == list(
        reversed(naming.environment_stacks(killed.session.spec.name))
    )
    assert len(list(folder.parent.iterdir())) == 1, "one teardown, one receipt"


def test_repeated_after_its_end_it_leaves_the_receipt_as_it_is(sandbox: Cloud, tmp_path: Path) -> None:
    lab = build(sandbox, tmp_path)
    first, _ = down(lab.session, quiet, base=True)
    files = receipts(lab)
    for _ in range(2):
        again, _ = down(lab.session, quiet, base=True)
        assert lab.plain(again) == lab.plain(first)
    assert receipts(lab) == files and sorted(files) == ["receipt.html", "receipt.json"]
    told = [each["details"] for each in lab.session.ledger.entries() if each["event"] == "environment.down"]
    assert len({each["receipt_sha256"] for each in told if "receipt_sha256" in each}) == 1


def test_a_receipt_that_could_not_prove_it_is_kept_beside_the_one_that_does(
    sandbox: Cloud, tmp_path: Path
) -> None:
    lab = build(sandbox, tmp_path)
    ec2 = lab.session.client("ec2")
    tag = {"Key": naming.TAG_ENVIRONMENT, "Value": lab.session.spec.name}
    tagging = [{"ResourceType": "volume", "Tags": [tag]}]
    stray = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a", TagSpecifications=tagging)["VolumeId"]
    first, _ = down(lab.session, quiet, base=True)
    assert [thing.id for thing in first.left] == [stray]
    ec2.delete_volume(VolumeId=stray)
    second, folder = down(lab.session, quiet, base=True)
    assert second.proven and second.stacks[0].fate == "destroyed"
    (earlier,) = folder.glob("receipt-*.json")
    assert json.loads(earlier.read_text())["proven"] is False
    assert json.loads((folder / "receipt.json").read_text())["proven"] is True


def test_what_an_apply_that_was_cut_off_left_in_no_state_goes_with_its_stack_and_what_is_by_hand_stays(
    sandbox: Cloud, tmp_path: Path
) -> None:
    lab = build(sandbox, tmp_path)
    ec2, name = lab.session.client("ec2"), lab.session.spec.name
    of_stack = [
        {"Key": naming.TAG_ENVIRONMENT, "Value": name},
        {"Key": naming.TAG_STACK, "Value": naming.base_stack(name)},
    ]
    vpc = ec2.create_vpc(
        CidrBlock="10.8.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": of_stack}]
    )["Vpc"]["VpcId"]
    address = ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": of_stack}]
    )["AllocationId"]
    snapshot = ec2.create_snapshot(
        VolumeId=next(iter(lab.names)), TagSpecifications=[{"ResourceType": "snapshot", "Tags": of_stack}]
    )["SnapshotId"]
    receipt, _ = down(lab.session, quiet, base=True)
    assert [thing.id for thing in receipt.left] == [snapshot], "somebody made it to keep something"
    ended = lab.session.ledger.entries()[-1]["details"]
    assert sorted(ended["in_no_state"]) == sorted([f"VPC {vpc}", f"public address {address}"])
    ec2.delete_snapshot(SnapshotId=snapshot)


class _Fsx:
    """FSx with a linked file system: going already, or with an export that a killed teardown has begun."""

    def __init__(self, lifecycle: str, waiting: list[dict[str, Any]]) -> None:
        self.lifecycle, self.waiting, self.exports = lifecycle, waiting, 0

    def describe_file_systems(self, **request: Any) -> Any:
        return {"FileSystems": [{"FileSystemId": "fs-1", "Lifecycle": self.lifecycle}]}

    def describe_data_repository_associations(self, **request: Any) -> Any:
        return {"Associations": [{"FileSystemPath": "/results"}]}

    def describe_data_repository_tasks(self, **request: Any) -> Any:
        done = [{"TaskId": "task-1", "Lifecycle": "SUCCEEDED"}]
        return {"DataRepositoryTasks": self.waiting if "Filters" in request else done}

    def create_data_repository_task(self, **request: Any) -> Any:
        self.exports += 1
        return {"DataRepositoryTask": {"TaskId": "task-1"}}


EXPORT = {"TaskId": "task-1", "Type": "EXPORT_TO_REPOSITORY", "Paths": ["results"]}
IMPORT = {"TaskId": "task-2", "Type": "IMPORT_METADATA_FROM_REPOSITORY", "Paths": ["results"]}


@pytest.mark.parametrize(
    ("fsx", "exports"),
    [
        (_Fsx("DELETING", []), 0),
        (_Fsx("AVAILABLE", [IMPORT, EXPORT]), 0),
        (_Fsx("AVAILABLE", [IMPORT]), 1),
    ],
)
def test_results_are_not_exported_twice_nor_from_what_is_going(
    sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsx: _Fsx, exports: int
) -> None:
    from tests.teardown_parts import open_own

    session = open_own(sandbox, tmp_path)
    monkeypatch.setattr(Session, "client", lambda self, service: fsx)
    going = StateResource(
        address="aws_fsx_lustre_file_system.fast", kind="aws_fsx_lustre_file_system", id="fs-1"
    )
    assert export_results(session, quiet, [going], None) == []
    assert fsx.exports == exports
