"""What every act on an environment starts from: the checked specs, the cloud, the caller and the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fleet import aws
from fleet.cloud import Cloud, choose_cloud
from fleet.errors import ActError
from fleet.grants import grants_of, is_own, roles_in_account
from fleet.identity import people_role
from fleet.ledger import Ledger
from fleet.outbox import Outbox
from fleet.policy import EVERY_TEAM, Grant, Verb, decide
from fleet.project import Project, find_project
from stacks import naming
from stacks.account import AccountSpec, load_account
from stacks.environment import EnvironmentSpec
from stacks.guardrails import load_checked, load_declared
from stacks.problems import UserError


@dataclass(frozen=True)
class AccountSession:
    """The account of a project, in one cloud."""

    project: Project
    cloud: Cloud
    account: AccountSpec
    asked_by: Mapping[str, str] | None = field(default=None, kw_only=True)
    """Who asked for what is done, as the ledger says it; None where it is the caller."""

    @cached_property
    def caller(self) -> str:
        """The caller's ARN; the first look at it proves that the cloud answers (UserError otherwise)."""
        return aws.require_reachable(self.cloud, self.account.region)

    @cached_property
    def ledger(self) -> Ledger:
        """The account's ledger, written in the caller's name, and in that of who asked."""
        bucket = naming.ledger_bucket(self.account.organization, self.account.region)
        key = naming.ledger_key_alias(self.account.organization)
        outbox = Outbox(self.project.home / "outbox" / self.cloud.name / bucket)
        ledger = Ledger(self.cloud, bucket, self.account.region, self.caller, key=key, outbox=outbox)
        return ledger.asked_by(self.asked_by) if self.asked_by else ledger

    @property
    def actor(self) -> str:
        """Whom a run names for what was done to it: who asked, or else the caller; one line."""
        return " ".join(self.asked_by["name"].split()) if self.asked_by else self.caller

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What the caller has in the account, whichever of its environments it is about."""
        return grants_of(self.caller, self.account, None)

    def require(self, verb: Verb, team: str = EVERY_TEAM, *, own: bool = False) -> None:
        """Raise UserError where the caller's role does not allow that; the caller puts it on record.

        What is asked for through the console it has decided on itself, by the roles that people have there.
        """
        if self.asked_by:
            return
        decision = decide(self.grants, verb, team, own=own)
        if not decision.allowed:
            what = f"the role {people_role(self.caller)} does not include {verb} here"
            roles = " or ".join(roles_in_account(decision.roles) if team == EVERY_TEAM else decision.roles)
            raise UserError.of(what, f"ask somebody who is {roles}, or take that role on (docs/roles.md)")

    @contextmanager
    def recording_refusal(self, event: str, target: str) -> Iterator[None]:
        """Put a UserError of the block on record as a refused act, where there is a ledger to write to.

        For what comes before `ledger.act` and changes nothing: where the ledger can't be written, the
        refusal itself is still all that the user has to know.
        """
        try:
            yield
        except UserError as error:
            problems = [problem.what for problem in error.problems]
            details = {"problems": problems, "before_start": True}  # it has no `started` to close
            with suppress(UserError, ActError):
                self.ledger.append(event, target, "refused", details)
            raise


@dataclass(frozen=True)
class Session(AccountSession):
    """One environment of the project, its files checked."""

    spec: EnvironmentSpec

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What the caller has in the environment."""
        return grants_of(self.caller, self.account, self.spec)

    def require(self, verb: Verb, team: str = "", *, own: bool = False) -> None:
        """Raise UserError where the caller's role does not allow that in the team; "" is the own one.

        Teams are called as the queue calls them, or as the file does.
        """
        is_own_team = team in ("", self.spec.own_team)
        super().require(verb, self.spec.team if is_own_team else team, own=own)

    def require_on_run(self, verb: Verb, request: Mapping[str, Any]) -> None:
        """Raise UserError where the caller's role does not allow that on a run, by its `run.json`."""
        self.require(verb, str(request.get("team", "")), own=is_own(self.caller, request))

    def client(self, service: str, region: str = "") -> Any:
        """Return the boto3 client for the service in the environment's region, or in another one.

        It is kept: a new one takes some milliseconds, and a connection of its own.
        """
        key = (service, region or self.spec.region)
        if key not in self._clients:
            self._clients[key] = aws.client(self.cloud, *key)
        return self._clients[key]

    @cached_property
    def _clients(self) -> dict[tuple[str, str], Any]:
        return {}


def open_account(cloud: str | None = None, *, project: Project | None = None) -> AccountSession:
    """Open the account of the project, or of the one that the caller stands in; contacts nothing yet."""
    project = project or find_project()
    return AccountSession(project, choose_cloud(project, cloud), load_account(project.environments))


def open_session(
    environment: str,
    cloud: str | None = None,
    *,
    checked: bool = False,
    act: str = "",
    project: Project | None = None,
    asked_by: Mapping[str, str] | None = None,
) -> Session:
    """Open an environment. Raises UserError where its files can't be read.

    `checked` holds it against every rule too: what builds must pass them, while what looks, fetches and tears
    down must also work on an environment whose lease has ended. `act` names the act that it is opened for
    (`environment.up`); it implies `checked`, and a refusal is put on record. Without `project` it is the one
    that the caller stands in. `asked_by` is on record beside the caller: who asked through the console.
    """
    project = project or find_project()
    chosen = choose_cloud(project, cloud)
    if not act:
        load = load_checked if checked else load_declared
        return Session(project, chosen, *load(project.environments, environment), asked_by=asked_by)
    account = AccountSession(project, chosen, load_account(project.environments), asked_by=asked_by)
    with account.recording_refusal(act, environment):
        return Session(project, chosen, *load_checked(project.environments, environment), asked_by=asked_by)
