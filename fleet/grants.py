"""Which roles of the policy somebody has who types commands: by the role of the cloud that they act in.

Who acts in none of fleetform's roles of people, or in an account that has none of them, is the account's
owner to fleetform: what they may is for IAM alone to say. These roles hold in IAM too (docs/roles.md); what
is decided here is finer, and told before anything is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fleet.identity import people_role, person
from fleet.policy import EVERY_TEAM, ROLES, Grant, Role
from stacks import naming
from stacks.account import AccountSpec
from stacks.environment import EnvironmentSpec

OWNER = tuple(Grant(role, EVERY_TEAM) for role in ROLES)
"""Of the account's owner: every role in every team."""


_OF_ACCOUNT: Mapping[Role, str] = {
    "operator": naming.ROLE_DEPLOYER,
    "approver": naming.ROLE_DEPLOYER,
    "auditor": naming.ROLE_AUDITOR,
}


def roles_in_account(roles: Iterable[Role]) -> list[str]:
    """Return who has one of these roles in every team at once, as commands know them."""
    named = dict.fromkeys(_OF_ACCOUNT[each] for each in roles if each in _OF_ACCOUNT)
    return [*named, "the account's owner"]


def grants_of(caller: str, account: AccountSpec, spec: EnvironmentSpec | None) -> tuple[Grant, ...]:
    """Return what the caller, by their ARN, has in the environment, or without one in the account.

    A role of another environment gives nothing here.
    """
    role = people_role(caller) if account.people.trusted else ""
    if not role:
        return OWNER
    named = {
        naming.account_name(account.organization, naming.ROLE_AUDITOR): (Grant("auditor", EVERY_TEAM),),
        naming.account_name(account.organization, naming.ROLE_DEPLOYER): (
            Grant("operator", EVERY_TEAM),
            Grant("approver", EVERY_TEAM),
        ),
    }
    if spec is not None:
        member, operator = (
            naming.environment_role(spec.name, kind, spec.region)
            for kind in (naming.ROLE_MEMBER, naming.ROLE_OPERATOR)
        )
        named |= {member: (Grant("member", spec.team),), operator: (Grant("operator", EVERY_TEAM),)}
        for team in spec.further_teams:
            named[naming.team_role(spec.name, team, spec.region)] = (Grant("member", team),)
    return named.get(role, ())


def is_own(caller: str, request: Mapping[str, Any]) -> bool:
    """Return whether the caller is who has submitted a run, by its `run.json`: the same person."""
    submitted_by = str(request.get("actor", ""))
    return (person(caller) or caller) == (person(submitted_by) or submitted_by)
