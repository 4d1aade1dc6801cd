"""The permission boundary of the account's own roles of people, the auditor and the deployer."""

from __future__ import annotations

from stacks import naming
from stacks.boundary import boundary_arn
from stacks.policies import policy, statement

_MOST = [
    "autoscaling:*",
    "budgets:*",
    "cloudtrail:Describe*",
    "cloudtrail:Get*",
    "cloudtrail:List*",
    "cloudtrail:LookupEvents",
    "cloudwatch:Describe*",
    "cloudwatch:ListTagsForResource",
    "ec2:*",
    "elasticfilesystem:*",
    "elasticloadbalancing:Describe*",
    "fsx:*",
    "iam:*",
    "kms:*",
    "lambda:Get*",
    "lambda:List*",
    "logs:*",
    "s3:*",
    "scheduler:*",
    "secretsmanager:CreateSecret",
    "secretsmanager:DeleteSecret",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "secretsmanager:List*",
    "secretsmanager:TagResource",
    "secretsmanager:UntagResource",
    "secretsmanager:UpdateSecret",
    "servicequotas:Get*",
    "servicequotas:List*",
    "sns:*",
    "ssm:Add*",
    "ssm:Create*",
    "ssm:Delete*",
    "ssm:Describe*",
    "ssm:Get*",
    "ssm:List*",
    "ssm:Put*",
    "ssm:Remove*",
    "ssm:Update*",
    "tag:GetResources",
]
"""Services that environments consist of, but for ways into machines; of others what an audit looks at."""
_CHANGES_OF_ACCOUNT = [
    "iam:Add*",
    "iam:Attach*",
    "iam:Delete*",
    "iam:Detach*",
    "iam:PassRole",
    "iam:Put*",
    "iam:Tag*",
    "iam:Update*",
    "kms:Create*",
    "kms:Disable*",
    "kms:Put*",
    "kms:Schedule*",
    "logs:Delete*",
    "logs:Put*",
    "scheduler:Delete*",
    "scheduler:Update*",
    "sns:Delete*",
    "sns:Set*",
    "ssm:Delete*",
    "ssm:Modify*",
    "ssm:Update*",
]
"""What would change a thing of the account's stack, the auditor's and the deployer's own roles among them."""
_NO_OTHER_PRINCIPALS = (
    "iam:*AccessKey*",
    "iam:*Group*",
    "iam:*LoginProfile*",
    "iam:*MFADevice*",
    "iam:*Provider*",
    "iam:Create*User*",
    "iam:DeleteRolePermissionsBoundary",
    "iam:Put*User*",
    "iam:UpdateUser",
)


def account_boundary(organization: str, partition: str, account_id: str) -> str:
    """Return the boundary of the account's own roles of people, as the stacks have it.

    It is wide where a deployer builds, and shut where a way leads past it: to principals that have no
    boundary, to the boundaries themselves, and to what is the account's.
    """
    policies = f"arn:{partition}:iam::{account_id}:policy"
    account_tag = {f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}": naming.ACCOUNT_STACK}
    return policy(
        statement("Most", actions=_MOST, resources=["*"]),
        statement("NoOtherPrincipals", effect="Deny", actions=_NO_OTHER_PRINCIPALS, resources=["*"]),
        statement(
            "NoRolesWithoutBoundary",
            effect="Deny",
            actions=["iam:CreateRole", "iam:PutRolePermissionsBoundary"],
            resources=["*"],
            conditions={
                "StringNotEquals": {
                    "iam:PermissionsBoundary": boundary_arn(organization, partition, account_id)
                }
            },
        ),
        statement(
            "KeepPolicies",
            effect="Deny",
            actions=["iam:CreatePolicy*", "iam:DeletePolicy*", "iam:SetDefaultPolicyVersion"],
            resources=[f"{policies}/*"],
        ),
        statement(
            "KeepAccount",
            effect="Deny",
            actions=_CHANGES_OF_ACCOUNT,
            resources=["*"],
            conditions={"StringEquals": account_tag},
        ),
    )
