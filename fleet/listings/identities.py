"""Roles, instance profiles and policies."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.listings.listed import Item, Listed, Lister, Says, links
from fleet.listings.names import role_name, stack_names
from fleet.listings.things import Look, Thing, ask, tags_of
from stacks import naming

_OF_AWS = ("/aws-service-role/", "/aws-reserved/")
"""Paths of roles that AWS's services made for themselves."""


def roles(look: Look) -> Iterator[Listed]:
    """Yield the IAM roles but for AWS's own."""
    made = stack_names(look, "IAM role")
    for item in _own_roles(look) if look.environment else _all_roles(look):
        tags = tags_of(item)
        if not item.get("Path", "/").startswith(_OF_AWS) and look.wants(item["RoleName"], tags, made):
            thing = Thing(
                kind="IAM role",
                id=item["RoleName"],
                stack=tags.get(naming.TAG_STACK, ""),
                created=item.get("CreateDate"),
            )
            yield Listed(thing=thing, tags=tags, says=_role_says(look.organization, item))


def _all_roles(look: Look) -> Iterator[Item]:
    """Yield the account's roles, by the one listing that tells their tags and boundaries."""
    yield from look.pages("iam", "get_account_authorization_details", "RoleDetailList", Filter=["Role"])


def _own_roles(look: Look) -> Iterator[Item]:
    """Yield the roles that are named like the environment; whoever tears down may list, not read them all."""
    iam = look.client("iam")
    for item in look.pages("iam", "list_roles", "Roles"):
        if item["RoleName"].startswith(look.environment):
            answer = ask(iam.list_role_tags, RoleName=item["RoleName"])
            if answer is not None:
                yield {**item, "Tags": answer["Tags"]}


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
    iam, made = look.client("iam"), stack_names(look, "IAM instance profile")
    for item in look.pages("iam", "list_instance_profiles", "InstanceProfiles"):
        name = item["InstanceProfileName"]
        if not name.startswith(look.environment):
            continue
        answer = ask(iam.get_instance_profile, InstanceProfileName=name)
        tags = tags_of(answer["InstanceProfile"]) if answer else {}
        if not answer or not look.wants(name, tags, made):
            continue
        thing = Thing(
            kind="IAM instance profile",
            id=name,
            stack=tags.get(naming.TAG_STACK, ""),
            created=item.get("CreateDate"),
        )
        hands_on = (each["RoleName"] for each in item.get("Roles", ()))
        yield Listed(thing=thing, tags=tags, links=links("hands on", "IAM role", *hands_on))


def policies(look: Look) -> Iterator[Listed]:
    """Yield the customer managed IAM policies; an environment's stacks make none."""
    iam = look.client("iam")
    for item in look.pages("iam", "list_policies", "Policies", Scope="Local"):
        if not item["PolicyName"].startswith(look.environment):
            continue
        answer = ask(iam.list_policy_tags, PolicyArn=item["Arn"])
        tags = tags_of(answer or {})
        if answer is None or not look.wants("", tags):
            continue
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
