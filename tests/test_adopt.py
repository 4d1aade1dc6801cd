"""What an interrupted apply left in somebody else's VPC is taken over by its name there, if it is ours."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from fleet.adopt import find_adoptable
from fleet.aws import client
from fleet.cloud import Cloud
from fleet.terraform_events import Diagnostic
from tests.sweep_helpers import tags

pytestmark = pytest.mark.sandbox
REGION = "us-east-1"
SSM, S3 = f"com.amazonaws.{REGION}.ssm", f"com.amazonaws.{REGION}.s3"
DUPLICATE = "api error InvalidGroup.Duplicate: The security group already exists for VPC"
CONFLICT = "api error InvalidParameter: there is already a conflicting DNS domain for ssm"
"""As EC2 says it."""


def failed(address: str, what: str, why: str) -> Diagnostic:
    """Return what the provider says of a resource that could not be made."""
    return Diagnostic(severity="error", summary=f"creating {what}: operation error: {why}", address=address)


@pytest.mark.parametrize(("stack", "found"), [("adopt-base", True), ("another-base", False)])
def test_a_group_and_an_endpoint_are_taken_over_by_the_stack_that_made_them(
    sandbox: Cloud, stack: str, found: bool
) -> None:
    ec2 = client(sandbox, "ec2", REGION)
    with ExitStack() as undo:
        vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
        undo.callback(ec2.delete_vpc, VpcId=vpc)
        own = tags("adopt", "adopt-base")
        group = ec2.create_security_group(
            GroupName="adopt-nodes",
            Description="x",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": own}],
        )["GroupId"]
        undo.callback(ec2.delete_security_group, GroupId=group)
        endpoint = ec2.create_vpc_endpoint(
            VpcId=vpc,
            ServiceName=SSM,
            VpcEndpointType="Interface",
            TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": own}],
        )["VpcEndpoint"]["VpcEndpointId"]
        undo.callback(ec2.delete_vpc_endpoints, VpcEndpointIds=[endpoint])
        said = [
            failed("aws_security_group.nodes", "Security Group (adopt-nodes)", DUPLICATE),
            failed("aws_vpc_endpoint.ssm", f"EC2 VPC Endpoint ({SSM})", CONFLICT),
            failed("aws_vpc_endpoint.s3", f"EC2 VPC Endpoint ({S3})", "RouteAlreadyExists"),
            failed("aws_subnet.private_0", "EC2 Subnet (x)", "already exists"),
        ]
        adopted = find_adoptable(said, sandbox, REGION, stack, died=True)
    expected = [("aws_security_group.nodes", group), ("aws_vpc_endpoint.ssm", endpoint)]
    assert adopted == (expected if found else [])


@pytest.mark.parametrize(("stack", "found"), [("adopt-base", True), ("another-base", False)])
def test_a_shared_file_system_that_was_retained_is_taken_over_by_its_creation_token(
    sandbox: Cloud, stack: str, found: bool
) -> None:
    efs = client(sandbox, "efs", REGION)
    system = efs.create_file_system(CreationToken="adopt-shared", Tags=tags("adopt", "adopt-base"))[
        "FileSystemId"
    ]
    try:
        with pytest.raises(efs.exceptions.FileSystemAlreadyExists) as refused:
            efs.create_file_system(CreationToken="adopt-shared")
        said = failed("aws_efs_file_system.shared", "EFS file system", str(refused.value))
        adopted = find_adoptable([said], sandbox, REGION, stack, died=False)
    finally:
        efs.delete_file_system(FileSystemId=system)
    assert adopted == ([("aws_efs_file_system.shared", system)] if found else [])
