"""The net under an environment's budget: AWS Budgets counts its bill, mails, and lets it start nothing more.

The bill is told by the tag that every resource of the environment carries, which the organization's payer has
to have activated as a cost allocation tag. AWS Budgets looks at it a few times a day; what fleetform itself
holds runs against (`fleet/budget.py`) is minutes old. docs/budget.md says what each of the two keeps.
"""

from __future__ import annotations

from stacks import naming
from stacks.account import AccountSpec
from stacks.account_parts import AccountParts
from stacks.aws.generated import budgets, iam
from stacks.aws.layer import Ref
from stacks.boundary import boundary_arn
from stacks.budget_policy import OVER_BUDGET_DESCRIPTION, over_budget_arn, over_budget_document
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.policies import policy, statement

_MODELS = {"automatic": "AUTOMATIC", "approval": "MANUAL"}
"""`budget.stop_by` -> AWS Budgets' word for it."""


def add_over_budget(parts: AccountParts) -> None:
    """Add the account's policy; it may exist already, for a base may be made before this."""
    names = (parts.account.organization, parts.place.partition, parts.place.account_id)
    made = iam.IamPolicy(
        parts.stack,
        "over_budget",
        name=parts.named(naming.OVER_BUDGET),
        description=OVER_BUDGET_DESCRIPTION,
        policy=over_budget_document(),
    )
    parts.stack.take_over(made.address, over_budget_arn(*names))


def add_budget(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place, roles: tuple[Ref, ...]
) -> None:
    """Add the budget with its mails, and what happens to `roles` (their names) where the bill passes it.

    Nothing where the environment's file sets no budget.
    """
    if not spec.budget.is_watched:
        return
    people = list(spec.told_of_budget)
    budget = budgets.BudgetsBudget(
        stack,
        "budget",
        name=naming.budget_name(spec.name, spec.region),
        budget_type="COST",
        time_unit="MONTHLY",
        limit_amount=f"{spec.budget.usd_per_month:.2f}",
        limit_unit="USD",
        cost_filter=[{"name": "TagKeyValue", "values": [f"user:{naming.TAG_ENVIRONMENT}${spec.name}"]}],
        # A credit or a refund of another month would hide what this one costs.
        cost_types={"include_credit": False, "include_refund": False},
        notification=[
            {
                "notification_type": "ACTUAL",
                "comparison_operator": "GREATER_THAN",
                "threshold": percent,
                "threshold_type": "PERCENTAGE",
                "subscriber_email_addresses": people,
            }
            for percent in sorted(spec.budget.mail_at_percent)
        ],
    )
    if spec.budget.stops:
        _add_stop(stack, account, spec, place, budget.name, roles, people)


def _add_stop(
    stack: Stack,
    account: AccountSpec,
    spec: EnvironmentSpec,
    place: Place,
    budget: Ref,
    roles: tuple[Ref, ...],
    people: list[str],
) -> None:
    """Add the action, and the role by which AWS Budgets carries it out and takes it back."""
    denies = over_budget_arn(account.organization, place.partition, place.account_id)
    acts = _acting_role(stack, account, spec, place, denies, roles)
    budgets.BudgetsBudgetAction(
        stack,
        "budget",
        budget_name=budget,
        action_type="APPLY_IAM_POLICY",
        approval_model=_MODELS[spec.budget.stop_by],
        notification_type="ACTUAL",
        action_threshold={
            "action_threshold_type": "PERCENTAGE",
            "action_threshold_value": spec.budget.stop_at_percent,
        },
        definition={"iam_action_definition": {"policy_arn": denies, "roles": list(roles)}},
        execution_role_arn=acts.arn,
        subscriber=[{"address": each, "subscription_type": "EMAIL"} for each in people],
    )


def _acting_role(
    stack: Stack,
    account: AccountSpec,
    spec: EnvironmentSpec,
    place: Place,
    denies: str,
    roles: tuple[Ref, ...],
) -> iam.IamRole:
    """Add the role: it attaches that one policy to those roles, takes it off again, and does nothing else."""
    trust = statement(
        "Budgets",
        principal={"Service": "budgets.amazonaws.com"},
        actions=["sts:AssumeRole"],
        # Of all budgets: the service hands over no narrower ARN (Cost Management's guide, "Cross-service
        # confused deputy prevention").
        conditions={
            "ArnLike": {"aws:SourceArn": f"arn:{place.partition}:budgets::{place.account_id}:budget/*"},
            "StringEquals": {"aws:SourceAccount": place.account_id},
        },
    )
    role = iam.IamRole(
        stack,
        "budget",
        name=naming.environment_role(spec.name, naming.BUDGET, spec.region),
        description=f"Keeps {spec.name} from starting machines once its bill is over its budget",
        assume_role_policy=policy(trust),
        permissions_boundary=boundary_arn(account.organization, place.partition, place.account_id),
    )
    own = [f"arn:{place.partition}:iam::{place.account_id}:role/{name}" for name in roles]
    rights = statement(
        "OverBudget",
        actions=["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
        resources=own,
        conditions={"ArnEquals": {"iam:PolicyARN": denies}},
    )
    iam.IamRolePolicy(stack, "budget", name="fleetform", role=role.id, policy=policy(rights))
    return role
