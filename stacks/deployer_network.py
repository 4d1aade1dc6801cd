"""What the deployer may do to networks: make their parts with our tag, change those that carry it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks import naming
from stacks.place import Place
from stacks.policies import statement

_TAG = f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}"
_NEW_TAG = f"aws:RequestTag/{naming.TAG_ENVIRONMENT}"
OURS: Mapping[str, Mapping[str, str]] = {
    "Null": {_TAG: "false"},
    "StringNotEquals": {_TAG: naming.ACCOUNT_STACK},
}
"""What it changes carries an environment's tag, which is not the account's."""
NEW: Mapping[str, Mapping[str, str]] = {
    "Null": {_NEW_TAG: "false"},
    "StringNotEquals": {_NEW_TAG: naming.ACCOUNT_STACK},
}
"""What it makes gets an environment's tag with the same call."""
_MADE = {
    "AllocateAddress": "elastic-ip",
    "CreateFlowLogs": "vpc-flow-log",
    "CreateInternetGateway": "internet-gateway",
    "CreateNatGateway": "natgateway",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "CreateSubnet": "subnet",
    "CreateVpc": "vpc",
    "CreateVpcEndpoint": "vpc-endpoint",
}
"""What makes a part of a network, and its kind."""
_PLACES = ("elastic-ip", "route-table", "subnet", "vpc")
_CHANGES = [
    "AssociateRouteTable",
    "AttachInternetGateway",
    "AuthorizeSecurityGroupEgress",
    "AuthorizeSecurityGroupIngress",
    "CreateRoute",
    "DeleteFlowLogs",
    "DeleteInternetGateway",
    "DeleteNatGateway",
    "DeleteRoute",
    "DeleteRouteTable",
    "DeleteSecurityGroup",
    "DeleteSubnet",
    "DeleteVpc",
    "DeleteVpcEndpoints",
    "DetachInternetGateway",
    "DisassociateAddress",
    "DisassociateRouteTable",
    "ModifySecurityGroupRules",
    "ModifySubnetAttribute",
    "ModifyVpcAttribute",
    "ModifyVpcEndpoint",
    "ReleaseAddress",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
]


def anywhere(place: Place, service: str, *resources: str) -> list[str]:
    """Return the ARNs of these things of the account in any region."""
    return [f"arn:{place.partition}:{service}:*:{place.account_id}:{each}" for each in resources]


def network_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to a network of its own, and to security groups and endpoints in another's."""
    inside = [f"ec2:{action}" for action in _MADE if action not in ("AllocateAddress", "CreateVpc")]
    return [
        statement(
            "MakeNetwork",
            actions=[f"ec2:{action}" for action in _MADE],
            resources=ec2_arns(place, *_MADE.values()),
            conditions=NEW,
        ),
        # Where it is put: a VPC that is there already carries no tag of ours.
        statement("PutNetwork", actions=inside, resources=ec2_arns(place, *_PLACES)),
        statement(
            "PutEndpoint",
            actions=["ec2:CreateVpcEndpoint"],
            resources=ec2_arns(place, "security-group"),
            conditions=OURS,
        ),
        statement(
            "MakeRules",
            actions=["ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress"],
            resources=ec2_arns(place, "security-group-rule"),
            conditions=NEW,
        ),
        # The group that a rule is taken from has to be ours; a VPC's own first rules carry no tag.
        statement(
            "EndRules",
            actions=["ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"],
            resources=ec2_arns(place, "security-group-rule"),
        ),
        statement(
            "ChangeNetwork",
            actions=[f"ec2:{action}" for action in _CHANGES],
            resources=ec2_arns(place, "*"),
            conditions=OURS,
        ),
        *_tag_statements(place),
    ]


def _tag_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to tag what is being made and what is ours already."""
    untagged = {"Null": {**NEW["Null"], _TAG: "true"}, "StringNotEquals": NEW["StringNotEquals"]}
    return [
        statement(
            "TagNew",
            actions=["ec2:CreateTags"],
            resources=ec2_arns(place, "*"),
            conditions={**NEW, "Null": {**NEW["Null"], "ec2:CreateAction": "false"}},
        ),
        # A VPC comes with a security group, which is taken over to be emptied. No condition tells it from
        # another that has no owner yet.
        statement(
            "TagDefaultGroup",
            actions=["ec2:CreateTags"],
            resources=ec2_arns(place, "security-group"),
            conditions=untagged,
        ),
        # But for the tag by which it is ours.
        statement(
            "TagOurs",
            actions=["ec2:CreateTags", "ec2:DeleteTags"],
            resources=ec2_arns(place, "*"),
            conditions={**OURS, "ForAllValues:StringNotEquals": {"aws:TagKeys": naming.TAG_ENVIRONMENT}},
        ),
    ]


def ec2_arns(place: Place, *kinds: str) -> list[str]:
    """Return the ARNs of everything of these kinds of EC2 in the account, in any region."""
    return anywhere(place, "ec2", *(f"{kind}/*" for kind in kinds))
