"""What an interrupted apply left in somebody else's VPC is taken over by its name there, if it is ours."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import ExitStack
from typing import Any

import pytest

from fleet.adopt import find_adoptable, find_before
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


def test_what_has_a_name_is_found_by_it(sandbox: Cloud) -> None:
    def at(service: str) -> Any:
        return client(sandbox, service, REGION)

    own = tags("adopt", "adopt-base")
    ec2, scheduler, secrets, budgets = at("ec2"), at("scheduler"), at("secretsmanager"), at("budgets")
    account = at("sts").get_caller_identity()["Account"]
    with ExitStack() as undo:
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        undo.callback(ec2.delete_vpc, VpcId=vpc)
        at("s3").create_bucket(Bucket="adopt-flows")
        undo.callback(at("s3").delete_bucket, Bucket="adopt-flows")
        flow_log = ec2.create_flow_logs(
            ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogDestinationType="s3",
            LogDestination="arn:aws:s3:::adopt-flows",
            TagSpecifications=[{"ResourceType": "vpc-flow-log", "Tags": own}],
        )["FlowLogIds"][0]  # fmt: skip
        undo.callback(ec2.delete_flow_logs, FlowLogIds=[flow_log])
        scheduler.create_schedule_group(Name="adopt-leases", Tags=own)
        undo.callback(scheduler.delete_schedule_group, Name="adopt-leases")
        scheduler.create_schedule(
            Name="adopt-lease", GroupName="adopt-leases", ScheduleExpression="rate(5 days)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": "arn:aws:sqs:us-east-1:1:x", "RoleArn": "arn:aws:iam::1:role/x"},
        )  # fmt: skip
        undo.callback(scheduler.delete_schedule, Name="adopt-lease", GroupName="adopt-leases")
        secret = secrets.create_secret(Name="adopt-munge", Tags=own)["ARN"]
        undo.callback(secrets.delete_secret, SecretId=secret, ForceDeleteWithoutRecovery=True)
        budgets.create_budget(
            AccountId=account,
            Budget={
                "BudgetName": "adopt", "BudgetType": "COST", "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": "10", "Unit": "USD"},
            },
            ResourceTags=own,
        )  # fmt: skip
        undo.callback(budgets.delete_budget, AccountId=account, BudgetName="adopt")
        exists = "it already exists"
        said = [
            failed("aws_flow_log.vpc", f"Flow Log ({vpc})", "FlowLogAlreadyExists"),
            failed("aws_scheduler_schedule_group.g", "Schedule Group (adopt-leases)", exists),
            failed("aws_scheduler_schedule.s", "Schedule (adopt-lease)", exists),
            failed("aws_secretsmanager_secret.munge", "Secrets Manager Secret (adopt-munge)", exists),
            failed("aws_budgets_budget.month", "Budget (adopt)", exists),
        ]
        ours = find_adoptable(said, sandbox, REGION, "adopt-base", died=False)
        another = find_adoptable(said, sandbox, REGION, "another-base", died=True)
    assert ours == [
        ("aws_flow_log.vpc", flow_log),
        ("aws_scheduler_schedule_group.g", "adopt-leases"),
        ("aws_scheduler_schedule.s", "adopt-leases/adopt-lease"),
        ("aws_secretsmanager_secret.munge", secret),
        ("aws_budgets_budget.month", f"{account}:adopt"),
    ]
    assert another == []


def test_a_function_that_a_killed_apply_has_made_is_found_before_the_provider_tries_for_minutes(
    sandbox: Cloud,
) -> None:
    functions, iam = client(sandbox, "lambda", REGION), client(sandbox, "iam", REGION)
    trust = {
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda"}}]
    }
    role = iam.create_role(RoleName="adopt-function", AssumeRolePolicyDocument=json.dumps(trust))["Role"][
        "Arn"
    ]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("handler.py", "")
    functions.create_function(
        FunctionName="adopt-reaper", Runtime="python3.12", Role=role, Handler="handler.handle",
        Code={"ZipFile": archive.getvalue()}, Tags={"fleetform:stack": "adopt-base"},
    )  # fmt: skip
    declared = {name: {"function_name": f"adopt-{name}"} for name in ("reaper", "not-there")}
    configuration = {"resource": {"aws_lambda_function": declared}}
    try:
        found = [
            find_before(configuration, known, sandbox, REGION, stack)
            for known, stack in (
                ({}, "adopt-base"),
                ({"aws_lambda_function.reaper": "adopt-reaper"}, "adopt-base"),
                ({}, "another-base"),
            )
        ]
    finally:
        functions.delete_function(FunctionName="adopt-reaper")
        iam.delete_role(RoleName="adopt-function")
    assert found == [[("aws_lambda_function.reaper", "adopt-reaper")], [], []]


def test_the_parts_of_a_network_are_found_by_their_tags_and_places(sandbox: Cloud) -> None:
    ec2 = client(sandbox, "ec2", REGION)

    def named(kind: str, name: str) -> list[dict[str, Any]]:
        return [
            {"ResourceType": kind, "Tags": [*tags("adopt", "adopt-base"), {"Key": "Name", "Value": name}]}
        ]

    def subnet_of(vpc: str) -> str:
        made = ec2.create_subnet(
            VpcId=vpc, CidrBlock="10.7.0.0/24", TagSpecifications=named("subnet", "adopt-private-0")
        )["Subnet"]["SubnetId"]
        undo.callback(ec2.delete_subnet, SubnetId=made)
        return str(made)

    with ExitStack() as undo:
        vpcs = []
        for name in ("adopt", "adopt"):  # one of them is in the state: what lies in the other is none of it
            made = ec2.create_vpc(CidrBlock="10.7.0.0/16", TagSpecifications=named("vpc", name))["Vpc"][
                "VpcId"
            ]
            undo.callback(ec2.delete_vpc, VpcId=made)
            vpcs.append(made)
        subnets = [subnet_of(vpc) for vpc in vpcs]
        table = ec2.create_route_table(
            VpcId=vpcs[0], TagSpecifications=named("route-table", "adopt-private-0")
        )["RouteTable"]["RouteTableId"]
        undo.callback(ec2.delete_route_table, RouteTableId=table)
        joined = ec2.associate_route_table(RouteTableId=table, SubnetId=subnets[0])["AssociationId"]
        undo.callback(ec2.disassociate_route_table, AssociationId=joined)
        gateway = ec2.create_internet_gateway(TagSpecifications=named("internet-gateway", "adopt"))[
            "InternetGateway"
        ]["InternetGatewayId"]
        undo.callback(ec2.delete_internet_gateway, InternetGatewayId=gateway)
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpcs[0])
        undo.callback(ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=vpcs[0])
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        endpoint = ec2.create_vpc_endpoint(
            VpcId=vpcs[0], ServiceName="com.amazonaws.us-east-1.s3", VpcEndpointType="Gateway",
            RouteTableIds=[table], TagSpecifications=named("vpc-endpoint", "adopt-s3"),
        )["VpcEndpoint"]["VpcEndpointId"]  # fmt: skip
        undo.callback(ec2.delete_vpc_endpoints, VpcEndpointIds=[endpoint])
        group = ec2.create_security_group(GroupName="adopt-nodes", Description="x", VpcId=vpcs[0])["GroupId"]
        undo.callback(ec2.delete_security_group, GroupId=group)
        allowed = ec2.authorize_security_group_ingress(
            GroupId=group,
            IpPermissions=[
                {
                    "IpProtocol": "tcp", "FromPort": port, "ToPort": port,
                    "UserIdGroupPairs": [{"GroupId": group, "Description": "Nodes"}],
                }
                for port in (443, 988)
            ],
        )["SecurityGroupRules"]  # fmt: skip
        (rule,) = [each["SecurityGroupRuleId"] for each in allowed if each["FromPort"] == 988]
        own = {"tags": {"Name": "adopt"}, "vpc_id": "${aws_vpc.main.id}"}
        private = {"tags": {"Name": "adopt-private-0"}, "vpc_id": "${aws_vpc.main.id}"}
        in_table = {"route_table_id": "${aws_route_table.private_0.id}"}
        configuration = {
            "resource": {
                "aws_vpc": {"main": {"tags": {"Name": "adopt"}}},
                "aws_internet_gateway": {"main": own},
                "aws_subnet": {"private_0": private, "private_1": {**private, "tags": {"Name": "adopt-1"}}},
                "aws_route_table": {"private_0": private},
                "aws_route_table_association": {
                    "private_0": {**in_table, "subnet_id": "${aws_subnet.private_0.id}"},
                    "private_1": {**in_table, "subnet_id": "${aws_subnet.private_1.id}"},
                },
                "aws_route": {"out": {**in_table, "destination_cidr_block": "0.0.0.0/0"}},
                "aws_vpc_endpoint": {"s3": {**own, "tags": {"Name": "adopt-s3"}}},
                "aws_vpc_security_group_ingress_rule": {
                    "lustre": {
                        "ip_protocol": "tcp", "from_port": 988, "to_port": 988,
                        "security_group_id": "${aws_security_group.nodes.id}",
                        "referenced_security_group_id": "${aws_security_group.nodes.id}",
                    }
                },
            }
        }  # fmt: skip
        known = {"aws_vpc.main": vpcs[0], "aws_security_group.nodes": group}
        found = find_before(configuration, known, sandbox, REGION, "adopt-base")
        strange = find_before(configuration, known, sandbox, REGION, "another-base")
        vpc_found = find_before(configuration, {}, sandbox, REGION, "adopt-base")[0]
    assert dict(found) == {
        "aws_internet_gateway.main": gateway,
        "aws_subnet.private_0": subnets[0],
        "aws_route_table.private_0": table,
        "aws_route_table_association.private_0": f"{subnets[0]}/{table}",
        "aws_route.out": f"{table}_0.0.0.0/0",
        "aws_vpc_endpoint.s3": endpoint,
        "aws_vpc_security_group_ingress_rule.lustre": rule,
    }
    assert dict(strange) == {"aws_vpc_security_group_ingress_rule.lustre": rule}, "it is in a group of ours"
    assert vpc_found == ("aws_vpc.main", min(vpcs))
