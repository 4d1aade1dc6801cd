"""What the reaper may do: look everywhere, end what has our tag, write the record, and tell of it."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account_parts import AccountParts
from stacks.policies import statement


def reaper_permissions(parts: AccountParts, log_group_arn: str) -> list[dict[str, Any]]:
    """Return the statements of the reaper's role; it touches no data and starts nothing."""
    return [*_look(parts), *_end(parts), *_tell(parts, log_group_arn)]


def _look(parts: AccountParts) -> list[dict[str, Any]]:
    return [
        # These cannot be narrowed to single resources.
        statement(
            "Look",
            actions=[
                "autoscaling:DescribeAutoScalingGroups",
                "ec2:DescribeInstances",
                "ec2:DescribeRegions",
                "fsx:DescribeFileSystems",
                "scheduler:ListSchedules",
            ],
            resources=["*"],
        ),
        statement(
            "ReadLeases",
            actions=["scheduler:GetSchedule"],
            resources=[
                parts.place.arn("scheduler", f"schedule/{naming.LEASE_PREFIX}*/{naming.LEASE_PREFIX}*")
            ],
        ),
    ]


def _end(parts: AccountParts) -> list[dict[str, Any]]:
    anywhere, account_id = f"arn:{parts.place.partition}", parts.place.account_id
    ours = {"Null": {f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}": "false"}}
    return [
        statement(
            "Rest",
            actions=[
                "autoscaling:SetInstanceProtection",
                "autoscaling:SuspendProcesses",
                "autoscaling:UpdateAutoScalingGroup",
            ],
            resources=[f"{anywhere}:autoscaling:*:{account_id}:autoScalingGroup:*:autoScalingGroupName/*"],
            conditions=ours,
        ),
        statement(
            "End",
            actions=["ec2:TerminateInstances"],
            resources=[f"{anywhere}:ec2:*:{account_id}:instance/*"],
            conditions=ours,
        ),
        # What of a machine's being idle is on record.
        statement(
            "TellIdle",
            actions=["ec2:CreateTags"],
            resources=[f"{anywhere}:ec2:*:{account_id}:instance/*"],
            conditions={
                **ours,
                "ForAllValues:StringEquals": {"aws:TagKeys": [naming.TAG_IDLE_TOLD, naming.TAG_IDLE_WARNED]},
            },
        ),
    ]


def _tell(parts: AccountParts, log_group_arn: str) -> list[dict[str, Any]]:
    place, ledger = parts.place, parts.place.bucket_arn(parts.audit_bucket)
    folders = [f"{prefix}*" for prefix in (naming.LEDGER_PREFIX, naming.CHECKPOINTS_PREFIX)]
    return [
        statement(
            "FindEndOfLedger",
            actions=["s3:ListBucket"],
            resources=[ledger],
            conditions={"StringLike": {"s3:prefix": folders}},
        ),
        statement(
            "WriteLedger",
            actions=["s3:GetObject", "s3:PutObject"],
            resources=[f"{ledger}/{folder}" for folder in folders],
        ),
        statement(
            "SignCheckpoints",
            actions=["kms:GetPublicKey", "kms:Sign"],
            resources=[parts.ledger_key.arn],
        ),
        statement(
            "Tell",
            actions=["sns:Publish"],
            resources=[parts.topic_arn, place.arn("sns", f"{naming.LEASE_PREFIX}*")],
        ),
        statement(
            "UseKey",
            actions=["kms:Decrypt", "kms:GenerateDataKey*"],
            resources=[parts.key.arn],
        ),
        statement(
            "Log", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[f"{log_group_arn}:*"]
        ),
    ]
