"""Whose a thing is by its name: names that nobody else gives, and names that somebody else may have given."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from fleet.listings.listed import Key
from fleet.listings.things import Look
from stacks import naming
from stacks.catalog import known_regions

_ENVIRONMENT, _REGION, _TEAM = "ENVIRONMENT", "REGION", "TEAM"
"""Stand in names that are made for a pattern; no name in the cloud has capitals."""


class Named(NamedTuple):
    """The environment that a name gives, and its region, "" where the name tells none."""

    environment: str
    region: str = ""


def _pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of a name that was made of the stand-ins above."""
    found = re.escape(text).replace(_ENVIRONMENT, "(?P<environment>[a-z][a-z0-9-]*?)")
    found = found.replace(_REGION, r"(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)")
    return re.compile(found.replace(f"\\-{_TEAM}", "(?:-[a-z][a-z0-9-]*?)?"))


_LEASE = _pattern(naming.lease_name(_ENVIRONMENT, _REGION))
_OURS: dict[str, re.Pattern[str]] = {
    "log group": re.compile(_pattern(naming.log_group(_ENVIRONMENT, "")).pattern + ".+"),
    "SSM parameter": re.compile(
        _pattern(naming.outputs_parameter(_ENVIRONMENT).rpartition("/")[0]).pattern + "/.+"
    ),
    "secret": _pattern(naming.munge_secret(_ENVIRONMENT)),
    "schedule group": _LEASE,
    "schedule": _LEASE,
    "SNS topic": _LEASE,
    "budget": _pattern(naming.budget_name(_ENVIRONMENT, _REGION)),
}
"""Names that say fleetform, by kind."""
_ROLES = (
    naming.ROLE_HEAD,
    naming.ROLE_NODE,
    naming.ROLE_OPERATOR,
    naming.FLOW_LOGS,
    naming.LEASE,
    naming.BUDGET,
    *(f"{role}-{_TEAM}" for role in (naming.ROLE_RUN, naming.ROLE_MEMBER)),
)
_ROLE_NAMES = tuple(_pattern(naming.environment_role(_ENVIRONMENT, role, _REGION)) for role in _ROLES)
_DOCUMENTS = tuple(
    _pattern(text)
    for text in (
        naming.run_document(_ENVIRONMENT, _TEAM),
        naming.queue_document(_ENVIRONMENT, _TEAM),
        naming.node_document(_ENVIRONMENT),
    )
)


def own_name(key: Key, name: str) -> Named | None:
    """Return whose a thing is by a name that nobody but fleetform gives; None for every other name.

    What belongs to the account's own stack is no environment's.
    """
    pattern = _OURS.get(key.kind)
    found = pattern.fullmatch(name) if pattern else None
    if found is None or found["environment"] == naming.ACCOUNT_STACK:
        return None
    return Named(found["environment"], found.groupdict().get("region") or "")


def role_name(name: str) -> Named | None:
    """Return whose a role would be by its name, which anybody may have given; None for no such name."""
    return _first(_ROLE_NAMES, name)


def document_name(name: str) -> Named | None:
    """Return whose a document would be by its name, which anybody may have given; None for no such name."""
    return _first(_DOCUMENTS, name)


def _first(patterns: Iterable[re.Pattern[str]], name: str) -> Named | None:
    for pattern in patterns:
        if found := pattern.fullmatch(name):
            return Named(found["environment"], found.groupdict().get("region") or "")
    return None


def bucket_names(
    organization: str, environments: Collection[str], regions: Collection[str]
) -> dict[str, Named]:
    """Return the names of the environments' buckets, which bear the organization's."""
    return {
        make(organization, environment, region): Named(environment, region)
        for make in (naming.artifact_bucket, naming.dataset_bucket)
        for environment in environments
        for region in regions
    }


def likely_names(
    environments: Collection[str], regions: Collection[str], fleets: Collection[str]
) -> dict[Key, Named]:
    """Return the names that the stacks give to these environments' things, and that somebody else may too."""
    return {
        Key(kind, name): Named(environment, region)
        for environment in sorted(environments)
        for region in sorted(regions)
        for kind, name in _likely(environment, region, fleets)
    }


def _likely(environment: str, region: str, fleets: Collection[str]) -> Iterator[tuple[str, str]]:
    groups = [naming.head_group(environment), *(naming.fleet_group(environment, each) for each in fleets)]
    for kind in ("Auto Scaling group", "launch template", "placement group", "EC2 instance", "EBS volume"):
        yield from ((kind, each) for each in groups)
    for each in (
        naming.ROLE_HEAD,
        naming.ROLE_NODE,
        naming.ROLE_RUN,
        naming.ROLE_MEMBER,
        naming.ROLE_OPERATOR,
    ):
        role = naming.environment_role(environment, each, region)
        yield from ((kind, role) for kind in ("IAM role", "IAM instance profile"))
    yield "IAM role", naming.flow_log_role(environment, region)
    yield "IAM role", naming.lease_role(environment, region)
    yield "IAM role", naming.environment_role(environment, naming.BUDGET, region)
    yield "KMS alias", f"alias/{environment}"
    for document in (naming.run_document, naming.queue_document, naming.node_document):
        yield "SSM document", document(environment)
    for each in (
        naming.SECURITY_GROUP_NODES, naming.SECURITY_GROUP_ENDPOINTS, naming.SECURITY_GROUP_STORAGE
    ):  # fmt: skip
        yield "security group", naming.security_group(environment, each)
    yield "EFS file system", naming.shared_files(environment)
    yield "EBS volume", naming.state_volume(environment)
    yield from ((kind, environment) for kind in ("VPC", "internet gateway"))


_BY_NAME = frozenset({"Auto Scaling group", "IAM role", "IAM instance profile", "KMS alias", "SSM document"})
"""Kinds that may lack tags: an environment's teardown takes what bears the very name that the stacks give."""


def stack_names(look: Look, kind: str) -> frozenset[str]:
    """Return the names by which an environment's things of a kind are told where they have no tag."""
    environment, region = look.environment, look.region
    if kind == "S3 bucket":
        return frozenset(bucket_names(look.organization, [environment], [region]))
    if kind in ("schedule group", "SNS topic"):
        return frozenset({naming.lease_name(environment, region)})
    if kind == "secret":
        return frozenset({naming.munge_secret(environment)})
    likely = _likely(environment, region, look.fleets) if kind in _BY_NAME else ()
    return frozenset(name for each, name in likely if each == kind)


def region_at_end(name: str) -> str:
    """Return the region that a name ends with, as names of what belongs to no region do; "" for none."""
    return next((each for each in known_regions() if name.endswith(f"-{each}")), "")
