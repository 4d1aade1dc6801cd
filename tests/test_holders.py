"""What holds a destroy is found by the cloud's listings, cleared where it is ours, and else named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from fleet.holders.find import find_holders
from fleet.holders.holder import Holder, Teardown
from fleet.listings.things import is_gone
from fleet.session import Session
from fleet.terraform_state import StateResource
from stacks import naming
from tests.sandbox_helpers import IMAGE
from tests.teardown_parts import open_own, open_vision

pytestmark = pytest.mark.sandbox


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    """Take away at the end what a test has made and the teardown has not."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path) -> Session:
    return open_own(sandbox, tmp_path, '[artifacts]\non_teardown = "delete"\n')


def gone(call: Any, **about: Any) -> None:
    """Delete something unless it is gone."""
    try:
        call(**about)
    except ClientError as error:
        if not is_gone(error):
            raise


def tags(session: Session, stack: str = "") -> list[dict[str, str]]:
    """Return the environment's tag, and that of a stack of its where one is named."""
    found = {naming.TAG_ENVIRONMENT: session.spec.name, **({naming.TAG_STACK: stack} if stack else {})}
    return [{"Key": key, "Value": value} for key, value in found.items()]


def tagged(session: Session, kind: str, stack: str = "") -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags(session, stack)}]}


def resource(kind: str, identity: str) -> StateResource:
    return StateResource(address=f"{kind}.it", kind=kind, id=identity)


class Network:
    """A VPC with a subnet and a group, and the teardown of the base that has them in its state."""

    def __init__(self, session: Session, undo: ExitStack) -> None:
        self.session, self.undo, self.ec2 = session, undo, session.client("ec2")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
        undo.callback(gone, self.ec2.delete_vpc, VpcId=self.vpc)
        self.subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
        undo.callback(gone, self.ec2.delete_subnet, SubnetId=self.subnet)
        self.group = self.add_group("nodes")
        self.state = [
            resource("aws_vpc", self.vpc),
            resource("aws_subnet", self.subnet),
            resource("aws_security_group", self.group),
        ]

    def add_group(self, name: str, **more: Any) -> str:
        about = {"GroupName": name, "Description": "x", "VpcId": self.vpc, **more}
        identity = str(self.ec2.create_security_group(**about)["GroupId"])
        self.undo.callback(gone, self.ec2.delete_security_group, GroupId=identity)
        return identity

    def add_interface(self, **more: Any) -> str:
        about = {"SubnetId": self.subnet, "Groups": [self.group], **more}
        identity = str(self.ec2.create_network_interface(**about)["NetworkInterface"]["NetworkInterfaceId"])
        self.undo.callback(gone, self.ec2.delete_network_interface, NetworkInterfaceId=identity)
        return identity

    def add_machine(self, stack: str = "") -> str:
        (machine,) = self.ec2.run_instances(
            ImageId=IMAGE,
            MinCount=1,
            MaxCount=1,
            InstanceType="t3.micro",
            SubnetId=self.subnet,
            SecurityGroupIds=[self.group],
            **tagged(self.session, "instance", stack),
        )["Instances"]
        identity = str(machine["InstanceId"])
        self.undo.callback(self.ec2.terminate_instances, InstanceIds=[identity])
        return identity

    def holders(self, kind: str) -> dict[str, Holder]:
        """Return what holds the resource of that kind, by its id."""
        teardown = teardown_of(self.session, *self.state)
        wanted = [each for each in self.state if each.kind == kind]
        return {each.id: each for each in find_holders(teardown, wanted)}


def teardown_of(session: Session, *state: StateResource) -> Teardown:
    return Teardown(session, naming.environment_stacks(session.spec.name), state)


def clear(holder: Holder) -> None:
    assert holder.clear is not None, holder
    holder.clear()


def test_an_interface_that_a_dead_machine_left_is_deleted_and_frees_subnet_and_group(
    session: Session, undo: ExitStack
) -> None:
    network = Network(session, undo)
    machine = network.add_machine(naming.fleet_stack(session.spec.name))
    second = {"NetworkInterfaceId": network.add_interface(), "InstanceId": machine}
    network.ec2.attach_network_interface(**second, DeviceIndex=1)
    (live,) = network.holders("aws_security_group").values()
    assert (live.kind, live.id, live.fate) == ("EC2 instance", machine, "clear")
    clear(live)
    (left,) = network.holders("aws_subnet").values()
    assert left.id == second["NetworkInterfaceId"]
    assert (left.kind, left.fate) == ("network interface", "clear") and "attached to nothing" in left.why
    assert list(network.holders("aws_security_group")) == [left.id]
    clear(left)
    network.ec2.delete_security_group(GroupId=network.group)
    network.ec2.delete_subnet(SubnetId=network.subnet)


