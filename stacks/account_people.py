"""The account's part in the roles: the boundaries, the auditor and the deployer."""

from __future__ import annotations

from stacks import naming
from stacks.account_boundary import account_boundary
from stacks.account_parts import AccountParts
from stacks.auditor_permissions import auditor_policies
from stacks.aws.generated import iam
from stacks.boundary import DESCRIPTION, boundary_arn, boundary_document
from stacks.deployer_permissions import deployer_policies
from stacks.people_roles import PeopleRole, add_people_role


def add_boundary(parts: AccountParts) -> None:
    """Add the boundary of the environments' roles; it exists already, for a base may be made before this."""
    account, place = parts.account, parts.place
    names = (account.organization, place.partition, place.account_id)
    made = iam.IamPolicy(
        parts.stack,
        "boundary",
        name=parts.named(naming.BOUNDARY),
        description=DESCRIPTION,
        policy=boundary_document(*names),
        lifecycle={"prevent_destroy": True},
    )
    parts.stack.take_over(made.address, boundary_arn(*names))


def add_account_people(parts: AccountParts) -> None:
    """Add auditor and deployer with a boundary of their own, where the account's file trusts anybody."""
    account, place = parts.account, parts.place
    if not account.people.trusted:
        return
    boundary = iam.IamPolicy(
        parts.stack,
        "account_boundary",
        name=parts.named(naming.ACCOUNT_BOUNDARY),
        description="What the account's auditor and deployer can be given at most",
        policy=account_boundary(account.organization, place.partition, place.account_id),
    )
    roles = {
        naming.ROLE_AUDITOR: ("Reads the record and every setting", auditor_policies(account, place)),
        naming.ROLE_DEPLOYER: ("Builds and tears down environments", deployer_policies(account, place)),
    }
    for kind, (description, policies) in roles.items():
        role = PeopleRole(
            kind=kind,
            name=parts.named(kind),
            description=description,
            policies=policies,
            boundary=boundary.arn,
            managed=kind == naming.ROLE_DEPLOYER,
        )
        add_people_role(parts.stack, account, place, role)
