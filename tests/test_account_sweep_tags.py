"""What stays when its only proof is deleted has the environment's tag before, or else the proof stays too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.account_sweep import look_in, sweep_account
from fleet.cloud import Cloud
from fleet.listings import machines, networks, stores
from fleet.listings.listed import Listed
from fleet.listings.things import Thing
from fleet.orphans.choice import Wanted, choose
from fleet.orphans.judge import Found
from fleet.orphans.marks import MARKS, mark
from fleet.orphans.report import AccountSweep
from fleet.session import AccountSession
from fleet.sweep import shared_clients
from scripts import cli
from scripts.sweep_output import choice_lines
from stacks import naming
from tests import orphans_planted as planted
from tests.orphans_planted import Garden, pairs
from tests.sandbox_helpers import IMAGE, REGION, admin

pytestmark = pytest.mark.sandbox
ORGANIZATION, LONE = "lone-tests", "lone"
"""The environment of these tests, of which nothing is left but a machine and copies of its disks."""
BACKUP = {"aws:backup:source-resource": "x"}
GROUP = "auto-scaling-group"
COPIES = ("data disk", "root snapshot", "data snapshot", "image")


@pytest.fixture
def session(sandbox: Cloud, sandbox_home: Path, tmp_path: Path) -> Iterator[AccountSession]:
    """Return the session of an account whose environments' files are gone."""
    yield planted.account_session(sandbox, sandbox_home, tmp_path, ORGANIZATION)
    admin(sandbox, "DELETE", "faults")


@pytest.fixture
def garden(sandbox: Cloud) -> Iterator[Garden]:
    """Plant a machine of ours, copies of its disks without a tag, and another tool's copy."""
    with ExitStack() as undo:
        made = Garden(sandbox, undo)
        plant_copies(made, plant_machine(made))
        yield made


def plant_machine(garden: Garden) -> str:
    """Plant a group that has our tag, and the machine that it started, which tells by it whose it is."""
    call, plant = garden.call, garden.plant
    template = call(
        "ec2", "create_launch_template", LaunchTemplateName="lone-template",
        LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "g5.xlarge"},
    )["LaunchTemplate"]["LaunchTemplateId"]  # fmt: skip
    garden.undo.callback(garden._end, "ec2", "delete_launch_template", {"LaunchTemplateId": template})
    call(
        "autoscaling", "create_auto_scaling_group", AutoScalingGroupName="lone-group", MinSize=1, MaxSize=1,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
        AvailabilityZones=[f"{REGION}a"],
        Tags=[
            {**each, "PropagateAtLaunch": False, "ResourceId": "lone-group", "ResourceType": GROUP}
            for each in pairs(planted.ours(LONE))
        ],
    )  # fmt: skip
    group = {"AutoScalingGroupName": "lone-group", "ForceDelete": True}
    plant("group", "lone-group", "autoscaling", "delete_auto_scaling_group", **group)
    (found,) = call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=["lone-group"])[
        "AutoScalingGroups"
    ]
    machine = found["Instances"][0]["InstanceId"]
    return plant("machine", machine, "ec2", "terminate_instances", InstanceIds=[machine])


def plant_copies(garden: Garden, machine: str) -> None:
    """Plant a disk of the machine, snapshots, an image, and a snapshot that AWS Backup made."""
    call, plant = garden.call, garden.plant
    attached = [{"Name": "attachment.instance-id", "Values": [machine]}]
    (root,) = (each["VolumeId"] for each in call("ec2", "describe_volumes", Filters=attached)["Volumes"])
    disk = call("ec2", "create_volume", Size=100, AvailabilityZone=f"{REGION}a", VolumeType="gp3")["VolumeId"]
    plant("data disk", disk, "ec2", "delete_volume", VolumeId=disk)
    call("ec2", "attach_volume", VolumeId=disk, InstanceId=machine, Device="/dev/sdf")
    for label, volume in (("root snapshot", root), ("data snapshot", disk), ("backup's snapshot", disk)):
        snapshot = call("ec2", "create_snapshot", VolumeId=volume)["SnapshotId"]
        plant(label, snapshot, "ec2", "delete_snapshot", SnapshotId=snapshot)
    garden.tag(identity(garden, "backup's snapshot"), BACKUP)
    image = call("ec2", "create_image", InstanceId=machine, Name="lone")["ImageId"]
    plant("image", image, "ec2", "deregister_image", ImageId=image)


def identity(garden: Garden, label: str) -> str:
    """Return the id of what was planted under the label."""
    return next(key for key, name in garden.labels.items() if name == label)