def test_a_machine_of_no_stack_is_left_to_whoever_made_it(session: Session, undo: ExitStack) -> None:
    network = Network(session, undo)
    machine = network.add_machine()
    (holder,) = network.holders("aws_subnet").values()
    assert (holder.id, holder.fate, holder.clear) == (machine, "stop", None)
    assert "no stack's that goes" in holder.why


def test_another_tools_interface_in_the_network_is_named_and_not_touched(
    session: Session, undo: ExitStack
) -> None:
    network = Network(session, undo)
    theirs = [{"Key": "kubernetes.io/cluster/x", "Value": "owned"}]
    about = {"TagSpecifications": [{"ResourceType": "network-interface", "Tags": theirs}]}
    strange, ours = network.add_interface(**about), network.add_interface()
    found = network.holders("aws_vpc")
    assert {identity: each.fate for identity, each in found.items()} == {strange: "stop", ours: "clear"}
    assert found[strange].clear is None and "another's" in found[strange].why


def test_in_somebody_elses_network_an_interface_is_ours_by_its_groups_alone(
    session: Session, undo: ExitStack
) -> None:
    network = Network(session, undo)
    other = network.add_group("theirs")
    network.state = [resource("aws_security_group", network.group)]  # the VPC was there before
    ours, shared = network.add_interface(), network.add_interface(Groups=[network.group, other])
    fates = {identity: each.fate for identity, each in network.holders("aws_security_group").items()}
    assert fates == {ours: "clear", shared: "stop"}


def test_rules_that_name_a_group_are_revoked_in_ours_and_named_in_anothers(
    session: Session, undo: ExitStack
) -> None:
    network = Network(session, undo)
    ec2 = network.ec2
    stray = network.add_group("stray")
    foreign = [{"Key": naming.TAG_ENVIRONMENT, "Value": "another"}]
    theirs = network.add_group(
        "theirs", TagSpecifications=[{"ResourceType": "security-group", "Tags": foreign}]
    )
    naming_it = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": network.group}]}
    for authorize, group in (
        (ec2.authorize_security_group_ingress, stray),
        (ec2.authorize_security_group_egress, stray),
        (ec2.authorize_security_group_ingress, theirs),
        (ec2.authorize_security_group_ingress, network.group),
    ):
        authorize(GroupId=group, IpPermissions=[naming_it])
    undo.callback(ec2.revoke_security_group_ingress, GroupId=theirs, IpPermissions=[naming_it])
    found = list(network.holders("aws_security_group").values())
    assert sorted(each.fate for each in found) == ["clear", "clear", "stop"], "its own rule holds nothing"
    (stop,) = (each for each in found if each.fate == "stop")
    assert theirs in stop.why and stop.clear is None
    for each in found:
        if each.fate == "clear":
            clear(each)
    assert [each.fate for each in network.holders("aws_security_group").values()] == ["stop"]


def test_the_interface_of_an_endpoint_goes_with_that_which_terraform_destroys_or_we_where_no_state_knows_it(
    session: Session, undo: ExitStack
) -> None:
    network = Network(session, undo)
    made = network.ec2.create_vpc_endpoint(
        VpcId=network.vpc,
        VpcEndpointType="Interface",
        ServiceName="com.amazonaws.us-east-1.ssm",
        SubnetIds=[network.subnet],
        **tagged(session, "vpc-endpoint"),
    )["VpcEndpoint"]
    endpoint, (interface,) = made["VpcEndpointId"], made["NetworkInterfaceIds"]
    undo.callback(network.ec2.delete_vpc_endpoints, VpcEndpointIds=[endpoint])
    with pytest.raises(ClientError, match="InUse"):
        network.ec2.delete_network_interface(NetworkInterfaceId=interface)
    (stray,) = network.holders("aws_subnet").values()
    assert (stray.kind, stray.id, stray.fate) == ("VPC endpoint", endpoint, "clear")
    network.state.append(resource("aws_vpc_endpoint", endpoint))
    assert not network.holders("aws_subnet"), (
        "to wait for it would be for ever: Terraform destroys the endpoint"
    )
    clear(stray)
    network.ec2.delete_subnet(SubnetId=network.subnet)


def test_what_lies_in_the_vpc_and_in_no_state_goes_with_it(session: Session, undo: ExitStack) -> None:
    network = Network(session, undo)
    ec2 = network.ec2
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    undo.callback(gone, ec2.delete_route_table, RouteTableId=table)
    second = ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.8.2.0/24")["Subnet"]["SubnetId"]
    undo.callback(gone, ec2.delete_subnet, SubnetId=second)
    group = network.add_group("stray", **tagged(session, "security-group"))
    found = network.holders("aws_vpc")
    kinds = {identity: (each.kind, each.fate) for identity, each in found.items()}
    assert kinds == {
        table: ("route table", "clear"),
        second: ("subnet", "clear"),
        group: ("security group", "clear"),
    }, "and nothing that Terraform knows"
    for each in found.values():
        clear(each)
    assert network.holders("aws_vpc") == {}


