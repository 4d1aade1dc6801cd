"""The guardrails on the net under a budget: settings that do nothing, and who is told of it."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import Case, Rule
from stacks.problems import Problem

MOST_PEOPLE = 10
"""Addresses to which AWS Budgets sends a mail (its API reference, `Notification`)."""


def budget_settings_have_a_budget(case: Case) -> Iterator[Problem]:
    """What AWS Budgets does is said only where there is a budget, and how it stops only where it does."""
    budget = case.spec.budget
    if not budget.is_watched:
        for name in sorted(budget.model_fields_set - {"usd_per_month"}):
            yield case.problem(
                f"budget.{name}",
                f"{name} has no effect: there is no budget where `usd_per_month` is 0",
                "leave it out, or set `usd_per_month`",
            )
    elif not budget.stops and "stop_by" in budget.model_fields_set:
        yield case.problem(
            "budget.stop_by",
            "stop_by has no effect: nothing is stopped where `stop_at_percent` is 0",
            "leave it out, or set `stop_at_percent`",
        )


def budget_mails_are_few(case: Case) -> Iterator[Problem]:
    """No more addresses are told than AWS Budgets takes."""
    people = len(case.spec.told_of_budget)
    if case.spec.budget.is_watched and people > MOST_PEOPLE:
        yield case.problem(
            "alerts.emails",
            f"AWS Budgets sends its mails to {MOST_PEOPLE} addresses at most, and these are {people}",
            "name fewer, such as one address of a list",
        )


BUDGET_ERRORS: tuple[Rule, ...] = (budget_mails_are_few,)
"""Rules on the budget whose findings stop every act that builds."""
BUDGET_WARNINGS: tuple[Rule, ...] = (budget_settings_have_a_budget,)
"""Rules on the budget whose findings are told, and stop nothing."""
