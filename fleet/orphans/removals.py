"""How one thing of each kind is deleted. Each may raise what the cloud answers: the caller tries again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from fleet import aws
from fleet.artifacts import empty_bucket
from fleet.errors import ActError
from fleet.listings.things import Thing
from fleet.run_file_systems import delete_idle

Clients = Callable[..., Any]
"""Returns a boto3 client for a service, in the thing's region where none is named beside it."""
Removal = Callable[[Clients, Thing], object]

_KEY_DAYS = 30
"""How long a deleted key can still be brought back: the most that KMS allows."""
_SECRET_DAYS = 7
"""The same of a secret: the least that Secrets Manager allows."""
_TASK_SECONDS = 60.0
"""How long a deletion waits for a task of an FSx file system that it has cancelled."""


class RefusedPartlyError(ActError):
    """A call that takes many ids was accepted, and yet refused one of them: perhaps not for good."""


def _require_done(answer: Mapping[str, Any]) -> None:
    """Raise RefusedPartlyError where a call that takes many ids was accepted and yet refused one of them."""
    for field in ("Unsuccessful", "UnsuccessfulFleetDeletions", "Errors"):
        for each in answer.get(field, ()):
            error = each.get("Error", each)
            raise RefusedPartlyError(f"{error.get('Code', field)}: {error.get('Message', each)}")


def _call(service: str, operation: str, argument: str, *, many: bool = False, **more: Any) -> Removal:
    """Return the deletion that is one call with one id, or with a list of it."""

    def remove(clients: Clients, thing: Thing) -> None:
        answer = getattr(clients(service), operation)(**{argument: [thing.id] if many else thing.id}, **more)
        _require_done(answer or {})

    return remove


def _key_pair(clients: Clients, thing: Thing) -> None:
    """A key pair, by its name."""
    clients("ec2").delete_key_pair(KeyName=thing.name)