def test_a_machine_with_a_disk_holds_it(session: Session, undo: ExitStack) -> None:
    network = Network(session, undo)
    ec2, machine = network.ec2, network.add_machine(naming.fleet_stack(session.spec.name))
    disk = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    undo.callback(gone, ec2.delete_volume, VolumeId=disk)
    ec2.attach_volume(VolumeId=disk, InstanceId=machine, Device="/dev/sdf")
    held = resource("aws_ebs_volume", disk)
    (found,) = find_holders(teardown_of(session, held), [held])
    assert (found.kind, found.id, found.fate) == ("EC2 instance", machine, "clear")
    clear(found)
    assert find_holders(teardown_of(session, held), [held]) == []


class _Ec2:
    """EC2 and Auto Scaling with one machine in a group, in some state and perhaps protected."""

    def __init__(self, state: str = "running", *, protected: bool = False, stack: str = "") -> None:
        self.state, self.protected, self.stack = state, protected, stack
        self.filters, self.freed = list[Any](), list[Any]()

    def can_paginate(self, operation: str) -> bool:
        return True

    def get_paginator(self, operation: str) -> Any:
        return self

    def paginate(self, Filters: Any) -> Any:  # noqa: N803 - the API's name
        self.filters += Filters
        tags = [
            {"Key": naming.TAG_STACK, "Value": self.stack},
            {"Key": naming.TAG_ENVIRONMENT, "Value": NAME},
        ]
        machine = {"InstanceId": "i-1", "State": {"Name": self.state}, "Tags": tags}
        return [{"Reservations": [{"Instances": [machine]}]}]

    def describe_auto_scaling_groups(self, **request: Any) -> Any:
        machine = {"InstanceId": "i-1", "ProtectedFromScaleIn": self.protected}
        return {"AutoScalingGroups": [{"Instances": [machine]}]}

    def set_instance_protection(self, **request: Any) -> None:
        self.freed.append(request)


NAME = "vision"


@pytest.mark.parametrize(
    ("kind", "ec2", "by", "expected"),
    [
        ("aws_placement_group", _Ec2(stack="vision-fleet"), "placement-group-name", ["clear"]),
        ("aws_placement_group", _Ec2("shutting-down"), "placement-group-name", ["wait"]),
        ("aws_placement_group", _Ec2(), "placement-group-name", ["stop"]),
        ("aws_autoscaling_group", _Ec2("shutting-down"), "tag:aws:autoscaling:groupName", ["wait"]),
        (
            "aws_autoscaling_group",
            _Ec2(protected=True, stack="vision-fleet"),
            "tag:aws:autoscaling:groupName",
            ["clear", "clear"],
        ),
    ],
)
def test_machines_in_a_group_are_found_by_it_ended_where_they_are_a_stacks_and_freed_of_protection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, ec2: _Ec2, by: str, expected: list[str]
) -> None:
    monkeypatch.setattr("fleet.sweep.shared_clients", lambda cloud, region: lambda service: ec2)
    session = open_vision(Cloud("none", {}), tmp_path)
    held = resource(kind, "the-group")
    found = find_holders(teardown_of(session, held), [held])
    assert [each.fate for each in found] == expected
    assert {"Name": by, "Values": ["the-group"]} in ec2.filters
    for each in found:
        if each.kind == "protection":
            clear(each)
    assert [each["ProtectedFromScaleIn"] for each in ec2.freed] == [False] * ec2.protected


def test_a_policy_that_somebody_gave_a_role_and_a_profile_that_hands_it_on_are_taken_away(
    session: Session, undo: ExitStack
) -> None:
    iam, name = session.client("iam"), f"{session.spec.name}-node-us-east-1"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    undo.callback(gone, iam.delete_role, RoleName=name)
    rule = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::x"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    iam.put_role_policy(RoleName=name, PolicyName="by-hand", PolicyDocument=document)
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]
    undo.callback(iam.delete_policy, PolicyArn=arn)
    iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    for profile, about in ((name, {"Tags": tags(session)}), (f"{name}-theirs", {})):
        iam.create_instance_profile(InstanceProfileName=profile, **about)
        undo.callback(iam.delete_instance_profile, InstanceProfileName=profile)
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=name)
    undo.callback(
        gone, iam.remove_role_from_instance_profile, InstanceProfileName=f"{name}-theirs", RoleName=name
    )
    held = resource("aws_iam_role", name)
    found = {each.id: each for each in find_holders(teardown_of(session, held), [held])}
    fates = {identity: each.fate for identity, each in found.items()}
    assert fates == {"by-hand": "clear", arn: "clear", name: "clear", f"{name}-theirs": "stop"}
    for each in found.values():
        if each.clear:
            clear(each)
    iam.remove_role_from_instance_profile(InstanceProfileName=f"{name}-theirs", RoleName=name)
    iam.delete_role(RoleName=name)


