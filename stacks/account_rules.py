"""The guardrails on the account's file, which concern every environment."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import AccountCase, AccountRule, Case, unknown_region
from stacks.catalog import known_regions
from stacks.problems import Problem

USERS_OF_IMAGES = ("root", "ubuntu", "ec2-user", "admin", "centos", "rocky", "fedora", "ssm-user")
"""Users of AWS's and the distributions' images that are root or have sudo, and Session Manager's own."""


def account_region_is_known(case: AccountCase) -> Iterator[Problem]:
    """The account's region is one of AWS's."""
    yield from unknown_region(case, case.account.region)


def the_record_is_kept(case: AccountCase) -> Iterator[Problem]:
    """There is a trail; without one the ways into machines that leave no transcript go unseen."""
    if case.account.audit.trail:
        return
    yield case.problem(
        "audit.trail",
        "without a trail nobody can say afterwards who sent a command to a machine, opened a tunnel, copied "
        "its disk or used its role; `fleetform check --entry` lists what is not recorded",
        "leave it true, unless the account has a trail over all regions already",
    )
    if case.account.audit.data_events:
        yield case.problem(
            "audit.data_events", "is ignored without a trail", "take it out, or set audit.trail"
        )


def sessions_can_idle(case: AccountCase) -> Iterator[Problem]:
    """A session is cut for being idle before it is cut for its length."""
    sessions = case.account.sessions
    if sessions.idle_minutes > sessions.max_minutes:
        yield case.problem(
            "sessions.idle_minutes",
            f"is ignored: sessions end after {sessions.max_minutes} minutes, idle or not",
            "make it shorter than sessions.max_minutes",
        )


def sessions_reach_the_region(case: Case) -> Iterator[Problem]:
    """People can enter the machines: the session document stands in the account's region alone."""
    account, region = case.account, case.spec.region
    if account and region in known_regions() and region != account.region:
        yield case.problem(
            "region",
            f"nobody can enter its machines: the session document stands in {account.region}, and a "
            "session takes one of the machine's own region; runs, logs and teardown work",
            f"put it into {account.region} where people must get a shell on its machines",
        )


def sessions_run_as_nobody_special(case: AccountCase) -> Iterator[Problem]:
    """Sessions run as a user of their own, not as one that images have and let become root."""
    user = case.account.sessions.run_as
    if user in USERS_OF_IMAGES:
        yield case.problem(
            "sessions.run_as",
            f"{user} is there already on AWS's images, and may become root",
            "take a name of your own: machines make that user, without sudo",
        )


ACCOUNT_ERRORS: tuple[AccountRule, ...] = (account_region_is_known, sessions_run_as_nobody_special)
"""Rules whose findings stop every act that builds."""
ACCOUNT_WARNINGS: tuple[AccountRule, ...] = (the_record_is_kept, sessions_can_idle)
"""Rules whose findings are told and stop nothing."""
