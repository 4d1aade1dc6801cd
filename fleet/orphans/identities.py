"""Roles, instance profiles and policies of an account."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.orphans.listed import Item, Listed, Lister, Says, every, links
from fleet.orphans.names import role_name
from fleet.sweepers.things import Look, Thing, ask, tags_of
from stacks import naming

_OF_AWS = ("/aws-service-role/", "/aws-reserved/")
"""Paths of roles that AWS's services made for themselves."""


def roles(look: Look) -> Iterator[Listed]:
    """Yield the IAM roles but for AWS's own; the one listing that tells their tags and boundaries."""
    for item in every(look, "iam", "get_account_authorization_details", "RoleDetailList", Filter=["Role"]):
        if not item.get("Path", "/").startswith(_OF_AWS):
            tags = tags_of(item)
            thing = Thing(
                kind="IAM role",
                id=item["RoleName"],
                stack=tags.get(naming.TAG_STACK, ""),
                created=item.get("CreateDate"),
            )
            yield Listed(thing=thing, tags=tags, says=_role_says(look.organization, item))


def _role_says(organization: str, item: Item) -> Says | None:
    """Return whose a role is by its name and its permission boundary, which is fleetform's own policy."""
    named = role_name(item["RoleName"])
    boundary = str(item.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""))
    if named is None or not boundary.endswith(
        f":policy/{naming.account_name(organization, naming.BOUNDARY)}"
    ):
        return None
    return Says(named.environment, "it is named so, within fleetform's permission boundary")


def profiles(look: Look) -> Iterator[Listed]:
    """Yield the IAM instance profiles."""
    iam = look.client("iam")
    for item in every(look, "iam", "list_instance_profiles", "InstanceProfiles"):
        name = item["InstanceProfileName"]
        answer = ask(iam.get_instance_profile, InstanceProfileName=name)
        if answer is None:
            continue
        tags = tags_of(answer["InstanceProfile"])
        thing = Thing(
            kind="IAM instance profile",
            id=name,
            stack=tags.get(naming.TAG_STACK, ""),
            created=item.get("CreateDate"),
        )
        hands_on = (each["RoleName"] for each in item.get("Roles", ()))
        yield Listed(thing=thing, tags=tags, links=links("hands on", "IAM role", *hands_on))


def policies(look: Look) -> Iterator[Listed]:
    """Yield the customer managed IAM policies."""
    iam = look.client("iam")
    for item in every(look, "iam", "list_policies", "Policies", Scope="Local"):
        answer = ask(iam.list_policy_tags, PolicyArn=item["Arn"])
        if answer is None:
            continue
        tags = tags_of(answer)
        thing = Thing(
            kind="IAM policy",
            id=item["Arn"],
            name=item["PolicyName"],
            stack=tags.get(naming.TAG_STACK, ""),
            created=item.get("CreateDate"),
        )
        yield Listed(thing=thing, tags=tags)


EVERYWHERE = (
    Lister(title="IAM roles", covers=("iam:role",), look=roles),
    Lister(title="IAM instance profiles", covers=("iam:instance-profile",), look=profiles),
    Lister(title="IAM policies", covers=("iam:policy",), look=policies),
)
"""Listed once for the account."""
