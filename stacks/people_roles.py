"""The roles that people take on, who may, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import iam
from stacks.cdk import Stack
from stacks.entry_policy import deny_entry_arn
from stacks.place import Place
from stacks.policies import policy, statement, variable

HOUR = 3600
SESSION_SECONDS = {
    naming.ROLE_MEMBER: 8 * HOUR,
    naming.ROLE_OPERATOR: 4 * HOUR,
    naming.ROLE_AUDITOR: 4 * HOUR,
    naming.ROLE_DEPLOYER: 2 * HOUR,
}
"""How long one may be who one is: a working day to watch runs, half of one to act, an `up` to build.

A role that takes on this one gets an hour at most, whatever stands here (IAM's limit for chained roles).
"""


@dataclass(frozen=True, kw_only=True)
class PeopleRole:
    """One role that people take on."""

    kind: str
    """`member`, `operator`, `auditor`, `deployer`; its name in the stack, too."""
    name: str
    """In the cloud."""
    description: str
    policies: Mapping[str, Sequence[dict[str, Any]]]
    """Statements by the name of their policy: together within IAM's limit for what stands in a role."""
    boundary: str
    """ARN of its permission boundary."""
    address: str = ""
    """Its name in the stack, "" for its kind."""
    trusted: tuple[str, ...] = ()
    """Who may take it on; none for whom the account's file trusts."""
    managed: bool = False
    """Whether its policies stand in the account and not in the role, where they are too long together (IAM's
    quotas: 10,240 characters in a role, 6,144 in a managed policy, ten of these on a role)."""


def add_people_role(stack: Stack, account: AccountSpec, place: Place, role: PeopleRole) -> iam.IamRole:
    """Add the role with its policies, its boundary and the deny list, and return it.

    Only where somebody is trusted with it: a role that nobody can take on is a door without a use.
    """
    trusted, place_in_stack = role.trusted or account.people.trusted, role.address or role.kind
    assert trusted, f"nobody is trusted with the role {role.name}"
    made = iam.IamRole(
        stack,
        place_in_stack,
        name=role.name,
        description=role.description,
        assume_role_policy=trust_policy(trusted),
        max_session_duration=SESSION_SECONDS[role.kind],
        permissions_boundary=role.boundary,
    )
    for name, statements in role.policies.items():
        address, text = f"{place_in_stack}_{name}", policy(*statements)
        if role.managed:
            own = iam.IamPolicy(stack, address, name=f"{role.name}-{name}", policy=text)
            iam.IamRolePolicyAttachment(stack, address, role=made.name, policy_arn=own.arn)
        else:
            iam.IamRolePolicy(stack, address, name=name, role=made.id, policy=text)
    iam.IamRolePolicyAttachment(
        stack, f"{place_in_stack}_deny_entry", role=made.name, policy_arn=deny_entry_arn(account, place)
    )
    return made


def trust_policy(trusted: Sequence[str]) -> str:
    """Return who may take on a role of people: those that are trusted, and only in a person's name.

    The source identity is in every event of the trail, it cannot be changed later, and a role that is taken
    on from this one keeps it. The caller's own identity, as STS tells it, shows the session's name instead,
    so the name has to be the same. Session tags are refused: they would stand over the role's own tags, by
    which the boundary and the keys tell environments apart.
    """
    principals = {"AWS": trusted[0] if len(trusted) == 1 else list(trusted)}
    return policy(
        statement(
            "InAPersonsName",
            principal=principals,
            actions=["sts:AssumeRole"],
            conditions={
                "Null": {"sts:SourceIdentity": "false"},
                "StringEquals": {"sts:RoleSessionName": variable("sts:SourceIdentity")},
            },
        ),
        statement(
            "SayWhose",
            principal=principals,
            actions=["sts:SetSourceIdentity"],
            conditions={"Null": {"sts:SourceIdentity": "false"}},
        ),
    )


def record_statements(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return the rights without which fleetform does nothing: to find the ledger's end and write on."""
    bucket = place.bucket_arn(naming.ledger_bucket(account.organization, account.region))
    entries = f"{bucket}/{naming.LEDGER_PREFIX}*"
    return [
        statement(
            "FindEndOfLedger",
            actions=["s3:ListBucket"],
            resources=[bucket],
            conditions={"StringLike": {"s3:prefix": f"{naming.LEDGER_PREFIX}*"}},
        ),
        statement("ReadLedger", actions=["s3:GetObject"], resources=[entries]),
        adding_statement(account, place),
    ]


def adding_statement(account: AccountSpec, place: Place) -> dict[str, Any]:
    """Return the right to put an act on record.

    An entry can only be added: S3 takes no object without `If-None-Match`, by which it refuses a number that
    is taken (S3's guide, "Enforce conditional writes").
    """
    bucket = place.bucket_arn(naming.ledger_bucket(account.organization, account.region))
    return statement(
        "AddToLedger",
        actions=["s3:PutObject"],
        resources=[f"{bucket}/{naming.LEDGER_PREFIX}*"],
        conditions={"Null": {"s3:if-none-match": "false"}},
    )
