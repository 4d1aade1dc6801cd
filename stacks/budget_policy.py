"""What nobody starts once an environment's bill is over its budget: the account's policy for AWS Budgets.

One policy serves every environment: it names nothing of theirs, and no role below the account's administrator
may make or change a policy that others carry. AWS Budgets attaches it to an environment's roles.
"""

from __future__ import annotations

from stacks import naming
from stacks.policies import policy, statement

OVER_BUDGET_DESCRIPTION = "What the roles of an environment may not start once its bill is over its budget"
"""IAM cannot change a policy's description, so it is the same over the API."""
STARTS = (
    "autoscaling:SetDesiredCapacity",
    "ec2:CreateFleet",
    "ec2:RequestSpotInstances",
    "ec2:RunInstances",
    "ec2:StartInstances",
    "fsx:CreateFileSystem",
)
"""What costs by the hour from then on. To end machines, and to take them out of a group, stays allowed."""


def over_budget_arn(organization: str, partition: str, account_id: str) -> str:
    """Return the policy's ARN; `partition` and `account_id` may be references."""
    return naming.account_policy_arn(organization, naming.OVER_BUDGET, partition, account_id)


def over_budget_document() -> str:
    """Return the policy: it denies, whatever else a role that carries it may do."""
    return policy(statement("OverBudget", effect="Deny", actions=STARTS, resources=["*"]))
