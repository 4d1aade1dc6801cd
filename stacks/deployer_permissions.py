"""What the deployer may do: build, plan, change and tear down environments, and nothing of the account.

Where a call makes something, it has to give it an environment's tag at once; where it changes something,
that has to carry one. What cannot be narrowed so goes by the names that the stacks give. A test builds and
tears down as the deployer.
"""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.budget_rights import budget_building_statements
from stacks.deployer_machines import machine_statements
from stacks.deployer_network import anywhere, network_statements
from stacks.deployer_roles import handing_over, role_statements
from stacks.deployer_storage import (
    bucket_statements,
    file_system_statements,
    key_statements,
    log_statements,
)
from stacks.people_roles import record_statements
from stacks.place import Place
from stacks.policies import statement
from stacks.sweep_rights import sweep_statements

_LOOK = (
    "autoscaling:Describe*",
    "ec2:Describe*",
    "ec2:GetInstanceUefiData",
    "ec2:GetSecurityGroupsForVpc",
    "elasticfilesystem:Describe*",
    "elasticfilesystem:ListTagsForResource",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroups",
    "fsx:Describe*",
    "iam:GetAccountAuthorizationDetails",
    "iam:ListInstanceProfiles",
    "iam:ListPolicies",
    "iam:ListRoles",
    "cloudtrail:DescribeTrails",
    "cloudwatch:DescribeAlarms",
    "ec2:GetSerialConsoleAccessStatus",
    "kms:ListAliases",
    "kms:ListKeys",
    "logs:DescribeLogGroups",
    "s3:ListAllMyBuckets",
    "scheduler:ListScheduleGroups",
    "scheduler:ListSchedules",
    "secretsmanager:ListSecrets",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
    "servicequotas:ListServiceQuotas",
    "sns:GetSubscriptionAttributes",
    "sns:ListTopics",
    "ssm:DescribeInstanceInformation",
    "ssm:DescribeParameters",
    "ssm:GetCommandInvocation",
    "ssm:ListCommands",
    "ssm:ListDocuments",
    "tag:GetResources",
)
"""Listings, which cannot be narrowed to single things: a plan compares, a teardown looks for leftovers."""
_SEE_ACCOUNT = (
    "cloudtrail:Get*",
    "cloudtrail:ListTags",
    "cloudwatch:ListTagsForResource",
    "lambda:GetFunction*",
    "lambda:ListVersionsByFunction",
    "logs:DescribeMetricFilters",
    "logs:ListTagsForResource",
    "scheduler:Get*",
    "scheduler:ListTagsForResource",
    "sns:GetTopicAttributes",
    "sns:ListTagsForResource",
    "ssm:DescribeDocument*",
    "ssm:GetDocument",
    "ssm:ListTagsForResource",
)
_SEE_ACCOUNT_ROLES = (
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
)
_SEE_ACCOUNT_BUCKETS = (
    "s3:GetAccelerateConfiguration",
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
)
_SEE_KEYS = (
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:GetPublicKey",
    "kms:ListResourceTags",
)


def deployer_policies(account: AccountSpec, place: Place) -> dict[str, list[dict[str, Any]]]:
    """Return the deployer's statements by policy; several, for IAM limits what stands in one."""
    return {
        "network": network_statements(place),
        "machines": machine_statements(place),
        "storage": [*bucket_statements(account, place), *key_statements(place)],
        "files": [*file_system_statements(place), *log_statements(place), *_lease_statements(place)],
        "roles": role_statements(account, place),
        "services": [*handing_over(place), *budget_building_statements(place)],
        "account": _account_statements(account, place),
        "record": [*record_statements(account, place), *_record_statements(account, place)],
    }


