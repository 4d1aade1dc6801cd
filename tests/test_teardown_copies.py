"""Copies without tags that outlive the machines and disks that alone tell whose they are."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.listings.things import Thing
from fleet.session import Session
from fleet.sweep import Leftovers
from fleet.teardown_copies import with_copies
from fleet.teardown_found import Found
from tests.sandbox_helpers import IMAGE
from tests.sweep_helpers import tags
from tests.teardown_parts import open_own

pytestmark = pytest.mark.sandbox
NOTHING = Leftovers(left=(), kept=(), ending=(), not_looked=())


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path) -> Session:
    return open_own(sandbox, tmp_path)


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def found(*things: Thing) -> Found:
    return Found(began=datetime.datetime.now(datetime.UTC), priced=things)


def disk(ec2: Any, undo: ExitStack) -> str:
    made = str(ec2.create_volume(Size=8, AvailabilityZone="us-east-1a", VolumeType="gp3")["VolumeId"])
    undo.callback(ec2.delete_volume, VolumeId=made)
    return made


def copy(ec2: Any, undo: ExitStack, volume: str, **named: str) -> str:
    """Make a snapshot with these tags and return its id."""
    about = [
        {"ResourceType": "snapshot", "Tags": [{"Key": key, "Value": value} for key, value in named.items()]}
    ]
    given = {"TagSpecifications": about} if named else {}
    made = str(ec2.create_snapshot(VolumeId=volume, **given)["SnapshotId"])
    undo.callback(ec2.delete_snapshot, SnapshotId=made)
    return made


def test_an_untagged_snapshot_of_a_disk_that_went_is_named_with_what_it_is_of(
    session: Session, undo: ExitStack
) -> None:
    ec2 = session.client("ec2")
    ours, strange = disk(ec2, undo), disk(ec2, undo)
    bare, named = copy(ec2, undo, ours), copy(ec2, undo, ours, Name="before the upgrade")
    copy(ec2, undo, strange)
    copy(ec2, undo, ours, **{"kubernetes.io/cluster/x": "owned"})
    copy(ec2, undo, ours, **{each["Key"]: each["Value"] for each in tags(session.spec.name)})
    volume = Thing(kind="EBS volume", id=ours)
    left = with_copies(session, found(volume), NOTHING).left
    assert sorted(each.id for each in left) == sorted((bare, named))
    assert all(each.note.endswith(f"untagged, made of the EBS volume {ours}") for each in left)
    assert all(each.usd_per_hour for each in left)
    stands = Leftovers(left=(volume,), kept=(), ending=(), not_looked=())
    assert with_copies(session, found(volume), stands).left == (volume,), "the disk still tells of them"


def test_an_image_of_a_machine_that_went_is_named_with_its_snapshots(
    session: Session, undo: ExitStack
) -> None:
    ec2 = session.client("ec2")
    (machine,) = ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="t3.micro")[
        "Instances"
    ]
    identity = str(machine["InstanceId"])
    image = str(ec2.create_image(InstanceId=identity, Name="kept-by-hand")["ImageId"])
    undo.callback(ec2.deregister_image, ImageId=image)
    ec2.terminate_instances(InstanceIds=[identity])
    left = with_copies(session, found(Thing(kind="EC2 instance", id=identity)), NOTHING).left
    kinds = {each.kind for each in left}
    assert kinds == {"EBS snapshot", "machine image"} and image in {each.id for each in left}
