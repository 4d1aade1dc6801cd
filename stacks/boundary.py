"""The permission boundary of every role of an environment: what such a role can be given at most.

A role has what its own policies and the boundary both allow. So whoever makes roles for environments (the
deployer, and nobody below) cannot make one that does more than this, whatever policies it gets. It is one
policy of the account, made over the API before the first role and taken over by the account's stack.
"""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.budget_policy import over_budget_arn
from stacks.policies import policy, statement, variable

DESCRIPTION = "What the roles of fleetform's environments can be given at most"
"""IAM cannot change a policy's description, so it is the same over the API."""
_AGENT = [
    "ec2messages:AcknowledgeMessage",
    "ec2messages:DeleteMessage",
    "ec2messages:FailMessage",
    "ec2messages:GetEndpoint",
    "ec2messages:GetMessages",
    "ec2messages:SendReply",
    "ssm:DescribeAssociation",
    "ssm:DescribeDocument",
    "ssm:Get*",
    "ssm:List*",
    "ssm:Put*",
    "ssm:UpdateAssociationStatus",
    "ssm:UpdateInstance*",
    "ssmmessages:*",
]
"""What AmazonSSMManagedInstanceCore allows, all but a few by their beginnings."""
_LOOK = [
    "autoscaling:Describe*",
    "budgets:DescribeBudgetActionsForBudget",
    "budgets:ViewBudget",
    "ec2:Describe*",
    "fsx:Describe*",
    "logs:DescribeLogGroups",
    "ssm:Describe*",
]
"""What the machines and the people of an environment look at; none can be narrowed to single things."""
_ACT = [
    "autoscaling:SetDesiredCapacity",
    "autoscaling:TerminateInstanceInAutoScalingGroup",
    "ec2:AttachVolume",
    "ec2:CreateFleet",
    "ec2:CreateTags",
    "ec2:DeleteTags",
    "ec2:DetachVolume",
    "ec2:RebootInstances",
    "ec2:RunInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
    # The file system's policy gives them to a role by its name, and a boundary limits that too.
    "elasticfilesystem:ClientMount",
    "elasticfilesystem:ClientWrite",
    "fsx:CancelDataRepositoryTask",
    "fsx:CreateDataRepositoryAssociation",
    "fsx:CreateDataRepositoryTask",
    "fsx:CreateFileSystem",
    "fsx:DeleteFileSystem",
    "fsx:TagResource",
    "ssm:CancelCommand",
    "ssm:ResumeSession",
    "ssm:TerminateSession",
]
CHECK_DOCUMENT = {"BoolIfExists": {"ssm:SessionDocumentAccessCheck": "true"}}
"""With it, whoever names no document is asked for the right to the account's default one, and has none."""


def boundary_arn(organization: str, partition: str, account_id: str) -> str:
    """Return the ARN of the environments' boundary; `partition` and `account_id` may be references."""
    return naming.account_policy_arn(organization, naming.BOUNDARY, partition, account_id)


def boundary_document(organization: str, partition: str, account_id: str) -> str:
    """Return the environments' boundary as the stacks have it; over the API it goes by `as_iam_reads`."""
    return policy(
        *_data(organization, partition, account_id),
        *_keys(partition, account_id),
        *_services(organization, partition, account_id),
        *_other_roles(partition, account_id),
        _over_budget(organization, partition, account_id),
        *_entry(organization, partition, account_id),
        _own_environment(),
    )


