"""What every act on an environment starts from: the checked specs, the cloud, the caller and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stacks.guardrails import load_checked, load_declared

from fleet import aws
from fleet.cloud import Cloud, choose_cloud
from fleet.ledger import Ledger
from fleet.project import Project, find_project
from stacks import naming
from stacks.account import AccountSpec, load_account
from stacks.environment import EnvironmentSpec


@dataclass(frozen=True)
class AccountSession:
    """The account of a project, in one cloud."""

    project: Project
    cloud: Cloud
    account: AccountSpec

    @cached_property
    def caller(self) -> str:
        """The caller's ARN; the first look at it proves that the cloud answers (UserError otherwise)."""
        return aws.require_reachable(self.cloud, self.account.region)

    @cached_property
    def ledger(self) -> Ledger:
        """The account's ledger, written in the caller's name."""
        bucket = naming.ledger_bucket(self.account.organization, self.account.region)
        return Ledger(self.cloud, bucket, self.account.region, self.caller)


@dataclass(frozen=True)
class Session(AccountSession):
    """One environment of the project, its files checked."""

    spec: EnvironmentSpec

    def client(self, service: str) -> Any:
        """Return a boto3 client for the service in the environment's region."""
        return aws.client(self.cloud, service, self.spec.region)


def open_account(cloud: str | None = None) -> AccountSession:
    """Open the account of the project that the caller stands in; contacts nothing yet."""
    project = find_project()
    return AccountSession(project, choose_cloud(project, cloud), load_account(project.environments))


def open_session(environment: str, cloud: str | None = None, *, checked: bool = False) -> Session:
    """Open an environment; contacts nothing yet. Raises UserError where its files can't be read.

    `checked` holds it against every rule too: what builds must pass them, while what looks, fetches and tears
    down must also work on an environment whose lease has ended.
    """
    project = find_project()
    load = load_checked if checked else load_declared
    account, spec = load(project.environments, environment)
    return Session(project, choose_cloud(project, cloud), account, spec)
