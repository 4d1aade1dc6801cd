"""The guardrails on one environment: a function a rule, each returning the problems that it finds."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.account import LeaseSpec
from stacks.account_rules import sessions_reach_the_region
from stacks.budget_rules import BUDGET_ERRORS, BUDGET_WARNINGS
from stacks.case import Case, Rule, unknown_region
from stacks.fleet_rules import FLEET_ERRORS, FLEET_WARNINGS
from stacks.idle_rules import IDLE_WARNINGS
from stacks.lease_rules import lease_is_within_the_limit
from stacks.name_rules import NAME_RULES
from stacks.network_rules import NETWORK_ERRORS, NETWORK_WARNINGS
from stacks.price_rules import budget_lasts_for_a_month
from stacks.problems import Problem
from stacks.scheduler_rules import SCHEDULER_ERRORS, SCHEDULER_WARNINGS
from stacks.storage_rules import STORAGE_ERRORS, STORAGE_WARNINGS

LEASE_WARNING_DAYS = max(LeaseSpec().warn_days)
"""Where there is no account file yet."""


def region_is_known(case: Case) -> Iterator[Problem]:
    """The region is one of AWS's."""
    yield from unknown_region(case, case.spec.region)


def lease_is_not_over(case: Case) -> Iterator[Problem]:
    """The lease has not ended: an expired environment is not built, only torn down."""
    if case.spec.lease_ends < case.today:
        yield case.problem(
            "lease_ends",
            f"the lease ended on {case.spec.lease_ends}",
            f"tear it down (`fleetform down {case.spec.name}`), or set a later day",
        )


def lease_ends_soon(case: Case) -> Iterator[Problem]:
    """The lease lasts longer than the days before its end at which a warning goes out."""
    warned = case.account.lease.warn_days if case.account else (LEASE_WARNING_DAYS,)
    left = (case.spec.lease_ends - case.today).days
    if 0 <= left <= max(warned, default=0):
        when = "today" if left == 0 else "tomorrow" if left == 1 else f"in {left} days"
        yield case.problem("lease_ends", f"the lease ends {when}", "set a later day if the work goes on")


ERRORS: tuple[Rule, ...] = (
    *NAME_RULES,
    region_is_known,
    lease_is_not_over,
    lease_is_within_the_limit,
    *NETWORK_ERRORS,
    *FLEET_ERRORS,
    *SCHEDULER_ERRORS,
    *STORAGE_ERRORS,
    *BUDGET_ERRORS,
)
"""Rules whose findings stop every act that builds."""
WARNINGS: tuple[Rule, ...] = (
    lease_ends_soon,
    budget_lasts_for_a_month,
    sessions_reach_the_region,
    *NETWORK_WARNINGS,
    *FLEET_WARNINGS,
    *SCHEDULER_WARNINGS,
    *IDLE_WARNINGS,
    *STORAGE_WARNINGS,
    *BUDGET_WARNINGS,
)
"""Rules whose findings are told, and stop nothing."""
