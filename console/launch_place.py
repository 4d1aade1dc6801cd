"""Where a launch trains: an environment as it stands, or as it will stand once it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.launches import LaunchDraft
from console.services import Services
from fleet.cloud import choose_cloud
from fleet.declare import free_network, organization_of
from fleet.environment import read_outputs
from fleet.job import declared_fleets, declared_site
from fleet.job_checks import most_nodes
from fleet.job_queueing import Site, site_of
from fleet.project import Project
from fleet.session import Session, open_session
from fleet.starters import find_starter
from stacks.account import ACCOUNT_FILE, AccountSpec, load_account
from stacks.environment import EnvironmentSpec
from stacks.outputs import FleetOutputs
from stacks.problems import UserError

REGION = "us-east-1"
"""Where the first environment of a project stands, as `fleetform init` has it too."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a launch trains."""

    session: Session
    """Of an environment that is not declared yet, as if it were."""
    fleets: Mapping[str, FleetOutputs]
    site: Site
    run_max_gib: int
    stands: bool
    """Whether its machines are built."""

    @property
    def spec(self) -> EnvironmentSpec:
        """What the environment's file says, or will say."""
        return self.session.spec

    def fleet(self, draft: LaunchDraft) -> str:
        """Return the fleet that a launch is for: the chosen one, or the first where none is chosen."""
        return draft.fleet if draft.fleet in self.fleets else min(self.fleets)

    def most_nodes(self, draft: LaunchDraft) -> int:
        """Return the most machines that it can have there."""
        return max(1, most_nodes(self.fleets[self.fleet(draft)], self.site.scheduler))

    def further_team(self, draft: LaunchDraft) -> str:
        """Return the team that it counts to, "" for the environment's own."""
        return "" if draft.team == self.spec.team else draft.team


def place_of(services: Services, draft: LaunchDraft) -> Place:
    """Return where the launch trains, by its file and the cloud as both are now.

    Raises UserError where that is not there any more or can't be read.
    """
    if draft.starter:
        return _declared(_begun(services, draft))
    settings = services.settings
    session = open_session(draft.environment, settings.cloud, project=settings.project)
    standing = services.estate.standing(draft.environment)
    if standing is not None and standing.session == session:
        session = standing.session  # which has its clients already
    try:
        outputs = read_outputs(session)
    except UserError:
        return _declared(session)
    return _with_fleet(
        Place(
            session=session,
            fleets=outputs.fleets,
            site=site_of(outputs, session.cloud.variables),
            run_max_gib=outputs.run_max_gib,
            stands=True,
        )
    )


def region_of(project: Project) -> str:
    """Return the region in which a new environment stands: the account's."""
    return _account(project).region


def _account(project: Project) -> AccountSpec:
    """Return the account, or where there is none yet what it will be."""
    if (project.environments / ACCOUNT_FILE).is_file():
        return load_account(project.environments)
    return AccountSpec(organization=organization_of(project.root), region=REGION)


def _begun(services: Services, draft: LaunchDraft) -> Session:
    """Return an environment that is to be declared, as it will be."""
    settings = services.settings
    project, account = settings.project, _account(settings.project)
    spec = find_starter(project, draft.starter).environment(
        draft.environment,
        team=draft.team,
        owner=draft.owner,
        region=account.region,
        cidr=str(free_network(project.environments)),
    )
    return Session(project, choose_cloud(project, settings.cloud), account, spec)


def _declared(session: Session) -> Place:
    spec = session.spec
    return _with_fleet(
        Place(
            session=session,
            fleets=declared_fleets(spec),
            site=declared_site(spec, session.cloud.variables),
            run_max_gib=spec.fsx.run_max_gib,
            stands=False,
        )
    )


def _with_fleet(place: Place) -> Place:
    """Return the place; raises UserError where there is nothing to train on."""
    if not place.fleets:
        what = f"the environment {place.spec.name} has no fleet"
        raise UserError.of(what, "have one declared in its file")
    return place
