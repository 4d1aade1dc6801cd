"""What the auditor may do: read the whole record and how everything is set, and change nothing.

Not what teams made or trained on, nor Terraform's state, which may hold secrets: the record tells who read
those, and an auditor who could read them too would be one more to watch.
"""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.deployer_network import anywhere
from stacks.people_roles import adding_statement
from stacks.place import Place
from stacks.policies import statement

_SEE = (
    "autoscaling:Describe*",
    "budgets:DescribeBudgetActionsForBudget",
    "budgets:ListTagsForResource",
    "budgets:ViewBudget",
    "cloudtrail:DescribeTrails",
    "cloudtrail:GetEventSelectors",
    "cloudtrail:GetTrailStatus",
    "cloudtrail:ListPublicKeys",
    "cloudtrail:ListTags",
    "cloudtrail:LookupEvents",
    "cloudwatch:DescribeAlarms",
    "ec2:Describe*",
    "ec2:GetEbsEncryptionByDefault",
    "ec2:GetSerialConsoleAccessStatus",
    "elasticfilesystem:Describe*",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroups",
    "fsx:Describe*",
    "iam:GenerateCredentialReport",
    "iam:Get*",
    "iam:List*",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:GetPublicKey",
    "kms:ListAliases",
    "kms:ListKeys",
    "kms:ListResourceTags",
    "lambda:GetFunctionConfiguration",
    "lambda:GetPolicy",
    "lambda:ListFunctions",
    "logs:Describe*",
    "logs:ListTagsForResource",
    "s3:ListAllMyBuckets",
    "scheduler:GetSchedule",
    "scheduler:ListScheduleGroups",
    "scheduler:ListSchedules",
    "scheduler:ListTagsForResource",
    "secretsmanager:ListSecrets",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptions",
    "sns:ListTagsForResource",
    "sns:ListTopics",
    "ssm:Describe*",
    "ssm:GetDocument",
    "ssm:ListCommands",
    "ssm:ListDocuments",
    "ssm:ListTagsForResource",
    "tag:GetResources",
)
"""How things are set, anywhere in the account: an audit of fleetform's things alone would miss the others.
None of these shows what is stored, or what a command printed."""
_SEE_BUCKETS = (
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:ListBucket",
    "s3:ListBucketVersions",
)


def auditor_policies(account: AccountSpec, place: Place) -> dict[str, list[dict[str, Any]]]:
    """Return the auditor's statements by policy."""
    return {
        "see": [statement("See", actions=_SEE, resources=["*"])],
        "record": _record_statements(account, place),
    }


def _record_statements(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return the rights to the record: ledger, trail, transcripts, accesses, log groups, flow logs."""
    names = (account.organization, account.region)
    record, accesses = naming.ledger_bucket(*names), naming.access_log_bucket(*names)
    every = place.bucket_arn(f"{account.organization}-*")
    groups = naming.account_log_group(account.organization, "*")
    return [
        statement(
            "ReadRecord",
            actions=[
                "s3:GetObject",
                "s3:GetObjectLegalHold",
                "s3:GetObjectRetention",
                "s3:GetObjectVersion",
            ],
            resources=[f"{place.bucket_arn(bucket)}/*" for bucket in (record, accesses)],
        ),
        # Every bucket of fleetform's begins with the organization's name.
        statement("SeeBuckets", actions=_SEE_BUCKETS, resources=[every]),
        statement(
            "ReadTranscripts",
            actions=["logs:FilterLogEvents", "logs:GetLogEvents", "logs:StartQuery"],
            resources=anywhere(place, "logs", f"log-group:{groups}", f"log-group:{groups}:*"),
        ),
        # A pack that is taken, and a look that fleetform refuses, is on record itself.
        adding_statement(account, place),
        _flow_statement(place),
        # What CloudTrail wrote is encrypted with the audit key.
        statement(
            "ReadTrail",
            actions=["kms:Decrypt"],
            resources=anywhere(place, "kms", "key/*"),
            conditions={
                "StringEquals": {"kms:ViaService": f"s3.{place.region}.amazonaws.com"},
                "Null": {"kms:EncryptionContext:aws:cloudtrail:arn": "false"},
            },
        ),
    ]


def _flow_statement(place: Place) -> dict[str, Any]:
    """Return the right to flow logs: who connected to a machine past Session Manager."""
    flows = naming.log_group("*", naming.FLOW_LOGS)
    return statement(
        "ReadFlows",
        actions=["logs:FilterLogEvents"],
        resources=anywhere(place, "logs", f"log-group:{flows}", f"log-group:{flows}:*"),
    )
