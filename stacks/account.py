"""AccountSpec: what all environments of a company share, as `environments/account.toml` says it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from stacks.fields import Spec, setting
from stacks.setting_forms import Email, PrincipalArn, each_once, listed
from stacks.spec_file import load_spec

ACCOUNT_FILE = "account.toml"
"""The account's file among the environments' files."""


class LedgerSpec(Spec):
    """The write-once record of every act."""

    retention_days: Annotated[
        int,
        setting(
            "Days that an entry of the ledger can be neither changed nor deleted",
            unit="days",
            change="free",
            why="entries keep the retention that they were written with",
            ge=1,
            le=36500,
        ),
    ] = 365
    retention_mode: Annotated[
        Literal["governance", "compliance"],
        setting(
            "Who may lift the retention: `governance` a principal with that permission, `compliance` nobody",
            unit="",
            change="free",
            why="entries keep the mode that they were written with",
        ),
    ] = "governance"


class LimitsSpec(Spec):
    """What an environment may ask for at most."""

    max_nodes_per_environment: Annotated[
        int,
        setting(
            "Most nodes that the fleets of one environment may grow to, together",
            unit="nodes",
            change="free",
            ge=1,
        ),
    ] = 16


class AuditSpec(Spec):
    """CloudTrail: AWS's own record of every call in the account."""

    trail: Annotated[
        bool,
        setting(
            "Whether the account has a trail of its own over all regions, with digests, in the locked bucket",
            unit="",
            change="free",
            why="the first trail of an account is free, its key and storage cost little",
        ),
    ] = True
    data_events: Annotated[
        bool,
        setting(
            "Whether the trail also records each read and write of an object in fleetform's buckets",
            unit="",
            change="free",
            why="these cost money by the call",
        ),
    ] = False
    log_days: Annotated[
        Literal[30, 60, 90, 180, 365, 731],
        setting(
            "Days that CloudWatch Logs keeps the trail and the sessions, and S3 the accesses to buckets",
            unit="days",
            change="free",
        ),
    ] = 365


class SessionsSpec(Spec):
    """How people enter a machine: Session Manager, by a document of ours, on record."""

    idle_minutes: Annotated[
        int, setting("Idle time after which a session ends", unit="minutes", change="free", ge=1, le=60)
    ] = 20
    max_minutes: Annotated[
        int, setting("Longest time that a session may last", unit="minutes", change="free", ge=1, le=1440)
    ] = 240
    run_as: Annotated[
        str,
        setting(
            "User of the operating system that a session runs as; machines make it, without sudo",
            unit="",
            change="new machines only",
            form="1 to 31 lowercase letters, digits and `_-`, a letter first",
            pattern=r"^[a-z][a-z0-9_-]{0,30}$",
        ),
    ] = "fleetform"
    serial_console: Annotated[
        Literal["closed", "untouched"],
        setting(
            "EC2's serial console, of all machines of the account in its region: `closed`, or as it is found",
            unit="",
            change="free",
            why="it concerns machines that are not fleetform's too; `untouched` leaves it as it then is",
        ),
    ] = "closed"


class LeaseSpec(Spec):
    """The end that every environment has."""

    max_days: Annotated[
        int,
        setting("Furthest that a lease may end from today", unit="days", change="free", ge=1, le=3660),
    ] = 90
    warn_days: Annotated[
        tuple[Annotated[int, Field(ge=0, le=3660)], ...],
        BeforeValidator(listed),
        AfterValidator(each_once),
        setting(
            "Days before the end at which a warning goes out",
            unit="days",
            change="free",
            form="whole numbers of days, such as `[7, 1]`",
            max_length=5,
        ),
    ] = (7, 1)

    def latest_day(self, today: datetime.date) -> datetime.date:
        """Return the last day that a lease may end on."""
        return today + datetime.timedelta(days=self.max_days)


class PeopleSpec(Spec):
    """Who may take on the roles of people: member, operator, auditor, deployer."""

    trusted: Annotated[
        tuple[PrincipalArn, ...],
        BeforeValidator(listed),
        setting(
            "Principals that may take on these roles, with a source identity; none makes no such role",
            unit="",
            change="free",
            form="ARNs of IAM roles, users or accounts (`arn:aws:iam::123456789012:role/console`)",
        ),
    ] = ()


class TeamSpec(Spec):
    """A team, and what it may spend."""

    max_usd_per_hour: Annotated[
        float,
        setting(
            "Most that all environments of the team may cost together, at list price, without what is paid "
            "by use, with all the nodes that runs may start (`max_nodes`; `nodes` where nothing is queued)",
            unit="USD per hour",
            change="free",
            ge=0,
        ),
    ]


TeamName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,39}$")]


class AccountAlertsSpec(Spec):
    """Who hears of what happens to the account."""

    emails: Annotated[
        tuple[Email, ...],
        BeforeValidator(listed),
        setting(
            "Addresses that hear of changes to the trail and of ended leases; each confirms AWS's mail once",
            unit="",
            change="free",
            form="e-mail addresses",
        ),
    ] = ()


class AccountSpec(Spec):
    """What the whole account shares."""

    organization: Annotated[
        str,
        setting(
            "Prefix of every bucket's name; these are unique in the whole world, so take the company's own",
            unit="",
            change="refused",
            why="buckets cannot be renamed",
            form="3 to 20 lowercase letters, digits and hyphens, a letter first",
            pattern=r"^[a-z][a-z0-9-]{2,19}$",
        ),
    ]
    region: Annotated[
        str,
        setting(
            "AWS region of the Terraform state and the ledger",
            unit="",
            change="refused",
            why="buckets cannot move between regions",
            form="an AWS region such as `eu-central-1`",
            pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        ),
    ]
    ledger: Annotated[LedgerSpec, setting("The ledger", unit="", change="free")] = LedgerSpec()
    limits: Annotated[LimitsSpec, setting("Limits on every environment", unit="", change="free")] = (
        LimitsSpec()
    )
    audit: Annotated[AuditSpec, setting("AWS's own record of every call", unit="", change="free")] = (
        AuditSpec()
    )
    sessions: Annotated[SessionsSpec, setting("How people enter a machine", unit="", change="free")] = (
        SessionsSpec()
    )
    lease: Annotated[LeaseSpec, setting("The end of every environment", unit="", change="free")] = LeaseSpec()
    people: Annotated[PeopleSpec, setting("Who may take on the roles of people", unit="", change="free")] = (
        PeopleSpec()
    )
    alerts: Annotated[
        AccountAlertsSpec, setting("Who hears of what happens to the account", unit="", change="free")
    ] = AccountAlertsSpec()
    teams: Annotated[
        dict[TeamName, TeamSpec],
        setting(
            "Limits on teams by name, each a table `[teams.NAME]`; a team without one has none",
            unit="",
            change="free",
            form="2 to 40 lowercase letters, digits and hyphens, a letter first",
        ),
    ] = {}


def load_account(environments_dir: Path) -> AccountSpec:
    """Read the account's file from the folder. Raises UserError with every problem that the file has."""
    return load_spec(AccountSpec, environments_dir / ACCOUNT_FILE)