def _group(clients: Clients, thing: Thing) -> None:
    """An Auto Scaling group, with the machines that it holds."""
    clients("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=thing.id, ForceDelete=True)


def _security_group(clients: Clients, thing: Thing) -> None:
    """A security group, first its own rules that name others: two that name each other hold each other.

    Rules of groups that stay are not touched, and EC2 refuses while one of them names this group.
    """
    ec2 = clients("ec2")
    (found,) = ec2.describe_security_groups(GroupIds=[thing.id])["SecurityGroups"]
    for side, revoke in (
        ("IpPermissions", ec2.revoke_security_group_ingress),
        ("IpPermissionsEgress", ec2.revoke_security_group_egress),
    ):
        if naming_others := [_pairs(rule) for rule in found[side] if rule.get("UserIdGroupPairs")]:
            revoke(GroupId=thing.id, IpPermissions=naming_others)
    ec2.delete_security_group(GroupId=thing.id)


def _pairs(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a rule names groups, as a revocation takes it."""
    ports = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in rule}
    named = [{"GroupId": each["GroupId"]} for each in rule["UserIdGroupPairs"]]
    return {**ports, "UserIdGroupPairs": named}


def _internet_gateway(clients: Clients, thing: Thing) -> None:
    ec2, gateway = clients("ec2"), thing.id
    found = ec2.describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]
    for each in found:
        for held in each.get("Attachments", ()):
            ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=held["VpcId"])
    ec2.delete_internet_gateway(InternetGatewayId=gateway)


def _route_table(clients: Clients, thing: Thing) -> None:
    ec2, table = clients("ec2"), thing.id
    for each in ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]:
        for used in each.get("Associations", ()):
            ec2.disassociate_route_table(AssociationId=used["RouteTableAssociationId"])
    ec2.delete_route_table(RouteTableId=table)


def _address(clients: Clients, thing: Thing) -> None:
    ec2, allocation = clients("ec2"), thing.id
    for each in ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]:
        if used := each.get("AssociationId"):
            ec2.disassociate_address(AssociationId=used)
    ec2.release_address(AllocationId=allocation)


def _image(clients: Clients, thing: Thing) -> None:
    """A machine image; its snapshots are things of their own."""
    clients("ec2").deregister_image(ImageId=thing.id)


def _lustre(clients: Clients, thing: Thing) -> None:
    delete_idle(clients("fsx"), thing.id, time.monotonic() + _TASK_SECONDS)


def _profile(clients: Clients, thing: Thing) -> None:
    iam, name = clients("iam"), thing.id
    found = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    for role in found["Roles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    iam.delete_instance_profile(InstanceProfileName=name)


def _role(clients: Clients, thing: Thing) -> None:
    """A role, with its own policies; those that it shares are only detached."""
    iam, name = clients("iam"), thing.id
    for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
        for each in page["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=each["PolicyArn"])
    for page in iam.get_paginator("list_role_policies").paginate(RoleName=name):
        for policy in page["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for page in iam.get_paginator("list_instance_profiles_for_role").paginate(RoleName=name):
        for each in page["InstanceProfiles"]:
            iam.remove_role_from_instance_profile(
                InstanceProfileName=each["InstanceProfileName"], RoleName=name
            )
    iam.delete_role(RoleName=name)


def _policy(clients: Clients, thing: Thing) -> None:
    iam, arn = clients("iam"), thing.id
    for page in iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn):
        for each in page["Versions"]:
            if not each["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=each["VersionId"])
    iam.delete_policy(PolicyArn=arn)


def _bucket(clients: Clients, thing: Thing) -> None:
    """A bucket with every version of all that is in it; where an object lock holds one, the bucket stays."""
    s3 = clients("s3")
    empty_bucket(s3, thing.id)
    s3.delete_bucket(Bucket=thing.id)


def _key(clients: Clients, thing: Thing) -> None:
    clients("kms").schedule_key_deletion(KeyId=thing.id, PendingWindowInDays=_KEY_DAYS)


def _secret(clients: Clients, thing: Thing) -> None:
    clients("secretsmanager").delete_secret(SecretId=thing.id, RecoveryWindowInDays=_SECRET_DAYS)


def _budget(clients: Clients, thing: Thing) -> None:
    _, account = aws.caller_account(clients("sts"))
    clients("budgets").delete_budget(AccountId=account, BudgetName=thing.id)


def _budget_action(clients: Clients, thing: Thing) -> None:
    """An action of the budget whose name it bears; what it has attached to roles goes with them."""
    _, account = aws.caller_account(clients("sts"))
    clients("budgets").delete_budget_action(AccountId=account, BudgetName=thing.name, ActionId=thing.id)


def _schedule(clients: Clients, thing: Thing) -> None:
    clients("scheduler").delete_schedule(GroupName=thing.id, Name=thing.id)


REMOVALS: Final[dict[str, Removal]] = {
    "schedule": _schedule,
    "schedule group": _call("scheduler", "delete_schedule_group", "Name"),
    "budget action": _budget_action,
    "budget": _budget,
    "Auto Scaling group": _group,
    "EC2 fleet": _call("ec2", "delete_fleets", "FleetIds", many=True, TerminateInstances=True),
    "spot request": _call("ec2", "cancel_spot_instance_requests", "SpotInstanceRequestIds", many=True),
    "EC2 instance": _call("ec2", "terminate_instances", "InstanceIds", many=True),
    "load balancer": _call("elbv2", "delete_load_balancer", "LoadBalancerArn"),
    "target group": _call("elbv2", "delete_target_group", "TargetGroupArn"),
    "EFS access point": _call("efs", "delete_access_point", "AccessPointId"),
    "EFS mount target": _call("efs", "delete_mount_target", "MountTargetId"),
    "EFS file system": _call("efs", "delete_file_system", "FileSystemId"),
    "FSx file system": _lustre,
    "FSx backup": _call("fsx", "delete_backup", "BackupId"),
    "VPC endpoint": _call("ec2", "delete_vpc_endpoints", "VpcEndpointIds", many=True),
    "NAT gateway": _call("ec2", "delete_nat_gateway", "NatGatewayId"),
    "flow log": _call("ec2", "delete_flow_logs", "FlowLogIds", many=True),
    "network interface": _call("ec2", "delete_network_interface", "NetworkInterfaceId"),
    "public address": _address,
    "EBS volume": _call("ec2", "delete_volume", "VolumeId"),
    "machine image": _image,
    "EBS snapshot": _call("ec2", "delete_snapshot", "SnapshotId"),
    "capacity reservation": _call("ec2", "cancel_capacity_reservation", "CapacityReservationId"),
    "launch template": _call("ec2", "delete_launch_template", "LaunchTemplateId"),
    "placement group": _call("ec2", "delete_placement_group", "GroupName"),
    "key pair": _key_pair,
    "security group": _security_group,
    "network access list": _call("ec2", "delete_network_acl", "NetworkAclId"),
    "internet gateway": _internet_gateway,
    "subnet": _call("ec2", "delete_subnet", "SubnetId"),
    "route table": _route_table,
    "VPC": _call("ec2", "delete_vpc", "VpcId"),
    "IAM instance profile": _profile,
    "IAM role": _role,
    "IAM policy": _policy,
    "SSM document": _call("ssm", "delete_document", "Name"),
    "SSM parameter": _call("ssm", "delete_parameter", "Name"),
    "SNS topic": _call("sns", "delete_topic", "TopicArn"),
    "log group": _call("logs", "delete_log_group", "logGroupName"),
    "secret": _secret,
    "S3 bucket": _bucket,
    "KMS alias": _call("kms", "delete_alias", "AliasName"),
    "KMS key": _key,
}
"""Kind -> how it is deleted, in the order of deletion: what holds another comes before it."""


def order_of(kind: str) -> int:
    """Return the place of a kind in the order; what nobody knows how to delete comes last."""
    kinds = list(REMOVALS)
    return kinds.index(kind) if kind in REMOVALS else len(kinds)
