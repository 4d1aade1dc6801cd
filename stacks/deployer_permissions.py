"""What the deployer may do: build, plan, change and tear down environments, and nothing of the account.

Where a call makes something, it has to give it an environment's tag at once; where it changes something,
that has to carry one. What cannot be narrowed so goes by the names that the stacks give. A test builds and
tears down as the deployer.
"""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.boundary import boundary_arn
from stacks.deployer_network import anywhere, machine_statements, network_statements
from stacks.deployer_roles import role_statements
from stacks.deployer_storage import (
    bucket_statements,
    file_system_statements,
    key_statements,
    log_statements,
)
from stacks.entry_policy import deny_entry_arn
from stacks.people_roles import record_statements
from stacks.place import Place
from stacks.policies import statement

_LOOK = (
    "autoscaling:Describe*",
    "ec2:Describe*",
    "ec2:GetSecurityGroupsForVpc",
    "elasticfilesystem:Describe*",
    "elasticfilesystem:ListTagsForResource",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTags",
    "fsx:Describe*",
    "iam:ListInstanceProfiles",
    "iam:ListPolicies",
    "iam:ListRoles",
    "kms:ListAliases",
    "kms:ListKeys",
    "logs:DescribeLogGroups",
    "s3:ListAllMyBuckets",
    "scheduler:ListScheduleGroups",
    "scheduler:ListSchedules",
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


def deployer_policies(account: AccountSpec, place: Place) -> dict[str, list[dict[str, Any]]]:
    """Return the deployer's statements by policy; several, for IAM limits what stands in one."""
    return {
        "network": network_statements(place),
        "machines": machine_statements(place),
        "storage": [*bucket_statements(account, place), *key_statements(place)],
        "files": [*file_system_statements(place), *log_statements(place), *_lease_statements(place)],
        "roles": role_statements(account, place),
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
        statement(
            "AccountStands",
            actions=["s3:GetObject"],
            resources=[f"{state}/{naming.state_key(naming.ACCOUNT_STACK)}"],
        ),
        # Whether they are there is asked without a prefix.
        statement("AccountBuckets", actions=["s3:ListBucket"], resources=[state, ledger, logs]),
        statement(
            "AccountSettings",
            actions=["s3:GetBucketObjectLockConfiguration", "s3:GetBucketPolicy", "s3:ListBucketVersions"],
            resources=[ledger, logs],
        ),
        statement(
            "AccountPolicies",
            actions=["iam:GetPolicy"],
            resources=[
                boundary_arn(account.organization, place.partition, place.account_id),
                deny_entry_arn(account, place),
            ],
        ),
        statement(
            "ReadLedgersVersions",
            actions=["s3:GetObjectVersion"],
            resources=[f"{ledger}/{naming.LEDGER_PREFIX}*"],
        ),
    ]
