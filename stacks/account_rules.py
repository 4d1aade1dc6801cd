"""The guardrails on the account's file, which concern every environment."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import AccountCase, AccountRule, unknown_region
from stacks.problems import Problem


def account_region_is_known(case: AccountCase) -> Iterator[Problem]:
    """The account's region is one of AWS's."""
    yield from unknown_region(case, case.account.region)


ACCOUNT_ERRORS: tuple[AccountRule, ...] = (account_region_is_known,)
"""Rules whose findings stop every act that builds."""
