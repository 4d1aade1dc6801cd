"""The embedded cloud refuses to delete what something hangs on, as EC2 does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from tests.sandbox_helpers import IMAGE, api

pytestmark = pytest.mark.sandbox


def add_network(ec2: Any, undo: ExitStack) -> tuple[str, str, str]:
    """Make a VPC with a subnet and a group; return their ids."""
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    undo.callback(ec2.delete_vpc, VpcId=vpc)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    undo.callback(ec2.delete_subnet, SubnetId=subnet)
    group = ec2.create_security_group(GroupName="anything", Description="x", VpcId=vpc)["GroupId"]
    undo.callback(ec2.delete_security_group, GroupId=group)
    return vpc, subnet, group


def test_an_interface_holds_its_subnet_and_its_group(sandbox: Cloud) -> None:
    ec2 = api(sandbox, "ec2")
    with ExitStack() as undo:
        vpc, subnet, group = add_network(ec2, undo)
        made = ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]
        undo.callback(ec2.delete_network_interface, NetworkInterfaceId=made["NetworkInterfaceId"])
        with pytest.raises(ClientError, match=r"DependencyViolation.*has dependencies"):
            ec2.delete_subnet(SubnetId=subnet)
        with pytest.raises(ClientError, match=r"DependencyViolation.*has a dependent object"):
            ec2.delete_security_group(GroupId=group)
        with pytest.raises(ClientError, match="DependencyViolation"):
            ec2.delete_vpc(VpcId=vpc)


def test_a_rule_of_another_group_holds_the_group_that_it_names_and_its_own_rule_does_not(
    sandbox: Cloud,
) -> None:
    ec2 = api(sandbox, "ec2")
    with ExitStack() as undo:
        vpc, _, group = add_network(ec2, undo)
        other = ec2.create_security_group(GroupName="other", Description="x", VpcId=vpc)["GroupId"]
        undo.callback(ec2.delete_security_group, GroupId=other)
        permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
        ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[permission])
        undo.callback(ec2.revoke_security_group_ingress, GroupId=other, IpPermissions=[permission])
        with pytest.raises(ClientError, match="DependencyViolation"):
            ec2.delete_security_group(GroupId=group)


def test_a_machines_interface_is_in_use_until_the_machine_ends_and_may_outlive_it(sandbox: Cloud) -> None:
    ec2 = api(sandbox, "ec2")
    with ExitStack() as undo:
        _, subnet, group = add_network(ec2, undo)
        made = ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]
        identity = made["NetworkInterfaceId"]
        (machine,) = ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="t3.micro", SubnetId=subnet
        )["Instances"]
        attached = {"NetworkInterfaceId": identity, "InstanceId": machine["InstanceId"]}
        ec2.attach_network_interface(**attached, DeviceIndex=1)
        with pytest.raises(ClientError, match=r"InvalidNetworkInterface\.InUse"):
            ec2.delete_network_interface(NetworkInterfaceId=identity)
        with pytest.raises(ClientError, match="DependencyViolation"):
            ec2.delete_subnet(SubnetId=subnet)
        ec2.terminate_instances(InstanceIds=[machine["InstanceId"]])
        (left,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[identity])["NetworkInterfaces"]
        assert left["Status"] == "available" and "Attachment" not in left
        ec2.delete_network_interface(NetworkInterfaceId=identity)


def test_a_gateway_endpoint_holds_its_vpc_alone_and_goes_though_its_route_table_has_gone(
    sandbox: Cloud,
) -> None:
    ec2 = api(sandbox, "ec2")
    with ExitStack() as undo:
        vpcs = [ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"] for _ in range(2)]
        undo.callback(ec2.delete_vpc, VpcId=vpcs[0])
        table = ec2.create_route_table(VpcId=vpcs[0])["RouteTable"]["RouteTableId"]
        made = ec2.create_vpc_endpoint(
            VpcId=vpcs[0], ServiceName="com.amazonaws.us-east-1.s3", VpcEndpointType="Gateway",
            RouteTableIds=[table],
        )["VpcEndpoint"]["VpcEndpointId"]  # fmt: skip
        undo.callback(ec2.delete_vpc_endpoints, VpcEndpointIds=[made])
        ec2.delete_route_table(RouteTableId=table)
        with pytest.raises(ClientError, match=r"DependencyViolation.*has dependencies"):
            ec2.delete_vpc(VpcId=vpcs[0])
        ec2.delete_vpc(VpcId=vpcs[1])