def tags(garden: Garden, label: str) -> dict[str, str]:
    """Return the tags of something of EC2's that was planted."""
    filters = [{"Name": "resource-id", "Values": [identity(garden, label)]}]
    return {
        each["Key"]: each["Value"] for each in garden.call("ec2", "describe_tags", Filters=filters)["Tags"]
    }


def looked(session: AccountSession) -> AccountSweep:
    """Return what is found of the environment."""
    return sweep_account(session, environments=(LONE,))


def orphans(garden: Garden, session: AccountSession) -> dict[str, Found]:
    """Return the orphans that were planted, by their labels."""
    found = looked(session).of("orphan")
    return {
        garden.labels[each.listed.thing.id]: each for each in found if each.listed.thing.id in garden.labels
    }


def swept(
    session: AccountSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, dict[str, Any]]:
    """Run the command and return its exit code and what it prints as JSON."""
    monkeypatch.chdir(session.project.root)
    monkeypatch.setenv("FLEETFORM_HOME", str(session.project.home))
    monkeypatch.setenv("FLEETFORM_CLOUD", "sandbox")
    capsys.readouterr()
    code = cli.main(["sweep", "--environment", LONE, "--delete", "--yes", "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def test_what_only_a_deleted_machine_proves_is_tagged_first_and_found_and_priced_by_the_next_sweep(
    session: AccountSession,
    garden: Garden,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = orphans(garden, session)
    assert set(before) == {"group", "machine", *COPIES}
    code, told = swept(session, monkeypatch, capsys)
    results = {garden.labels.get(each["id"]): each["result"] for each in told["deletion"]}
    assert {results[each] for each in COPIES} == {"tagged"} and results["machine"] == "deleted"
    assert code == 3, "what holds data is still there"
    after = orphans(garden, session)
    assert set(after) == set(COPIES)
    for label, each in after.items():
        assert each.proof == f"the tag {naming.TAG_ENVIRONMENT}={LONE}"
        assert each.listed.thing.usd_per_hour == before[label].listed.thing.usd_per_hour
        assert tags(garden, label).items() >= planted.ours(LONE).items()
    assert any(each.listed.thing.usd_per_hour for each in after.values())
    assert tags(garden, "backup's snapshot") == BACKUP, "another tool's is untouched"
    told_of = [each for each in session.ledger.entries() if each["event"] == "thing.tagged"]
    assert {garden.labels.get(each["details"]["id"], "of the image") for each in told_of} >= set(COPIES)
    assert {(each["outcome"], each["target"]) for each in told_of} == {("succeeded", LONE)}
    code, told = swept(session, monkeypatch, capsys, "--data")
    assert (code, told["clean"]) == (0, True) and not orphans(garden, session)
    assert tags(garden, "backup's snapshot") == BACKUP


def test_where_a_tag_is_refused_the_machine_stays_with_the_group_that_would_end_it(
    session: AccountSession,
    garden: Garden,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refuse = {"service": "ec2", "action": "CreateTags", "code": "UnauthorizedOperation", "status": 403}
    admin(session.cloud, "POST", "faults", {**refuse, "resource": identity(garden, "image")})
    _, told = swept(session, monkeypatch, capsys)
    rows = {garden.labels.get(each["id"]): (each["result"], each["why"]) for each in told["deletion"]}
    image = identity(garden, "image")
    for label in ("machine", "group"):
        result, why = rows[label]
        assert result == "kept" and f"it proves whose the machine image {image} is" in why
        assert "UnauthorizedOperation" in why
    assert rows["image"][0] == "kept" and "not tagged" in rows["image"][1]
    assert set(orphans(garden, session)) == {"group", "machine", *COPIES}
    failed = [
        each for each in session.ledger.entries()
        if each["event"] == "thing.tagged" and each["outcome"] == "failed"
    ]  # fmt: skip
    assert [each["details"]["id"] for each in failed] == [image]


def test_before_it_asks_it_says_what_gets_the_tag_and_why(session: AccountSession, garden: Garden) -> None:
    found = looked(session)
    lines = list(choice_lines(choose(found.found, Wanted(), found.account)))
    (line,) = (each for each in lines if naming.TAG_ENVIRONMENT in each)
    assert line.startswith("6 things that stay get the tag fleetform:environment, because what alone proves")
    assert line.endswith("goes: 3 EBS snapshot, 2 EBS volume, 1 machine image")
    disk = identity(garden, "data disk")
    assert f"stays, tagged: EBS volume {disk}: data is lost with it for good: say --data" in lines
    everything = choose(found.found, Wanted(data=True), found.account)
    assert not everything.marks, "nothing stays that needs a tag"


def planted_store(garden: Garden, kind: str) -> str:
    """Make one thing of the kind without our tag, and return its id."""
    call, undo = garden.call, garden.undo

    def made(thing: str, service: str, operation: str, argument: str) -> str:
        undo.callback(garden._end, service, operation, {argument: thing})
        return thing

    def volume() -> str:
        disk = call("ec2", "create_volume", Size=1, AvailabilityZone=f"{REGION}a")["VolumeId"]
        return made(disk, "ec2", "delete_volume", "VolumeId")

    def vpc() -> str:
        return made(
            call("ec2", "create_vpc", CidrBlock="10.64.0.0/16")["Vpc"]["VpcId"], "ec2", "delete_vpc", "VpcId"
        )

    def subnet() -> str:
        found = call("ec2", "create_subnet", VpcId=vpc(), CidrBlock="10.64.0.0/24")["Subnet"]["SubnetId"]
        return made(found, "ec2", "delete_subnet", "SubnetId")

    def group() -> str:
        found = call("ec2", "create_security_group", GroupName="lone", Description="x", VpcId=vpc())[
            "GroupId"
        ]
        return made(found, "ec2", "delete_security_group", "GroupId")

    def snapshot() -> str:
        found = call("ec2", "create_snapshot", VolumeId=volume())["SnapshotId"]
        return made(found, "ec2", "delete_snapshot", "SnapshotId")

    def image() -> str:
        found = call("ec2", "register_image", Name="lone-bare", RootDeviceName="/dev/sda1")["ImageId"]
        return made(found, "ec2", "deregister_image", "ImageId")

    def bucket() -> str:
        call("s3", "create_bucket", Bucket=f"{ORGANIZATION}-lone")
        return made(f"{ORGANIZATION}-lone", "s3", "delete_bucket", "Bucket")

    def elastic() -> str:
        found = call("efs", "create_file_system", CreationToken="lone")["FileSystemId"]
        return made(found, "efs", "delete_file_system", "FileSystemId")

    def lustre() -> str:
        found = call(
            "fsx", "create_file_system", FileSystemType="LUSTRE", StorageCapacity=1200, SubnetIds=[subnet()],
            LustreConfiguration={"DeploymentType": "SCRATCH_2"},
        )["FileSystem"]["FileSystemId"]  # fmt: skip
        return made(found, "fsx", "delete_file_system", "FileSystemId")

    def backup() -> str:
        found = call("fsx", "create_backup", FileSystemId=lustre())["Backup"]["BackupId"]
        return made(found, "fsx", "delete_backup", "BackupId")

    make = {
        "EBS volume": volume, "EBS snapshot": snapshot, "machine image": image, "security group": group,
        "subnet": subnet, "VPC": vpc, "S3 bucket": bucket, "EFS file system": elastic,
        "FSx file system": lustre, "FSx backup": backup,
    }  # fmt: skip
    return make[kind]()


@pytest.mark.parametrize("kind", list(MARKS))
def test_every_kind_that_may_need_a_tag_has_it_afterwards_and_keeps_those_that_it_had(
    session: AccountSession, sandbox: Cloud, kind: str
) -> None:
    with ExitStack() as undo:
        garden = Garden(sandbox, undo)
        thing = planted_store(garden, kind)

        def marked(environment: str, team: str) -> dict[str, str]:
            found = Found(
                listed=Listed(thing=Thing(kind=kind, id=thing)), verdict="orphan", environment=environment,
                team=team, proof="", reason="", stack=f"{environment}-fleet",
            )  # fmt: skip
            assert mark(shared_clients(sandbox, REGION), found) == ""
            look = look_in(session, REGION)
            listers = (*machines.LISTERS, *networks.LISTERS, *stores.LISTERS, *stores.EVERYWHERE)
            rows = [each for lister in listers for each in lister.look(look) if isinstance(each, Listed)]
            return next(dict(each.tags) for each in rows if each.key == (kind, thing))

        assert marked(LONE, "lab") == planted.ours(LONE)
        assert marked("two", "") == {**planted.ours("two"), naming.TAG_TEAM: "lab"}


def test_a_thing_that_is_gone_meanwhile_needs_no_tag_and_keeps_nothing_back(
    session: AccountSession, sandbox: Cloud
) -> None:
    gone = Thing(kind="EBS volume", id="vol-0123456789abcdef0")
    found = Found(listed=Listed(thing=gone), verdict="orphan", environment=LONE, team="", proof="", reason="")
    assert mark(shared_clients(sandbox, REGION), found) == ""
    with pytest.raises(ClientError):
        shared_clients(sandbox, REGION)("ec2").create_tags(Resources=[gone.id], Tags=pairs({"a": "b"}))
