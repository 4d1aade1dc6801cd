"""What AWS Budgets has of environments: their budgets, and the actions that hang on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleet import aws
from fleet.listings.listed import Listed, Lister, links
from fleet.listings.things import Look, Thing, ask, price, tags_of
from stacks import naming


def budgets(look: Look) -> Iterator[Listed]:
    """Yield the budgets, each followed by its actions."""
    client = look.client("budgets")
    partition, account = aws.caller_account(look.client("sts"))
    for name in _names(look, client, account):
        arn = f"arn:{partition}:budgets::{account}:budget/{name}"
        tags = tags_of(ask(client.list_tags_for_resource, ResourceARN=arn) or {}, "ResourceTags")
        if look.wants(name, tags, (name,)):
            stack = tags.get(naming.TAG_STACK, "")
            yield Listed(thing=Thing(kind="budget", id=name, stack=stack), tags=tags)
            yield from _actions(client, account, name, stack)


def _names(look: Look, client: Any, account: str) -> Iterator[str]:
    """Yield the names of the budgets that may be looked for: an environment's own, or all of fleetform's."""
    if look.environment:
        name = naming.budget_name(look.environment, look.region)
        if ask(client.describe_budget, AccountId=account, BudgetName=name) is not None:
            yield name
        return
    for item in look.pages("budgets", "describe_budgets", "Budgets", AccountId=account):
        if item["BudgetName"].startswith(naming.BUDGET_PREFIX):
            yield item["BudgetName"]


def _actions(client: Any, account: str, name: str, stack: str) -> Iterator[Listed]:
    """Yield the actions of a budget, which are in its stack, with how they stand."""
    found = ask(client.describe_budget_actions_for_budget, AccountId=account, BudgetName=name) or {}
    for each in found.get("Actions", ()):
        thing = Thing(
            kind="budget action",
            id=each["ActionId"],
            name=name,
            stack=stack,
            usd_per_hour=price("budget_with_actions"),
            note=each["Status"].lower().replace("_", " "),
        )
        yield Listed(thing=thing, links=links("is of", "budget", name), comes_along=True)


EVERYWHERE = (Lister(title="budgets", covers=("budgets:budget",), look=budgets, complete=False),)
"""Listed once for the account: they belong to no region."""
