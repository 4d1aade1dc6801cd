"""The sweep finds every leftover of a network: of one of its own, and of what it had in somebody else's."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.session import Session
from fleet.sweep import find_leftovers, sweep
from stacks import naming
from tests.sandbox_helpers import IMAGE
from tests.sweep_helpers import open_for_sweeping, tags

pytestmark = pytest.mark.sandbox


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return the session of the environment `sweep`, of which nothing exists yet."""
    return open_for_sweeping(sandbox, tmp_path, monkeypatch)


def add_vpc(session: Session, undo: ExitStack, *, tagged: bool) -> tuple[str, str]:
    """Make a VPC with a subnet; return both ids."""
    ec2 = session.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    undo.callback(ec2.delete_vpc, VpcId=vpc)
    if tagged:
        ec2.create_tags(Resources=[vpc], Tags=tags(stack="sweep-base"))
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    undo.callback(ec2.delete_subnet, SubnetId=subnet)
    return vpc, subnet


def add_untagged_parts(session: Session, undo: ExitStack, vpc: str, subnet: str) -> dict[str, str]:
    """Put into the VPC what can be left there, without any tag; return the ids by kind."""
    ec2, logs = session.client("ec2"), session.client("logs")
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    undo.callback(ec2.delete_route_table, RouteTableId=table)
    rules = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    undo.callback(ec2.delete_network_acl, NetworkAclId=rules)
    internet = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    undo.callback(ec2.delete_internet_gateway, InternetGatewayId=internet)
    ec2.attach_internet_gateway(InternetGatewayId=internet, VpcId=vpc)
    undo.callback(ec2.detach_internet_gateway, InternetGatewayId=internet, VpcId=vpc)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    undo.callback(ec2.release_address, AllocationId=address)
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    undo.callback(ec2.delete_nat_gateway, NatGatewayId=nat)
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    undo.callback(ec2.delete_network_interface, NetworkInterfaceId=interface)
    group = ec2.create_security_group(GroupName="anything", Description="x", VpcId=vpc)["GroupId"]
    undo.callback(ec2.delete_security_group, GroupId=group)
    logs.create_log_group(logGroupName="stray")
    undo.callback(logs.delete_log_group, logGroupName="stray")
    made = ec2.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogGroupName="stray",
        DeliverLogsPermissionArn="arn:aws:iam::123456789012:role/x",
    )
    undo.callback(ec2.delete_flow_logs, FlowLogIds=made["FlowLogIds"])
    return {
        "route table": table,
        "network access list": rules,
        "internet gateway": internet,
        "NAT gateway": nat,
        "network interface": interface,
        "security group": group,
        "flow log": made["FlowLogIds"][0],
        "subnet": subnet,
    }


def found_in(session: Session) -> dict[str, dict[str, Any]]:
    """Return what a sweep finds, by its id."""
    found = sweep(session)
    assert found.not_looked == () and len({thing.id for thing in found.things}) == len(found.things)
    return {thing.id: vars(thing) for thing in found.things}


def test_whatever_is_left_in_its_own_vpc_is_found_without_a_tag(session: Session) -> None:
    with ExitStack() as undo:
        parts = add_untagged_parts(session, undo, *add_vpc(session, undo, tagged=True))
        by_id = found_in(session)
    for kind, identity in parts.items():
        assert (by_id[identity]["kind"], by_id[identity]["stack"]) == (kind, "sweep-base"), kind
    assert by_id[parts["NAT gateway"]]["usd_per_hour"] == pytest.approx(0.045)


def test_of_somebody_elses_vpc_only_what_is_tagged_or_in_a_group_of_ours_is_found(session: Session) -> None:
    ec2 = session.client("ec2")
    with ExitStack() as undo:
        vpc, subnet = add_vpc(session, undo, tagged=False)
        theirs = add_untagged_parts(session, undo, vpc, subnet)
        ours = ec2.create_security_group(
            GroupName="sweep-nodes",
            Description="x",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags(stack="sweep-base")}],
        )["GroupId"]
        undo.callback(ec2.delete_security_group, GroupId=ours)
        held = ec2.create_network_interface(SubnetId=subnet, Groups=[ours])["NetworkInterface"]
        undo.callback(ec2.delete_network_interface, NetworkInterfaceId=held["NetworkInterfaceId"])
        specification = [{"ResourceType": "network-interface", "Tags": tags()}]
        tagged = ec2.create_network_interface(SubnetId=subnet, TagSpecifications=specification)[
            "NetworkInterface"
        ]
        undo.callback(ec2.delete_network_interface, NetworkInterfaceId=tagged["NetworkInterfaceId"])
        by_id = found_in(session)
    assert set(by_id) == {ours, held["NetworkInterfaceId"], tagged["NetworkInterfaceId"]}
    assert by_id[held["NetworkInterfaceId"]]["stack"] == "sweep-base"
    assert by_id[tagged["NetworkInterfaceId"]]["stack"] == "sweep-fleet"
    assert not set(theirs.values()) & set(by_id)


def test_an_interface_that_a_machine_holds_in_a_subnet_names_the_machine(session: Session) -> None:
    ec2 = session.client("ec2")
    with ExitStack() as undo:
        _, subnet = add_vpc(session, undo, tagged=True)
        (machine,) = ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="g5.xlarge", SubnetId=subnet
        )["Instances"]
        undo.callback(ec2.terminate_instances, InstanceIds=[machine["InstanceId"]])
        notes = [each["note"] for each in found_in(session).values() if each["kind"] == "network interface"]
    assert [note.split()[0] for note in notes] == [machine["InstanceId"]]


def test_log_groups_are_found_by_their_name_and_by_their_tag_once(session: Session) -> None:
    logs = session.client("logs")
    mine = {tag["Key"]: tag["Value"] for tag in tags(stack="sweep-base")}
    own = naming.log_group("sweep", naming.FLOW_LOGS)
    groups = {
        own: mine,
        naming.log_group("sweep", "stray"): {},
        "elsewhere": mine,
        "/fleetform/sweeper/x": {},
    }
    with ExitStack() as undo:
        for name, each in groups.items():
            logs.create_log_group(logGroupName=name, **({"tags": each} if each else {}))
            undo.callback(logs.delete_log_group, logGroupName=name)
        by_id = found_in(session)
        left = find_leftovers(session, ["sweep-base"]).left
    elsewhere = next(identity for identity in by_id if identity.endswith("elsewhere"))
    assert set(by_id) == {own, "/fleetform/sweep/stray", elsewhere}
    assert {by_id[identity]["stack"] for identity in (own, elsewhere)} == {"sweep-base"}
    assert [thing.id for thing in left] == ["/fleetform/sweep/stray"], "the base keeps what is its own"


def test_the_role_of_flow_logs_is_found_by_its_name(session: Session) -> None:
    iam = session.client("iam")
    with ExitStack() as undo:
        for name in ("sweep-flow-logs-us-east-1", "sweep-flow-logs-eu-west-1"):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
            undo.callback(iam.delete_role, RoleName=name)
        assert [each["kind"] for each in found_in(session).values()] == ["IAM role"]
