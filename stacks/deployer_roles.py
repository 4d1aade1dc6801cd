"""What the deployer may do to roles: make those of environments within the boundary, and hand them over."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.boundary import boundary_arn
from stacks.budget_policy import over_budget_arn
from stacks.deployer_network import NEW, OURS
from stacks.entry_policy import deny_entry_arn
from stacks.fast_files import SERVICE_ROLES
from stacks.place import Place
from stacks.policies import statement

_MACHINE_ROLES = (naming.ROLE_HEAD, naming.ROLE_NODE)
_ROLES = (
    *_MACHINE_ROLES,
    naming.ROLE_MEMBER,
    naming.ROLE_OPERATOR,
    naming.ROLE_RUN,
    naming.FLOW_LOGS,
    naming.LEASE,
    naming.BUDGET,
)
"""Every role of an environment, as it is called between the environment's name and the region."""
_SERVICES_WITH_ROLES = (
    "autoscaling.amazonaws.com",
    "ec2fleet.amazonaws.com",
    "elasticfilesystem.amazonaws.com",
    "fsx.amazonaws.com",
    "s3.data-source.lustre.fsx.amazonaws.com",
    "spot.amazonaws.com",
)
"""Services that make a role of their own when they are first used, in the caller's name."""
_SEE_ROLES = (
    "iam:GetInstanceProfile",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListInstanceProfileTags",
    "iam:ListInstanceProfilesForRole",
    "iam:ListRolePolicies",
    "iam:ListRoleTags",
)
_CHANGE_ROLES = (
    "iam:DeleteRole",
    "iam:UntagRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
    "iam:UpdateRoleDescription",
)
_PROFILES = (
    "iam:AddRoleToInstanceProfile",
    "iam:DeleteInstanceProfile",
    "iam:RemoveRoleFromInstanceProfile",
    "iam:UntagInstanceProfile",
)


def role_statements(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return the rights to the environments' roles: none is made, or given anything, without the boundary."""
    bounded = {
        "iam:PermissionsBoundary": boundary_arn(account.organization, place.partition, place.account_id)
    }
    roles = _iam(place, *(f"role/*-{each}-*" for each in _ROLES))
    profiles = _iam(place, *(f"instance-profile/*-{each}-*" for each in _MACHINE_ROLES))
    attached = [
        f"arn:{place.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore",
        deny_entry_arn(account, place),
        # AWS Budgets has attached it, where the bill was over the budget.
        over_budget_arn(account.organization, place.partition, place.account_id),
    ]
    ours_bounded = {**OURS, "StringEquals": bounded}
    return [
        statement(
            "MakeRoles",
            actions=["iam:CreateRole"],
            resources=roles,
            conditions={**NEW, "StringEquals": bounded},
        ),
        statement(
            "FillRoles",
            actions=["iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"],
            resources=roles,
            conditions=ours_bounded,
        ),
        statement(
            "AttachToRoles",
            actions=["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
            resources=roles,
            conditions={**ours_bounded, "ArnEquals": {"iam:PolicyARN": attached}},
        ),
        *_change_statements(roles, profiles),
    ]


def _change_statements(roles: list[str], profiles: list[str]) -> list[dict[str, Any]]:
    """Return the rights to change, tag and see roles and instance profiles that are there."""
    return [
        statement(
            "ChangeRoles",
            actions=_CHANGE_ROLES,
            resources=roles,
            conditions=OURS,
        ),
        statement(
            "TagRoles",
            actions=["iam:TagInstanceProfile", "iam:TagRole"],
            resources=[*roles, *profiles],
            conditions={"StringNotEqualsIfExists": NEW["StringNotEquals"]},
        ),
        statement(
            "SeeRoles",
            actions=_SEE_ROLES,
            resources=[*roles, *profiles],
        ),
        statement("MakeProfiles", actions=["iam:CreateInstanceProfile"], resources=profiles, conditions=NEW),
        statement("Profiles", actions=_PROFILES, resources=profiles, conditions=OURS),
    ]


def handing_over(place: Place) -> list[dict[str, Any]]:
    """Return what lets services act by roles: each kind of role for its one service, and their own."""
    services = {
        "ec2": _iam(place, *(f"role/*-{each}-*" for each in _MACHINE_ROLES)),
        "vpc-flow-logs": _iam(place, f"role/*-{naming.FLOW_LOGS}-*"),
        "scheduler": _iam(place, f"role/*-{naming.LEASE}-*"),
        "budgets": _iam(place, f"role/*-{naming.BUDGET}-*"),
    }
    return [
        *(
            statement(
                f"PassTo{service.title().replace('-', '')}",
                actions=["iam:PassRole"],
                resources=roles,
                conditions={"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
            )
            for service, roles in services.items()
        ),
        statement(
            "ServicesOwnRoles",
            actions=["iam:CreateServiceLinkedRole"],
            resources=_iam(place, "role/aws-service-role/*"),
            conditions={"StringEquals": {"iam:AWSServiceName": _SERVICES_WITH_ROLES}},
        ),
        # FSx reads and writes buckets by a role of its own, which it makes in the caller's name.
        statement(
            "LinkBuckets",
            actions=["iam:AttachRolePolicy", "iam:PutRolePolicy"],
            resources=_iam(place, f"role/{SERVICE_ROLES}/*"),
        ),
    ]


def _iam(place: Place, *resources: str) -> list[str]:
    return [f"arn:{place.partition}:iam::{place.account_id}:{each}" for each in resources]
