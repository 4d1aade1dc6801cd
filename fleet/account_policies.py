"""The account's policies that an environment's roles need: their boundary, the deny list, the budget's.

They are made over the API, because a base may be applied beside the account's stack, which takes them over.
"""

from __future__ import annotations

from typing import Any

from fleet import aws
from fleet.cloud import Cloud
from stacks import naming
from stacks.account import AccountSpec
from stacks.boundary import DESCRIPTION, boundary_document
from stacks.budget_policy import OVER_BUDGET_DESCRIPTION, over_budget_document
from stacks.policies import as_iam_reads, policy, statement

DENY_DESCRIPTION = "Nobody enters a machine of fleetform's off the record, or touches the record"
"""As the account's stack has it: IAM cannot change a description."""
ADDRESSES = {
    naming.BOUNDARY: "aws_iam_policy.boundary",
    naming.DENY_ENTRY_POLICY: "aws_iam_policy.deny_entry",
    naming.OVER_BUDGET: "aws_iam_policy.over_budget",
}
"""Their addresses in the account's stack."""


def ensure_policies(cloud: Cloud, account: AccountSpec) -> list[str]:
    """Make those of the policies that are missing and return their names.

    The boundary is whole at once, for machines start with it. The deny list denies everything until the
    account's stack has said what: nobody needs a role of people in the minutes between.
    """
    partition, account_id = aws.caller_account(aws.client(cloud, "sts", account.region))
    documents = {
        naming.BOUNDARY: (DESCRIPTION, boundary_document(account.organization, partition, account_id)),
        naming.DENY_ENTRY_POLICY: (
            DENY_DESCRIPTION,
            policy(statement("NotReady", effect="Deny", actions=["*"], resources=["*"])),
        ),
        naming.OVER_BUDGET: (OVER_BUDGET_DESCRIPTION, over_budget_document()),
    }
    iam = aws.client(cloud, "iam", account.region)
    made = []
    for name, (description, text) in documents.items():
        if _exists(iam, naming.account_policy_arn(account.organization, name, partition, account_id)):
            continue
        title = naming.account_name(account.organization, name)
        try:
            iam.create_policy(PolicyName=title, Description=description, PolicyDocument=as_iam_reads(text))
        except Exception as error:
            if aws.error_code(error) == "AccessDenied" and name == naming.OVER_BUDGET:
                continue  # an account from before it: its administrator makes it (`up --account`)
            if aws.error_code(error) != "EntityAlreadyExists":  # another command was faster
                raise
        made.append(title)
    return made


def missing_policies(cloud: Cloud, account: AccountSpec) -> tuple[str, ...]:
    """Return the addresses in the account's stack of those that are yet to be made."""
    partition, account_id = aws.caller_account(aws.client(cloud, "sts", account.region))
    iam = aws.client(cloud, "iam", account.region)
    return tuple(
        address
        for name, address in ADDRESSES.items()
        if not _exists(iam, naming.account_policy_arn(account.organization, name, partition, account_id))
    )


def _exists(iam: Any, arn: str) -> bool:
    try:
        found = iam.get_policy(PolicyArn=arn)
    except Exception as error:
        if aws.error_code(error) != "NoSuchEntity":
            raise
        return False
    return bool(found)