def test_a_mount_target_that_no_state_knows_is_a_part_of_its_file_system(
    session: Session, undo: ExitStack
) -> None:
    network, efs = Network(session, undo), session.client("efs")
    system = efs.create_file_system(CreationToken=session.spec.name)["FileSystemId"]
    undo.callback(efs.delete_file_system, FileSystemId=system)
    efs.create_mount_target(FileSystemId=system, SubnetId=network.subnet)
    held = resource("aws_efs_file_system", system)
    (found,) = find_holders(teardown_of(session, held), [held])
    assert (found.kind, found.fate) == ("EFS mount target", "clear")
    clear(found)
    assert find_holders(teardown_of(session, held), [held]) == []


def test_objects_in_a_bucket_that_goes_are_deleted_and_in_one_to_retain_named(
    sandbox: Cloud, session: Session, tmp_path: Path, undo: ExitStack
) -> None:
    for found, expected in ((session, "clear"), (open_own(sandbox, tmp_path / "retain"), "stop")):
        s3 = found.client("s3")
        bucket = naming.artifact_bucket(found.account.organization, found.spec.name, found.spec.region)
        s3.create_bucket(Bucket=bucket)
        undo.callback(gone, s3.delete_bucket, Bucket=bucket)
        held = resource("aws_s3_bucket", bucket)
        assert find_holders(teardown_of(found, held), [held]) == [], "empty"
        s3.put_object(Bucket=bucket, Key="runs/late/events.jsonl", Body=b"x")
        undo.callback(gone, s3.delete_object, Bucket=bucket, Key="runs/late/events.jsonl")
        (holder,) = find_holders(teardown_of(found, held), [held])
        assert holder.fate == expected
        if holder.clear:
            clear(holder)
            assert find_holders(teardown_of(found, held), [held]) == []


class _Fsx:
    """FSx with a file system that is busy in one way."""

    def __init__(self, lifecycle: str = "AVAILABLE", task: str = "", backup: str = "") -> None:
        self.lifecycle, self.task, self.backup, self.cancelled = lifecycle, task, backup, list[str]()

    def describe_file_systems(self, **request: Any) -> Any:
        return {"FileSystems": [{"FileSystemId": "fs-1", "Lifecycle": self.lifecycle}]}

    def describe_data_repository_tasks(self, **request: Any) -> Any:
        return {"DataRepositoryTasks": [{"TaskId": "task-1", "Lifecycle": self.task}] if self.task else []}

    def cancel_data_repository_task(self, TaskId: str) -> None:  # noqa: N803 - the API's name
        self.cancelled.append(TaskId)

    def can_paginate(self, operation: str) -> bool:
        return True

    def get_paginator(self, operation: str) -> Any:
        of = {"BackupId": "backup-1", "FileSystem": {"FileSystemId": "fs-1"}, "Lifecycle": self.backup}
        other = {"BackupId": "backup-2", "FileSystem": {"FileSystemId": "fs-2"}, "Lifecycle": "CREATING"}
        self.pages = [{"Backups": [of, other] if self.backup else [other]}]
        return self

    def paginate(self) -> Any:
        return self.pages


@pytest.mark.parametrize(
    ("fsx", "expected"),
    [
        (_Fsx(), []),
        (_Fsx(lifecycle="DELETING"), [("fs-1", "wait")]),
        (_Fsx(task="EXECUTING"), [("task-1", "clear")]),
        (_Fsx(task="CANCELING"), [("task-1", "wait")]),
        (_Fsx(task="SUCCEEDED"), []),
        (_Fsx(backup="TRANSFERRING"), [("backup-1", "wait")]),
        (_Fsx(backup="AVAILABLE"), []),
    ],
)
def test_what_a_fast_file_system_is_busy_with_is_waited_for_or_cancelled(
    session: Session, monkeypatch: pytest.MonkeyPatch, fsx: _Fsx, expected: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr("fleet.sweep.shared_clients", lambda cloud, region: lambda service: fsx)
    held = resource("aws_fsx_lustre_file_system", "fs-1")
    found = find_holders(teardown_of(session, held), [held])
    assert [(each.id, each.fate) for each in found] == expected
    for each in found:
        if each.clear:
            clear(each)
    assert fsx.cancelled == [each.id for each in found if each.clear]
