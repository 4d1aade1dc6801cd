"""The guardrails on an environment's lease: no end that is over, soon, or further than the account allows."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import Case
from stacks.problems import Problem


def lease_is_within_the_limit(case: Case) -> Iterator[Problem]:
    """The lease ends no further from today than the account allows."""
    if case.account is None:
        return
    latest = case.account.lease.latest_day(case.today)
    if case.spec.lease_ends > latest:
        yield case.problem(
            "lease_ends",
            f"the lease would end on {case.spec.lease_ends}, further than {case.account.lease.max_days} days "
            "from today",
            f"take {latest} at the latest, or have lease.max_days raised in account.toml",
        )