def _lease_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to the environments' schedules and topics, by their names; the reaper's differ."""
    name = f"{naming.LEASE_PREFIX}*"
    return [
        statement(
            "Schedules",
            actions=[
                "scheduler:CreateSchedule",
                "scheduler:CreateScheduleGroup",
                "scheduler:DeleteSchedule",
                "scheduler:DeleteScheduleGroup",
                "scheduler:GetSchedule",
                "scheduler:GetScheduleGroup",
                "scheduler:ListTagsForResource",
                "scheduler:TagResource",
                "scheduler:UntagResource",
                "scheduler:UpdateSchedule",
            ],
            resources=anywhere(place, "scheduler", f"schedule-group/{name}", f"schedule/{name}/{name}"),
        ),
        statement(
            "Topics",
            actions=[
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:GetTopicAttributes",
                "sns:ListSubscriptionsByTopic",
                "sns:ListTagsForResource",
                "sns:SetTopicAttributes",
                "sns:Subscribe",
                "sns:TagResource",
                "sns:Unsubscribe",
                "sns:UntagResource",
            ],
            resources=anywhere(place, "sns", name),
        ),
    ]


def _record_statements(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return the rights to the environments' states and the ledger, and to see that the account is there."""
    names = (account.organization, account.region)
    state = place.bucket_arn(naming.state_bucket(*names))
    ledger = place.bucket_arn(naming.ledger_bucket(*names))
    logs = place.bucket_arn(naming.access_log_bucket(*names))
    states = [f"{state}/{naming.state_key(stack('*'))}" for stack in (naming.base_stack, naming.fleet_stack)]
    locks = [f"{each}.tflock" for each in states]
    return [
        statement("Look", actions=_LOOK, resources=["*"]),
        statement("States", actions=["s3:GetObject", "s3:PutObject"], resources=[*states, *locks]),
        statement("Unlock", actions=["s3:DeleteObject"], resources=locks),
        # Whether they are there is asked without a prefix.
        statement(
            "AccountBuckets",
            actions=["s3:ListBucket", "s3:ListBucketVersions"],
            resources=[state, ledger, logs],
        ),
        statement(
            "ReadLedgersVersions",
            actions=["s3:GetObjectVersion"],
            resources=[f"{ledger}/{prefix}*" for prefix in (naming.LEDGER_PREFIX, naming.CHECKPOINTS_PREFIX)],
        ),
    ]


def _account_statements(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return what it takes to plan the account's stack, as every plan does, and not to apply it.

    Its state can be read and locked; it holds no secret, as nothing in that stack is one.
    """
    state = place.bucket_arn(naming.state_bucket(account.organization, account.region))
    key = f"{state}/{naming.state_key(naming.ACCOUNT_STACK)}"
    name = naming.account_name(account.organization, "*")
    named = {
        "cloudtrail": f"trail/{name}",
        "cloudwatch": f"alarm:{name}",
        "lambda": f"function:{name}",
        "scheduler": f"schedule*/{name}",
        "sns": name,
        "ssm": f"document/{name}",
    }
    groups = f"log-group:{naming.account_log_group(account.organization, '*')}"
    return [
        statement("ReadAccountState", actions=["s3:GetObject"], resources=[key]),
        statement(
            "LockAccountState",
            actions=["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            resources=[f"{key}.tflock"],
        ),
        statement(
            "SeeAccount",
            actions=_SEE_ACCOUNT,
            resources=[
                *(each for service, kind in named.items() for each in anywhere(place, service, kind)),
                *anywhere(place, "logs", groups, f"{groups}:*"),
            ],
        ),
        *_settings_statements(place, name),
    ]


def _settings_statements(place: Place, name: str) -> list[dict[str, Any]]:
    """Return the rights to see roles and buckets of that name, and whose every key and bucket is."""
    return [
        statement(
            "SeeAccountRoles",
            actions=_SEE_ACCOUNT_ROLES,
            resources=[
                f"arn:{place.partition}:iam::{place.account_id}:{kind}/{name}" for kind in ("policy", "role")
            ],
        ),
        # A teardown tells by its tags whether a bucket or a key is one of the environment's.
        statement(
            "SeeKeys",
            actions=_SEE_KEYS,
            resources=anywhere(place, "kms", "key/*"),
        ),
        statement(
            "SeeAccountBuckets",
            actions=_SEE_ACCOUNT_BUCKETS,
            resources=[place.bucket_arn(name)],
        ),
        statement("SeeBuckets", actions=["s3:GetBucketTagging"], resources=[place.bucket_arn("*")]),
        *sweep_statements(place),
    ]
