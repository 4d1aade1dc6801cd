"""EnvironmentSpec: what a team asks for, as `environments/<name>.toml` says it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from stacks.account import ACCOUNT_FILE
from stacks.budget_spec import BudgetSpec
from stacks.fields import Spec, setting
from stacks.fleet_spec import FleetName, FleetSpec, HeadSpec
from stacks.idle_spec import IdleSpec
from stacks.network_spec import NetworkSpec
from stacks.scheduler_spec import SchedulerSpec, own_team
from stacks.setting_forms import EMAIL_PATTERN, Email, listed
from stacks.spec_file import load_spec
from stacks.storage_spec import ArtifactsSpec, DatasetsSpec, EfsSpec, FsxSpec

WAIVERS_FILE = "waivers.toml"
"""A file among the environments' files that declares none: the policy scan's waivers."""
DECLARATION_OUTPUT = "declaration"
"""The fleet stack's output that holds `EnvironmentSpec.declaration` of what stands."""
TAG_CHANGE = "machines that run, and their disks, keep the old tag"
"""What a change of a tag does not reach: a machine is tagged once, when its group starts it."""


class AlertsSpec(Spec):
    """Who hears of what happens to the environment."""

    emails: Annotated[
        tuple[Email, ...],
        BeforeValidator(listed),
        setting(
            "Addresses that are warned before the lease ends; each confirms AWS's mail once",
            unit="",
            change="free",
            form="e-mail addresses",
        ),
    ] = ()


class EnvironmentSpec(Spec):
    """One team's environment, everything that its file can say."""

    name: Annotated[
        str,
        setting(
            "Name of the environment, the same as the file's; every resource is named after it",
            unit="",
            change="refused",
            why="another name is another environment",
            form="2 to 20 lowercase letters, digits and hyphens, a letter first",
            pattern=r"^[a-z][a-z0-9-]{1,19}$",
        ),
    ]
    team: Annotated[
        str,
        setting(
            "Team that pays for it; a tag on every resource",
            unit="",
            change="free",
            why=TAG_CHANGE,
            form="2 to 40 lowercase letters, digits and hyphens, a letter first",
            pattern=r"^[a-z][a-z0-9-]{1,39}$",
        ),
    ]
    owner: Annotated[
        str,
        setting(
            "Person to ask about it; a tag on every resource",
            unit="",
            change="free",
            why=TAG_CHANGE,
            form="an e-mail address",
            pattern=EMAIL_PATTERN,
        ),
    ]
    region: Annotated[
        str,
        setting(
            "AWS region that it stands in",
            unit="",
            change="refused",
            why="nothing can move between regions",
            form="an AWS region such as `eu-central-1`",
            pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        ),
    ]
    lease_ends: Annotated[
        datetime.date,
        setting(
            "Last day on which it may stand, to the end of that day in UTC; a tag on every resource",
            unit="date",
            change="free",
            why=TAG_CHANGE,
        ),
    ]
    network: Annotated[
        NetworkSpec, setting("The private network", unit="", change="refused", why="see its settings")
    ]
    head: Annotated[HeadSpec, setting("The head node", unit="", change="new machines only")] = HeadSpec()
    fleets: Annotated[
        dict[FleetName, FleetSpec],
        setting(
            "The GPU fleets by name, each a table `[fleets.NAME]`",
            unit="",
            change="free",
            why="a fleet that is added is made, one taken out goes with its machines; renaming does both",
            form="1 to 20 lowercase letters and digits, a letter first",
        ),
    ]
    scheduler: Annotated[
        SchedulerSpec, setting("How runs are queued, and who shares the machines", unit="", change="free")
    ] = SchedulerSpec()
    artifacts: Annotated[ArtifactsSpec, setting("The bucket of runs and models", unit="", change="free")] = (
        ArtifactsSpec()
    )
    datasets: Annotated[DatasetsSpec, setting("The bucket of datasets", unit="", change="free")] = (
        DatasetsSpec()
    )
    efs: Annotated[
        EfsSpec, setting("A shared file system (EFS) at `/shared` on every machine", unit="", change="free")
    ] = EfsSpec()
    fsx: Annotated[
        FsxSpec,
        setting("A fast file system (FSx for Lustre) at `/fsx` on every machine", unit="", change="free"),
    ] = FsxSpec()
    alerts: Annotated[
        AlertsSpec, setting("Who hears of what happens to the environment", unit="", change="free")
    ] = AlertsSpec()
    idle: Annotated[
        IdleSpec, setting("What counts as idle, and what becomes of it", unit="", change="free")
    ] = IdleSpec()
    budget: Annotated[BudgetSpec, setting("What the environment may cost", unit="", change="free")] = (
        BudgetSpec()
    )

    @property
    def own_team(self) -> str:
        """What the queue calls the environment's own team."""
        return own_team(self.team)

    @property
    def further_teams(self) -> tuple[str, ...]:
        """The teams that share the machines beside the own one; none where there is no queue to share."""
        teams = self.scheduler.teams if self.scheduler.is_slurm else {}
        return tuple(sorted(set(teams) - {self.own_team}))

    @property
    def told_of_budget(self) -> tuple[str, ...]:
        """The addresses to which AWS Budgets sends its mails, each once; it does nothing without one."""
        return tuple(dict.fromkeys(self.alerts.emails)) or (self.owner,)

    @property
    def lease_until(self) -> datetime.datetime:
        """The moment the lease ends: midnight UTC after its last day."""
        day = datetime.datetime.combine(self.lease_ends, datetime.time(), datetime.UTC)
        return day + datetime.timedelta(days=1)

    def declaration(self) -> str:
        """Return what is declared of the things in the cloud, defaults too, as canonical JSON.

        The fleet stack keeps it as an output, so that a later plan knows what stands was declared as. The
        budget is not in it: of it is the base alone, whose own plan tells what changes there. Nor are the
        teams' own limits, by which nothing is built.
        """
        limits: dict[str, Any] = {"teams": {"__all__": {"usd_per_month"}}}
        declared = self.model_dump(mode="json", exclude={"budget": True, "scheduler": limits})
        return json.dumps(declared, sort_keys=True, separators=(",", ":"))


def load_environment(file: Path) -> EnvironmentSpec:
    """Read one environment's file. Raises UserError with every problem that the file has by itself."""
    return load_spec(EnvironmentSpec, file)


def environment_files(directory: Path) -> list[Path]:
    """Return the environments' files in the folder, sorted by name; the account's file is not one of them."""
    return sorted(file for file in directory.glob("*.toml") if file.name not in (ACCOUNT_FILE, WAIVERS_FILE))
