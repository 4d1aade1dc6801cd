"""SchedulerSpec: how an environment's runs are queued, and which teams share its machines."""

from __future__ import annotations

import zlib
from typing import Annotated, Literal

from pydantic import BeforeValidator, StringConstraints

from stacks.fields import Spec, setting
from stacks.setting_forms import PrincipalArn, listed

TeamName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$")]
"""Without hyphens, so that the run `a-b-c` can only be team `a`'s."""
TEAM_NAME_MAX = 20
FIRST_UID, UIDS = 20001, 9000
"""The numbers of the users that teams' jobs run as: above those that distributions give to people (Debian's
and Ubuntu's adduser end at 59999 and begin at 1000; Slurm's packages take system numbers below 1000)."""
STANDS = "the queue that stands was built otherwise: tear the fleet down first (`fleetform down`)"


class TeamSpec(Spec):
    """One team beside the environment's own that shares its machines."""

    share: Annotated[
        int,
        setting(
            "Its part of the machines where several teams wait: twice the share, twice the machine time",
            unit="shares",
            change="free",
            ge=1,
            le=10000,
        ),
    ] = 1
    usd_per_month: Annotated[
        float,
        setting(
            "Most that a further team's runs may cost in a calendar month (UTC), at list price: one that "
            "might cost more than is left of it, or of `budget.usd_per_month`, is refused; 0 for no limit of "
            "its own",
            unit="USD per month",
            change="free",
            why="it holds from the next run on",
            ge=0,
            allow_inf_nan=False,
        ),
    ] = 0
    members: Annotated[
        tuple[PrincipalArn, ...],
        BeforeValidator(listed),
        setting(
            "Principals that may take on the team's member role; left out, the account's `people.trusted`",
            unit="",
            change="free",
            form="ARNs of IAM roles, users or accounts (`arn:aws:iam::123456789012:role/console`)",
        ),
    ] = ()


class SchedulerSpec(Spec):
    """The queue of an environment's runs."""

    kind: Annotated[
        Literal["slurm", "plain"],
        setting(
            "`slurm`: a queue with priorities, fair shares, requeues, and nodes that come and go with the "
            "work; `plain`: each run waits by itself until enough nodes are free",
            unit="",
            change="refused",
            why=STANDS,
        ),
    ] = "slurm"
    idle_minutes: Annotated[
        int,
        setting(
            "Idle time after which a node beyond `nodes` is ended",
            unit="minutes",
            change="free",
            ge=1,
            le=1440,
        ),
    ] = 10
    longest_hours: Annotated[
        int,
        setting("Longest that a single run may be asked for", unit="hours", change="free", ge=1, le=8760),
    ] = 168
    accounting: Annotated[
        bool,
        setting(
            "Whether the head node keeps what every team has used (MariaDB, slurmdbd), which fair shares "
            "go by; without it whoever came first goes first",
            unit="",
            change="refused",
            why=STANDS,
        ),
    ] = True
    containers: Annotated[
        bool,
        setting(
            "Whether the nodes' image has enroot and pyxis, so that runs can ask for a container",
            unit="",
            change="free",
        ),
    ] = False
    state_volume_gib: Annotated[
        int,
        setting(
            "Size of the disk that keeps the queue and the accounts when the head node is replaced",
            unit="GiB",
            change="refused",
            why=STANDS,
            ge=4,
            le=1024,
        ),
    ] = 20
    teams: Annotated[
        dict[TeamName, TeamSpec],
        setting(
            "Teams that share the machines beside the environment's own, each a table "
            "`[scheduler.teams.NAME]`; under the own team's name, its share",
            unit="",
            change="new machines only",
            why="machines that run have no user for a team that is added",
            form="1 to 20 lowercase letters and digits, a letter first",
        ),
    ] = {}

    @property
    def is_slurm(self) -> bool:
        """Whether runs are queued by Slurm."""
        return self.kind == "slurm"


def own_team(team: str) -> str:
    """Return what the queue calls the environment's own team: its tag's text without hyphens, 20 at most."""
    return team.replace("-", "")[:TEAM_NAME_MAX]


def team_user(team: str) -> str:
    """Return the user of the operating system that a team's jobs run as."""
    return f"ff-{team}"


def team_uid(team: str) -> int:
    """Return the number of that user: from the name alone, so that teams may come and go beside it.

    Files on shared file systems belong to a number. Two teams of one number are refused by a rule.
    """
    return FIRST_UID + zlib.crc32(team.encode()) % UIDS