def _data(organization: str, partition: str, account_id: str) -> list[dict[str, Any]]:
    """Return what roles may reach of buckets, keys and logs: those that fleetform names, no others."""
    names = [f"{organization}-*-{kind}-*" for kind in ("artifacts", "datasets")]
    buckets = [f"arn:{partition}:s3:::{name}" for name in (*names, f"{organization}-fleetform-ledger-*")]
    return [
        statement(
            "Objects",
            actions=[
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetBucketLocation",
                "s3:GetEncryptionConfiguration",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            resources=buckets,
        ),
        statement(
            "LogGroups",
            actions=[
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:FilterLogEvents",
                "logs:GetLogEvents",
                "logs:PutLogEvents",
            ],
            resources=[f"arn:{partition}:logs:*:{account_id}:log-group:/fleetform/*"],
        ),
    ]


def _keys(partition: str, account_id: str) -> list[dict[str, Any]]:
    """Return how roles may use keys, which fence other environments off by themselves."""
    return [
        statement(
            "Keys",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[f"arn:{partition}:kms:*:{account_id}:key/*"],
        ),
        statement(
            "KeysOfDisks",
            actions=["kms:CreateGrant"],
            resources=[f"arn:{partition}:kms:*:{account_id}:key/*"],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def _services(organization: str, partition: str, account_id: str) -> list[dict[str, Any]]:
    reaper = naming.account_name(organization, naming.REAPER)
    lease = f"schedule/{naming.LEASE_PREFIX}*/{naming.LEASE_PREFIX}*"
    return [
        statement("Agent", actions=_AGENT, resources=["*"]),
        statement("Look", actions=_LOOK, resources=["*"]),
        statement("Act", actions=_ACT, resources=["*"]),
        statement(
            "Lease",
            actions=["lambda:InvokeFunction", "scheduler:GetSchedule"],
            resources=[
                f"arn:{partition}:lambda:*:{account_id}:function:{reaper}",
                f"arn:{partition}:scheduler:*:{account_id}:{lease}",
            ],
        ),
        statement(
            "ClusterKey",
            actions=[
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
            ],
            resources=[f"arn:{partition}:secretsmanager:*:{account_id}:secret:{naming.munge_secret('*')}-*"],
        ),
    ]


def _other_roles(partition: str, account_id: str) -> list[dict[str, Any]]:
    """Return what roles may do with other roles: hand on those of nodes, take on those of runs."""
    return [
        statement(
            "NodeRole",
            actions=["iam:PassRole"],
            resources=[f"arn:{partition}:iam::{account_id}:role/*-{naming.ROLE_NODE}-*"],
            conditions={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        # Whose tag is another environment's is fenced off below.
        statement(
            "RunRoles",
            actions=["sts:AssumeRole"],
            resources=[f"arn:{partition}:iam::{account_id}:role/*-{naming.ROLE_RUN}-*"],
        ),
        # FSx reads and writes buckets by a role of its own, which it makes in the head node's name.
        statement(
            "FsxRoles",
            actions=["iam:AttachRolePolicy", "iam:CreateServiceLinkedRole", "iam:PutRolePolicy"],
            resources=[
                f"arn:{partition}:iam::{account_id}:role/aws-service-role/s3.data-source.lustre.fsx.amazonaws.com/*"
            ],
        ),
    ]


def _over_budget(organization: str, partition: str, account_id: str) -> dict[str, Any]:
    """Return what the role of AWS Budgets may do: put one policy, which denies, on who starts machines."""
    starters = (naming.ROLE_HEAD, naming.ROLE_OPERATOR)
    return statement(
        "OverBudget",
        actions=["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
        resources=[f"arn:{partition}:iam::{account_id}:role/*-{each}-*" for each in starters],
        conditions={"ArnEquals": {"iam:PolicyARN": over_budget_arn(organization, partition, account_id)}},
    )


def _entry(organization: str, partition: str, account_id: str) -> list[dict[str, Any]]:
    """Return by which documents machines can be entered and commanded: ours, and none of AWS's."""
    instances = f"arn:{partition}:ec2:*:{account_id}:instance/*"
    session = naming.account_name(organization, naming.SESSION_DOCUMENT)
    documents = f"arn:{partition}:ssm:*:{account_id}:document"
    return [
        statement(
            "Command",
            actions=["ssm:SendCommand"],
            resources=[instances, *(f"{documents}/{each}" for each in naming.command_documents())],
        ),
        statement(
            "Enter",
            actions=["ssm:StartSession"],
            resources=[instances, f"{documents}/{session}"],
            conditions=CHECK_DOCUMENT,
        ),
    ]


def _own_environment() -> dict[str, Any]:
    """Return the fence: nothing that carries another environment's tag, whatever a role's policies allow.

    A role carries its environment's tag as all that a stack makes. What is the account's stands outside:
    the reaper that a schedule calls, the document and the log group of sessions. The fence goes by the
    environment and not by its team, for machines that run keep the old tag when a file names another team.
    """
    tag = naming.TAG_ENVIRONMENT
    own = variable(f"aws:PrincipalTag/{tag}", "none")
    return statement(
        "OwnEnvironment",
        effect="Deny",
        actions=["*"],
        resources=["*"],
        conditions={
            "Null": {f"aws:ResourceTag/{tag}": "false"},
            "StringNotEquals": {f"aws:ResourceTag/{tag}": [own, naming.ACCOUNT_STACK]},
        },
    )
