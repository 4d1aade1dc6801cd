"""Who may do what with an environment's budget in AWS Budgets."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.policies import statement


def budget_statements(spec: EnvironmentSpec, place: Place) -> list[dict[str, Any]]:
    """Return what it takes to see what AWS Budgets counts and does; nothing without a budget."""
    if not spec.budget.is_watched:
        return []
    name = naming.budget_name(spec.name, spec.region)
    return [
        statement(
            "Budget",
            actions=["budgets:DescribeBudgetActionsForBudget", "budgets:ViewBudget"],
            resources=[f"arn:{place.partition}:budgets::{place.account_id}:budget/{name}"],
        )
    ]


def budget_building_statements(place: Place) -> list[dict[str, Any]]:
    """Return a deployer's rights to the environments' budgets and to their actions, by their names."""
    budgets = f"arn:{place.partition}:budgets::{place.account_id}:budget"
    return [
        # A sweep lists all, and tells its own by their names and tags.
        statement("SeeBudgets", actions=["budgets:ViewBudget"], resources=[f"{budgets}/*"]),
        statement(
            "Budgets",
            actions=[
                "budgets:CreateBudgetAction",
                "budgets:DeleteBudgetAction",
                "budgets:DescribeBudgetAction*",
                "budgets:ExecuteBudgetAction",
                "budgets:ListTagsForResource",
                "budgets:ModifyBudget",
                "budgets:TagResource",
                "budgets:UntagResource",
                "budgets:UpdateBudgetAction",
            ],
            resources=[f"{budgets}/{naming.BUDGET_PREFIX}*"],
        ),
    ]
